package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestParseHeader(t *testing.T) {
	for text, want := range map[string]*header{
		"K: V":              {"K", "V"},
		"K:V":               {"K", "V"},
		"K:  a: b \t":       {"K", "a: b"},
		"K:":                {"K", ""},
		"X-Ü: V":            nil,
		"X-K: Ü":            {"X-K", "Ü"},
		"K":                 nil,
		": V":               nil,
		"K : V":             nil,
		" K: V":             nil,
		"K: a\nInjected: b": nil,
		"K: a\x00":          nil,
		"host: other":       nil,
		"Range: bytes=0-1":  nil,
		"":                  nil,
	} {
		t.Run(text, func(t *testing.T) {
			h, err := parseHeader(text)
			if want == nil {
				require.Error(t, err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, *want, h)
		})
	}
}

func TestHeadersFromFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "headers")
	require.NoError(t, os.WriteFile(file, []byte("\r\nA: 1\r\n\nB: 2"), 0o666))
	got, err := parseHeaders("--header", []string{"C: 3", "@" + file})
	require.NoError(t, err)
	require.Equal(t, []header{{"C", "3"}, {"A", "1"}, {"B", "2"}}, got)
}

func TestHeaderErrorsKeepTheSecret(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "headers")
	require.NoError(t, os.WriteFile(file, []byte("A: 1\ns3cret\n"), 0o666))
	for _, value := range []string{"s3cret", "@" + file, "K: s3cret\x01", "@" + dir, "@", "@-", "@" + dir + "/none"} {
		t.Run(value, func(t *testing.T) {
			_, err := parseHeaders("DLM_HEADER", []string{value})
			require.ErrorContains(t, err, "DLM_HEADER: ")
			require.NotContains(t, err.Error(), "s3cret")
			require.Equal(t, codeUsage, exitCode(err))
		})
	}
}

func FuzzParseHeader(f *testing.F) {
	f.Add("K: V")
	f.Add("K: V\r\nX: Y")
	f.Fuzz(func(t *testing.T, text string) {
		h, err := parseHeader(text)
		if err == nil {
			require.True(t, isToken(h.name))
			require.NotContains(t, h.value, "\r")
			require.NotContains(t, h.value, "\n")
		}
	})
}
