package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNearestIsASlipAway(t *testing.T) {
	names := []string{"parallel", "per-host", "rate", "json"}
	for word, want := range map[string]string{
		"paralel": "parallel", "Parallel": "parallel", "per_host": "per-host", "perhost": "per-host",
		"rat": "rate", "jsno": "json", "jnso": "", "x": "", "": "", "something": "",
	} {
		require.Equal(t, want, nearest(word, names), word)
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"a", "", 1}, {"", "ab", 2}, {"kitten", "sitting", 3}, {"abc", "abc", 0}, {"abc", "xbc", 1}, {"abc", "acb", 1}, {"abcd", "badc", 2}} {
		require.Equal(t, c.want, distance(c.a, c.b), "%q, %q", c.a, c.b)
		require.Equal(t, c.want, distance(c.b, c.a), "%q, %q", c.b, c.a)
	}
}

func TestPathsOfTheFileStartFromIt(t *testing.T) {
	home, err := os.UserHomeDir()
	require.NoError(t, err)
	dir := t.TempDir()
	abs := filepath.Join(dir, "abs")
	for path, want := range map[string]string{
		"": "", abs: abs, "x/y": filepath.Join(dir, "x", "y"), "~/x": filepath.Join(home, "x"), "~x": filepath.Join(dir, "~x"),
	} {
		got, err := expand(path, dir)
		require.NoError(t, err)
		require.Equal(t, want, got, path)
	}
}

func TestSettingsKeepTheirLines(t *testing.T) {
	settings, err := parseConfig("f", []byte("\xef\xbb\xbf# first\r\njson = true\r\n\r\n\"rate\" = '''\n5'''\nkeep=1\n"))
	require.NoError(t, err)
	require.Equal(t, []setting{
		{"json", true, []string{"json"}, "f", 2}, {"rate", "5", []string{"rate"}, "f", 4}, {"keep", int64(1), []string{"keep"}, "f", 6},
	}, settings)
}
