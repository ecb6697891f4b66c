//go:build unix

package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert/yaml"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/testorigin"
)

// action is what GitHub reads of action.yml.
type action struct {
	Name, Description string
	Inputs            map[string]struct{ Description, Default string }
	Outputs           map[string]struct{ Description, Value string }
	Runs              struct {
		Using string
		Steps []actionStep
	}
}

type actionStep struct {
	Name, ID, If, Shell, Run, Uses string
	Env, With                      map[string]string
}

func readAction(t *testing.T) *action {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "action.yml"))
	require.NoError(t, err)
	var a action
	require.NoError(t, yaml.Unmarshal(text, &a))
	return &a
}

var expression = regexp.MustCompile(`\$\{\{ *(.*?) *\}\}`)

// runner stands for GitHub's: it knows the contexts, and keeps what steps write into
// its files.
type runner struct {
	t    *testing.T
	dir  string
	env  []string
	know map[string]string // values of expressions
}

func newRunner(t *testing.T, a *action, inputs map[string]string) *runner {
	t.Helper()
	dir := t.TempDir()
	source, err := filepath.Abs(filepath.Join("..", ".."))
	require.NoError(t, err)
	r := &runner{t: t, dir: dir, know: map[string]string{
		"github.action_path": source, "runner.os": "Linux", "runner.arch": "X64",
		"inputs.key || hashFiles('**/dlm.toml', '**/dlm.lock')": "hash", "steps.restore.outputs.cache-hit": "true",
	}}
	for name, in := range a.Inputs {
		r.know["inputs."+name] = in.Default
		if value, ok := inputs[name]; ok {
			r.know["inputs."+name] = value
		}
	}
	r.env = []string{
		"HOME=" + dir, "PATH=" + dir + ":/usr/bin:/bin", "RUNNER_OS=Linux", "RUNNER_TEMP=" + filepath.Join(dir, "temp"),
		"GITHUB_OUTPUT=" + filepath.Join(dir, "output"), "GITHUB_ENV=" + filepath.Join(dir, "env"), "GITHUB_PATH=" + filepath.Join(dir, "path"),
	}
	return r
}

// fill replaces the expressions. One that is not known would be empty on GitHub.
func (r *runner) fill(text string) string {
	return expression.ReplaceAllStringFunc(text, func(match string) string {
		value, ok := r.know[expression.FindStringSubmatch(match)[1]]
		require.True(r.t, ok, "nothing has the value %s", match)
		return value
	})
}

// run runs a step as GitHub does, with bash's -e.
func (r *runner) run(s actionStep) (string, error) {
	cmd := exec.Command("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", r.fill(s.Run))
	cmd.Env = r.env
	for key, value := range s.Env {
		cmd.Env = append(cmd.Env, key+"="+r.fill(value))
	}
	out, err := cmd.CombinedOutput()
	if s.ID != "" {
		for _, line := range r.lines("output") {
			key, value, _ := strings.Cut(line, "=")
			r.know["steps."+s.ID+".outputs."+key] = value
		}
	}
	return string(out), err
}

func (r *runner) lines(file string) []string {
	text, err := os.ReadFile(filepath.Join(r.dir, file))
	require.NoError(r.t, err)
	return strings.Split(strings.TrimSpace(string(text)), "\n")
}

// stubGo puts a go on the PATH that notes its arguments.
func (r *runner) stubGo() {
	stub := "#!/bin/sh\npwd >" + r.dir + "/go-dir\necho \"$@\" >" + r.dir + "/go-args\n"
	require.NoError(r.t, os.WriteFile(filepath.Join(r.dir, "go"), []byte(stub), 0o777))
}

func TestActionsStepsDoWhatTheyPromise(t *testing.T) {
	a := readAction(t)
	require.Equal(t, "composite", a.Runs.Using)
	require.NotEmpty(t, a.Description)
	for name, in := range a.Inputs {
		require.NotEmpty(t, in.Description, name)
	}
	for _, given := range []string{"", "/shared/dlm"} {
		r := newRunner(t, a, map[string]string{"cache-dir": given})
		r.stubGo()
		dir := given
		if dir == "" {
			dir = filepath.Join(r.dir, ".cache", "dlm")
		}
		for _, s := range a.Runs.Steps {
			if s.Uses != "" {
				require.Equal(t, "actions/cache@v4", s.Uses)
				require.Equal(t, dir, r.fill(s.With["path"]))
				require.Equal(t, "dlm-Linux-X64-hash", r.fill(s.With["key"]))
				require.True(t, strings.HasPrefix(r.fill(s.With["key"]), strings.TrimSpace(r.fill(s.With["restore-keys"]))))
				require.Equal(t, "inputs.cache == 'true'", s.If)
				continue
			}
			require.Equal(t, "bash", s.Shell, "a composite action's steps say their shell: %s", s.Name)
			out, err := r.run(s)
			require.NoError(t, err, "%s: %s", s.Name, out)
		}
		require.Equal(t, []string{"DLM_CACHE_DIR=" + dir, "DLM_SIZE_LIMIT=2GiB"}, r.lines("env"))
		bin := filepath.Join(r.dir, "temp", "dlm-bin")
		require.Equal(t, []string{bin}, r.lines("path"))
		require.Equal(t, []string{"build -trimpath -o " + bin + "/ ./cmd/dlm"}, r.lines("go-args"))
		require.Equal(t, []string{r.know["github.action_path"]}, r.lines("go-dir"))
		require.Equal(t, dir, r.fill(a.Outputs["cache-dir"].Value))
		require.Equal(t, "true", r.fill(a.Outputs["cache-hit"].Value))
		require.FileExists(t, filepath.Join(r.know["github.action_path"], "cmd", "dlm", "main.go"))
	}
}

func TestActionSaysThatGoIsMissing(t *testing.T) {
	a := readAction(t)
	r := newRunner(t, a, nil)
	bash, err := exec.LookPath("bash")
	require.NoError(t, err)
	require.NoError(t, os.Symlink(bash, filepath.Join(r.dir, "bash")))
	for i, entry := range r.env {
		if strings.HasPrefix(entry, "PATH=") {
			r.env[i] = "PATH=" + r.dir
		}
	}
	for _, s := range a.Runs.Steps {
		if s.Name == "Build" {
			out, err := r.run(s)
			require.Error(t, err)
			require.Contains(t, out, "::error::")
			require.Contains(t, out, "setup-go")
			return
		}
	}
	t.Fatal("there is no step called Build")
}

// TestACacheThatWasSavedAndRestoredMakesNoRequest packs the directory as actions/cache
// does, and as most CI systems do, and unpacks it at the same place.
func TestACacheThatWasSavedAndRestoredMakesNoRequest(t *testing.T) {
	o := testorigin.New(t)
	url := o.ServeSize("/tool", 100_000)
	home := t.TempDir()
	cache, saved := filepath.Join(home, "cache"), filepath.Join(home, "saved.tar")
	get := func(args ...string) {
		cmd, _ := dlm(t, append([]string{"get", "--cache-dir", cache}, append(args, url)...)...)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
	get()
	for _, flag := range []string{"--format=posix", "--format=ustar"} { // with and without parts of a second
		if out, err := exec.Command("tar", flag, "-C", home, "-cf", saved, "cache").CombinedOutput(); err != nil {
			t.Skipf("this tar cannot do it: %s", out)
		}
		require.NoError(t, os.RemoveAll(cache))
		require.NoError(t, exec.Command("tar", "-C", home, "-xf", saved).Run())
		get("--offline")
		get()
		require.Equal(t, 1, o.Count("/tool"))
	}
}
