package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEachRoundHasEveryContenderOnceInAnotherOrder(t *testing.T) {
	first := map[int]bool{}
	var last []int
	for round := range 5 {
		order := orderOf(5, round)
		require.Equal(t, []int{0, 1, 2, 3, 4}, slices.Sorted(slices.Values(order)))
		require.NotEqual(t, last, order)
		last = order
		first[order[0]] = true
	}
	require.Len(t, first, 5, "everybody begins once")
	require.Equal(t, []int{0, 1}, orderOf(2, 0))
	require.Equal(t, []int{1, 0}, orderOf(2, 1))
	require.Equal(t, []int{0}, orderOf(1, 1))
}

func TestACopyThatWentWrongIsFound(t *testing.T) {
	s := newStore(t.TempDir())
	want, err := s.get(payload{count: 2, size: 1000})
	require.NoError(t, err)
	from := filepath.Join(s.dir, payload{count: 2, size: 1000}.folder())
	copyTo := func(path string, f source, change func([]byte) []byte) {
		data, err := os.ReadFile(filepath.Join(from, f.name))
		require.NoError(t, err)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, change(data), 0o644))
	}
	whole := func(b []byte) []byte { return b }
	dir := t.TempDir()
	// Where in the directory a contender puts its files is its own affair.
	copyTo(filepath.Join(dir, "host", want[0].name), want[0], whole)
	require.ErrorContains(t, verify(dir, want, false), "there is no f00001.bin")

	second := filepath.Join(dir, want[1].name)
	copyTo(second, want[1], func(b []byte) []byte { return b[:999] })
	require.ErrorContains(t, verify(dir, want, false), "999 bytes of 1000")

	copyTo(second, want[1], func(b []byte) []byte { b[500]++; return b })
	require.NoError(t, verify(dir, want, false))
	require.ErrorContains(t, verify(dir, want, true), "content of f00001.bin is wrong")

	copyTo(second, want[1], whole)
	require.NoError(t, verify(dir, want, true))
}
