package fs

import (
	"fmt"
	"testing"

	"github.com/spf13/afero"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAFolderInMemoryMayShrinkWhileItIsRead(t *testing.T) {
	fsys := afero.NewMemMapFs()
	const files = 2*walkBatch + 1
	for i := range files {
		require.NoError(t, afero.WriteFile(fsys, fmt.Sprint("folder/", i), nil, 0o666))
	}
	f, err := fsys.Open("folder")
	require.NoError(t, err)
	defer f.Close()
	told := 0
	require.NoError(t, EachName(f, func(base string) error {
		told++
		return fsys.Remove("folder/" + base)
	}))
	assert.Equal(t, files, told)
}
