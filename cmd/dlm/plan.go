package main

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/dlmanager/dlmanager"
)

// toStdout is the value of -o for stdout.
const toStdout = "-"

// job is one file to get, for one argument or for several equal ones.
type job struct {
	url    string
	name   string // in the cache
	label  string // what people see while it runs
	target string // absolute path of the copy; "": none, toStdout: written there
	about  string // what messages begin with; "": the URL without secrets
	opts   []dlmanager.DownloadOption
	tree   *tree // nil: the file is wanted as it is

	download *dlmanager.Download // nil if it is a tree
	over     atomic.Bool         // all below stands
	path     string              // where the file is
	result   dlmanager.Result
	err      error
}

// plan is what the arguments ask for.
type plan struct {
	jobs   []*job // each file once
	byArg  []*job // for each argument its job
	stdout bool   // the file itself goes to stdout
}

// newPlan works out what is asked for, or what is wrong with it, before anything
// is fetched.
func newPlan(urls []string, f *placeFlags, unpack, asJSON bool) (*plan, error) {
	if err := checkPlace(urls, f, asJSON); err != nil {
		return nil, err
	}
	p := &plan{stdout: f.output == toStdout}
	var problems usageErrors
	known := map[string]*job{}
	for _, url := range urls {
		j, err := newJob(url, f, unpack)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		if same := known[j.name]; same != nil {
			j = same
		} else {
			known[j.name] = j
			p.jobs = append(p.jobs, j)
		}
		p.byArg = append(p.byArg, j)
	}
	if len(problems) > 0 {
		return nil, problems
	}
	p.setLabels()
	return p, checkTargets(p.jobs)
}

// usageErrors is all that is wrong with the arguments.
type usageErrors []error

func (e usageErrors) Error() string   { return fmt.Sprintf("%d wrong arguments", len(e)) }
func (e usageErrors) Unwrap() []error { return e }

// checkPlace refuses what cannot go together.
func checkPlace(urls []string, f *placeFlags, asJSON bool) error {
	many := len(urls) > 1
	output, name, link := given(f.flags, "output"), given(f.flags, "name"), given(f.flags, "link")
	switch {
	case len(urls) == 0:
		return &usageError{"no URL was given", "dlm get https://example.com/file fetches a file; see dlm get --help"}
	case f.link && (f.output == "" || f.output == toStdout):
		return &usageError{link + " needs a place for the link", output + " PATH names one"}
	case many && f.name != "":
		return &usageError{name + " is for one URL, and there are several", "without it each file has a name of its own"}
	case many && f.output == toStdout:
		return &usageError{output + " - writes one file to stdout, and there are several URLs", output + " DIR/ puts them into a directory"}
	case asJSON && f.output == toStdout:
		return &usageError{output + " - and --json both want stdout", output + " FILE puts the file elsewhere"}
	case many && f.output != "" && !isDirectory(f.output):
		return &usageError{output + " " + f.output + " is one file, and there are several URLs", output + " " + f.output + "/ makes it a directory"}
	}
	return nil
}

// newJob works out one argument. Its errors carry the URL, without secrets.
func newJob(url string, f *placeFlags, unpack bool) (*job, error) {
	j := &job{url: url, name: f.name}
	if unpack {
		j.tree = &tree{}
	}
	tree, err := dlmanager.TreeName(url)
	if err != nil {
		return nil, urlProblem(url, err)
	}
	if j.name == "" {
		j.name = tree
	}
	if j.label, err = baseName(url, f.name); err != nil {
		j.label = j.name
	}
	if f.output == "" || f.output == toStdout {
		j.target = f.output
		return j, nil
	}
	target := f.output
	if isDirectory(target) && (!unpack || endsInSlash(target)) {
		base, err := baseName(url, f.name)
		if err != nil {
			return nil, &usageError{
				describe(dlmanager.RedactURL(url), err),
				"the URL gives no file name: " + given(f.flags, "output") + " DIR/NAME does",
			}
		}
		if unpack {
			base = withoutSuffix(base)
		}
		target = filepath.Join(target, base)
	}
	if j.target, err = filepath.Abs(target); err != nil {
		return nil, &usageError{text: given(f.flags, "output") + ": " + err.Error()}
	}
	return j, nil
}

// urlProblem is what is wrong with a URL, with a remedy if it is the common one.
func urlProblem(url string, err error) *usageError {
	e := &usageError{text: describe("", err)}
	if !strings.Contains(url, "://") {
		e.hint = "a URL begins with https:// or http://"
	}
	return e
}

// baseName is what a file is called in a directory of the user's.
func baseName(url, name string) (string, error) {
	if name != "" {
		return path.Base(name), nil
	}
	return dlmanager.FlatName(url)
}

// isDirectory reports whether -o means a directory: one that is there, or a path
// that ends like one.
func isDirectory(output string) bool {
	if endsInSlash(output) {
		return true
	}
	fi, err := os.Stat(output)
	return err == nil && fi.IsDir()
}

func endsInSlash(path string) bool { return os.IsPathSeparator(path[len(path)-1]) }

// checkTargets refuses two files for one place.
func checkTargets(jobs []*job) error {
	taken := map[string]*job{}
	for _, j := range jobs {
		if j.target == "" || j.target == toStdout {
			continue
		}
		key := foldPath(j.target)
		if other := taken[key]; other != nil {
			return &usageError{
				fmt.Sprintf("%s and %s would both go to %s", dlmanager.RedactURL(other.url), dlmanager.RedactURL(j.url), j.target),
				"fetch them one by one, each with its -o, or leave them in the cache (no -o)",
			}
		}
		taken[key] = j
	}
	return nil
}

// foldPath makes paths equal that commonly lead to one file.
func foldPath(path string) string {
	if runtime.GOOS == "windows" || runtime.GOOS == "darwin" {
		return strings.ToLower(path)
	}
	return path
}

// setLabels tells files of the same base name apart.
func (p *plan) setLabels() {
	count := map[string]int{}
	for _, j := range p.jobs {
		count[j.label]++
	}
	for _, j := range p.jobs {
		if count[j.label] > 1 {
			j.label = j.name
		}
	}
}

// subject is what messages about the job begin with.
func (j *job) subject() string {
	if j.about != "" {
		return j.about
	}
	return dlmanager.RedactURL(j.url)
}

// seconds is how long the download took.
func (j *job) seconds() float64 {
	return float64(j.result.Elapsed.Round(time.Millisecond).Milliseconds()) / 1000
}
