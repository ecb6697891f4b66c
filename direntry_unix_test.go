//go:build unix

package dlmanager

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/dlmanager/dlmanager/internal/testorigin"
)

func TestVerifySaysWhichDirectoryCannotBeRead(t *testing.T) {
	o := testorigin.New(t)
	m := newManager(t)
	d, err := m.GetDir(t.Context(), o.Serve("/archive", []byte("program")), "tools", spread)
	require.NoError(t, err)
	require.NoError(t, unix.Mkfifo(filepath.Join(d.Path(), "pipe"), 0o666))
	_, err = m.Verify(t.Context(), VerifyOptions{})
	require.ErrorContains(t, err, `directory "tools/": "pipe": neither a file nor a folder nor a link`)
}
