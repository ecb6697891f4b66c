package dlmanager

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/testorigin"
)

// always asks the origin each time.
var always = WithFreshness(FreshFor(0))

// anHourAgo is a date that is a strong validator.
var anHourAgo = time.Now().Add(-time.Hour).Truncate(time.Second)

func TestACurrentFileCostsNoBody(t *testing.T) {
	for what, validator := range map[string]testorigin.Option{
		"strong tag":   testorigin.ETag(`"v1"`),
		"weak tag":     testorigin.ETag(`W/"v1"`),
		"date":         testorigin.LastModified(anHourAgo),
		"tag and date": testorigin.All(testorigin.ETag(`"v1"`), testorigin.LastModified(anHourAgo)),
	} {
		t.Run(what, func(t *testing.T) {
			o := testorigin.New(t)
			url := o.Serve("/file", []byte("content"), validator)
			m := newManager(t, always)
			first := m.Download(url, "file")
			require.NoError(t, first.Wait())
			assert.Equal(t, OriginFetched, first.Result().Origin)
			before, err := os.Stat(first.Dest())
			require.NoError(t, err)

			reports := &events{}
			d := m.Download(url, "file", WithProgress(func(_ *Download, current, total int64) {
				assert.EqualValues(t, 7, current)
				assert.EqualValues(t, 7, total)
				reports.add("report")
			}))
			require.NoError(t, d.Wait())
			assert.Equal(t, OriginRevalidated, d.Result().Origin)
			assert.Equal(t, "revalidated", d.Result().Origin.String())
			assert.Zero(t, d.Result().WireBytes)
			assert.EqualValues(t, 7, d.Result().Bytes)
			assert.Equal(t, 1, d.Result().Attempts)
			assert.Equal(t, first.Result().ETag, d.Result().ETag)
			assert.NoError(t, d.Result().Stale)
			assert.Len(t, reports.all(), 1)
			after, err := os.Stat(first.Dest())
			require.NoError(t, err)
			assert.True(t, os.SameFile(before, after))
			assert.Equal(t, before.ModTime(), after.ModTime())
			asked := o.Requests("/file")[1].Header
			assert.Equal(t, first.Result().ETag, asked.Get("If-None-Match"))
			assert.Equal(t, first.Result().LastModified, asked.Get("If-Modified-Since"))
		})
	}
}

func TestAnotherVersionReplacesTheFile(t *testing.T) {
	for what, versions := range map[string][2]testorigin.Option{
		"tags":          {testorigin.ETag(`"v1"`), testorigin.ETag(`"v2"`)},
		"dates":         {testorigin.LastModified(anHourAgo), testorigin.LastModified(anHourAgo.Add(time.Minute))},
		"no validators": {testorigin.OK(), testorigin.OK()},
		"no tags, once": {testorigin.ETag(`unquoted`), testorigin.ETag(`unquoted`)},
	} {
		t.Run(what, func(t *testing.T) {
			o := testorigin.New(t)
			url := o.Serve("/file", []byte("old"), testorigin.Sequence(versions[0],
				testorigin.All(testorigin.Body([]byte("newer")), versions[1])))
			m := newManager(t, always)
			require.NoError(t, m.Download(url, "file").Wait())
			d := m.Download(url, "file")
			require.NoError(t, d.Wait())
			assert.Equal(t, OriginFetched, d.Result().Origin)
			requireContent(t, "newer", d.Dest())
			assert.Equal(t, 2, o.Count("/file"), "one request brings the body, too")
		})
	}
}

func TestAFileIsUsedForItsAge(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/file", []byte("content"), testorigin.ETag(`"v1"`))
	m := newManager(t)
	require.NoError(t, m.Download(url, "file").Wait())
	origin := func(opts ...DownloadOption) Origin {
		t.Helper()
		d := m.Download(url, "file", opts...)
		require.NoError(t, d.Wait())
		return d.Result().Origin
	}
	age := func(fetched, validated time.Time) {
		info, err := m.dir.Stat("file")
		require.NoError(t, err)
		e, known := m.dir.Entry("file", info)
		require.True(t, known)
		e.Fetched, e.Validated = fetched, validated
		require.NoError(t, m.dir.Record(e))
	}
	now := time.Now()
	assert.Equal(t, OriginCached, origin(), "any age, by default")
	assert.Equal(t, OriginCached, origin(WithFreshness(FreshFor(time.Hour))))
	age(now.Add(-2*time.Hour), time.Time{})
	assert.Equal(t, OriginCached, origin(WithFreshness(FreshFor(3*time.Hour))))
	assert.Equal(t, OriginRevalidated, origin(WithFreshness(FreshFor(time.Hour))))
	assert.Equal(t, OriginCached, origin(WithFreshness(FreshFor(time.Hour))), "the time of validation counts from now on")
	age(now.Add(-2*time.Hour), now.Add(-time.Minute))
	assert.Equal(t, OriginCached, origin(WithFreshness(FreshFor(time.Hour))))
	age(now.Add(time.Hour), time.Time{})
	assert.Equal(t, OriginRevalidated, origin(WithFreshness(FreshFor(24*time.Hour))), "a time in the future says nothing")
	again := managerAt(t, m.dir.Root(), WithFreshness(FreshFor(time.Hour)))
	require.NoError(t, again.Download(url, "file").Wait())
	assert.Equal(t, 3, o.Count("/file"), "another process knows of the validation")
}

func TestAFileOfUnknownAgeIsFetched(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/file", []byte("content"), testorigin.ETag(`"v1"`))
	m := newManager(t, always)
	require.NoError(t, os.WriteFile(m.dir.Path("file"), []byte("mine"), 0o666))
	d := m.Download(url, "file")
	require.NoError(t, d.Wait())
	requireContent(t, "content", d.Dest())
	assert.Empty(t, o.Requests("/file")[0].Header.Get("If-None-Match"))
}

// only304 answers every conditional request with 304, whatever its tag.
func only304(header ...testorigin.Option) testorigin.Option {
	return testorigin.WhenConditional(testorigin.All(append(header, testorigin.Status(http.StatusNotModified, ""))...))
}

func TestA304ThatNamesAnotherVersionIsNotBelieved(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/file", []byte("content"), testorigin.ETag(`"v1"`))
	m := newManager(t, always)
	require.NoError(t, m.Download(url, "file").Wait())
	o.Serve("/file", []byte("other"), testorigin.ETag(`"v2"`), only304())
	d := m.Download(url, "file")
	require.NoError(t, d.Wait())
	requireContent(t, "other", d.Dest())
	assert.Equal(t, 3, o.Count("/file"))
}

func TestA304ThatNobodyAskedForIsAnError(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/file", nil, testorigin.Status(http.StatusNotModified, ""))
	m := newManager(t, always)
	status, ok := errors.AsType[*StatusError](m.Download(url, "file").Wait())
	require.True(t, ok)
	assert.Equal(t, http.StatusNotModified, status.Code)
}

func TestOnlyTheURLThatSentAValidatorIsAskedByIt(t *testing.T) {
	o := testorigin.New(t)
	a := o.Serve("/a", []byte("content a"), testorigin.ETag(`"v1"`))
	b := o.Serve("/b", []byte("content b"), testorigin.ETag(`"v1"`))
	hop := o.Serve("/hop", nil, testorigin.Sequence(
		testorigin.Redirect("/a?signature=1", http.StatusFound), testorigin.Redirect("/a?signature=2", http.StatusFound),
		testorigin.Redirect("/b", http.StatusFound)))
	m := newManager(t, always)
	fetch := func(url, want string, origin Origin) {
		t.Helper()
		d := m.Download(url, "file")
		require.NoError(t, d.Wait())
		requireContent(t, want, d.Dest())
		assert.Equal(t, origin, d.Result().Origin)
	}
	fetch(hop, "content a", OriginFetched)
	fetch(hop, "content a", OriginRevalidated)
	fetch(hop, "content b", OriginFetched)
	fetch(a, "content a", OriginFetched)
	fetch(a, "content a", OriginRevalidated)
	fetch(b, "content b", OriginFetched)
	for _, r := range o.Requests("/hop") {
		assert.Empty(t, r.Header.Get("If-None-Match"), "a redirect has no say")
	}
}

func TestTheOriginIsAskedWithCredentials(t *testing.T) {
	o := testorigin.New(t)
	other := testorigin.New(t)
	target := other.Serve("/file", []byte("content"), testorigin.ETag(`"v1"`))
	url := o.Serve("/file", nil, testorigin.RequireHeader("X-Token", "s3cret"), testorigin.Redirect(target, http.StatusFound))
	m := newManager(t, always, WithHeader("X-Token", "s3cret"))
	for _, origin := range []Origin{OriginFetched, OriginRevalidated} {
		d := m.Download(url, "file")
		require.NoError(t, d.Wait())
		assert.Equal(t, origin, d.Result().Origin)
	}
	for _, r := range other.Requests("/file") {
		assert.Empty(t, r.Header.Get("X-Token"))
	}
}

func TestHundredsAskTheOriginOnce(t *testing.T) {
	o := testorigin.New(t)
	gate := make(chan struct{})
	url := o.Serve("/file", []byte("content"), testorigin.ETag(`"v1"`), testorigin.Sequence(testorigin.OK(), testorigin.Gate(gate)))
	dir := filepath.Join(t.TempDir(), "cache")
	managers := []*DownloadManager{managerAt(t, dir, always), managerAt(t, dir, always)} // as two processes
	require.NoError(t, managers[0].Download(url, "file").Wait())
	arrived := o.Arrived("/file", 2)
	var all []*Download
	for _, m := range managers {
		for range 50 {
			all = append(all, m.Download(url, "file"))
		}
	}
	<-arrived
	close(gate)
	origins := map[Origin]int{}
	for _, d := range all {
		require.NoError(t, d.Wait())
		origins[d.Result().Origin]++
	}
	assert.Equal(t, 2, o.Count("/file"))
	assert.Equal(t, 50, origins[OriginRevalidated], "%v", origins)
}

func TestWhoWantsLessDoesNotSpeakForWhoWantsMore(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/file", []byte("content"), testorigin.ETag(`"v1"`))
	m := newManager(t)
	require.NoError(t, m.Download(url, "file").Wait())
	m.withoutReading(func() {
		idle := m.Download(url, "file", WithSHA256()) // hashes what is there, and asks nobody
		asks := m.Download(url, "file", always)
		require.NotSame(t, idle, asks)
		require.Same(t, asks, m.Download(url, "file"), "who takes any age is served by who asks")
		idle.Interrupt()
		require.NoError(t, asks.Wait())
		assert.Equal(t, OriginRevalidated, asks.Result().Origin)
	})
}

func TestAnOriginOutOfReach(t *testing.T) {
	for what, outage := range map[string]testorigin.Option{
		"500":     testorigin.Status(http.StatusInternalServerError, "sorry"),
		"503":     testorigin.Status(http.StatusServiceUnavailable, "busy"),
		"dropped": testorigin.Drop(),
	} {
		t.Run(what, func(t *testing.T) {
			o := testorigin.New(t)
			url := o.Serve("/file", []byte("content"), testorigin.ETag(`"v1"`), testorigin.Sequence(testorigin.OK(), outage))
			m := newManager(t, always)
			first := m.Download(url, "file")
			require.NoError(t, first.Wait())
			err := m.Download(url, "file").Wait()
			require.Error(t, err, "it is not allowed")
			requireContent(t, "content", first.Dest())

			noted := &events{}
			d := m.Download(url, "file", WithStaleIfError(), WithStrategy(noWait{}), WithHooks(Hooks{
				Stale:    func(_ *Download, err error) { noted.add("stale: " + err.Error()) },
				Finished: func(*Download) { noted.add("finished") },
			}))
			require.NoError(t, d.Wait())
			assert.Equal(t, OriginCached, d.Result().Origin)
			require.Error(t, d.Result().Stale)
			assert.Equal(t, []string{"stale: " + d.Result().Stale.Error(), "finished"}, noted.all())
			assert.Equal(t, 1, d.Result().Attempts, "it is not tried again")
			requireContent(t, "content", d.Dest())
		})
	}
}

func TestARefusalIsNoOutage(t *testing.T) {
	for _, code := range []int{http.StatusNotFound, http.StatusForbidden, http.StatusUnauthorized} {
		o := testorigin.New(t)
		url := o.Serve("/file", []byte("content"), testorigin.ETag(`"v1"`), testorigin.Sequence(testorigin.OK(), testorigin.Status(code, "")))
		m := newManager(t, always, WithStaleIfError())
		first := m.Download(url, "file")
		require.NoError(t, first.Wait())
		status, ok := errors.AsType[*StatusError](m.Download(url, "file").Wait())
		require.True(t, ok)
		assert.Equal(t, code, status.Code)
		requireContent(t, "content", first.Dest())
	}
}

func TestWhatIsOutOfReachAndNotThereFails(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/file", []byte("content"), testorigin.Sequence(testorigin.OK(), testorigin.Status(503, "")))
	m := newManager(t, always, WithStaleIfError())
	d := m.Download(url, "file")
	require.NoError(t, d.Wait())
	overwrite(t, d.Dest(), "cut")
	require.Error(t, m.Download(url, "file").Wait(), "a damaged file is none")
	require.Error(t, m.Download(url, "other").Wait())
}

func TestACutReplacementLeavesTheOldFile(t *testing.T) {
	o := testorigin.New(t)
	url := o.ServeSize("/file", 4*mib, testorigin.Sequence(
		testorigin.All(testorigin.Body([]byte("old")), testorigin.ETag(`"v1"`)),
		testorigin.All(testorigin.ETag(`"v2"`), testorigin.CutAfter(2*mib)),
		testorigin.ETag(`"v2"`)))
	m := newManager(t, always, WithStaleIfError())
	require.NoError(t, m.Download(url, "file").Wait())
	d := m.Download(url, "file")
	require.NoError(t, d.Wait())
	require.Error(t, d.Result().Stale)
	requireContent(t, "old", d.Dest())
	d = m.Download(url, "file")
	require.NoError(t, d.Wait())
	assert.Equal(t, OriginResumed, d.Result().Origin)
	requireSame(t, 4*mib, d.Dest())
}

func TestAFileThatChangesWhileItsOriginIsAsked(t *testing.T) {
	for what, change := range map[string]func(path string) error{
		"removed": os.Remove,
		"changed": func(path string) error { return os.WriteFile(path, []byte("CONTENT"), 0o666) },
	} {
		t.Run(what, func(t *testing.T) {
			o := testorigin.New(t)
			gate := make(chan struct{})
			url := o.Serve("/file", []byte("content"), testorigin.ETag(`"v1"`), testorigin.Sequence(testorigin.OK(), testorigin.Gate(gate), testorigin.OK()))
			m := newManager(t, always)
			require.NoError(t, m.Download(url, "file").Wait())
			arrived := o.Arrived("/file", 2)
			d := m.Download(url, "file")
			<-arrived
			require.NoError(t, change(d.Dest()))
			close(gate)
			require.NoError(t, d.Wait())
			assert.Equal(t, OriginFetched, d.Result().Origin)
			requireContent(t, "content", d.Dest())
		})
	}
}

func TestADigestIsAsGoodAsTheOrigin(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/file", []byte("content"), testorigin.ETag(`"v1"`))
	m := newManager(t, always)
	for range 2 {
		require.NoError(t, m.Download(url, "file", WithChecksum(sha256Of("content"))).Wait())
	}
	assert.Equal(t, 1, o.Count("/file"))
}

func TestAChecksumFileIsAskedForAgain(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/file", nil, testorigin.Sequence(testorigin.Body([]byte("old")), testorigin.Body([]byte("new"))))
	of := func(content string) testorigin.Option {
		return testorigin.Body([]byte(sha256Of(content)[7:] + "  file\n"))
	}
	sums := o.Serve("/sums", nil, testorigin.Sequence(of("old"), of("old"), of("new"), testorigin.Status(503, "")))
	m := newManager(t, always, WithChecksum(sums))
	fetch := func(want string, origin Origin, opts ...DownloadOption) *Download {
		t.Helper()
		d := m.Download(url, "file", opts...)
		require.NoError(t, d.Wait())
		requireContent(t, want, d.Dest())
		assert.Equal(t, origin, d.Result().Origin)
		return d
	}
	fetch("old", OriginFetched)
	fetch("old", OriginRevalidated)
	assert.Equal(t, 1, o.Count("/file"))
	fetch("old", OriginCached, WithFreshness(FreshFor(time.Hour)))
	assert.Equal(t, 2, o.Count("/sums"))
	fetch("new", OriginFetched)
	require.Error(t, m.Download(url, "file").Wait())
	assert.Error(t, fetch("new", OriginCached, WithStaleIfError()).Result().Stale)
	assert.Equal(t, 2, o.Count("/file"))
}

func TestOfflineMakesNoRequest(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/file", []byte("content"))
	sums := o.Serve("/sums", []byte(sha256Of("content")[7:]+"  file\n"))
	m := newManager(t)
	require.NoError(t, m.Download(url, "file").Wait())
	before := o.Count("/file")

	for _, opts := range [][]DownloadOption{
		nil, {always}, {WithChecksum(sha256Of("content"))}, {WithSHA256()},
	} {
		d := m.Download(url, "file", append(opts, WithOffline())...)
		require.NoError(t, d.Wait())
		assert.Equal(t, OriginCached, d.Result().Origin)
	}
	for what, opts := range map[string][]DownloadOption{
		"another checksum": {WithChecksum(sha256Of("other"))},
		"a checksum file":  {WithChecksum(sums)},
		"force":            {WithForce()},
	} {
		err := m.Download(url, "file", append(opts, WithOffline())...).Wait()
		require.ErrorIs(t, err, ErrNotCached, what)
		assert.ErrorContains(t, err, "offline")
	}
	err := m.Download(url, "other", WithOffline()).Wait()
	require.ErrorIs(t, err, ErrNotCached)
	assert.EqualError(t, err, `"other" is not in the cache, and nothing may be fetched: offline`)
	require.ErrorIs(t, NewDownload(url, filepath.Join(t.TempDir(), "file"), WithOffline()).Wait(), ErrNotCached)
	overwrite(t, m.dir.Path("file"), "cut")
	require.ErrorIs(t, m.Download(url, "file", WithOffline()).Wait(), ErrNotCached)
	assert.Equal(t, before, o.Count("/file"))
	assert.Zero(t, o.Count("/sums"))
	require.NoError(t, m.Download(url, "file").Wait())

	require.NoError(t, m.Download(url, "file", WithChecksum(sums)).Wait())
	require.NoError(t, m.Download(url, "file", WithChecksum(sums), WithOffline()).Wait(), "what was checked is known")
	assert.Equal(t, 1, o.Count("/sums"))
}

func TestOfflineSpeaksForNobodyElse(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/file", []byte("content"))
	m := newManager(t)
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			d := m.Download(url, "file", WithOffline())
			if err := d.Wait(); err != nil {
				assert.ErrorIs(t, err, ErrNotCached)
			}
		})
		all.Go(func() { assert.NoError(t, m.Download(url, "file").Wait(), i) })
	}
	all.Wait()
	assert.Equal(t, 1, o.Count("/file"))
}
