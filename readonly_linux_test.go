package dlmanager

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/testorigin"
)

// nobody is a user who owns nothing, and CAP_DAC_READ_SEARCH lets him pass the
// private folders above a test's directory, and no more (capabilities(7)).
const (
	nobody           = 65534
	capDacReadSearch = 2
)

func TestACacheOfAnotherUserIsRead(t *testing.T) {
	o := testorigin.New(t)
	url := o.Serve("/file", []byte("content"))
	dir := filepath.Join(t.TempDir(), "cache")
	m := managerAt(t, dir)
	require.NoError(t, m.Download(url, "folder/file").Wait())
	require.NoError(t, m.Close())
	chmod := func(mode os.FileMode) {
		for _, d := range []string{"folder", ".dlm/partial", ".dlm", "."} {
			require.NoError(t, os.Chmod(filepath.Join(dir, d), mode))
		}
	}
	require.NoError(t, os.MkdirAll(filepath.Join(dir, ".dlm/partial"), 0o777))
	chmod(0o555)
	t.Cleanup(func() { chmod(0o755) })
	path := filepath.Join(dir, "folder", "file")
	old := time.Now().Add(-time.Hour).Truncate(time.Second)
	require.NoError(t, os.Chtimes(path, old, old))

	p := prepareProcess(t, "readonly", dir, url)
	if os.Geteuid() == 0 {
		p.Path = "/proc/self/exe" // the binary lies in a private folder as well
		p.SysProcAttr = &syscall.SysProcAttr{
			Credential:  &syscall.Credential{Uid: nobody, Gid: nobody},
			AmbientCaps: []uintptr{capDacReadSearch},
		}
	}
	p.start(t)
	require.Equal(t, "readonly", p.end())
	fi, err := os.Stat(path)
	require.NoError(t, err)
	assert.True(t, fi.ModTime().Equal(old))
	assert.Equal(t, 1, o.Count("/file"))
}
