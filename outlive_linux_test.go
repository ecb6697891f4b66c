package dlmanager

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/fs"
	"github.com/dlmanager/dlmanager/internal/testorigin"
)

// openFiles returns what this process has open below dir.
func openFiles(t *testing.T, dir string) (open []string) {
	t.Helper()
	links, err := filepath.Glob("/proc/self/fd/*")
	require.NoError(t, err)
	for _, link := range links {
		if path, err := os.Readlink(link); err == nil && strings.HasPrefix(path, dir) {
			open = append(open, path)
		}
	}
	return open
}

// beyond returns what is in open more often than in known.
func beyond(open, known []string) (more []string) {
	known = slices.Clone(known)
	for _, path := range open {
		if i := slices.Index(known, path); i >= 0 {
			known = slices.Delete(known, i, i+1)
		} else {
			more = append(more, path)
		}
	}
	return more
}

func TestNoDescriptorOrLockOutlivesADownload(t *testing.T) {
	refuse := func(context.Context, io.ReaderAt, int64) error { return errors.New("no") }
	for name, c := range map[string]struct {
		server testorigin.Option
		opts   []DownloadOption
		end    func(*Download) // when half is there
	}{
		"success":        {server: testorigin.OK()},
		"kept":           {server: testorigin.CutAfter(2 * mib)},
		"interrupted":    {server: testorigin.SilentAfter(2 * mib), end: (*Download).Interrupt},
		"cancelled":      {server: testorigin.SilentAfter(2 * mib), end: (*Download).Cancel},
		"not found":      {server: testorigin.Status(404, "")},
		"wrong checksum": {server: testorigin.OK(), opts: []DownloadOption{WithChecksum(sha256Of("other"))}},
		"right checksum": {server: testorigin.OK(), opts: []DownloadOption{WithSHA256(), WithConnections(4)}},
		"refused":        {server: testorigin.OK(), opts: []DownloadOption{WithVerify(refuse)}},
		"callback fails": {server: testorigin.OK(), opts: []DownloadOption{WithProgress(func(*Download, int64, int64) { panic("x") })}},
		"encoded":        {server: testorigin.Gzip()},
	} {
		t.Run(name, func(t *testing.T) {
			o := testorigin.New(t)
			m := newManager(t)
			require.NoError(t, m.Download(o.Serve("/first", []byte("x")), "first").Wait())
			before := openFiles(t, m.dir.Root())
			opts := c.opts
			if c.end != nil {
				opts = append(opts, WithProgress(func(d *Download, current, _ int64) {
					if current == 2*mib {
						c.end(d)
					}
				}))
			}
			_ = m.Download(o.ServeSize("/file", 4*mib, tagged, c.server), "file", opts...).Wait()
			// The manager's own goroutine may have something open for a moment.
			assert.Eventually(t, func() bool {
				return len(beyond(openFiles(t, m.dir.Root()), before)) == 0
			}, 10*time.Second, time.Millisecond, "before: %v", before)
			spot, err := m.dir.Spot("file")
			require.NoError(t, err)
			p, err := spot.Create(0o666, nil)
			require.NoError(t, err, "nobody holds the lock")
			require.NotErrorIs(t, err, fs.ErrHeld)
			require.NoError(t, p.Cancel())
		})
	}
}
