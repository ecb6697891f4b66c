package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/spf13/afero"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// successor is a new journal beside the old one.
type successor struct {
	*os.File
	name         string
	before, then func() // called before and after it gets the name
	failure      error
}

func (s *successor) Commit() error {
	if s.failure != nil {
		return s.failure
	}
	s.before()
	defer s.then()
	return errors.Join(s.Close(), os.Rename(s.Name(), s.name))
}

func (s *successor) Cancel() { _, _ = s.Close(), os.Remove(s.Name()) }

func nothing() {}

// host makes successors of the journal called name.
func host(name string, change func(*successor)) Host {
	return Host{
		Lock: func(afero.File) (bool, error) { return true, nil },
		Create: func() (Pending, error) {
			f, err := os.Create(name + ".new")
			s := &successor{File: f, name: name, before: nothing, then: nothing}
			change(s)
			return s, err
		},
	}
}

func unchanged(*successor) {}

func keepIf(want func(payload string) bool) func(context.Context) (Keep, error) {
	return func(context.Context) (Keep, error) {
		return func(p []byte, _ int64) bool { return want(string(p)) }, nil
	}
}

func all(string) bool { return true }

func filled(t *testing.T, records ...string) (l *Log, name string) {
	t.Helper()
	name = filepath.Join(t.TempDir(), "log")
	l = New(afero.NewOsFs(), name)
	t.Cleanup(func() { assert.NoError(t, l.Close()) })
	for _, r := range records {
		require.NoError(t, add(l, []byte(r)))
	}
	return l, name
}

// texts are the records of others, without the journal's own.
func texts(t *testing.T, name string) (got []string) {
	for _, r := range replay(t, afero.NewOsFs(), name) {
		if r == "" || r[0] != ownPayload {
			got = append(got, r)
		}
	}
	return got
}

func TestCompactKeepsWhatIsWanted(t *testing.T) {
	l, name := filled(t, "one", "two", "three")
	for range 2 { // also one that was written anew before
		require.NoError(t, l.Compact(t.Context(), host(name, unchanged), keepIf(func(p string) bool { return p != "two" })))
		assert.Equal(t, []string{"one", "three"}, texts(t, name))
	}
	require.NoError(t, add(l, []byte("four")))
	assert.Equal(t, []string{"one", "three", "four"}, texts(t, name))
}

func TestWhatIsAppendedMeanwhileIsNotLost(t *testing.T) {
	l, name := filled(t, "one", "two")
	other := New(afero.NewOsFs(), name) // as if in another process
	defer other.Close()
	require.NoError(t, add(other, []byte("three")))
	note := func(record string) func() {
		return func() { require.NoError(t, add(other, []byte(record))) }
	}
	require.NoError(t, l.Compact(t.Context(), host(name, func(s *successor) {
		s.before, s.then = note("late"), note("later")
	}), keepIf(func(p string) bool { return p != "one" })))
	assert.Equal(t, []string{"two", "three"}, texts(t, name)[:2])
	assert.Contains(t, texts(t, name), "late", "by who writes the journal anew")
	assert.Contains(t, texts(t, name), "later", "by who appended it")
	require.NoError(t, add(other, []byte("after")))
	require.NoError(t, add(l, []byte("after, too")))
	assert.Subset(t, texts(t, name), []string{"after", "after, too"})
}

func TestCompactLeavesTheJournalWhenItFails(t *testing.T) {
	l, name := filled(t, "one", "two")
	before, err := os.ReadFile(name)
	require.NoError(t, err)
	bad := errors.New("bad")
	canceled, cancel := context.WithCancelCause(t.Context())
	cancel(bad)
	good := host(name, unchanged)
	for what, try := range map[string]func() error{
		"busy": func() error {
			h := good
			h.Lock = func(afero.File) (bool, error) { return false, nil }
			return l.Compact(t.Context(), h, keepIf(all))
		},
		"replaced while the lock was taken": func() error {
			h := good
			h.Lock = func(afero.File) (bool, error) {
				return true, errors.Join(os.Rename(name, name+".old"), os.WriteFile(name, before, 0o666))
			}
			return l.Compact(t.Context(), h, keepIf(all))
		},
		"commit": func() error {
			return l.Compact(t.Context(), host(name, func(s *successor) { s.failure = bad }), keepIf(all))
		},
		"choose": func() error {
			return l.Compact(t.Context(), good, func(context.Context) (Keep, error) { return nil, bad })
		},
		"canceled": func() error { return l.Compact(canceled, good, keepIf(all)) },
	} {
		err := try()
		require.Error(t, err, what)
		assert.True(t, errors.Is(err, bad) || errors.Is(err, ErrBusy), what)
		after, err := os.ReadFile(name)
		require.NoError(t, err)
		assert.Equal(t, before, after, what)
		assert.NoFileExists(t, name+".new", what)
	}
}

func TestAJournalIsDueWhenItHasDoubled(t *testing.T) {
	l, name := filled(t, "one")
	assert.False(t, l.IsDue())
	payload := make([]byte, MaxPayload)
	payload[0] = 'x'
	fill := func() (appended int) {
		for due := false; !due; appended++ {
			var err error
			due, err = l.Append(payload)
			require.NoError(t, err)
			require.Equal(t, due, l.IsDue())
		}
		return appended
	}
	first := fill()
	assert.Greater(t, first*(headerSize+MaxPayload), minDue)
	require.NoError(t, l.Compact(t.Context(), host(name, unchanged), keepIf(all)))
	assert.False(t, l.IsDue(), "as long as it can be")
	assert.Greater(t, fill(), first*3/2)
}

func TestReaderFollows(t *testing.T) {
	for what, fsys := range map[string]afero.Fs{"os": afero.NewOsFs(), "memory": afero.NewMemMapFs()} {
		t.Run(what, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "log")
			require.NoError(t, fsys.MkdirAll(filepath.Dir(name), 0o777))
			l, r := New(fsys, name), NewReader(fsys, name)
			defer l.Close()
			defer r.Close()
			var got []string
			var at []int64
			follow := func() error {
				return r.Follow(t.Context(), func() { got, at = nil, nil }, func(p []byte, off int64) {
					got, at = append(got, string(p)), append(at, off)
				})
			}
			require.ErrorIs(t, follow(), os.ErrNotExist)
			for i := range 5 {
				require.NoError(t, add(l, fmt.Append(nil, "r", i)))
				require.NoError(t, follow())
				require.NoError(t, follow(), "nothing new")
			}
			assert.Equal(t, []string{"r0", "r1", "r2", "r3", "r4"}, got)
			for i := range got {
				p, err := r.Read(at[i])
				require.NoError(t, err)
				assert.Equal(t, got[i], string(p))
				_, err = r.Read(at[i] + 1)
				require.ErrorIs(t, err, ErrNoRecord)
			}
			_, err := r.Read(1 << 40)
			require.ErrorIs(t, err, ErrNoRecord)
			require.NoError(t, l.Close())
			require.NoError(t, afero.WriteFile(fsys, name, nil, 0o666)) // cut
			require.NoError(t, follow())
			assert.Empty(t, got)
			require.NoError(t, add(l, []byte("new")))
			require.NoError(t, follow())
			assert.Equal(t, []string{"new"}, got)
			require.NoError(t, fsys.Remove(name))
			if what == "os" {
				require.ErrorIs(t, follow(), os.ErrNotExist)
				require.NoError(t, add(l, []byte("in another file")))
				require.NoError(t, follow())
				assert.Equal(t, []string{"in another file"}, got)
			}
		})
	}
}

func TestAnotherNameOfTheOldJournalIsNotTakenForIt(t *testing.T) {
	l, name := filled(t, "one")
	if err := os.Link(name, name+".backup"); err != nil {
		t.Skip("no hard links here:", err)
	}
	require.NoError(t, add(l, []byte("two")))
	other := New(afero.NewOsFs(), name)
	defer other.Close()
	require.NoError(t, other.Compact(t.Context(), host(name, unchanged), keepIf(all)))
	require.NoError(t, add(l, []byte("three")))
	assert.Equal(t, []string{"one", "two", "three"}, texts(t, name))
}

func TestLongRecordsAreReadWhereTheyLie(t *testing.T) {
	for _, n := range []int{0, 1, readAhead - headerSize - 1, readAhead - headerSize, readAhead - headerSize + 1, MaxPayload} {
		l, name := filled(t, "x")
		want := make([]byte, n)
		require.NoError(t, add(l, want))
		require.NoError(t, add(l, []byte("behind")))
		r := NewReader(afero.NewOsFs(), name)
		got, err := r.Read(int64(headerSize + 1))
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
}
