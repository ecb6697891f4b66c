package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func planned(t *testing.T, urls []string, args ...string) (*plan, error) {
	t.Helper()
	g, err := parsed(t, nil, args...)
	require.NoError(t, err)
	return newPlan(urls, &g.placing, g.unpacking.unpack, g.output.json)
}

func TestPlanOfOneFileForEqualURLs(t *testing.T) {
	p, err := planned(t, []string{"https://h/a", "https://h/b", "HTTPS://H/a"})
	require.NoError(t, err)
	require.Len(t, p.jobs, 2)
	require.Equal(t, []*job{p.jobs[0], p.jobs[1], p.jobs[0]}, p.byArg)
}

func TestPlanTargets(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		output, name, want string
	}{
		{"", "", ""},
		{"-", "", "-"},
		{dir, "", filepath.Join(dir, "tool")},
		{dir, "deep/name", filepath.Join(dir, "name")},
		{filepath.Join(dir, "file"), "", filepath.Join(dir, "file")},
		{filepath.Join(dir, "new") + "/", "", filepath.Join(dir, "new", "tool")},
	} {
		t.Run(c.output+" "+c.name, func(t *testing.T) {
			p, err := planned(t, []string{"https://h/v1/tool"}, "-o", c.output, "--name", c.name)
			require.NoError(t, err)
			require.Equal(t, c.want, p.jobs[0].target)
		})
	}
}

func TestPlanRefusals(t *testing.T) {
	there := filepath.Join(t.TempDir(), "there")
	require.NoError(t, os.Mkdir(there, 0o777))
	two := []string{"https://h/v1/tool", "https://h/v2/tool"}
	for name, c := range map[string]struct {
		urls []string
		args []string
	}{
		"no URL":                 {nil, nil},
		"no scheme":              {[]string{"h/x"}, nil},
		"other scheme":           {[]string{"file:///etc/passwd"}, nil},
		"no host":                {[]string{"https:///x"}, nil},
		"two for one name":       {two, []string{"--name", "x"}},
		"two for one file":       {two, []string{"-o", "x"}},
		"two for stdout":         {two, []string{"-o", "-"}},
		"two for one place":      {two, []string{"-o", "x/"}},
		"two in a directory":     {two, []string{"-o", there}},
		"JSON beside the file":   {two[:1], []string{"-o", "-", "--json"}},
		"no base in a directory": {[]string{"https://h/"}, []string{"-o", there}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := planned(t, c.urls, c.args...)
			require.Equal(t, codeUsage, exitCode(err), "%v", err)
		})
	}
}

func TestLabels(t *testing.T) {
	p, err := planned(t, []string{"https://h/v1/sums", "https://h/v2/sums", "https://h/tool%20x?a=b"})
	require.NoError(t, err)
	require.Equal(t, p.jobs[0].name, p.jobs[0].label, "two have the same base")
	require.Equal(t, p.jobs[1].name, p.jobs[1].label)
	require.Contains(t, p.jobs[2].label, "tool")
	p, err = planned(t, []string{"https://h/x"}, "--name", "deep/own.bin")
	require.NoError(t, err)
	require.Equal(t, "own.bin", p.jobs[0].label)
}
