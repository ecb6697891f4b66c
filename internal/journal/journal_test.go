package journal

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/spf13/afero"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// add appends one record.
func add(l *Log, payload []byte) error {
	_, err := l.Append(payload)
	return err
}

func replay(t *testing.T, fsys afero.Fs, name string) []string {
	t.Helper()
	f, err := fsys.Open(name)
	if os.IsNotExist(err) {
		return nil
	}
	require.NoError(t, err)
	defer f.Close()
	var got []string
	_, records, err := Replay(t.Context(), f, 0, func(p []byte, _ int64) { got = append(got, string(p)) })
	require.NoError(t, err)
	require.Equal(t, len(got), records)
	return got
}

func TestAppendAndReplay(t *testing.T) {
	for name, fsys := range map[string]afero.Fs{"os": afero.NewOsFs(), "memory": afero.NewMemMapFs()} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "log")
			require.NoError(t, fsys.MkdirAll(filepath.Dir(path), 0o777))
			assert.Empty(t, replay(t, fsys, path), "no file, no records")
			l := New(fsys, path)
			require.NoError(t, add(l, []byte("one")))
			require.NoError(t, add(l, nil))
			require.NoError(t, l.Close())
			require.NoError(t, add(l, []byte("two")), "it opens again by itself")
			require.NoError(t, l.Close())
			require.NoError(t, l.Close())
			assert.Equal(t, []string{"one", "", "two"}, replay(t, fsys, path))
			require.ErrorIs(t, add(l, make([]byte, MaxPayload+1)), ErrTooLong)
		})
	}
}

func TestManyAppendAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	var wg sync.WaitGroup
	for w := range 8 {
		l := New(afero.NewOsFs(), path) // each as if in a process of its own
		wg.Go(func() {
			for i := range 100 {
				assert.NoError(t, add(l, fmt.Appendf(nil, "%d-%d", w, i)))
			}
			assert.NoError(t, l.Close())
		})
	}
	wg.Wait()
	assert.Len(t, replay(t, afero.NewOsFs(), path), 800)
}

func TestTornRecordsArePassedOver(t *testing.T) {
	var whole []byte
	for _, p := range []string{"first", "second", "third"} {
		whole, _ = AppendRecord(whole, []byte(p))
	}
	first := headerSize + len("first")
	second := first + headerSize + len("second")
	for cut := first + 1; cut < second; cut++ { // the second was torn, the third came after a restart
		torn := append(bytes.Clone(whole[:cut]), whole[second:]...)
		fsys := afero.NewMemMapFs()
		require.NoError(t, afero.WriteFile(fsys, "log", torn, 0o666))
		assert.Equal(t, []string{"first", "third"}, replay(t, fsys, "log"), "cut at %d", cut)
	}
	for cut := range second - first { // the tail is torn
		fsys := afero.NewMemMapFs()
		require.NoError(t, afero.WriteFile(fsys, "log", whole[:first+cut], 0o666))
		assert.Equal(t, []string{"first"}, replay(t, fsys, "log"))
	}
}

func TestARecordWithinARecordIsNotTakenForOne(t *testing.T) {
	inner, err := AppendRecord(nil, []byte("inner"))
	require.NoError(t, err)
	for pad := range 40 { // the outer one lies across the boundary of what is read at a time
		filler, err := AppendRecord(nil, make([]byte, 60_000))
		require.NoError(t, err)
		file := bytes.Repeat(filler, 4)
		rest, err := AppendRecord(nil, make([]byte, readChunk-len(file)-2*headerSize-pad))
		require.NoError(t, err)
		file = append(file, rest...)
		outer := append(bytes.Clone(inner), make([]byte, 100)...)
		file, err = AppendRecord(file, outer)
		require.NoError(t, err)
		var last []byte
		end, records, err := Replay(t.Context(), bytes.NewReader(file), 0, func(p []byte, _ int64) { last = bytes.Clone(p) })
		require.NoError(t, err)
		require.Equal(t, 6, records)
		require.Equal(t, outer, last)
		require.EqualValues(t, len(file), end)
	}
}

func TestReplayFromAnOffset(t *testing.T) {
	file, err := AppendRecord(nil, []byte("first"))
	require.NoError(t, err)
	from := int64(len(file))
	file, err = AppendRecord(file, []byte("second"))
	require.NoError(t, err)
	var got []string
	_, _, err = Replay(t.Context(), bytes.NewReader(file), from, func(p []byte, _ int64) { got = append(got, string(p)) })
	require.NoError(t, err)
	assert.Equal(t, []string{"second"}, got)
}

func FuzzReplay(f *testing.F) {
	record, _ := AppendRecord(nil, []byte("payload"))
	f.Add(record, []byte("next"))
	f.Add(record[:5], []byte{})
	f.Fuzz(func(t *testing.T, garbage, payload []byte) {
		if len(payload) > 1000 {
			payload = payload[:1000]
		}
		good, err := AppendRecord(nil, payload)
		if err != nil {
			t.Fatal(err)
		}
		file := bytes.NewReader(append(bytes.Clone(garbage), good...))
		var last []byte
		found := false
		if _, _, err := Replay(t.Context(), file, 0, func(p []byte, _ int64) { last, found = bytes.Clone(p), true }); err != nil {
			t.Fatal(err)
		}
		if !found || !bytes.Equal(last, payload) {
			t.Fatalf("the record behind %d bytes of garbage was lost", len(garbage))
		}
	})
}
