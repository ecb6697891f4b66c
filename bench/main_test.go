package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFlags(t *testing.T) {
	c, err := parse([]string{"-runs", "3", "-only", "plain,hits", "-size", "0.5"})
	require.NoError(t, err)
	require.Equal(t, []string{"plain", "hits"}, c.only)
	require.Equal(t, 3, c.runs)
	for _, args := range []string{"-runs 0", "-size 0", "-size 2", "-only plain,none", "plain"} {
		_, err := parse(strings.Fields(args))
		require.Error(t, err, args)
	}
}

func TestScenariosHaveNamesOfTheirOwnAndOneOfOurs(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range scenarios() {
		require.False(t, seen[s.name], s.name)
		seen[s.name] = true
		ours := 0
		names := map[string]bool{}
		for _, c := range s.contenders {
			require.False(t, names[c.name], "%s: %s", s.name, c.name)
			names[c.name] = true
			require.NotEmpty(t, c.shown)
			if c.ours {
				ours++
			}
		}
		require.Equal(t, 1, ours, s.name)
	}
}

func TestACommandIsFilledIn(t *testing.T) {
	j := &job{
		place: &place{nginx: &nginx{ca: "/tls/ca.pem"}}, base: "https://localhost:1/data", dir: "/fresh",
		files: []source{{name: "f.bin", sum: "abc"}},
	}
	cmd, err := tool("curl", "curl", "--cacert CA -o PATH --x=SUM URL").command(j)
	require.NoError(t, err)
	require.Equal(t, strings.Fields("curl --cacert /tls/ca.pem -o /fresh/f.bin --x=abc https://localhost:1/data/f.bin"), cmd.args)
}

func TestWhoCannotTakePartIsNamed(t *testing.T) {
	p := &place{config: config{without: []string{"wget"}}, dlmFlags: "  -o, --output PATH   put a copy\n"}
	rows, missing := p.available([]contender{
		{name: "a", flag: "--output"},
		{name: "b", flag: "--out"},
		{name: "c", program: "no-such-program-anywhere"},
		{name: "d", program: "wget"},
		{name: "e", program: goGetterName},
		{name: "f", program: "sh"},
	})
	require.Len(t, rows, 2)
	require.Equal(t, []string{"a", "f"}, []string{rows[0].name, rows[1].name})
	require.Len(t, missing, 4)
	require.Contains(t, missing[0], "no --out")
	require.Contains(t, missing[1], "apt-get install")
}

func TestVersionsAreFound(t *testing.T) {
	for said, want := range map[string]string{
		"nginx version: nginx/1.22.1\n":                         "1.22.1",
		"GNU Wget2 1.99.1 - multithreaded\n":                    "1.99.1",
		"curl 7.88.1 (x86_64-pc-linux-gnu) libcurl/7.88.1\nxxx": "7.88.1",
		"none": "?",
	} {
		require.Equal(t, want, versionIn(said))
	}
}
