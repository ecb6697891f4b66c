package batch

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager"
	"github.com/dlmanager/dlmanager/internal/testorigin"
)

// listed is a job with a list, and what was fetched of it.
type listedJob struct {
	*Job
	t    *testing.T
	c    *counter
	m    *dlmanager.DownloadManager
	path string
}

func newListedJob(t *testing.T) *listedJob {
	return &listedJob{Job: newJob(t), t: t, c: newCounter(t), m: newManager(t), path: filepath.Join(t.TempDir(), "links.txt")}
}

// text is a list with a link for each word; "#" begins a comment.
func (l *listedJob) text(words string) string {
	var b strings.Builder
	for _, w := range strings.Fields(words) {
		if strings.HasPrefix(w, "#") {
			fmt.Fprintln(&b, w)
		} else {
			fmt.Fprintln(&b, l.c.URL+"/"+w)
		}
	}
	return b.String()
}

// next opens the job again and gives it the list.
func (l *listedJob) next(text string, accept bool) (ListReport, error) {
	l.t.Helper()
	l.Job = reopen(l.t, l.Job)
	list := listAt(l.t, l.path, text)
	if accept {
		return l.AcceptList(l.t.Context(), list)
	}
	return l.AddList(l.t.Context(), list)
}

func (l *listedJob) run(files int) Report {
	l.t.Helper()
	report, err := l.Run(l.t.Context(), l.m, Limits{Files: files}, nil)
	require.NoError(l.t, err)
	return report
}

func TestLinesThatWereAppendedAreSimplyDone(t *testing.T) {
	l := newListedJob(t)
	report, err := l.next(l.text("1 2 3 1 2"), false)
	require.NoError(t, err)
	assert.Equal(t, ListReport{Added: 3, Known: 2}, report, "duplicate lines count once")
	l.run(2)
	report, err = l.next(l.text("1 2 3 1 2 4 3 5"), false)
	require.NoError(t, err)
	assert.Equal(t, ListReport{Added: 2, Known: 1}, report)
	assert.Equal(t, ReasonDone, l.run(0).Reason)
	assert.EqualValues(t, 5, l.c.all.Load(), "each once")
	_, err = l.next("", false)
	require.NoError(t, err)
	assert.Equal(t, JobStats{Links: 5, Done: 5, Bytes: 10}, l.Stats())
}

func TestAChangedListIsAnErrorThatNamesTheLine(t *testing.T) {
	for name, c := range map[string]struct {
		words string
		line  int
	}{
		"another list":   {"7 8 9", 1},
		"reordered":      {"1 3 2 4", 2},
		"a line changed": {"1 2 x 4", 3},
		"inserted":       {"1 #c 5 2 3 4", 3},
		"removed":        {"1 2 4", 3},
		"cut":            {"1 2", 3},
	} {
		t.Run(name, func(t *testing.T) {
			l := newListedJob(t)
			_, err := l.next(l.text("1 2 3 4"), false)
			require.NoError(t, err)
			l.run(1)
			before := l.Stats()
			_, err = l.next(l.text(c.words), false)
			require.ErrorIs(t, err, ErrListChanged)
			assert.Equal(t, &ListChangedError{l.path, c.line}, err)
			assert.Equal(t, before, l.Stats(), "nothing is added")
			_, err = l.next(l.text("1 2 3 4"), false)
			require.NoError(t, err, "the right one goes on")
			assert.Equal(t, 3, l.run(0).Written)
		})
	}
}

func TestCommentsMayChange(t *testing.T) {
	l := newListedJob(t)
	_, err := l.next(l.text("#old 1 2 #x 3 1 4"), false)
	require.NoError(t, err)
	l.run(2)
	for _, words := range []string{"#new-and-longer 1 #y 2 3 4 1", "1 2 3 4 5"} {
		_, err = l.next(l.text(words), false)
		require.NoError(t, err)
	}
	report := l.run(0)
	assert.Equal(t, ReasonDone, report.Reason)
	assert.Equal(t, 3, report.Written)
	assert.EqualValues(t, 5, l.c.all.Load())
}

func TestChangesAreAccepted(t *testing.T) {
	l := newListedJob(t)
	_, err := l.next(l.text("1 2 3 4 bad 5")+"nonsense\n", false)
	require.NoError(t, err)
	add(t, l.Job, l.c.URL+"/own")
	l.run(2)
	report, err := l.next(l.text("6 5 1 3 bad")+"nonsense\n"+l.text("own 6"), true)
	require.NoError(t, err)
	assert.Equal(t, ListReport{Added: 1, Known: 6, Bad: 1, Gone: 1}, report)
	got := l.run(0)
	assert.Equal(t, ReasonDone, got.Reason)
	assert.Zero(t, l.c.count("/4"), "it is not in the list any more")
	for _, path := range []string{"/1", "/2", "/3", "/5", "/6", "/own"} {
		assert.Equal(t, 1, l.c.count(path), path)
	}
	_, err = l.next("", false)
	require.NoError(t, err, "it is the job's list now")
	report, err = l.next(l.text("6 5 1 3 4"), true)
	require.NoError(t, err)
	assert.Equal(t, 1, report.Added, "it is back")
	assert.Equal(t, 1, l.run(0).Written)
}

func TestCommentsMayChangeAfterChangesWereAccepted(t *testing.T) {
	l := newListedJob(t)
	_, err := l.next(l.text("1 2 3 4"), false)
	require.NoError(t, err)
	_, err = l.next(l.text("1 4 3"), true)
	require.NoError(t, err)
	_, err = l.next(l.text("#x 1 4 3"), false)
	require.NoError(t, err)
	_, err = l.next(l.text("#x 1 2 4 3"), false)
	require.ErrorIs(t, err, ErrListChanged, "what was taken back is inserted")
	_, err = l.next(l.text("1 4 3 2"), false)
	require.NoError(t, err)
	require.Equal(t, 4, l.run(0).Written)
}

func TestALastLineWithoutAnEndMayGetOne(t *testing.T) {
	l := newListedJob(t)
	text := l.text("1 2")
	_, err := l.next(text+l.c.URL+"/bad1", false)
	require.NoError(t, err)
	l.run(1)
	_, err = l.next(text+l.c.URL+"/bad12\n"+l.text("3"), false)
	require.NoError(t, err)
	l.run(0)
	assert.Equal(t, map[string]int{"/1": 1, "/2": 1, "/3": 1, "/bad12": 1}, l.c.counts(), "the torn link was none")
	stats := l.Stats()
	assert.Equal(t, 4, stats.Links)
	_, err = l.next("", false)
	require.NoError(t, err)
	_, err = l.next("#x\n"+text+l.c.URL+"/bad12\n"+l.text("3"), false)
	require.NoError(t, err)
	assert.Equal(t, stats, l.Stats())
}

func TestALastLineWithoutAnEndMayMove(t *testing.T) {
	for name, end := range map[string]string{"and get its end": "\n", "and have none": ""} {
		t.Run(name, func(t *testing.T) {
			l := newListedJob(t)
			_, err := l.next(l.text("1")+l.c.URL+"/2", false)
			require.NoError(t, err)
			l.run(1)
			last := l.c.URL + "/2"
			report, err := l.next(l.text("1 3")+last+"\n"+last+end, false)
			require.NoError(t, err)
			require.Equal(t, ListReport{Added: 1, Known: 2}, report)
			require.Equal(t, 2, l.run(0).Written)
			require.Equal(t, JobStats{Links: 3, Done: 3, Bytes: 6}, l.Stats())
			_, err = l.next(l.text("#x 1 3 2"), false)
			require.NoError(t, err)
		})
	}
}

func TestAListThatChangesWhileTheJobRunsStopsIt(t *testing.T) {
	l := newListedJob(t)
	_, err := l.next(l.text("1 2 3 4"), false)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(l.path, []byte(l.text("1 x 3 4")), 0o600))
	report, err := l.Run(t.Context(), l.m, Limits{}, nil)
	require.ErrorIs(t, err, ErrListChanged)
	assert.ErrorContains(t, err, "links.txt:2: ")
	assert.Equal(t, ReasonBroken, report.Reason)
	assert.Zero(t, l.c.count("/x"))
}

func TestAJobWithoutItsListSaysSo(t *testing.T) {
	l := newListedJob(t)
	_, err := l.next(l.text("1"), false)
	require.NoError(t, err)
	l.Job = reopen(t, l.Job)
	_, err = l.Run(t.Context(), l.m, Limits{}, nil)
	require.ErrorIs(t, err, errNoList)
	used := listAt(t, l.path, "")
	_, err = used.Next(t.Context())
	require.NoError(t, err)
	_, err = l.AddList(t.Context(), used)
	require.ErrorIs(t, err, ErrUsed)
}

func TestAListIsAddedWhileTheJobRuns(t *testing.T) {
	l := newListedJob(t)
	words := ""
	for i := range 500 {
		words += fmt.Sprint(i, " ")
	}
	list := listAt(t, l.path, l.text(words))
	add(t, l.Job, l.c.URL+"/first")
	added := make(chan error, 1)
	began := false
	report, err := l.Run(t.Context(), l.m, Limits{}, func(Outcome[Link]) {
		if !began {
			began = true
			go func() {
				_, err := l.AddList(t.Context(), list)
				added <- err
			}()
			require.Eventually(t, func() bool { return l.Stats().Links > 1 }, waitTime, tick)
		}
	})
	require.NoError(t, err)
	require.NoError(t, <-added)
	assert.Equal(t, 501, report.Written)
}

func TestAJobRunsWhileItsListIsRead(t *testing.T) {
	l := newListedJob(t)
	words := ""
	for i := range 4 * linesAtOnce {
		words += fmt.Sprint(i, " ")
	}
	list := listAt(t, l.path, l.text(words))
	wait, err := l.StartList(t.Context(), list)
	require.NoError(t, err)
	require.GreaterOrEqual(t, l.Stats().Links, linesAtOnce)
	require.Equal(t, 4*linesAtOnce, l.run(0).Written)
	added, err := wait()
	require.NoError(t, err)
	require.Equal(t, ListReport{Added: 4 * linesAtOnce}, added)

	in, out := io.Pipe()
	l.Job = newJob(t)
	wait, err = l.StartList(t.Context(), NewLinkList(in, "stream")) // nothing has come
	require.NoError(t, err)
	write(t, out, l.c.URL+"/late\n")
	require.NoError(t, out.Close())
	require.Equal(t, 1, l.run(0).Written)
	added, err = wait()
	require.NoError(t, err)
	require.Equal(t, ListReport{Added: 1}, added)
}

func TestAListThatIsRefusedDoesNotStart(t *testing.T) {
	l := newListedJob(t)
	_, err := l.next(l.text("1 2"), false)
	require.NoError(t, err)
	l.Job = reopen(t, l.Job)
	wait, err := l.StartList(t.Context(), listAt(t, l.path, l.text("1 3 4")))
	require.ErrorIs(t, err, ErrListChanged)
	_, again := wait()
	require.Equal(t, err, again)
	require.Equal(t, 2, l.Stats().Links)
	l.Job = reopen(t, l.Job)
	list, err := OpenLinkList(l.path)
	require.NoError(t, err)
	require.NoError(t, list.Close())
	_, err = l.StartList(t.Context(), list)
	require.ErrorIs(t, err, os.ErrClosed)
}

func TestAListThatFailsLaterStarts(t *testing.T) {
	bad := "nonsense\x00\n"
	for name, c := range map[string]struct {
		good  int
		start bool
	}{
		"among its first links": {linesAtOnce - 1, false},
		"behind them":           {linesAtOnce, true},
	} {
		t.Run(name, func(t *testing.T) {
			l := newListedJob(t)
			var words strings.Builder
			for i := range c.good {
				fmt.Fprint(&words, i, " ")
			}
			wait, err := l.StartList(t.Context(), listAt(t, l.path, l.text(words.String())+bad))
			_, failed := wait()
			require.ErrorIs(t, failed, ErrNotList)
			if c.start {
				require.NoError(t, err)
			} else {
				require.Equal(t, failed, err)
			}
			require.Equal(t, c.good, l.Stats().Links)
			_, again := l.next("", false)
			require.EqualError(t, again, failed.Error(), "it is not passed over")
			require.Equal(t, c.good, l.Stats().Links)
		})
	}
}

func TestARunThatIsStoppedWhileItsListIsReadIsNotDone(t *testing.T) {
	l := newListedJob(t)
	in, out := io.Pipe()
	wait, err := l.StartList(t.Context(), NewLinkList(in, "stream"))
	require.NoError(t, err)
	write(t, out, l.text("1")+"#") // the first line has come
	report := l.run(1)
	require.Equal(t, ReasonFiles, report.Reason, "nobody knows what comes")
	require.Zero(t, report.Left)
	require.NoError(t, out.Close())
	_, err = wait()
	require.NoError(t, err)
	require.Equal(t, ReasonDone, l.run(1).Reason)
}

func TestLinksOfAStreamAreFetchedWhileItIsSilent(t *testing.T) {
	l := newListedJob(t)
	in, out := io.Pipe()
	added := make(chan error, 1)
	told := make(chan Outcome[Link])
	go func() {
		_, err := l.AddList(t.Context(), NewLinkList(in, "stream"))
		added <- err
	}()
	write(t, out, "# nothing yet\n")
	ended := make(chan Report, 1)
	go func() {
		report, err := l.Run(t.Context(), l.m, Limits{}, func(o Outcome[Link]) { told <- o })
		assert.NoError(t, err)
		ended <- report
	}()
	for i := range 3 {
		link := fmt.Sprint(l.c.URL, "/", i)
		write(t, out, link+"\n# a comment\n"+l.c.URL+"/half of the next")
		assert.Equal(t, link, (<-told).URL)
		write(t, out, fmt.Sprintf("-line %d x y\n", i)) // a bad line
		assert.Equal(t, Failed, (<-told).State)
	}
	require.NoError(t, out.Close())
	require.NoError(t, <-added)
	assert.Equal(t, 3, (<-ended).Written)
	assert.Len(t, failures(t, l.Job), 3)
}

func TestAStreamIsNotWaitedForByAJobThatCannotBeSaved(t *testing.T) {
	l := newListedJob(t)
	in, out := io.Pipe()
	defer out.Close()
	added := make(chan error, 1)
	go func() {
		_, err := l.AddList(t.Context(), NewLinkList(in, "stream"))
		added <- err
	}()
	write(t, out, "# it is being read\n")
	require.NoError(t, l.Close())
	write(t, out, l.c.URL+"/1\n")
	require.ErrorIs(t, <-added, errJobClosed)
}

func write(t *testing.T, w io.Writer, text string) {
	t.Helper()
	_, err := io.WriteString(w, text)
	require.NoError(t, err)
}

func TestALinkIsBackWhileItIsUnderWay(t *testing.T) {
	o := testorigin.New(t)
	gate := make(chan struct{})
	path := filepath.Join(t.TempDir(), "links.txt")
	slow := o.Serve("/slow", []byte("slow"), testorigin.Gate(gate)) + "\n"
	others := o.Serve("/1", []byte("1")) + "\n" + o.Serve("/2", []byte("2")) + "\n"
	j := newJob(t)
	_, err := j.AddList(t.Context(), listAt(t, path, slow))
	require.NoError(t, err)
	go func() {
		<-o.Arrived("/slow", 1)
		gone, err := j.AcceptList(t.Context(), listAt(t, path+".2", others))
		assert.NoError(t, err)
		assert.Equal(t, 2, gone.Added)
		back, err := j.AcceptList(t.Context(), listAt(t, path+".3", slow+others+o.Serve("/3", []byte("3"))+"\n"))
		assert.NoError(t, err)
		assert.Equal(t, 2, back.Added)
		<-o.Arrived("/3", 1) // which is behind it in the queue
		close(gate)
	}()
	report := run(t, j, newManager(t))
	assert.Equal(t, ReasonDone, report.Reason)
	assert.Equal(t, 4, j.Stats().Done)
	assert.Equal(t, 1, o.Count("/slow"))
}

func TestAFailureOfWhatTheListHasNoMoreIsNotKept(t *testing.T) {
	o := testorigin.New(t)
	gate := make(chan struct{})
	path := filepath.Join(t.TempDir(), "links.txt")
	j := newJob(t)
	_, err := j.AddList(t.Context(), listAt(t, path, o.Serve("/gone", nil, testorigin.Gate(gate))+"\n"))
	require.NoError(t, err)
	go func() {
		<-o.Arrived("/gone", 1)
		changed, err := j.AcceptList(t.Context(), listAt(t, path+".2", o.Serve("/1", []byte("1"))+"\n"))
		assert.NoError(t, err)
		assert.Equal(t, ListReport{Added: 1}, changed)
		close(gate)
	}()
	report := run(t, j, newManager(t, dlmanager.WithMinSize(1)))
	assert.Equal(t, 1, report.Failed, "it was told")
	assert.Empty(t, failures(t, j))
	assert.Equal(t, JobStats{Links: 1, Done: 1, Bytes: 1}, j.Stats())
}

func TestAFailureOfAnEndlessURLFitsIntoTheLog(t *testing.T) {
	l := newListedJob(t)
	escaped := strings.Repeat("é", 14000) // six bytes each
	_, err := l.next(`{"url": "`+l.c.URL+"/bad"+escaped+"\"}\n"+l.text("1"), false)
	require.NoError(t, err)
	got := l.run(0)
	assert.Equal(t, ReasonDone, got.Reason)
	assert.Equal(t, 1, got.Failed)
	failed := failures(t, l.Job)
	require.Len(t, failed, 1)
	assert.True(t, strings.HasPrefix(failed[0].URL, l.c.URL+"/bad"))
	assert.LessOrEqual(t, len(failed[0].URL), maxShown+len("…"))
}
