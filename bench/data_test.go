package main

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestScalingTakesFewerFilesOrASmallerOne(t *testing.T) {
	require.Equal(t, payload{count: 10, size: 4 * kib}, payload{count: 10_000, size: 4 * kib}.scaled(.001))
	require.Equal(t, payload{count: 2, size: mib}, payload{count: 1000, size: mib}.scaled(.0001))
	require.Equal(t, payload{count: 1, size: 512 * mib}, payload{count: 1, size: gib}.scaled(.5))
	require.Equal(t, payload{count: 1, size: 64 * kib}, payload{count: 1, size: mib}.scaled(.001))
	require.Equal(t, payload{count: 1, size: 4 * kib}, payload{count: 1, size: 4 * kib}.scaled(.001), "never a larger one")
	for _, s := range scenarios() {
		require.Equal(t, s.load, s.load.scaled(1))
	}
}

func TestTheStoreMakesEachPayloadOnce(t *testing.T) {
	s := newStore(t.TempDir())
	l := payload{count: 3, size: 5000}
	files, err := s.get(l)
	require.NoError(t, err)
	require.Len(t, files, 3)
	require.NotEqual(t, files[0].sum, files[1].sum)
	sum, err := sumOf(filepath.Join(s.dir, l.folder(), files[2].name))
	require.NoError(t, err)
	require.Equal(t, files[2].sum, sum)
	again, err := s.get(l)
	require.NoError(t, err)
	require.Equal(t, files, again)
}

func TestASparseFileTakesNoRoom(t *testing.T) {
	s := newStore(t.TempDir())
	l := payload{count: 1, size: mib, sparse: true}
	files, err := s.get(l)
	require.NoError(t, err)
	info, err := os.Stat(filepath.Join(s.dir, l.folder(), files[0].name))
	require.NoError(t, err)
	require.EqualValues(t, mib, info.Size())
	require.Less(t, info.Sys().(*syscall.Stat_t).Blocks*512, int64(mib/2))
}
