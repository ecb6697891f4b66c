package dlmanager

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/afero"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/faultfs"
	"github.com/dlmanager/dlmanager/internal/testorigin"
)

func sha256Of(content string) string {
	sum := sha256.Sum256([]byte(content))
	return "sha256:" + hex.EncodeToString(sum[:])
}

func sha512Of(content string) string {
	sum := sha512.Sum512([]byte(content))
	return "sha512:" + hex.EncodeToString(sum[:])
}

func integrityOf(content string) string {
	sum := sha256.Sum256([]byte(content))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

func TestAChecksumIsHeldAgainstWhatCame(t *testing.T) {
	sums := filepath.Join(t.TempDir(), "SHA256SUMS")
	require.NoError(t, os.WriteFile(sums, []byte(sha256Of("content")[7:]+"  file.tgz\n"), 0o666))
	o := testorigin.New(t)
	url := o.Serve("/dist/file.tgz", []byte("content"))
	o.Serve("/dist/SHA256SUMS", []byte("# none\r\n"+sha256Of("other")[7:]+" *other.tgz\r\n"+sha256Of("content")[7:]+" *file.tgz"))
	for name, spec := range map[string]string{
		"sha256":        sha256Of("content"),
		"sha512":        sha512Of("content"),
		"md5":           "md5:9a0364b9e99bb480dd25e1f0284c8555",
		"integrity":     integrityOf("content"),
		"two of a kind": integrityOf("other") + " " + integrityOf("content"),
		"file by path":  sums,
		"file by URL":   o.URL("/dist/SHA256SUMS"),
	} {
		t.Run(name, func(t *testing.T) {
			m := newManager(t)
			d := m.Download(url, "renamed", WithChecksum(spec))
			require.NoError(t, d.Wait())
			requireContent(t, "content", d.Dest())
			assert.NotEmpty(t, d.Result().Digest)
			assert.True(t, d.Result().Verified)
		})
	}
}

func TestAWrongChecksumLeavesNothing(t *testing.T) {
	o := testorigin.New(t)
	small, large := o.Serve("/small", []byte("content")), o.ServeSize("/large", 4*mib, tagged)
	dir := filepath.Join(t.TempDir(), "cache")
	m := managerAt(t, dir)
	for _, url := range []string{small, large} {
		d := m.Download(url, "file", WithChecksum(sha256Of("other")))
		err := d.Wait()
		require.ErrorIs(t, err, ErrChecksum)
		mismatch, ok := errors.AsType[*ChecksumError](err)
		require.True(t, ok)
		assert.Equal(t, sha256Of("other"), mismatch.Want)
		assert.NotEqual(t, mismatch.Want, mismatch.Got)
		assert.ErrorContains(t, err, mismatch.Want)
		assert.ErrorContains(t, err, mismatch.Got)
		assert.NoFileExists(t, d.Dest())
		requireNothingUnfinished(t, dir)
	}
	assert.Equal(t, 1, o.Count("/small"), "what came in one piece is not asked for again")
}

func TestAChecksumThatCannotBeFoundFails(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/file", []byte("content"))
	o.Serve("/sums", []byte(sha256Of("x")[7:]+"  another\n"))
	m := newManager(t)
	for name, spec := range map[string]string{
		"no such file":         filepath.Join(t.TempDir(), "none"),
		"no such URL":          o.URL("/none"),
		"no entry":             o.URL("/sums"),
		"too short":            "sha256:abcd",
		"without an algorithm": sha256Of("content")[7:],
		"empty":                " ",
	} {
		require.Error(t, m.Download(url, "file", WithChecksum(spec)).Wait(), name)
		assert.NoFileExists(t, filepath.Join(m.dir.Root(), "file"))
	}
	assert.Zero(t, o.Count("/file"))
	require.Error(t, NewDownload(url, filepath.Join(t.TempDir(), "f"), WithChecksum("sha256:1")).Wait())
}

func TestAFileThatIsThereIsHeldAgainstTheChecksum(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/file", nil, testorigin.Sequence(testorigin.Body([]byte("old")), testorigin.Body([]byte("new"))))
	o.Serve("/sums", []byte(sha256Of("new")[7:]+"  file\n"))
	m := newManager(t)
	require.NoError(t, m.Download(url, "file").Wait())

	d := m.Download(url, "file", WithChecksum(sha256Of("old")))
	require.NoError(t, d.Wait())
	assert.Equal(t, OriginCached, d.Result().Origin, "it is hashed")
	assert.Equal(t, sha256Of("old"), d.Result().Digest)
	require.Equal(t, 1, o.Count("/file"))

	d = m.Download(url, "file", WithChecksum(sha256Of("new")))
	require.NoError(t, d.Wait())
	assert.Equal(t, OriginFetched, d.Result().Origin, "it is not the one that is asked for")
	requireContent(t, "new", d.Dest())

	require.ErrorIs(t, m.Download(url, "file", WithChecksum(sha256Of("third"))).Wait(), ErrChecksum)
	requireContent(t, "new", d.Dest())

	for range 2 {
		require.NoError(t, m.Download(url, "file", WithChecksum(o.URL("/sums"))).Wait())
	}
	assert.Equal(t, 1, o.Count("/sums"), "once checked by that file, a hit needs no network")
	now := time.Now().Add(time.Hour)
	require.NoError(t, os.Chtimes(d.Dest(), now, now))
	require.NoError(t, m.Download(url, "file", WithChecksum(o.URL("/sums"))).Wait())
	assert.Equal(t, 1, o.Count("/sums"), "nor does one that was touched and has the digest that was checked")
}

func TestKnownDigestsSurviveTheManager(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/file", []byte("content"))
	dir := filepath.Join(t.TempDir(), "cache")
	require.NoError(t, managerAt(t, dir).Download(url, "file", WithChecksum(sha256Of("content"))).Wait())
	m := managerAt(t, dir)
	d := m.Download(url, "file", WithChecksum(sha256Of("content")), WithSHA256())
	assert.Equal(t, StateDone, d.Progress().State, "nothing has to be read")
	require.NoError(t, d.Wait())
	assert.Equal(t, sha256Of("content"), d.Result().Digest)
	d = m.Download(url, "file", WithChecksum(sha512Of("content")))
	require.NoError(t, d.Wait())
	assert.Equal(t, 1, o.Count("/file"))
}

func TestTheSHA256OfWhatIsFetchedAndOfWhatIsThere(t *testing.T) {
	o := testorigin.New(t)
	m := newManager(t)
	url := o.Serve("/file", []byte("content"))
	require.NoError(t, m.Download(url, "plain").Wait())
	for _, name := range []string{"file", "plain", "plain"} {
		d := m.Download(url, name, WithSHA256())
		require.NoError(t, d.Wait())
		assert.Equal(t, sha256Of("content"), d.Result().Digest)
	}
	d := m.Download(url, "both", WithSHA256(), WithChecksum(sha512Of("content")))
	require.NoError(t, d.Wait())
	assert.Equal(t, sha256Of("content"), d.Result().Digest)
}

func TestChecksumsOfThoseWhoJoin(t *testing.T) {
	o := testorigin.New(t)
	gate := make(chan struct{})
	m := newManager(t)
	url := o.Serve("/file", []byte("content"), testorigin.GateAfter(3, gate))
	first := m.Download(url, "file")
	<-o.Arrived("/file", 1)
	assert.Same(t, first, m.Download(url, "file", WithChecksum(sha256Of("content"))), "it is adopted")
	assert.Same(t, first, m.Download(url, "file", WithChecksum(sha256Of("content"))))
	assert.Same(t, first, m.Download(url, "file"))
	other := m.Download(url, "file", WithChecksum(sha256Of("other")))
	require.ErrorIs(t, other.Wait(), ErrChecksumConflict)
	assert.True(t, first.IsRunning(), "it is untouched")
	unclear := m.Download(url, "file", WithChecksum(sha512Of("content")))
	assert.NotSame(t, first, unclear)
	close(gate)
	require.NoError(t, first.Wait())
	assert.Equal(t, sha256Of("content"), first.Result().Digest)
	require.NoError(t, unclear.Wait())
	assert.Equal(t, OriginCached, unclear.Result().Origin)
	assert.Equal(t, 1, o.Count("/file"))
}

func TestAnAdoptedChecksumCounts(t *testing.T) {
	o := testorigin.New(t)
	gate := make(chan struct{})
	m := newManager(t)
	url := o.Serve("/file", []byte("content"), testorigin.GateAfter(3, gate))
	first := m.Download(url, "file")
	<-o.Arrived("/file", 1)
	m.Download(url, "file", WithChecksum(sha256Of("other")))
	close(gate)
	require.ErrorIs(t, first.Wait(), ErrChecksum)
	assert.NoFileExists(t, first.Dest())
}

func TestWithAChecksumAPartWithoutValidatorsIsGoneOnFrom(t *testing.T) {
	content := contentOf(4 * mib)
	for name, c := range map[string]struct {
		then     testorigin.Option
		requests int
		resumed  int64
	}{
		"the same":   {testorigin.OK(), 2, 2 * mib},
		"other one":  {testorigin.OK(), 3, 0},
		"tag by now": {tagged, 2, 2 * mib},
	} {
		t.Run(name, func(t *testing.T) {
			first := content
			if name == "other one" {
				first = string(make([]byte, 4*mib))
			}
			o := testorigin.New(t)
			url := o.Serve("/file", nil, testorigin.Sequence(
				testorigin.All(testorigin.Body([]byte(first)), testorigin.CutAfter(2*mib)),
				testorigin.All(testorigin.Body([]byte(content)), c.then)))
			dir := filepath.Join(t.TempDir(), "cache")
			m, err := NewDownloadManager(dir, WithStrategy(Once{}), WithConnections(1), WithChecksum(sha256Of(content)))
			require.NoError(t, err)
			require.Error(t, m.Download(url, "file").Wait())
			require.NoError(t, m.Close())
			m = managerAt(t, dir, WithChecksum(sha256Of(content)))
			d := m.Download(url, "file")
			require.NoError(t, d.Wait())
			requireSame(t, 4*mib, d.Dest())
			assert.Equal(t, c.requests, o.Count("/file"))
			assert.Equal(t, c.resumed, d.Result().ResumedFrom)
			assert.Equal(t, "bytes=2097152-", o.Requests("/file")[1].Header.Get("Range"))
		})
	}
}

func TestAMismatchOfPartsRestartsOnce(t *testing.T) {
	o := testorigin.New(t)
	url := o.ServeSize("/file", 4*mib, testorigin.Sequence(testorigin.CutAfter(2*mib), testorigin.OK()))
	m := newManager(t, WithStrategy(Patient{}), WithChecksum(sha256Of("other")))
	require.ErrorIs(t, m.Download(url, "file").Wait(), ErrChecksum)
	assert.Equal(t, 3, o.Count("/file"), "cut, the rest, all of it anew")
	assert.Empty(t, o.Requests("/file")[2].Header.Get("Range"))
}

func TestTheCallersOwnCheck(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/file", []byte("content"))
	dir := filepath.Join(t.TempDir(), "cache")
	m := managerAt(t, dir)
	var seen string
	look := func(_ context.Context, content io.ReaderAt, size int64) error {
		text, err := io.ReadAll(io.NewSectionReader(content, 0, size))
		seen = string(text)
		assert.NoFileExists(t, filepath.Join(dir, "file"), "it has no name yet")
		return err
	}
	require.NoError(t, m.Download(url, "file", WithVerify(look)).Wait())
	assert.Equal(t, "content", seen)

	bad := errors.New("bad signature")
	d := m.Download(url, "refused", WithVerify(func(context.Context, io.ReaderAt, int64) error { return bad }))
	require.ErrorIs(t, d.Wait(), bad)
	assert.NoFileExists(t, d.Dest())
	d = m.Download(url, "panics", WithVerify(func(context.Context, io.ReaderAt, int64) error { panic("x") }))
	require.ErrorContains(t, d.Wait(), "panicked")
	assert.NoFileExists(t, d.Dest())
	d = m.Download(o.ServeSize("/large", 2*mib, tagged), "large", WithVerify(func(context.Context, io.ReaderAt, int64) error { return bad }))
	require.ErrorIs(t, d.Wait(), bad)
	requireNothingUnfinished(t, dir)
}

func TestADigestOfAnEarlierFileProvesNothing(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/file", []byte("content"))
	m := newManager(t)
	d := m.Download(url, "file", WithChecksum(sha256Of("content")))
	require.NoError(t, d.Wait())
	require.NoError(t, os.WriteFile(d.Dest(), []byte("spoiled by somebody"), 0o666))
	d = m.Download(url, "file", WithChecksum(sha256Of("content")), WithSHA256())
	require.NoError(t, d.Wait())
	assert.Equal(t, OriginFetched, d.Result().Origin)
	requireContent(t, "content", d.Dest())
}

func TestACheckThatComesTooLateForAHitIsMadeAfterIt(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/file", []byte("content"))
	m := newManager(t)
	require.NoError(t, m.Download(url, "file").Wait())
	var late *Download
	d := m.Download(url, "file", WithProgress(func(d *Download, _, _ int64) {
		if late == nil {
			late = m.Download(url, "file", WithChecksum(sha256Of("other")))
		}
	}))
	require.NoError(t, d.Wait())
	require.NotSame(t, d, late)
	require.ErrorIs(t, late.Wait(), ErrChecksum)
}

func TestWhatIsFetchedAnewKeepsToTheQueue(t *testing.T) {
	o := testorigin.New(t)
	m := newManager(t, WithMaxConcurrent(1), WithSizeLimit(mib))
	for i := range 3 { // places and holds are given back each time
		url := o.Serve("/file", nil, testorigin.Sequence(testorigin.Body([]byte("old")), testorigin.Body([]byte("new"))))
		name := fmt.Sprint("file", i)
		require.NoError(t, m.Download(url, name).Wait())
		require.NoError(t, m.Download(url, name, WithChecksum(sha256Of("new"))).Wait())
	}
	m.queue.mu.Lock()
	free := m.queue.free
	m.queue.mu.Unlock()
	assert.Equal(t, 1, free)
	m.limit.mu.Lock()
	defer m.limit.mu.Unlock()
	for _, d := range m.limit.dirs {
		assert.Empty(t, d.holds)
	}
}

func TestAChecksumFileAdoptedInATransferThatGoesOn(t *testing.T) {
	o := testorigin.New(t)
	gate := make(chan struct{})
	content := contentOf(4 * mib)
	url := o.ServeSize("/file", 4*mib, tagged, testorigin.Sequence(
		testorigin.All(testorigin.GateAfter(mib, gate), testorigin.CutAfter(2*mib)), testorigin.Status(403, ""), testorigin.OK()))
	o.Serve("/sums", []byte(sha256Of(content)[7:]+"  file\n"))
	m := newManager(t, WithStrategy(noWait{}))
	d := m.Download(url, "file")
	<-o.Arrived("/file", 1)
	require.Same(t, d, m.Download(url, "file", WithChecksum(o.URL("/sums"))))
	close(gate)
	require.NoError(t, d.Wait())
	assert.Equal(t, sha256Of(content), d.Result().Digest)
}

func TestAChecksumFileThatComesLateCostsNoOtherRequestForTheFile(t *testing.T) {
	o := testorigin.New(t)
	content := contentOf(1000)
	url := o.Serve("/file", []byte(content), testorigin.CloseDelimited()) // whose end nothing proves
	sums := o.Serve("/sums", []byte(sha256Of(content)[7:]+"  file\n"), testorigin.Sequence(testorigin.Status(503, ""), testorigin.OK()))
	m := newManager(t, WithStrategy(noWait{}))
	d := m.Download(url, "file", WithProgress(func(_ *Download, current, _ int64) {
		if current > 0 {
			m.Download(url, "file", WithChecksum(sums)) // while it is being received
		}
	}))
	require.NoError(t, d.Wait())
	assert.Equal(t, 2, o.Count("/sums"))
	assert.Equal(t, 1, o.Count("/file"))
}

func TestAChecksumProvesTheEndOfWhatIsThere(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/file", []byte("content"), testorigin.CloseDelimited())
	m := newManager(t)
	d := m.Download(url, "file", WithSHA256())
	require.NoError(t, d.Wait())
	require.False(t, d.Result().Verified)
	for _, opts := range [][]DownloadOption{{WithChecksum(sha256Of("content"))}, {WithSHA256()}} {
		d = m.Download(url, "file", opts...)
		require.NoError(t, d.Wait())
		assert.True(t, d.Result().Verified)
	}
}

func TestOneChecksumFileForTwoURLs(t *testing.T) {
	o := testorigin.New(t)
	a, b := o.Serve("/a", []byte("a")), o.Serve("/b", []byte("b"))
	sums := o.Serve("/sums", []byte(sha256Of("a")[7:]+"  a\n"+sha256Of("b")[7:]+"  b\n"))
	m := newManager(t)
	require.NoError(t, m.Download(a, "name", WithChecksum(sums)).Wait())
	d := m.Download(b, "name", WithChecksum(sums))
	require.NoError(t, d.Wait())
	requireContent(t, "b", d.Dest())
}

func TestAFileThatCannotBeReadIsNotHashedForEver(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/file", []byte("content"))
	faulty := faultfs.New(afero.NewOsFs())
	m := newManager(t, WithFs(faulty))
	require.NoError(t, m.Download(url, "file").Wait())
	faulty.Fail(faultfs.OpOpen, func(name string) bool { return filepath.Base(name) == "file" }, os.ErrPermission)
	require.ErrorIs(t, m.Download(url, "file", WithChecksum(sha256Of("content"))).Wait(), os.ErrPermission)
}

func TestPartsThatOnlyADigestJoinsAreNotGoneOnFromWithoutOne(t *testing.T) {
	a, b := contentOf(4*mib), strings.Repeat("b", 4*mib)
	o := testorigin.New(t)
	url := o.Serve("/file", nil, testorigin.Sequence(
		testorigin.All(testorigin.Body([]byte(a)), testorigin.CutAfter(2*mib)),                        // no validator
		testorigin.All(testorigin.Body([]byte(b)), testorigin.ETag(`"v1"`), testorigin.CutAfter(mib)), // other content
		testorigin.All(testorigin.Body([]byte(a)), testorigin.ETag(`"v1"`))))
	dir := filepath.Join(t.TempDir(), "cache")
	for range 2 {
		m, err := NewDownloadManager(dir, WithStrategy(Once{}), WithConnections(1), WithChecksum(sha256Of(a)))
		require.NoError(t, err)
		require.Error(t, m.Download(url, "file").Wait())
		require.NoError(t, m.Close())
	}
	m := managerAt(t, dir)
	d := m.Download(url, "file")
	require.NoError(t, d.Wait())
	requireSame(t, 4*mib, d.Dest())
}
