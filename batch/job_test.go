package batch

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager"
	"github.com/dlmanager/dlmanager/internal/testorigin"
)

// jobAt opens a job that the test closes.
func jobAt(t testing.TB, dir string, opts ...JobOption) *Job {
	t.Helper()
	j, err := OpenJob(dir, opts...)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, j.Close()) })
	return j
}

func newJob(t testing.TB, opts ...JobOption) *Job {
	t.Helper()
	return jobAt(t, filepath.Join(t.TempDir(), "job"), opts...)
}

// reopen closes a job and opens it again.
func reopen(t testing.TB, j *Job, opts ...JobOption) *Job {
	t.Helper()
	require.NoError(t, j.Close())
	return jobAt(t, j.dir, opts...)
}

func add(t testing.TB, j *Job, urls ...string) int {
	t.Helper()
	var links []Link
	for _, url := range urls {
		links = append(links, Link{URL: url})
	}
	added, err := j.Add(links...)
	require.NoError(t, err)
	return added
}

func run(t testing.TB, j *Job, m *dlmanager.DownloadManager, opts ...Option) Report {
	t.Helper()
	report, err := j.Run(t.Context(), m, Limits{}, nil, opts...)
	require.NoError(t, err)
	return report
}

func failures(t testing.TB, j *Job) []Failure {
	t.Helper()
	var all []Failure
	for f, err := range j.Failures() {
		require.NoError(t, err)
		all = append(all, f)
	}
	return all
}

// counter serves its path and counts the requests for each.
type counter struct {
	*httptest.Server
	mu   sync.Mutex
	hits map[string]int
	came []string // in order
	all  atomic.Int64
}

func newCounter(t testing.TB) *counter {
	c := &counter{hits: map[string]int{}}
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.mu.Lock()
		c.hits[r.URL.RequestURI()]++
		c.came = append(c.came, r.URL.Path)
		c.mu.Unlock()
		c.all.Add(1)
		if strings.HasPrefix(r.URL.Path, "/bad") {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, r.URL.Path)
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *counter) count(path string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.hits[path]
}

func (c *counter) counts() map[string]int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.hits)
}

func (c *counter) urls(n int) []string {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprint(c.URL, "/", i))
	}
	return all
}

func TestWithoutADirectoryThereIsNoState(t *testing.T) {
	c := newCounter(t)
	t.Chdir(t.TempDir())
	j, err := OpenJob("")
	require.NoError(t, err)
	secret := strings.Replace(c.URL, "http://", "http://user:password@", 1) + "/0?sig=xyz"
	added, err := j.Add(Link{URL: c.URL + "/1"}, Link{URL: secret})
	require.NoError(t, err, "what is not kept may be secret")
	assert.Equal(t, 2, added)
	assert.Equal(t, 2, run(t, j, newManager(t)).Written)
	require.NoError(t, j.Close())
	left, err := os.ReadDir(".")
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestAJobGoesOnInTheNextRun(t *testing.T) {
	c := newCounter(t)
	dir := filepath.Join(t.TempDir(), "cache")
	j := newJob(t)
	assert.Equal(t, 30, add(t, j, c.urls(30)...))
	m := managerAt(t, dir)
	report, err := j.Run(t.Context(), m, Limits{Files: 10}, nil)
	require.NoError(t, err)
	assert.Equal(t, Report{Reason: ReasonFiles, Written: 10, Bytes: report.Bytes, Left: 20}, report)
	j = reopen(t, j)
	assert.Equal(t, JobStats{Links: 30, Left: 20, Done: 10, Bytes: report.Bytes}, j.Stats())
	assert.Equal(t, 1, add(t, j, c.urls(31)...), "duplicates are dropped across runs")
	report = run(t, j, m)
	assert.Equal(t, ReasonDone, report.Reason)
	assert.Equal(t, 21, report.Written)
	assert.EqualValues(t, 31, c.all.Load())
	j = reopen(t, j)
	assert.Zero(t, run(t, j, m).Written)
	assert.EqualValues(t, 31, c.all.Load(), "what is done is not asked for again")
	require.NoError(t, j.Remove())
	_, err = os.Stat(j.dir)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestTheSecondWhoOpensAJobIsRefusedAtOnce(t *testing.T) {
	j := newJob(t)
	_, err := OpenJob(j.dir)
	require.ErrorIs(t, err, ErrInUse)
	assert.ErrorContains(t, err, fmt.Sprint("process ", os.Getpid()))
	require.NoError(t, j.Close())
	again, err := OpenJob(j.dir)
	require.NoError(t, err)
	require.NoError(t, again.Close())
}

func TestAnotherJobsDirectoryIsRefused(t *testing.T) {
	j := newJob(t, WithMagic(MagicOf("batch", map[string]any{"to": "a"})))
	require.NoError(t, j.Close())
	_, err := OpenJob(j.dir, WithMagic(MagicOf("batch", map[string]any{"to": "b"})))
	require.ErrorIs(t, err, ErrForeign)
	reopen(t, j, WithMagic(MagicOf("batch", map[string]any{"to": "a"})))
	other := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(other, "thesis.tex"), nil, 0o666))
	_, err = OpenJob(other)
	require.ErrorIs(t, err, ErrNotJob)
	newer := filepath.Join(t.TempDir(), "job")
	require.NoError(t, os.Mkdir(newer, 0o700))
	log, err := openLog(j.fs, filepath.Join(newer, logName))
	require.NoError(t, err)
	_, err = log.append(kindHeader, appendUvarints(nil, jobFormat+1))
	require.NoError(t, err)
	require.NoError(t, log.file.Close())
	_, err = OpenJob(newer)
	require.ErrorIs(t, err, ErrNotJob)
}

func TestPriorityThenOrder(t *testing.T) {
	c := newCounter(t)
	j := newJob(t)
	for i, priority := range []int{0, 5, 0, -3, 5, 7} {
		_, err := j.Add(Link{URL: fmt.Sprint(c.URL, "/", i), Priority: priority})
		require.NoError(t, err)
	}
	j = reopen(t, j)
	m := newManager(t, dlmanager.WithMaxConcurrent(1))
	run(t, j, m)
	assert.Equal(t, []string{"/5", "/1", "/4", "/0", "/2", "/3"}, c.came)
}

func TestLinksAreAddedWhileTheJobRuns(t *testing.T) {
	c := newCounter(t)
	j := newJob(t)
	add(t, j, c.URL+"/0")
	seen := 0
	report, err := j.Run(t.Context(), newManager(t), Limits{}, func(o Outcome[Link]) {
		if seen++; seen < 20 {
			add(t, j, fmt.Sprint(c.URL, "/", seen), o.URL)
		}
	})
	require.NoError(t, err)
	assert.Equal(t, 20, report.Written)
	assert.EqualValues(t, 20, c.all.Load())
}

func TestOneRunAtATime(t *testing.T) {
	c := newCounter(t)
	j := newJob(t)
	add(t, j, c.URL+"/0")
	m := newManager(t)
	_, err := j.Run(t.Context(), m, Limits{}, func(Outcome[Link]) {
		_, err := j.Run(t.Context(), m, Limits{}, nil)
		assert.ErrorIs(t, err, errRunning)
	})
	require.NoError(t, err)
}

func TestTheCallersValuesAreKept(t *testing.T) {
	j := newJob(t)
	require.NoError(t, j.SetValue("page", []byte("1")))
	require.NoError(t, j.SetValue("page", []byte("2")))
	require.NoError(t, j.SetValue("gone", []byte("x")))
	require.NoError(t, j.UnsetValue("gone"))
	require.NoError(t, j.UnsetValue("never there"))
	require.Error(t, j.SetValue("large", make([]byte, 33<<10)))
	j = reopen(t, j)
	assert.Equal(t, map[string][]byte{"page": []byte("2")}, j.Values())
}

func TestFailuresAreKeptAndTriedAgainOnRequest(t *testing.T) {
	o := testorigin.New(t)
	good := o.Serve("/good", []byte("good"))
	bad := o.Serve("/bad", nil, testorigin.Sequence(testorigin.Status(404, "not yet"), testorigin.Status(503, ""), testorigin.OK()))
	m := newManager(t)
	j := newJob(t)
	add(t, j, good)
	_, err := j.Add(Link{URL: bad + "?v=secret", Name: "bad"})
	require.NoError(t, err)
	report := run(t, j, m)
	assert.Equal(t, 1, report.Written, "the failure stops nothing")
	assert.Equal(t, 1, report.Failed)
	j = reopen(t, j)
	f := failures(t, j)
	require.Len(t, f, 1)
	assert.Contains(t, f[0].Reason, "404")
	assert.NotContains(t, fmt.Sprint(f[0]), "secret")
	f[0].Reason, f[0].Time = "", time.Time{}
	assert.Equal(t, Failure{URL: dlmanager.RedactURL(bad + "?v=secret"), Name: "bad", Attempts: 1, Status: 404}, f[0])
	assert.Zero(t, run(t, j, m).Failed, "not tried again by itself")
	n, err := j.RetryFailed()
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	j = reopen(t, j)
	assert.Equal(t, 1, run(t, j, m).Failed)
	f = failures(t, j)
	require.Len(t, f, 1)
	assert.Equal(t, 2, f[0].Attempts, "in all runs")
	assert.True(t, f[0].Temporary)
	_, err = j.RetryFailed()
	require.NoError(t, err)
	assert.Equal(t, 1, run(t, j, m).Written)
	assert.Equal(t, JobStats{Links: 2, Done: 2, Bytes: 4}, j.Stats())
	assert.Empty(t, failures(t, j))
}

func TestTwoLinksOfOneNameAreRefused(t *testing.T) {
	c := newCounter(t)
	j := newJob(t)
	_, err := j.Add(Link{URL: c.URL + "/1", Name: "x"})
	require.NoError(t, err)
	_, err = j.Add(Link{URL: c.URL + "/2", Name: "x"})
	assert.True(t, isConflict(err), "%v", err)
	_, err = j.Add(Link{URL: c.URL + "/3", Name: "y"}, Link{URL: c.URL + "/4", Name: "y"})
	assert.True(t, isConflict(err), "within one call")
	added, err := j.Add(Link{URL: c.URL + "/1", Name: "x"}, Link{URL: c.URL + "/1", Name: "z"})
	require.NoError(t, err)
	assert.Equal(t, 1, added)
	list := listAt(t, filepath.Join(t.TempDir(), "list"), c.URL+"/1 a\n"+c.URL+"/2 a\n"+c.URL+"/1 a\n")
	report, err := j.AddList(t.Context(), list)
	require.NoError(t, err)
	assert.Equal(t, ListReport{Added: 1, Known: 1, Bad: 1}, report)
	run(t, j, newManager(t))
	f := failures(t, j)
	require.Len(t, f, 1)
	assert.Equal(t, 2, f[0].Line)
	assert.Contains(t, f[0].Reason, "line 1")
	_, err = j.RetryFailed()
	require.NoError(t, err)
	assert.Equal(t, 1, run(t, j, newManager(t)).Failed)
	assert.Zero(t, c.count("/2"))
}

func TestAClosedManagerStopsTheJob(t *testing.T) {
	c := newCounter(t)
	j := newJob(t)
	add(t, j, c.urls(50)...)
	m, err := dlmanager.NewDownloadManager(filepath.Join(t.TempDir(), "cache"))
	require.NoError(t, err)
	require.NoError(t, m.Close())
	report, err := j.Run(t.Context(), m, Limits{}, nil)
	require.ErrorIs(t, err, dlmanager.ErrClosed)
	assert.Equal(t, ReasonBroken, report.Reason)
	assert.Equal(t, 50, report.Left, "nothing is lost")
}

func TestAClosedJobSaysSo(t *testing.T) {
	j := newJob(t)
	require.NoError(t, j.Close())
	_, err := j.Add(Link{URL: "http://h/x"})
	require.ErrorIs(t, err, errJobClosed)
	_, err = j.Run(t.Context(), nil, Limits{}, nil)
	require.ErrorIs(t, err, errJobClosed)
	require.ErrorIs(t, j.Sync(), errJobClosed)
	require.ErrorIs(t, j.Remove(), errJobClosed)
	_, err = j.AddList(t.Context(), NewLinkList(strings.NewReader(""), "x"))
	require.ErrorIs(t, err, errJobClosed)
}

func TestABadLinkIsRefused(t *testing.T) {
	j := newJob(t)
	for _, l := range []Link{{URL: ""}, {URL: "ftp://h/x"}, {URL: "http://h/x", Mirrors: []string{"nothing"}}, {URL: "http://h/" + strings.Repeat("x", maxLinkText)}} {
		_, err := j.Add(l)
		require.Error(t, err)
		assert.Less(t, len(err.Error()), maxLinkText+200)
	}
	assert.Zero(t, j.Stats().Links)
}

func TestACompactedJobIsTheSame(t *testing.T) {
	c := newCounter(t)
	j := newJob(t, WithMagic("m"))
	text := "# a list\n"
	for i := range 10 {
		text += fmt.Sprintf("%s/%d listed/%d\n", c.URL, i, i)
	}
	path := filepath.Join(t.TempDir(), "list")
	_, err := j.AddList(t.Context(), listAt(t, path, text+"nonsense\n"))
	require.NoError(t, err)
	add(t, j, c.URL+"/bad", c.URL+"/x", c.URL+"/y")
	_, err = j.Add(Link{URL: c.URL + "/z", Name: "z", Checksum: "sha256:" + strings.Repeat("0", 64), Mirrors: []string{c.URL + "/bad2"}, Priority: -2})
	require.NoError(t, err)
	require.NoError(t, j.SetValue("key", []byte("value")))
	m := newManager(t)
	_, err = j.Run(t.Context(), m, Limits{Files: 12}, nil)
	require.NoError(t, err)
	stats, bad := j.Stats(), failures(t, j)
	j.mu.Lock()
	require.NoError(t, j.compact())
	j.mu.Unlock()
	for range 2 {
		assert.Equal(t, stats, j.Stats())
		assert.Equal(t, bad, failures(t, j))
		assert.Equal(t, map[string][]byte{"key": []byte("value")}, j.Values())
		j = reopen(t, j, WithMagic("m"))
	}
	assert.Zero(t, add(t, j, c.URL+"/x", c.URL+"/y", c.URL+"/bad"))
	report, err := j.AddList(t.Context(), listAt(t, path, ""))
	require.NoError(t, err, "it fits the list still")
	assert.Equal(t, ListReport{}, report)
	before := c.all.Load()
	var z Link
	_, err = j.Run(t.Context(), m, Limits{}, func(o Outcome[Link]) {
		if o.Name == "z" {
			z = o.Link
		}
	})
	require.NoError(t, err)
	assert.Equal(t, Link{
		URL: c.URL + "/z", Name: "z", Checksum: "sha256:" + strings.Repeat("0", 64), Mirrors: []string{c.URL + "/bad2"}, Priority: -2,
	}, z, "links are whole")
	assert.Less(t, c.all.Load()-before, int64(6), "what is done is not asked for")
}

func TestAManyTimesChangedValueDoesNotFillTheDisk(t *testing.T) {
	j := newJob(t)
	value := make([]byte, 30<<10)
	for i := range 200 {
		value[0] = byte(i)
		require.NoError(t, j.SetValue("key", value))
	}
	fi, err := os.Stat(filepath.Join(j.dir, logName))
	require.NoError(t, err)
	assert.Less(t, fi.Size(), int64(3<<20))
	j = reopen(t, j)
	assert.Equal(t, value, j.Values()["key"])
}

func TestAJobThatCannotBeSavedStopsAndLosesNothing(t *testing.T) {
	c := newCounter(t)
	j := newJob(t)
	add(t, j, c.urls(10)...)
	log := j.log.file
	j.log.file = &fullFile{File: log}
	_, err := j.Add(Link{URL: c.URL + "/more"})
	require.ErrorIs(t, err, errFull)
	report, err := j.Run(t.Context(), newManager(t), Limits{}, nil)
	require.ErrorIs(t, err, errFull)
	assert.Equal(t, ReasonBroken, report.Reason)
	j.log.file = log
	j = reopen(t, j)
	assert.Equal(t, 10, j.Stats().Left)
	assert.Equal(t, 1, add(t, j, c.URL+"/more"))
	assert.Equal(t, 11, run(t, j, newManager(t)).Written)
}

var errFull = errors.New("the disk is full")

func TestLocksAndDirectoriesAreTheOwnersAlone(t *testing.T) {
	j := newJob(t)
	add(t, j, "http://h/x")
	for _, name := range []string{"", logName, lockName} {
		fi, err := os.Stat(filepath.Join(j.dir, name))
		require.NoError(t, err)
		assert.Zero(t, fi.Mode().Perm()&0o077, name)
	}
}
