package dlmanager

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spf13/afero"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/faultfs"
	"github.com/dlmanager/dlmanager/internal/testorigin"
)

func TestErrorStatusIsAnErrorWithItsFirstBytes(t *testing.T) {
	o := testorigin.New(t)
	for _, code := range []int{400, 401, 403, 404, 410, 416, 429, 500, 503} {
		dir := t.TempDir()
		d := NewDownload(o.Serve(fmt.Sprint("/", code), nil, testorigin.Status(code, "the reason"), testorigin.RetryAfter("7")),
			filepath.Join(dir, "file"), WithStrategy(Once{}))
		err := d.Wait()
		status, ok := errors.AsType[*StatusError](err)
		require.True(t, ok, "%v", err)
		assert.Equal(t, code, status.Code)
		assert.Equal(t, "the reason", status.Message)
		assert.Equal(t, 7*time.Second, status.RetryAfter)
		assert.Equal(t, code == 404 || code == 410, errors.Is(err, ErrNotFound))
		requireEmpty(t, dir)
	}
	dir := t.TempDir()
	err := NewDownload(o.Serve("/endless", nil, testorigin.Endless(), testorigin.Status(500, "x")), filepath.Join(dir, "file"), WithStrategy(Once{})).Wait()
	require.Error(t, err, "an endless error body is not read to its end")
	requireEmpty(t, dir)
}

func TestAFullDiskIsAnErrorOfTheDisk(t *testing.T) {
	o := testorigin.New(t)
	base := afero.NewMemMapFs()
	faults := faultfs.New(base)
	faults.ShortWrite(nil, 1000, syscall.ENOSPC)
	err := NewDownload(o.ServeSize("/file", 1<<20), "/dest", WithFs(faults)).Wait()
	require.ErrorIs(t, err, syscall.ENOSPC)
	_, isTransfer := errors.AsType[*TransferError](err)
	assert.False(t, isTransfer, "the network is not to blame")
	assert.False(t, IsTemporary(err))
	exists, err := afero.Exists(base, "/dest")
	require.NoError(t, err)
	assert.False(t, exists)
}

func TestNoSecretIsInAnErrorOrALogLine(t *testing.T) {
	o := testorigin.New(t)
	o.Serve("/missing", nil, testorigin.Status(404, ""))
	o.Serve("/cut", []byte("0123456789"), testorigin.CutAfter(3))
	o.Serve("/away", nil, testorigin.Redirect("ftp://user:hunter2@example.com/?token=hunter2", 302))
	host := strings.TrimPrefix(o.URL(""), "http://")
	for _, url := range []string{
		"http://alice:hunter2@" + host + "/missing?token=hunter2#hunter2",
		"http://alice:hunter2@" + host + "/cut?token=hunter2",
		"http://alice:hunter2@" + host + "/away?token=hunter2",
		"http://alice:hunter2@127.0.0.1:1/?token=hunter2",
		"http://alice:hunter2@[::bad/?token=hunter2",
		"ftp://alice:hunter2@example.com/?token=hunter2",
		"http://alice:hunter2@exa mple.com/?token=hunter2",
		"http://a\x7fhunter2/?token=hunter2",
		"http://host:hunter2/",
	} {
		var log strings.Builder
		m := newManager(t, WithLogger(textLogger(&log)))
		err := m.Download(url, "name").Wait()
		require.Error(t, err)
		assert.NotContains(t, err.Error(), "hunter2")
		require.Error(t, m.Wait())
		require.NoError(t, m.Close())
		assert.NotContains(t, log.String(), "hunter2")
		assert.NotEmpty(t, log.String())
	}
}

func TestRetryAfterIsReadAndCapped(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for field, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "-1": 0, "soon": 0,
		"99999999999999999999": 0, "9223372036854775807": maxRetryAfter,
		"Thu, 01 Jan 2026 00:01:00 GMT": time.Minute,
		"Wed, 31 Dec 2025 00:00:00 GMT": 0,
		"Fri, 01 Jan 2100 00:00:00 GMT": maxRetryAfter,
	} {
		assert.Equal(t, want, parseRetryAfter(field, now), field)
	}
}
