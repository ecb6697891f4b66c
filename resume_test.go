package dlmanager

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/testorigin"
	"github.com/dlmanager/dlmanager/internal/transfer"
)

const mib = 1 << 20

var tagged = testorigin.ETag(`"v1"`)

// partials returns the files of unfinished downloads in the cache.
func partials(t testing.TB, dir string) (parts, notes []string) {
	t.Helper()
	parts, err := filepath.Glob(filepath.Join(dir, ".dlm", "partial", "*.part"))
	require.NoError(t, err)
	notes, err = filepath.Glob(filepath.Join(dir, ".dlm", "partial", "*.json"))
	require.NoError(t, err)
	return parts, notes
}

func requireNothingUnfinished(t testing.TB, dir string) {
	t.Helper()
	parts, notes := partials(t, dir)
	require.Empty(t, parts)
	require.Empty(t, notes)
}

// leaveHalf makes a cache in which half of a file of 4 MiB is left, whose
// second request is answered as then says.
func leaveHalf(t testing.TB, then ...testorigin.Option) (o *testorigin.Origin, url, dir string) {
	t.Helper()
	o = testorigin.New(t)
	url = o.ServeSize("/file", 4*mib, tagged, testorigin.Sequence(testorigin.CutAfter(2*mib), testorigin.All(then...)))
	dir = filepath.Join(t.TempDir(), "cache")
	m, err := NewDownloadManager(dir, WithStrategy(Once{}), WithConnections(1))
	require.NoError(t, err)
	require.Error(t, m.Download(url, "file").Wait())
	require.NoError(t, m.Close())
	parts, notes := partials(t, dir)
	require.Len(t, parts, 1)
	require.Len(t, notes, 1)
	return o, url, dir
}

// requireWhole fetches the rest with a new manager and returns its result.
func requireWhole(t testing.TB, url, dir string, opts ...DownloadOption) Result {
	t.Helper()
	m := managerAt(t, dir)
	d := m.Download(url, "file", opts...)
	require.NoError(t, d.Wait())
	requireSame(t, 4*mib, d.Dest())
	requireNothingUnfinished(t, dir)
	assert.Equal(t, crcOf(t, d.Dest()), d.Result().CRC32C)
	return d.Result()
}

func TestWhatAnEarlierDownloadLeftIsGoneOnFrom(t *testing.T) {
	interrupted := func(end func(*DownloadManager, *Download)) func(*testing.T, *DownloadManager, string) {
		return func(t *testing.T, m *DownloadManager, url string) {
			half := make(chan struct{})
			d := m.Download(url, "file", WithProgress(func(_ *Download, current, _ int64) {
				if current == 2*mib {
					close(half)
				}
			}))
			<-half
			end(m, d)
			require.ErrorIs(t, d.Wait(), ErrInterrupted)
		}
	}
	for name, c := range map[string]struct {
		first testorigin.Option
		end   func(*testing.T, *DownloadManager, string)
	}{
		"interrupted":       {testorigin.SilentAfter(2 * mib), interrupted(func(_ *DownloadManager, d *Download) { d.Interrupt() })},
		"manager closed":    {testorigin.SilentAfter(2 * mib), interrupted(func(m *DownloadManager, _ *Download) { _ = m.Close() })},
		"retries exhausted": {testorigin.CutAfter(2 * mib), func(t *testing.T, m *DownloadManager, url string) { require.Error(t, m.Download(url, "file").Wait()) }},
	} {
		t.Run(name, func(t *testing.T) {
			o := testorigin.New(t)
			url := o.ServeSize("/file", 4*mib, tagged, testorigin.Sequence(c.first, testorigin.OK()))
			dir := filepath.Join(t.TempDir(), "cache")
			m, err := NewDownloadManager(dir, WithStrategy(Once{}), WithConnections(1))
			require.NoError(t, err)
			c.end(t, m, url)
			require.NoError(t, m.Close())

			var seen []int64
			r := requireWhole(t, url, dir, WithProgress(func(_ *Download, current, _ int64) { seen = append(seen, current) }))
			assert.Equal(t, OriginResumed, r.Origin)
			assert.EqualValues(t, 2*mib, r.ResumedFrom)
			assert.EqualValues(t, 2*mib, r.WireBytes)
			assert.EqualValues(t, 2*mib, seen[0], "progress goes on where it was")
			asked := o.Requests("/file")[1]
			assert.Equal(t, "bytes=2097152-", asked.Header.Get("Range"))
			assert.Equal(t, `"v1"`, asked.Header.Get("If-Range"))
		})
	}
}

func TestAStandAloneDownloadIsGoneOnFrom(t *testing.T) {
	o := testorigin.New(t)
	url := o.ServeSize("/file", 4*mib, tagged, testorigin.Sequence(testorigin.CutAfter(2*mib), testorigin.OK()))
	dest := filepath.Join(t.TempDir(), "file")
	require.Error(t, NewDownload(url, dest, WithStrategy(Once{}), WithConnections(1)).Wait())
	d := NewDownload(url, dest)
	require.NoError(t, d.Wait())
	requireSame(t, 4*mib, dest)
	assert.EqualValues(t, 2*mib, d.Result().ResumedFrom)
	left, err := os.ReadDir(filepath.Dir(dest))
	require.NoError(t, err)
	assert.Len(t, left, 1)
}

func TestAnUnfinishedDownloadSurvivesFailuresBeforeTheFirstByte(t *testing.T) {
	_, url, dir := leaveHalf(t, testorigin.Sequence(testorigin.OK(), testorigin.Status(503, ""), testorigin.OK()))
	m, err := NewDownloadManager(dir, WithStrategy(Once{}), WithConnections(1))
	require.NoError(t, err)
	require.Error(t, m.Download(url, "file").Wait())
	require.NoError(t, m.Close())
	assert.EqualValues(t, 2*mib, requireWhole(t, url, dir).ResumedFrom)
}

func TestCancelRemovesWhatIsUnfinished(t *testing.T) {
	_, url, dir := leaveHalf(t, testorigin.Silent())
	m := managerAt(t, dir)
	d := m.Download(url, "file")
	d.Cancel()
	require.ErrorIs(t, d.Wait(), ErrCanceled)

	o := testorigin.New(t)
	half := make(chan struct{})
	d = m.Download(o.ServeSize("/file", 4*mib, tagged, testorigin.SilentAfter(2*mib)), "file", WithProgress(func(_ *Download, current, _ int64) {
		if current == 2*mib {
			close(half)
		}
	}))
	<-half
	d.Cancel()
	require.ErrorIs(t, d.Wait(), ErrCanceled)
	requireNothingUnfinished(t, dir)
}

func TestWithoutResumeNeitherGoesOnNorLeavesAnything(t *testing.T) {
	_, url, dir := leaveHalf(t)
	r := requireWhole(t, url, dir, WithoutResume())
	assert.Equal(t, OriginFetched, r.Origin)
	assert.EqualValues(t, 4*mib, r.WireBytes)

	o := testorigin.New(t)
	dir = filepath.Join(t.TempDir(), "cache")
	m := managerAt(t, dir, WithoutResume())
	require.Error(t, m.Download(o.ServeSize("/file", 4*mib, tagged, testorigin.CutAfter(2*mib)), "file").Wait())
	requireNothingUnfinished(t, dir)
}

func TestContentThatChangedBetweenTwoProcessesIsFetchedAnew(t *testing.T) {
	for name, size := range map[string]int64{"same size": 4 * mib, "shorter": 3 * mib, "longer": 5 * mib} {
		t.Run(name, func(t *testing.T) {
			other := bytes.Repeat([]byte("other"), int(size))[:size]
			_, url, dir := leaveHalf(t, testorigin.Body(other), testorigin.ETag(`"v2"`))
			m := managerAt(t, dir)
			d := m.Download(url, "file")
			require.NoError(t, d.Wait())
			require.True(t, string(other) == readFile(t, d.Dest()), "a splice of two versions")
			assert.Equal(t, OriginFetched, d.Result().Origin)
			requireNothingUnfinished(t, dir)
		})
	}
}

func TestWhatCannotBeProvenIsNotKept(t *testing.T) {
	for name, opt := range map[string]testorigin.Option{
		"weak tag":     testorigin.ETag(`W/"v1"`),
		"unquoted tag": testorigin.ETag(`v1`),
		"no validator": testorigin.OK(),
		"young date":   testorigin.LastModified(time.Now()),
	} {
		t.Run(name, func(t *testing.T) {
			o := testorigin.New(t)
			dir := filepath.Join(t.TempDir(), "cache")
			m := managerAt(t, dir)
			require.Error(t, m.Download(o.ServeSize("/file", 4*mib, opt, testorigin.CutAfter(2*mib)), "file").Wait())
			requireNothingUnfinished(t, dir)
		})
	}
}

// change edits the record's inner part and seals it again.
func change(edit func(*record)) func(*testing.T, string, string) {
	return func(t *testing.T, _, note string) {
		r, ok := parseRecord([]byte(readFile(t, note)))
		require.True(t, ok)
		edit(&r)
		require.NoError(t, os.WriteFile(note, r.encode(), 0o666))
	}
}

func TestAnUnfinishedDownloadThatCannotBeTrustedIsBegunAnew(t *testing.T) {
	write := func(text string) func(*testing.T, string, string) {
		return func(t *testing.T, _, note string) { require.NoError(t, os.WriteFile(note, []byte(text), 0o666)) }
	}
	outside := filepath.Join(t.TempDir(), "outside")
	for name, spoil := range map[string]func(t *testing.T, part, note string){
		"record gone":    func(t *testing.T, _, note string) { require.NoError(t, os.Remove(note)) },
		"record empty":   write(""),
		"record zeroed":  write(string(make([]byte, 600))),
		"record foreign": write(`{"some":"json"}`),
		"record torn": func(t *testing.T, _, note string) {
			text := readFile(t, note)
			require.NoError(t, os.WriteFile(note, []byte(text[:len(text)/2]), 0o666))
		},
		"record half written": func(t *testing.T, _, note string) {
			text := bytes.Replace([]byte(readFile(t, note)), []byte(`"to":2097152`), []byte(`"to":3097152`), 1)
			require.NoError(t, os.WriteFile(note, text, 0o666))
		},
		"record newer": func(t *testing.T, _, note string) {
			var outer sealed
			require.NoError(t, json.Unmarshal([]byte(readFile(t, note)), &outer))
			outer.Format++
			text, err := json.Marshal(outer)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(note, text, 0o666))
		},
		"record of nonsense":     change(func(r *record) { r.Ranges[0].To = 1 << 40 }),
		"record of another mode": change(func(r *record) { r.Mode = 0o755 }),
		"restarted, and not what is there": change(func(r *record) {
			r.Boot, r.Ranges[0].CRC32C = "another", 1
			r.Synced = []transfer.Range{{To: mib, CRC32C: 1}}
		}),
		"partial file shorter": func(t *testing.T, part, _ string) { require.NoError(t, os.Truncate(part, mib)) },
		"partial file longer":  func(t *testing.T, part, _ string) { require.NoError(t, os.Truncate(part, 5*mib)) },
		"partial file gone":    func(t *testing.T, part, _ string) { require.NoError(t, os.Remove(part)) },
		"partial file a link": func(t *testing.T, part, _ string) {
			require.NoError(t, os.Rename(part, outside))
			require.NoError(t, os.Symlink(outside, part))
		},
		"partial file a hard link": func(t *testing.T, part, _ string) {
			require.NoError(t, os.Link(part, filepath.Join(filepath.Dir(filepath.Dir(filepath.Dir(part))), "twin")))
		},
		"record a link": func(t *testing.T, _, note string) {
			require.NoError(t, os.Rename(note, note+".other"))
			require.NoError(t, os.Symlink(filepath.Base(note)+".other", note))
			t.Cleanup(func() { assert.NotEmpty(t, readFile(t, note+".other")) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			o, url, dir := leaveHalf(t)
			parts, notes := partials(t, dir)
			spoil(t, parts[0], notes[0])
			m := managerAt(t, dir)
			d := m.Download(url, "file")
			require.NoError(t, d.Wait())
			requireSame(t, 4*mib, d.Dest())
			assert.Equal(t, OriginFetched, d.Result().Origin)
			assert.Empty(t, o.Requests("/file")[1].Header.Get("Range"))
		})
	}
}

func TestAfterARestartOfTheMachineWhatHasItsCRCCounts(t *testing.T) {
	crc := parseCRC(t, checksum([]byte(contentOf(mib))))
	for name, c := range map[string]struct {
		edit func(*record)
		want int64
	}{
		"a tidy one":   {func(r *record) { r.Boot = "another" }, 2 * mib},
		"unknown boot": {func(r *record) { r.Boot = "" }, 2 * mib},
		"a power loss": {func(r *record) {
			r.Boot, r.Ranges[0].CRC32C = "another", 1
			r.Synced = []transfer.Range{{To: mib, CRC32C: crc}}
		}, mib},
	} {
		t.Run(name, func(t *testing.T) {
			_, url, dir := leaveHalf(t)
			_, notes := partials(t, dir)
			change(c.edit)(t, "", notes[0])
			assert.Equal(t, c.want, requireWhole(t, url, dir).ResumedFrom)
		})
	}
}

func TestAnInterruptionWhileWhatIsKeptIsProvenLeavesIt(t *testing.T) {
	_, _, dir := leaveHalf(t)
	parts, notes := partials(t, dir)
	note := readFile(t, notes[0])
	m, err := NewDownloadManager(dir)
	require.NoError(t, err)
	require.NoError(t, m.house.awaitTidied(t.Context())) // it holds what it looks at
	spot, err := m.dir.Spot("file")
	require.NoError(t, err)
	partial, err := spot.Create(0o666, func([]byte, int64) bool { return true })
	require.NoError(t, err)
	l := &life{Download: &Download{site: m, name: "file"}}
	l.ctx.End(ErrInterrupted)
	l.kept = kept{unproven: true, result: transfer.Result{N: 2 * mib}}
	require.ErrorIs(t, l.hold(partial), ErrInterrupted)
	require.NoError(t, m.Close())
	assert.FileExists(t, parts[0])
	assert.Equal(t, note, readFile(t, notes[0]))
}

func parseCRC(t testing.TB, text string) (crc uint32) {
	t.Helper()
	_, err := fmt.Sscanf(text, "%x", &crc)
	require.NoError(t, err)
	return crc
}

func TestARecordHoldsNoSecret(t *testing.T) {
	o := testorigin.New(t)
	url := o.ServeSize("/file", 4*mib, tagged, testorigin.CutAfter(2*mib))
	url = "http://user:hunter22@" + url[len("http://"):] + "?sig=s3cr3tsig"
	dir := filepath.Join(t.TempDir(), "cache")
	m, err := NewDownloadManager(dir, WithStrategy(Once{}), WithConnections(1), WithHeader("Authorization", "Bearer t0psecret"))
	require.NoError(t, err)
	require.Error(t, m.Download(url, "file").Wait())
	require.NoError(t, m.Close())
	_, notes := partials(t, dir)
	require.Len(t, notes, 1)
	text := readFile(t, notes[0])
	for _, secret := range []string{"hunter22", "s3cr3tsig", "t0psecret", "user"} {
		assert.NotContains(t, text, secret)
	}
	assert.Contains(t, text, "sig=xxxxx")
}

func TestOldLeftoversAreRemovedAndYoungOnesKept(t *testing.T) {
	_, url, dir := leaveHalf(t)
	require.NoError(t, openAndClose(dir))
	parts, _ := partials(t, dir)
	require.Len(t, parts, 1, "a young one stays")
	past := time.Now().Add(-8 * 24 * time.Hour)
	require.NoError(t, os.Chtimes(parts[0], past, past))
	require.NoError(t, openAndClose(dir))
	requireNothingUnfinished(t, dir)
	assert.Equal(t, OriginFetched, requireWhole(t, url, dir).Origin)
}

func openAndClose(dir string) error {
	m, err := NewDownloadManager(dir)
	if err != nil {
		return err
	}
	return errors.Join(m.house.load(context.Background()), m.Close())
}

func TestLeftoversCountAndGoFirst(t *testing.T) {
	o, _, dir := leaveHalf(t)
	m, err := NewDownloadManager(dir, WithSizeLimit(6*mib), WithFileLimit(1))
	require.NoError(t, err)
	<-m.house.ready
	assert.EqualValues(t, 4*mib, m.limit.Usage().Bytes)
	require.NoError(t, m.Download(o.ServeSize("/a", mib), "a").Wait())
	require.NoError(t, m.Download(o.ServeSize("/b", 3*mib), "b").Wait())
	requireNothingUnfinished(t, dir)
	assert.FileExists(t, filepath.Join(dir, "a"), "an old file goes after what is unfinished")
	assert.EqualValues(t, 4*mib, m.limit.Usage().Bytes)
	require.NoError(t, m.Close())
}

func TestWhatIsLeftNowCountsToo(t *testing.T) {
	o := testorigin.New(t)
	dir := filepath.Join(t.TempDir(), "cache")
	m, err := NewDownloadManager(dir, WithSizeLimit(6*mib), WithStrategy(Once{}), WithConnections(1))
	require.NoError(t, err)
	url := o.ServeSize("/file", 4*mib, tagged, testorigin.Sequence(testorigin.CutAfter(2*mib), testorigin.OK()))
	require.Error(t, m.Download(url, "file").Wait())
	u := m.limit.Usage()
	assert.EqualValues(t, 4*mib, u.Bytes)
	assert.Zero(t, u.Reserved)
	require.NoError(t, m.Download(url, "file").Wait())
	u = m.limit.Usage()
	assert.EqualValues(t, 4*mib, u.Bytes)
	assert.Equal(t, 1, u.Files)
	require.NoError(t, m.Close())
}

func TestWhatIsAllThereNeedsNoBody(t *testing.T) {
	// All is there but the process died before the file got its name.
	o := testorigin.New(t)
	url := o.ServeSize("/file", 4*mib, tagged)
	dir := filepath.Join(t.TempDir(), "cache")
	m, err := NewDownloadManager(dir)
	require.NoError(t, err)
	d := m.Download(url, "file", WithProgress(func(d *Download, current, total int64) {
		if current == total {
			d.Interrupt()
		}
	}))
	require.ErrorIs(t, d.Wait(), ErrInterrupted)
	require.NoError(t, m.Close())
	r := requireWhole(t, url, dir)
	assert.Equal(t, OriginResumed, r.Origin)
	assert.Zero(t, r.WireBytes)
	assert.Equal(t, http.MethodGet, o.Requests("/file")[1].Method)
}

func FuzzRecord(f *testing.F) {
	r := record{URL: "https://h/f", Size: 10, Boot: "b", Ranges: []transfer.Range{{To: 5, CRC32C: 7}}}
	r.Head.Total, r.Head.Exact = 10, true
	f.Add(r.encode(), int64(10), "b")
	f.Add([]byte(`{"format":1}`), int64(0), "")
	f.Fuzz(func(t *testing.T, text []byte, size int64, boot string) {
		r, ok := parseRecord(text)
		if !ok {
			return
		}
		k, ok := r.keptOf(size, boot)
		if ok && k.result.N > size {
			t.Fatalf("%d of %d bytes are said to be there", k.result.N, size)
		}
		if again, ok := parseRecord(r.encode()); !ok || !equalRecords(again, r) {
			t.Fatalf("%v became %v", r, again)
		}
	})
}

func equalRecords(a, b record) bool { return string(a.encode()) == string(b.encode()) }
