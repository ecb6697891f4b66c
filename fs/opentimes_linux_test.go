package fs

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/spf13/afero"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Its name may be another's by the time it is sealed.
func TestASealIsOnTheFileThatIsOpen(t *testing.T) {
	dir := t.TempDir()
	d := openDir(t, afero.NewOsFs(), dir)
	p, err := create(d, "file", 0o666)
	require.NoError(t, err)
	_, err = p.WriteAt([]byte("content"), 0)
	require.NoError(t, err)
	size, written, err := p.Stat()
	require.NoError(t, err)
	aside, temp := filepath.Join(dir, "aside"), filepath.Join(dir, p.temp)
	require.NoError(t, os.Rename(temp, aside))
	require.NoError(t, os.WriteFile(temp, []byte("another's"), 0o666))
	past := time.Unix(1e9, 0)
	require.NoError(t, os.Chtimes(temp, past, past))

	at, err := p.Seal(d, SyncNone, size, written)
	require.NoError(t, err)
	sealed, err := os.Stat(aside)
	require.NoError(t, err)
	assert.True(t, sealed.ModTime().Equal(at))
	assert.True(t, accessTime(sealed).Equal(written))
	other, err := os.Stat(temp)
	require.NoError(t, err)
	assert.True(t, other.ModTime().Equal(past))
	require.NoError(t, p.Cancel())
}

func TestTimesOfWhatHasNoDescriptorAreSetByName(t *testing.T) {
	f, err := afero.NewMemMapFs().Create("file")
	require.NoError(t, err)
	done, err := setOpenTimes(f, time.Now(), time.Now())
	require.NoError(t, err)
	assert.False(t, done)
}
