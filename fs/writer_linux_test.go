package fs

import (
	"os"
	"os/exec"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spf13/afero"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A file that was not to be executed when it landed may still be open for writing
// in a child of whoever fetched it.
func TestWhatIsMadeExecutableCanBeExecuted(t *testing.T) {
	d := openDir(t, afero.NewOsFs(), t.TempDir())
	program, err := os.ReadFile("/bin/true")
	require.NoError(t, err)
	land(t, d, "program", string(program))
	writer, err := os.OpenFile(d.Path("program"), os.O_WRONLY, 0)
	require.NoError(t, err)
	closed := make(chan struct{})
	time.AfterFunc(5*time.Millisecond, func() {
		assert.NoError(t, writer.Close())
		close(closed)
	})
	info, err := d.Stat("program")
	require.NoError(t, err)
	require.NoError(t, d.MakeExecutable("program", info))
	out, err := exec.Command(d.Path("program")).CombinedOutput()
	require.NoError(t, err, "%s", out)
	<-closed
}

// onChmod calls a function before the mode of a file changes.
type onChmod struct {
	afero.Fs
	call func()
}

func (f onChmod) Chmod(name string, mode os.FileMode) error {
	f.call()
	return f.Fs.Chmod(name, mode)
}

// Others execute at once what they see may be executed.
func TestWhatIsBeingWrittenIsNotMadeExecutable(t *testing.T) {
	d := openDir(t, afero.NewOsFs(), t.TempDir())
	land(t, d, "program", "text")
	writer, err := os.OpenFile(d.Path("program"), os.O_RDWR, 0)
	require.NoError(t, err)
	var closing atomic.Bool
	closed := make(chan struct{})
	go func() {
		closing.Store(true)
		assert.NoError(t, writer.Close())
		close(closed)
	}()
	info, err := d.Stat("program")
	require.NoError(t, err)
	own := d.fsys
	d.fsys = onChmod{own, func() { assert.True(t, closing.Load()) }}
	require.NoError(t, d.MakeExecutable("program", info))
	d.fsys = own
	<-closed
}
