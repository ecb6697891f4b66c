package batch

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/journal"
)

// logOf returns a job's log with some of everything in it, and where each of its
// records ends.
func logOf(t testing.TB) (text []byte, ends []int64) {
	j := newJob(t, WithMagic("m"))
	step := func(err error) {
		require.NoError(t, err)
		ends = append(ends, j.log.size)
	}
	for i := range 5 {
		_, err := j.Add(Link{URL: fmt.Sprint("https://h/", i), Priority: i % 2, Mirrors: []string{"https://m/x"}})
		step(err)
	}
	step(j.record(kindDone, appendUvarints(nil, 1, 100, 10)))
	step(j.record(kindFailed, (&failureRecord{index: 2, Failure: Failure{URL: "https://h/2", Reason: "no"}}).body()))
	step(j.SetValue("key", []byte("value")))
	_, err := j.AddList(t.Context(), listAt(t, filepath.Join(t.TempDir(), "list"), "https://h/9\nnonsense\nhttps://h/10 ten\n"))
	step(err)
	step(j.record(kindWithdrawn, appendIndices(nil, []uint32{6, 3})))
	_, err = j.RetryFailed()
	step(err)
	require.NoError(t, j.Close())
	text, err = os.ReadFile(filepath.Join(j.dir, logName))
	require.NoError(t, err)
	return text, ends
}

// jobWith opens a job whose log is text.
func jobWith(t testing.TB, text []byte) (*Job, error) {
	dir := filepath.Join(t.TempDir(), "job")
	require.NoError(t, os.Mkdir(dir, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, logName), text, 0o600))
	return OpenJob(dir)
}

func TestALogThatWasCutAnywhereIsThatOfAMoment(t *testing.T) {
	text, ends := logOf(t)
	for cut := range len(text) {
		j, err := jobWith(t, text[:cut])
		require.NoError(t, err, "at %d", cut)
		whole := int64(0)
		links := 0
		for i, end := range ends {
			if end <= int64(cut) {
				whole, links = end, min(i+1, 5)
			}
		}
		require.GreaterOrEqual(t, j.log.size, whole)
		if cut < int(ends[7]) {
			require.Equal(t, links, j.Stats().Links, "at %d", cut)
		}
		if cut%5 > 0 { // each flushes the disk
			require.NoError(t, j.Close())
			continue
		}
		before := j.Stats().Links
		require.Equal(t, 1, add(t, j, "https://h/another"))
		j = reopen(t, j)
		require.Equal(t, before+1, j.Stats().Links, "it goes on behind the cut")
		require.NoError(t, j.Close())
	}
}

func TestDamageBeforeWhatWasFlushedIsSeen(t *testing.T) {
	text, ends := logOf(t)
	broken := bytes.Clone(text)
	broken[ends[3]-1] ^= 1 // nothing was flushed: a loss of power may do that
	j, err := jobWith(t, broken)
	require.NoError(t, err)
	assert.Equal(t, 3, j.Stats().Links)
	require.NoError(t, j.Close())

	flushed := newJob(t)
	add(t, flushed, "https://h/1", "https://h/2")
	hurt := flushed.log.size - 1
	require.NoError(t, flushed.Sync())
	add(t, flushed, "https://h/3")
	require.NoError(t, flushed.Close())
	text, err = os.ReadFile(filepath.Join(flushed.dir, logName))
	require.NoError(t, err)
	text[hurt] ^= 1
	_, err = jobWith(t, text)
	require.ErrorIs(t, err, ErrDamaged)
}

func TestARecordThatIsNotKnownMakesTheJobANewerOne(t *testing.T) {
	j := newJob(t)
	_, err := j.log.append(99, nil)
	require.NoError(t, err)
	require.NoError(t, j.Close())
	_, err = OpenJob(j.dir)
	require.ErrorIs(t, err, ErrNotJob)
}

func TestANewLogThatWasLeftIsRemoved(t *testing.T) {
	j := newJob(t)
	add(t, j, "https://h/1")
	left := filepath.Join(j.dir, newLogName)
	require.NoError(t, os.WriteFile(left, []byte("half"), 0o600))
	j = reopen(t, j)
	assert.Equal(t, 1, j.Stats().Links)
	_, err := os.Stat(left)
	require.ErrorIs(t, err, os.ErrNotExist)
}

func FuzzJobLog(f *testing.F) {
	text, ends := logOf(f)
	last := int64(0)
	for _, end := range ends {
		f.Add(text[last+recordHeader+1 : end])
		last = end
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		s := newJobState()
		if err := s.apply(kindHeader, 0, headerBody("m", 0)); err != nil {
			t.Fatal(err)
		}
		for kind := byte(0); kind < 12; kind++ {
			_ = s.apply(kind, 100, body)
		}
		total := 0
		for _, n := range s.counts {
			if n < 0 {
				t.Fatal("less than no entries")
			}
			total += n
		}
		if total != s.entries.n || len(s.seen) != s.entries.n {
			t.Fatalf("%d entries, %d counted, %d seen", s.entries.n, total, len(s.seen))
		}
		for {
			if index, ok := s.queue.pop(); !ok {
				break
			} else if int(index) >= s.entries.n {
				t.Fatal("what is queued is not there")
			}
		}
		record, err := journal.AppendRecord(nil, body)
		if err != nil {
			return
		}
		l := &jobLog{file: &memFile{r: bytes.NewReader(append(record, body...))}}
		_ = l.replay(newJobState().apply)
	})
}

func TestAFileOfSomebodyElseIsNotTakenForALog(t *testing.T) {
	for _, text := range []string{"x", "Nov 21 12:00:00 host: started\n", "\xd1x"} {
		dir := t.TempDir()
		path := filepath.Join(dir, logName)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		_, err := OpenJob(dir)
		require.ErrorIs(t, err, ErrNotJob)
		require.ErrorIs(t, RemoveJob(dir), ErrNotJob)
		assert.Equal(t, text, readFile(t, path))
		require.NoError(t, os.Rename(path, filepath.Join(dir, lockName)))
		_, err = OpenJob(dir)
		require.ErrorIs(t, err, ErrNotJob)
		require.ErrorIs(t, RemoveJob(dir), ErrNotJob)
		assert.Equal(t, text, readFile(t, filepath.Join(dir, lockName)))
	}
	for _, torn := range []string{"", "\xd1", "\xd1\x4a\x10", "\x00", "\x00\x00\x00\x00"} {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, logName), []byte(torn), 0o600))
		j, err := OpenJob(dir)
		require.NoError(t, err, "%q", torn)
		require.NoError(t, j.Remove())
	}
}

func TestBadLinesAreToldOnceWhereverTheLogWasCut(t *testing.T) {
	c := newCounter(t)
	m := newManager(t)
	path := filepath.Join(t.TempDir(), "list")
	j := newJob(t)
	_, err := j.AddList(t.Context(), listAt(t, path, c.URL+"/1\nnonsense\n"+c.URL+"/2 x\n"+c.URL+"/3 x\nftp://h/x\n"))
	require.NoError(t, err)
	run(t, j, m)
	require.NoError(t, j.Close())
	text, err := os.ReadFile(filepath.Join(j.dir, logName))
	require.NoError(t, err)
	for cut := 0; cut < len(text); cut += 17 { // each flushes the disk
		j, err := jobWith(t, text[:cut])
		require.NoError(t, err)
		_, err = j.AddList(t.Context(), listAt(t, path, ""))
		require.NoError(t, err)
		told := map[string]int{}
		for _, f := range failures(t, j) {
			if !f.Untold {
				told[f.URL]++
			}
		}
		_, err = j.Run(t.Context(), m, Limits{}, func(o Outcome[Link]) {
			if o.State == Failed {
				told[o.URL]++
			}
		})
		require.NoError(t, err)
		require.Equal(t, map[string]int{"nonsense": 1, c.URL + "/3": 1, "ftp://h/x": 1}, told, "at %d", cut)
		require.Equal(t, JobStats{Links: 5, Done: 2, Failed: 3, Bytes: 4}, j.Stats())
		require.NoError(t, j.Close())
	}
}
