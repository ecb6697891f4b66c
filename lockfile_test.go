package dlmanager

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/testorigin"
)

// locking has an origin, and a lock file that is not there yet.
type locking struct {
	*testorigin.Origin
	t    *testing.T
	file string
}

func newLocking(t *testing.T) locking {
	return locking{testorigin.New(t), t, filepath.Join(t.TempDir(), "dlm.lock")}
}

// open returns what another process would read of the lock file.
func (l locking) open(o LockOptions) DownloadOption {
	l.t.Helper()
	lock, err := OpenLockFile(l.file, o)
	require.NoError(l.t, err)
	return WithLockFile(lock)
}

func (l locking) text() string { return readFile(l.t, l.file) }

func TestWhatAURLBroughtFirstIsWhatItHasToBring(t *testing.T) {
	l := newLocking(t)
	url := l.Serve("/file", []byte("first"))
	dir := filepath.Join(t.TempDir(), "cache")
	d := managerAt(t, dir, l.open(LockOptions{})).Download("http://user:s3cret@"+url[len("http://"):], "file")
	require.NoError(t, d.Wait())
	assert.Equal(t, sha256Of("first"), d.Result().Digest)
	assert.Equal(t, lockTitle+"\n"+url+" "+sha256Of("first")+"\n", l.text())
	require.NoError(t, d.Wait())

	l.Serve("/file", []byte("second"))
	d = managerAt(t, dir, l.open(LockOptions{})).Download(url, "file")
	require.NoError(t, d.Wait())
	assert.Equal(t, OriginCached, d.Result().Origin)
	elsewhere := filepath.Join(t.TempDir(), "other")
	for _, frozen := range []bool{false, true} {
		d = managerAt(t, elsewhere, l.open(LockOptions{Frozen: frozen})).Download(url, "file")
		err := d.Wait()
		require.ErrorIs(t, err, ErrChecksum)
		require.EqualError(t, err, url+": checksum mismatch: want "+sha256Of("first")+" ("+l.file+":2), got "+sha256Of("second"))
		require.NoFileExists(t, d.Dest())
	}
	assert.Equal(t, lockTitle+"\n"+url+" "+sha256Of("first")+"\n", l.text())
}

func TestAFrozenLockFileIsNotAddedTo(t *testing.T) {
	l := newLocking(t)
	url := l.Serve("/file", []byte("x"))
	_, err := OpenLockFile(l.file, LockOptions{Frozen: true})
	require.ErrorIs(t, err, os.ErrNotExist, "its name may be a slip")
	require.NoError(t, os.WriteFile(l.file, []byte("http://h/a "+sumA), 0o666))
	lock, err := OpenLockFile(l.file, LockOptions{Frozen: true})
	require.NoError(t, err)
	sum, ok := lock.Lookup("http://user@H:80/a")
	assert.True(t, ok)
	assert.Equal(t, sumA, sum)
	for _, other := range []string{url, "", "ftp://h/a"} {
		sum, ok = lock.Lookup(other)
		assert.False(t, ok)
		assert.Empty(t, sum)
	}
	m := newManager(t, WithLockFile(lock))
	err = m.Download(url+"?sig=s3cret", "file").Wait()
	require.ErrorIs(t, err, ErrNotLocked)
	require.ErrorContains(t, err, l.file)
	require.NotContains(t, err.Error(), "s3cret")
	require.ErrorIs(t, m.Download(url, "file", WithChecksum(sha256Of("x"))).Wait(), ErrNotLocked)
	assert.Zero(t, l.Count("/file"))
	assert.Equal(t, "http://h/a "+sumA, l.text())
	require.Error(t, m.Wait())
}

func TestAFileThatIsThereIsLockedIfItCameFromTheURL(t *testing.T) {
	l := newLocking(t)
	url, other := l.Serve("/file", []byte("x")), l.Serve("/other", []byte("y"))
	dir := filepath.Join(t.TempDir(), "cache")
	before := managerAt(t, dir)
	require.NoError(t, before.Download(url, "file").Wait())
	require.NoError(t, os.WriteFile(filepath.Join(dir, "put"), []byte("by hand"), 0o666))

	m := managerAt(t, dir, l.open(LockOptions{}))
	require.NoError(t, m.Download(url, "file").Wait())
	assert.Equal(t, 1, l.Count("/file"), "it was there")
	d := m.Download(other, "file")
	require.NoError(t, d.Wait())
	requireContent(t, "y", d.Dest())
	d = m.Download(other, "put")
	require.NoError(t, d.Wait())
	requireContent(t, "y", d.Dest())
	assert.Equal(t, lockTitle+"\n"+url+" "+sha256Of("x")+"\n"+other+" "+sha256Of("y")+"\n", l.text())

	d = m.Download(url, "file") // which has the other one's content by now
	require.NoError(t, d.Wait())
	requireContent(t, "x", d.Dest())
	require.ErrorIs(t, m.Download(other, "file", WithOffline()).Wait(), ErrNotCached)
	require.Error(t, m.Wait())
}

func TestTwoURLsOfOneNameHaveALineEach(t *testing.T) {
	l := newLocking(t)
	gate := make(chan struct{})
	first, second := l.Serve("/first", []byte("x"), testorigin.Gate(gate)), l.Serve("/second", []byte("y"))
	m := newManager(t, l.open(LockOptions{}))
	a := m.Download(first, "file")
	b := m.Download(second, "file")
	again := m.Download(first, "file")
	<-l.Arrived("/first", 1)
	close(gate)
	require.NoError(t, m.Wait())
	assert.NotSame(t, a, b)
	require.NoError(t, again.Wait())
	assert.Contains(t, l.text(), first+" "+sha256Of("x"))
	assert.Contains(t, l.text(), second+" "+sha256Of("y"))
}

func TestAChecksumThatIsAskedForHasToMatchAsWell(t *testing.T) {
	l := newLocking(t)
	url := l.Serve("/file", []byte("x"))
	require.NoError(t, newManager(t, l.open(LockOptions{})).Download(url, "file", WithChecksum(sha512Of("x"))).Wait())
	require.Contains(t, l.text(), sha256Of("x"))
	l.Serve("/file", []byte("y"))
	d := newManager(t, l.open(LockOptions{})).Download(url, "file", WithChecksum(sha512Of("y")))
	require.ErrorContains(t, d.Wait(), l.file+":2")
	require.NoFileExists(t, d.Dest())
	require.ErrorIs(t, newManager(t, l.open(LockOptions{})).Download(url, "file", WithChecksum(sha512Of("x"))).Wait(), ErrChecksum)
}

func TestWhatIsRefusedIsNotLocked(t *testing.T) {
	l := newLocking(t)
	url := l.Serve("/file", []byte("x"))
	m := newManager(t, l.open(LockOptions{}))
	refuse := WithVerify(func(context.Context, io.ReaderAt, int64) error { return errors.New("no") })
	require.Error(t, m.Download(url, "a", refuse).Wait())
	require.Error(t, m.Download(url, "b", WithChecksum(sha256Of("y"))).Wait())
	require.Error(t, m.Download(l.Serve("/gone", nil, testorigin.Status(404, "")), "c").Wait())
	require.NoFileExists(t, l.file)
	require.Error(t, m.Wait())
}

func TestAFileWithoutALineInTheLockFileGetsNoName(t *testing.T) {
	if runtime.GOOS == "windows" || os.Getuid() == 0 {
		t.Skip("who is root may write everywhere")
	}
	l := newLocking(t)
	url := l.Serve("/file", []byte("x"))
	require.NoError(t, os.Chmod(filepath.Dir(l.file), 0o500))
	d := newManager(t, l.open(LockOptions{})).Download(url, "file")
	require.ErrorIs(t, d.Wait(), os.ErrPermission)
	require.ErrorContains(t, d.Wait(), "write lock file")
	require.NoFileExists(t, d.Dest())
	require.NoError(t, os.Chmod(filepath.Dir(l.file), 0o700))
}

func TestALockFileThatWasBrokenMeanwhileStaysAsItIs(t *testing.T) {
	l := newLocking(t)
	url := l.Serve("/file", []byte("x"))
	lock := l.open(LockOptions{})
	require.NoError(t, os.WriteFile(l.file, []byte("<<<<<<< HEAD\n"), 0o666))
	d := newManager(t, lock).Download(url, "file")
	err := d.Wait()
	bad, ok := errors.AsType[*LockFileError](err)
	require.True(t, ok, err)
	assert.Equal(t, 1, bad.Line)
	assert.Equal(t, "<<<<<<< HEAD\n", l.text())
	require.NoFileExists(t, d.Dest())
}

func TestWhoLocksAURLFirstDecides(t *testing.T) {
	l := newLocking(t)
	url := l.Serve("/file", []byte("x"))
	slow := l.open(LockOptions{}) // has read it before the other one's line
	require.NoError(t, newManager(t, l.open(LockOptions{})).Download(url, "file").Wait())
	l.Serve("/file", []byte("y"))
	d := newManager(t, slow).Download(url, "file")
	require.ErrorIs(t, d.Wait(), ErrChecksum)
	require.ErrorContains(t, d.Wait(), l.file+":2")
	require.NoFileExists(t, d.Dest())
	assert.Contains(t, l.text(), sha256Of("x"))
}

func TestALockedFileThatIsTooOldNeedsNoAsking(t *testing.T) {
	l := newLocking(t)
	url := l.Serve("/file", []byte("x"), tagged)
	m := newManager(t, l.open(LockOptions{}), WithFreshness(FreshFor(0)))
	require.NoError(t, m.Download(url, "file").Wait())
	require.NoError(t, m.Download(url, "file").Wait())
	assert.Equal(t, 1, l.Count("/file"))
}

func TestAFileThatItsOriginVouchesForIsLocked(t *testing.T) {
	l := newLocking(t)
	url := l.Serve("/file", []byte("x"), tagged)
	dir := filepath.Join(t.TempDir(), "cache")
	require.NoError(t, managerAt(t, dir).Download(url, "file").Wait())
	d := managerAt(t, dir, l.open(LockOptions{}), WithFreshness(FreshFor(0))).Download(url, "file")
	require.NoError(t, d.Wait())
	assert.Equal(t, OriginRevalidated, d.Result().Origin)
	assert.Equal(t, sha256Of("x"), d.Result().Digest)
	assert.Contains(t, l.text(), url+" "+sha256Of("x"))

	require.NoError(t, os.Remove(l.file))
	l.Serve("/file", nil, testorigin.Status(500, ""))
	d = managerAt(t, dir, l.open(LockOptions{}), WithFreshness(FreshFor(0)), WithStaleIfError()).Download(url, "file")
	require.NoError(t, d.Wait())
	require.Error(t, d.Result().Stale)
	assert.Contains(t, l.text(), url+" "+sha256Of("x"))
}

func TestDownloadsOfTheirOwnAreLockedToo(t *testing.T) {
	l := newLocking(t)
	url := l.Serve("/file", []byte("x"))
	dest := filepath.Join(t.TempDir(), "file")
	require.NoError(t, NewDownload(url, dest, l.open(LockOptions{})).Wait())
	l.Serve("/file", []byte("y"))
	require.ErrorIs(t, NewDownload(url, dest, l.open(LockOptions{}), WithStrategy(Once{})).Wait(), ErrChecksum)
	requireContent(t, "x", dest)
}

func TestALinkToALockFileStaysOne(t *testing.T) {
	l := newLocking(t)
	real := filepath.Join(t.TempDir(), "real.lock")
	require.NoError(t, os.WriteFile(real, nil, 0o666))
	if err := os.Symlink(real, l.file); err != nil {
		t.Skip("no links here: ", err)
	}
	require.NoError(t, newManager(t, l.open(LockOptions{})).Download(l.Serve("/file", []byte("x")), "file").Wait())
	require.Contains(t, readFile(t, real), sha256Of("x"))
}

func TestWhoWaitsForTheLockFileEndsWithItsContext(t *testing.T) {
	l := newLocking(t)
	lock, err := OpenLockFile(l.file, LockOptions{})
	require.NoError(t, err)
	lock.turn <- struct{}{} // somebody is writing
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	d, err := newCheck(sumA, nil, nil)
	require.NoError(t, err)
	hold := func(ctx context.Context, raw string, gathered int) <-chan error {
		u, err := parseURL(raw)
		require.NoError(t, err)
		ended := make(chan error)
		go func() { ended <- lock.hold(ctx, u, d.want[0]) }()
		for waiting := 0; waiting < gathered; runtime.Gosched() {
			lock.mu.Lock()
			if lock.next != nil {
				waiting = len(lock.next.adds)
			}
			lock.mu.Unlock()
		}
		return ended
	}
	first := hold(ctx, "https://h/a", 1)
	second := hold(t.Context(), "https://h/b", 2)
	cancel(stop)
	require.ErrorIs(t, <-first, stop)
	<-lock.turn
	require.NoError(t, <-second, "whoever gives up takes nobody along")
	assert.Contains(t, l.text(), "https://h/b "+sumA)
}

// lockMany is a second process: DIR LOCK BASE FROM TO.
func lockMany(args []string) error {
	lock, err := OpenLockFile(args[1], LockOptions{})
	if err != nil {
		return err
	}
	m, err := NewDownloadManager(args[0], WithLockFile(lock))
	if err != nil {
		return err
	}
	from, _ := strconv.Atoi(args[3])
	to, _ := strconv.Atoi(args[4])
	for i := from; i < to; i++ {
		m.Download(args[2]+strconv.Itoa(i), strconv.Itoa(i))
	}
	return errors.Join(m.Wait(), m.Close())
}

func TestProcessesThatLockAtOnceLoseNoLine(t *testing.T) {
	l := newLocking(t)
	const each, processes = 15, 4
	for i := range each * processes {
		l.Serve("/"+strconv.Itoa(i), []byte(strconv.Itoa(i)))
	}
	dir := filepath.Join(t.TempDir(), "cache")
	var wg sync.WaitGroup
	for i := range processes {
		p := startProcess(t, "lock", dir, l.file, l.URL("/"), strconv.Itoa(i*each), strconv.Itoa((i+1)*each))
		wg.Go(func() { assert.Equal(t, "lock", p.end()) })
	}
	wg.Wait()
	for i := range each * processes {
		assert.Contains(t, l.text(), l.URL("/"+strconv.Itoa(i))+" "+sha256Of(strconv.Itoa(i))+"\n")
	}
	lines := strings.Split(strings.TrimSpace(l.text()), "\n")[1:]
	assert.IsIncreasing(t, lines)
	entries, err := os.ReadDir(filepath.Dir(l.file))
	require.NoError(t, err)
	assert.Len(t, entries, 1, "nothing is left beside it")
}
