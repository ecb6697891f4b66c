package dlmanager

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/fs"
)

func TestALargeCacheIsListedByItsJournal(t *testing.T) {
	dir := t.TempDir()
	m := managerAt(t, dir, WithSizeLimit(manyFiles*20))
	long := time.Now().Add(-time.Hour)
	for i := range manyFiles { // the journal says that the first was used last, and lies
		used := long.Add(-time.Duration(i) * time.Second)
		require.NoError(t, m.dir.Record(fs.Entry{Name: fmt.Sprint(i), Size: 10, ModTime: used, Fetched: used}))
		if i < 10 || i > manyFiles-10 {
			path := filepath.Join(dir, fmt.Sprint(i))
			require.NoError(t, os.WriteFile(path, make([]byte, 20), 0o666))
			require.NoError(t, os.Chtimes(path, long.Add(time.Duration(i)*time.Second), long))
		}
	}
	m.dir.Count(fs.Change{Files: 19, Bytes: 19 * 20})
	require.NoError(t, m.limit.learn(t.Context(), m.shelf))
	m.limit.mu.Lock()
	assert.EqualValues(t, 10, m.limit.dirs[m.shelf].files.get("0").size, "nobody looked at it")
	m.limit.mu.Unlock()
	m.limit.setLimit(17 * 20)
	removed, err := m.limit.trim(t.Context(), false)
	require.NoError(t, err)
	require.Len(t, removed, 2)
	assert.Equal(t, filepath.Join(dir, "0"), removed[0].Path, "the file's own time counts")
	assert.EqualValues(t, 20, removed[0].Size)

	require.NoError(t, os.Remove(filepath.Join(dir, "5"))) // behind the back of all
	m.house.exact.Store(true)
	require.NoError(t, m.limit.relist(t.Context(), m.shelf, true))
	assert.Equal(t, 16, m.limit.Usage().Files)
	require.NoError(t, m.Close())
}
