package batch

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestABadLineThatWasNotAddedFailsNoOther(t *testing.T) {
	l := newListedJob(t)
	add(t, l.Job, l.c.URL+"/own")
	l.log.file = &fullFile{File: l.log.file, fits: 300} // a failure, but not all these links
	_, err := l.AddList(t.Context(), listAt(t, l.path, l.text("1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20")+"nonsense\n"))
	require.ErrorIs(t, err, errFull)
	require.Equal(t, JobStats{Links: 1, Left: 1}, l.Stats())
	require.Equal(t, 1, l.run(0).Written)
}

func TestBadLinesFailAndStopNothing(t *testing.T) {
	l := newListedJob(t)
	report, err := l.next(l.text("1")+"nonsense\nftp://h/x\n"+l.text("2"), false)
	require.NoError(t, err)
	assert.Equal(t, ListReport{Added: 2, Bad: 2}, report)
	l.Job = reopen(t, l.Job)
	f := failures(t, l.Job)
	require.Len(t, f, 2)
	assert.Equal(t, 2, f[0].Line)
	assert.Contains(t, f[0].Reason, "bad URL nonsense: it has no scheme")
	assert.NotContains(t, f[0].Reason, "links.txt", "the line may become another one")
	report, err = l.next("", false)
	require.NoError(t, err)
	assert.Equal(t, ListReport{}, report, "they are not read again")
	_, err = l.RetryFailed()
	require.NoError(t, err)
	got := l.run(0)
	assert.Equal(t, 2, got.Written)
	assert.Equal(t, 2, got.Failed)
	again := failures(t, l.Job)
	assert.NotContains(t, again[0].Reason, "links.txt", "tried again")
	assert.Equal(t, "nonsense", again[0].URL)
	assert.Equal(t, "ftp://h/x", again[1].URL)
	_, err = l.next("\x00\x01\x02", false)
	require.ErrorIs(t, err, ErrNotList)
}

func TestBadLinesAreToldOnceAcrossRuns(t *testing.T) {
	l := newListedJob(t)
	_, err := l.next(l.text("1")+"nonsense\n"+l.text("2")+"ftp://h/x\n", false)
	require.NoError(t, err)
	stream := NewLinkList(strings.NewReader("https://user:secret@h/x\n"), "stream") // no job keeps it
	_, err = l.AddList(t.Context(), stream)
	require.NoError(t, err)
	l.Job = reopen(t, l.Job)
	l.mu.Lock()
	require.NoError(t, l.compact())
	l.mu.Unlock()
	l.Job = reopen(t, l.Job)
	require.Equal(t, JobStats{Links: 5, Left: 2, Failed: 3, Untold: 3}, l.Stats())
	require.True(t, failures(t, l.Job)[2].Untold)
	_, err = l.next("", false)
	require.NoError(t, err)

	report, err := l.Run(t.Context(), l.m, Limits{Files: 1}, nil)
	require.NoError(t, err)
	require.Equal(t, Report{Reason: ReasonFiles, Written: 1, Bytes: report.Bytes, Left: 1}, report)

	var told []Outcome[Link]
	tell := func(o Outcome[Link]) { told = append(told, o) }
	report, err = l.Run(t.Context(), l.m, Limits{}, tell, WithWindow(1))
	require.NoError(t, err)
	require.Equal(t, Report{Reason: ReasonDone, Written: 1, Failed: 3, Bytes: report.Bytes}, report)
	require.Len(t, told, 4)
	for i, want := range []struct {
		line         int
		url, problem string
	}{{2, "nonsense", "bad URL nonsense: it has no scheme"}, {3, "", ""}, {4, "ftp://h/x", "ftp"}, {0, "https://xxxxx@h/x", "credentials"}} {
		o := &told[i]
		assert.Equal(t, want.line, o.Line)
		if want.problem != "" {
			assert.Equal(t, Failed, o.State)
			assert.Equal(t, want.url, o.URL)
			assert.ErrorContains(t, o.Err, want.problem)
			assert.NotContains(t, o.Err.Error(), "secret")
		}
	}
	for range 2 {
		told = nil
		report, err = l.Run(t.Context(), l.m, Limits{}, tell)
		require.NoError(t, err)
		assert.Equal(t, Report{Reason: ReasonDone}, report)
		assert.Empty(t, told)
		assert.Equal(t, JobStats{Links: 5, Done: 2, Failed: 3, Bytes: 4}, l.Stats())
		for _, f := range failures(t, l.Job) {
			assert.False(t, f.Untold)
		}
		l.Job = reopen(t, l.Job)
	}
}

func TestABadLineOfAStreamThatIsTriedAgainIsNotForgotten(t *testing.T) {
	l := newListedJob(t)
	_, err := l.AddList(t.Context(), NewLinkList(strings.NewReader("nonsense\n"), "stream"))
	require.NoError(t, err)
	require.Equal(t, 1, l.run(0).Failed)
	n, err := l.RetryFailed()
	require.NoError(t, err)
	require.Equal(t, 1, n)
	l.mu.Lock()
	require.NoError(t, l.compact())
	l.mu.Unlock()
	require.Equal(t, JobStats{Links: 1, Left: 1}, l.Stats())
	l.Job = reopen(t, l.Job)
	require.Equal(t, JobStats{Links: 1, Failed: 1, Untold: 1}, l.Stats())
	require.Equal(t, 1, l.run(0).Failed)
	require.Contains(t, failures(t, l.Job)[0].Reason, "not written down")
}

func TestABadLineThatIsBackFailsAgain(t *testing.T) {
	for name, accept := range map[string]bool{"appended": false, "accepted": true} {
		t.Run(name, func(t *testing.T) {
			l := newListedJob(t)
			_, err := l.next(l.text("1")+"nonsense\n", false)
			require.NoError(t, err)
			require.Equal(t, 1, l.run(0).Failed)
			report, err := l.next(l.text("2 1"), true)
			require.NoError(t, err)
			require.Equal(t, 1, report.Gone)
			require.Empty(t, failures(t, l.Job))
			text := l.text("2 1") + "nonsense\nnonsense\n"
			if accept {
				text = "nonsense\nnonsense\n" + l.text("2 1")
			}
			_, err = l.next(text, accept)
			require.NoError(t, err)
			l.Job = reopen(t, l.Job)
			require.Len(t, failures(t, l.Job), 1)
			_, err = l.next("", false)
			require.NoError(t, err)
			require.Equal(t, 1, l.run(0).Failed)
			require.Len(t, failures(t, l.Job), 1)
			require.Equal(t, JobStats{Links: 3, Done: 2, Failed: 1, Bytes: 4}, l.Stats())
		})
	}
}

func TestABadLineStandsWhereItIsFirst(t *testing.T) {
	l := newListedJob(t)
	text := "nonsense\n" + l.text("1") + "nonsense\n" + l.text("2")
	_, err := l.next(text, false)
	require.NoError(t, err)
	require.Equal(t, 1, failures(t, l.Job)[0].Line)
	require.Equal(t, 1, l.run(0).Failed)
	_, err = l.next("# a comment\n"+text, false)
	require.NoError(t, err)
}

func TestABadLastLineMayGetItsEnd(t *testing.T) {
	for name, c := range map[string]struct {
		last   string
		failed int
	}{"as another link": {"/2", 0}, "as it is": {"", 1}} {
		t.Run(name, func(t *testing.T) {
			l := newListedJob(t)
			text := l.text("1") + l.c.URL[:4] // it is being written
			_, err := l.next(text, false)
			require.NoError(t, err)
			require.Equal(t, 1, l.Stats().Failed)
			if c.failed == 0 {
				text += l.c.URL[4:] + c.last
			}
			_, err = l.next(text+"\n", false)
			require.NoError(t, err)
			report := l.run(0)
			require.Equal(t, ReasonDone, report.Reason)
			require.Equal(t, c.failed, report.Failed)
			require.Len(t, failures(t, l.Job), c.failed)
		})
	}
}

func TestTheFailureOfATornLineGoesWithIt(t *testing.T) {
	l := newListedJob(t)
	text := l.text("1")
	_, err := l.next(text+l.c.URL+"/bad1", false)
	require.NoError(t, err)
	require.Equal(t, 1, l.run(0).Failed)
	_, err = l.next(text+l.c.URL+"/bad1", false)
	require.NoError(t, err)
	require.Len(t, failures(t, l.Job), 1, "it stands there still")
	text += l.c.URL + "/bad1.tgz\n" + l.c.URL[:4]
	_, err = l.next(text, false)
	require.NoError(t, err)
	require.Equal(t, 2, l.run(0).Failed)
	_, err = l.next(text+l.c.URL[4:]+"/2\n", false)
	require.NoError(t, err)
	require.Equal(t, 1, l.run(0).Written)
	l.Job = reopen(t, l.Job)
	left := failures(t, l.Job)
	require.Len(t, left, 1)
	require.Equal(t, l.c.URL+"/bad1.tgz", left[0].URL)
	require.Equal(t, JobStats{Links: 3, Done: 2, Failed: 1, Bytes: 4}, l.Stats())
}
