package dlmanager

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/djherbis/times"
	"github.com/spf13/afero"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/faultfs"
	"github.com/dlmanager/dlmanager/internal/testorigin"
)

// overwrite changes a file's content in place, as a failing disk does: its times
// stay as they are.
func overwrite(t testing.TB, path, content string) {
	t.Helper()
	before, err := os.Stat(path)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, []byte(content), 0o666))
	require.NoError(t, os.Chtimes(path, before.ModTime(), before.ModTime()))
}

func TestVerifyFindsWhatIsDamaged(t *testing.T) {
	o := testorigin.New(t)
	m := newManager(t)
	paths := map[string]string{}
	for _, name := range []string{"whole", "a/flipped", "hashed", "cut", "touched"} {
		url := o.Serve("/"+name, []byte("content"))
		var opts []DownloadOption
		if name == "hashed" {
			opts = append(opts, WithSHA256())
		}
		d := m.Download(url, name, opts...)
		require.NoError(t, d.Wait())
		paths[name] = d.Dest()
	}
	overwrite(t, paths["a/flipped"], "cOntent")
	overwrite(t, paths["hashed"], "contenT")
	overwrite(t, paths["cut"], "cont")
	now := time.Now()
	require.NoError(t, os.Chtimes(paths["touched"], now, now))
	require.NoError(t, os.WriteFile(m.dir.Path("somebody's"), []byte("?"), 0o666))

	var last VerifyProgress
	report, err := m.Verify(t.Context(), VerifyOptions{Parallel: 2, Progress: func(p VerifyProgress) {
		assert.Equal(t, last.Files+1, p.Files)
		last = p
	}})
	require.NoError(t, err)
	require.Len(t, report.Damaged, 3)
	assert.Equal(t, []string{"a/flipped", "cut", "hashed"},
		[]string{report.Damaged[0].Name, report.Damaged[1].Name, report.Damaged[2].Name})
	assert.Equal(t, paths["a/flipped"], report.Damaged[0].Path)
	assert.Equal(t, fmt.Sprintf("crc32c:%08x", crcOf(t, paths["whole"])), report.Damaged[0].Want)
	assert.Equal(t, fmt.Sprintf("crc32c:%08x", crcOf(t, paths["a/flipped"])), report.Damaged[0].Got)
	assert.Equal(t, "7 bytes", report.Damaged[1].Want)
	assert.Equal(t, "4 bytes", report.Damaged[1].Got)
	assert.Equal(t, sha256Of("content"), report.Damaged[2].Want)
	assert.Equal(t, sha256Of("contenT"), report.Damaged[2].Got)
	assert.Equal(t, 6, report.Files)
	assert.Equal(t, 2, report.Intact)
	assert.Equal(t, 1, report.Unknown)
	assert.EqualValues(t, 28, report.Bytes, "what has another size need not be read")
	assert.Equal(t, 6, last.Files)
	assert.Equal(t, 3, last.Damaged)
	for _, d := range report.Damaged {
		assert.False(t, d.Removed)
		assert.FileExists(t, d.Path)
	}
}

func TestVerifyRepairsByRemoval(t *testing.T) {
	o := testorigin.New(t)
	m := newManager(t, WithSizeLimit(mib))
	url := o.Serve("/file", []byte("content"))
	d := m.Download(url, "file")
	require.NoError(t, d.Wait())
	overwrite(t, d.Dest(), "tnetnoc")
	report, err := m.Verify(t.Context(), VerifyOptions{Repair: true})
	require.NoError(t, err)
	require.Len(t, report.Damaged, 1)
	assert.True(t, report.Damaged[0].Removed)
	require.NoFileExists(t, d.Dest())
	d = m.Download(url, "file")
	require.NoError(t, d.Wait())
	requireContent(t, "content", d.Dest())
	assert.Equal(t, OriginFetched, d.Result().Origin)
	report, err = m.Verify(t.Context(), VerifyOptions{Repair: true})
	require.NoError(t, err)
	assert.Equal(t, VerifyReport{Files: 1, Bytes: 7, Intact: 1}, report)
}

func TestVerifyDoesNotCountAsUse(t *testing.T) {
	o := testorigin.New(t)
	m := newManager(t)
	d := m.Download(o.Serve("/file", []byte("content")), "file")
	require.NoError(t, d.Wait())
	before, err := os.Stat(d.Dest())
	require.NoError(t, err)
	long := time.Now().Add(-30 * 24 * time.Hour).Truncate(time.Second)
	require.NoError(t, os.Chtimes(d.Dest(), long, before.ModTime()))
	_, err = m.Verify(t.Context(), VerifyOptions{})
	require.NoError(t, err)
	after, err := os.Stat(d.Dest())
	require.NoError(t, err)
	if usesQuietReads {
		assert.True(t, times.Get(after).AccessTime().Equal(long))
	}
	assert.Equal(t, before.ModTime(), after.ModTime())
}

func TestVerifyEndsWithItsContext(t *testing.T) {
	o := testorigin.New(t)
	m := newManager(t)
	for i := range 20 {
		m.Download(o.Serve(fmt.Sprint("/", i), []byte("content")), fmt.Sprint(i))
	}
	require.NoError(t, m.Wait())
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	report, err := m.Verify(ctx, VerifyOptions{Parallel: 1, Progress: func(VerifyProgress) { cancel(why) }})
	require.ErrorIs(t, err, why)
	assert.Less(t, report.Files, 20)

	assert.Panics(t, func() {
		_, _ = m.Verify(t.Context(), VerifyOptions{Progress: func(VerifyProgress) { panic("no") }})
	})
	require.NoError(t, m.Close())
	_, err = m.Verify(t.Context(), VerifyOptions{})
	require.ErrorIs(t, err, ErrClosed)
}

func TestVerifyReportsWhatCannotBeRead(t *testing.T) {
	o := testorigin.New(t)
	faulty := faultfs.New(afero.NewOsFs())
	m := newManager(t, WithFs(faulty))
	for _, name := range []string{"bad", "good"} {
		require.NoError(t, m.Download(o.Serve("/"+name, []byte(name)), name).Wait())
	}
	faulty.Fail(faultfs.OpRead, func(name string) bool { return filepath.Base(name) == "bad" }, os.ErrPermission)
	report, err := m.Verify(t.Context(), VerifyOptions{Repair: true})
	require.ErrorIs(t, err, os.ErrPermission)
	assert.Equal(t, 1, report.Intact)
	assert.Empty(t, report.Damaged, "what cannot be read may be whole")
	assert.FileExists(t, m.dir.Path("bad"))
}

func TestVerifyBesideDownloads(t *testing.T) {
	o := testorigin.New(t)
	m := newManager(t)
	url := o.Serve("/file", []byte(strings.Repeat("x", 10000)))
	stop := make(chan struct{})
	go func() {
		defer close(stop)
		for range 50 {
			_ = m.Download(url, "file", WithForce()).Wait()
		}
	}()
	for done := false; !done; {
		select {
		case <-stop:
			done = true
		default:
		}
		report, err := m.Verify(t.Context(), VerifyOptions{Repair: true})
		require.NoError(t, err)
		require.Empty(t, report.Damaged)
	}
	require.NoError(t, m.Wait())
}

func TestVerifyLeavesAloneWhatIsInUse(t *testing.T) {
	o := testorigin.New(t)
	m := newManager(t)
	url := o.Serve("/file", []byte("content"))
	f, err := m.Get(t.Context(), url, "file")
	require.NoError(t, err)
	overwrite(t, f.Path(), "cOntent")
	report, err := m.Verify(t.Context(), VerifyOptions{Repair: true})
	require.NoError(t, err)
	require.Len(t, report.Damaged, 1)
	require.ErrorIs(t, report.Damaged[0].Err, ErrInUse)
	assert.False(t, report.Damaged[0].Removed)
	require.NoError(t, f.Close())
	report, err = m.Verify(t.Context(), VerifyOptions{Repair: true})
	require.NoError(t, err)
	assert.True(t, report.Damaged[0].Removed)
}
