package dlmanager

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/afero"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/faultfs"
	"github.com/dlmanager/dlmanager/internal/testorigin"
)

// startedAt lets the manager believe that the machine was started at another time.
func startedAt(boot string) Option {
	return managerOption(func(c *managerConfig) { c.boot = boot })
}

func TestAFileOfAnotherSizeIsFetchedAnew(t *testing.T) {
	for _, sync := range []SyncMode{SyncFile, SyncNone} {
		for _, content := range []string{"", "cont", "content and more"} {
			for _, keepTime := range []bool{false, true} {
				t.Run(fmt.Sprintf("sync=%d/%q/%v", sync, content, keepTime), func(t *testing.T) {
					o := testorigin.New(t)
					url := o.Serve("/file", []byte("content"))
					dir := filepath.Join(t.TempDir(), "cache")
					m := managerAt(t, dir, WithSync(sync))
					d := m.Download(url, "file")
					require.NoError(t, d.Wait())
					if keepTime {
						overwrite(t, d.Dest(), content)
					} else {
						require.NoError(t, os.WriteFile(d.Dest(), []byte(content), 0o666))
					}
					for _, m := range []*DownloadManager{m, managerAt(t, dir)} {
						d = m.Download(url, "file")
						require.NoError(t, d.Wait())
						requireContent(t, "content", d.Dest())
					}
					require.Equal(t, 2, o.Count("/file"))
				})
			}
		}
	}
}

func TestATouchedFileIsReadOnceAndStays(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/file", []byte("content"))
	m := newManager(t)
	d := m.Download(url, "")
	require.NoError(t, d.Wait())
	then := time.Now().Add(-time.Hour)
	require.NoError(t, os.Chtimes(d.Dest(), then, then))
	d = m.Download(url, "")
	require.NoError(t, d.Wait())
	assert.Equal(t, OriginCached, d.Result().Origin)
	assert.Equal(t, 1, o.Count("/file"))
	info, err := m.dir.Stat("file")
	require.NoError(t, err)
	assert.WithinDuration(t, then, info.ModTime, time.Second)
	_, known := m.dir.Entry("file", info)
	assert.True(t, known, "its new time is remembered")
	m.withoutReading(func() { require.NoError(t, m.Download(url, "").Wait()) })
}

// withoutReading runs fn, which must not let the manager read a file again: it
// would wait for ever.
func (m *DownloadManager) withoutReading(fn func()) {
	places := m.cfg.defaults.reading.places
	for range cap(places) {
		places <- struct{}{}
	}
	fn()
	for range cap(places) {
		<-places
	}
}

func TestATouchedFileThatWasChangedIsFetchedAnew(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/file", []byte("content"))
	m := newManager(t)
	d := m.Download(url, "file", WithSHA256())
	require.NoError(t, d.Wait())
	require.NoError(t, os.WriteFile(d.Dest(), []byte("CONTENT"), 0o666)) // a new time
	d = m.Download(url, "file")
	require.NoError(t, d.Wait())
	assert.Equal(t, OriginFetched, d.Result().Origin)
	requireContent(t, "content", d.Dest())
}

func TestAWholeSecondIsNoProof(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/file", []byte("content"))
	m := newManager(t)
	d := m.Download(url, "file", WithSHA256())
	require.NoError(t, d.Wait())
	was, err := os.Stat(d.Dest())
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(d.Dest(), []byte("CONTENT"), 0o666))
	second := was.ModTime().Truncate(time.Second)
	require.NoError(t, os.Chtimes(d.Dest(), second, second))
	d = m.Download(url, "file", WithChecksum(sha256Of("content")))
	require.NoError(t, d.Wait())
	requireContent(t, "content", d.Dest())
}

func TestAFileThatNobodyKnowsIsFound(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/file", []byte("content"))
	m := newManager(t)
	require.NoError(t, os.WriteFile(m.dir.Path("file"), []byte("mine"), 0o666))
	require.NoError(t, m.Download(url, "file").Wait())
	assert.Zero(t, o.Count("/file"))
}

// losing is what a power loss makes of a file that was not flushed.
var losing = map[string]func(t *testing.T, path string){
	"zeroed":    func(t *testing.T, path string) { overwrite(t, path, strings.Repeat("\x00", len("content"))) },
	"emptied":   func(t *testing.T, path string) { overwrite(t, path, "") },
	"truncated": func(t *testing.T, path string) { overwrite(t, path, "con") },
	"zeroed with another time": func(t *testing.T, path string) {
		require.NoError(t, os.WriteFile(path, make([]byte, len("content")), 0o666))
	},
	"whole": func(*testing.T, string) {},
}

func TestAPowerLossServesNoWrongByte(t *testing.T) {
	for what, lose := range losing {
		for _, journal := range []bool{true, false} {
			for _, later := range []string{"second", ""} {
				t.Run(fmt.Sprintf("%s/journal=%v/boot=%q", what, journal, later), func(t *testing.T) {
					o := testorigin.New(t)
					url := o.Serve("/file", []byte("content"))
					dir := filepath.Join(t.TempDir(), "cache")
					m, err := NewDownloadManager(dir, WithSync(SyncNone), startedAt("first"))
					require.NoError(t, err)
					require.NoError(t, m.Download(url, "file").Wait())
					require.NoError(t, m.Close())
					lose(t, filepath.Join(dir, "file"))
					if !journal {
						require.NoError(t, os.Truncate(filepath.Join(dir, ".dlm", "entries"), 0))
					}

					m = managerAt(t, dir, WithSync(SyncNone), startedAt(later))
					d := m.Download(url, "file")
					require.NoError(t, d.Wait())
					requireContent(t, "content", d.Dest())
					fetches := 2
					if what == "whole" && journal {
						fetches = 1
					}
					assert.Equal(t, fetches, o.Count("/file"))

					m.withoutReading(func() { require.NoError(t, m.Download(url, "file").Wait()) })
					assert.Equal(t, fetches, o.Count("/file"))
				})
			}
		}
	}
}

func TestWhatWasFlushedIsNotReadAfterAPowerLoss(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/file", []byte("content"))
	dir := filepath.Join(t.TempDir(), "cache")
	for _, mode := range []SyncMode{SyncFile, SyncDir} {
		m, err := NewDownloadManager(dir, WithSync(mode), startedAt("first"))
		require.NoError(t, err)
		require.NoError(t, m.Download(url, "file", WithForce()).Wait())
		require.NoError(t, m.Close())
		m = managerAt(t, dir, startedAt("second"))
		m.withoutReading(func() { require.NoError(t, m.Download(url, "file").Wait()) })
	}
	assert.Equal(t, 2, o.Count("/file"))
}

func TestWhatWasNotFlushedIsReadOnceByHundreds(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/file", []byte("content"))
	dir := filepath.Join(t.TempDir(), "cache")
	m, err := NewDownloadManager(dir, WithSync(SyncNone), startedAt("first"))
	require.NoError(t, err)
	require.NoError(t, m.Download(url, "file").Wait())
	m.withoutReading(func() { require.NoError(t, m.Download(url, "file").Wait()) }) // the machine still runs
	require.NoError(t, m.Close())

	faulty := faultfs.New(afero.NewOsFs())
	m = managerAt(t, dir, startedAt("second"), WithFs(faulty))
	var all sync.WaitGroup
	for range 100 {
		all.Go(func() { assert.NoError(t, m.Download(url, "file").Wait()) })
	}
	all.Wait()
	opened := 0
	for _, line := range faulty.Log() {
		if strings.Contains(line, "open") && strings.Contains(line, filepath.Join(dir, "file")) {
			opened++
		}
	}
	assert.Equal(t, 2, opened, "to be read, and to be flushed")
	third := managerAt(t, dir, startedAt("third"))
	third.withoutReading(func() { require.NoError(t, third.Download(url, "file").Wait()) })
	assert.Equal(t, 1, o.Count("/file"))
}

func TestVerifyReadsWhatWasNotFlushed(t *testing.T) {
	o := testorigin.New(t)
	dir := filepath.Join(t.TempDir(), "cache")
	m, err := NewDownloadManager(dir, WithSync(SyncNone), startedAt("first"))
	require.NoError(t, err)
	for _, name := range []string{"lost", "whole"} {
		require.NoError(t, m.Download(o.Serve("/"+name, []byte("content")), name).Wait())
	}
	require.NoError(t, m.Close())
	losing["zeroed"](t, filepath.Join(dir, "lost"))
	m = managerAt(t, dir, startedAt("second"))
	report, err := m.Verify(t.Context(), VerifyOptions{Repair: true})
	require.NoError(t, err)
	require.Len(t, report.Damaged, 1)
	assert.Equal(t, "lost", report.Damaged[0].Name)
	m.withoutReading(func() { require.NoError(t, m.Download(o.URL("/whole"), "whole").Wait()) })
	assert.Equal(t, 1, o.Count("/whole"))
}

func TestACacheMadeBeforeThereWereSealsWorks(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/file", []byte("content"))
	m := newManager(t)
	require.NoError(t, m.Download(url, "file").Wait())
	info, err := m.dir.Stat("file")
	require.NoError(t, err)
	entry, _ := m.dir.Lookup("file")
	entry.ModTime = time.Now().Add(-time.Minute).Round(time.Millisecond).Add(123456 * time.Nanosecond)
	require.NoError(t, os.Chtimes(m.dir.Path("file"), info.LastUse, entry.ModTime))
	require.NoError(t, m.dir.Record(entry))
	for range 2 {
		m.withoutReading(func() { require.NoError(t, m.Download(url, "file").Wait()) })
	}
	assert.Equal(t, 1, o.Count("/file"))
	require.NoError(t, os.Truncate(m.dir.Path("file"), 3))
	require.NoError(t, m.Download(url, "file").Wait())
	assert.Equal(t, 2, o.Count("/file"))
}

func TestHashingIsBounded(t *testing.T) {
	o := testorigin.New(t)
	m := newManager(t)
	const files = 40
	for i := range files {
		name := fmt.Sprint(i)
		require.NoError(t, m.Download(o.Serve("/"+name, []byte("content")), name).Wait())
	}
	var all []*Download
	m.withoutReading(func() {
		for i := range files {
			all = append(all, m.Download(o.URL(fmt.Sprint("/", i)), fmt.Sprint(i), WithSHA256()))
		}
		m.Interrupt(nil)
		require.NoError(t, m.Wait())
	})
	for _, d := range all {
		require.ErrorIs(t, d.Err(), ErrInterrupted)
	}
}

func TestOpenAndGetServeNoWrongByte(t *testing.T) {
	for what, lose := range losing {
		t.Run(what, func(t *testing.T) {
			o := testorigin.New(t)
			url := o.Serve("/file", []byte("content"))
			dir := filepath.Join(t.TempDir(), "cache")
			m, err := NewDownloadManager(dir, WithSync(SyncNone), startedAt("first"))
			require.NoError(t, err)
			require.NoError(t, m.Download(url, "file").Wait())
			require.NoError(t, m.Close())
			lose(t, filepath.Join(dir, "file"))
			m = managerAt(t, dir, startedAt("second"))
			f, err := m.Open("file")
			if what != "whole" {
				require.ErrorIs(t, err, ErrNotCached)
				f, err = m.Get(t.Context(), url, "file")
			}
			require.NoError(t, err)
			content, err := io.ReadAll(f)
			require.NoError(t, err)
			assert.Equal(t, "content", string(content))
		})
	}
}
