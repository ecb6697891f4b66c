package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager"
)

func TestOneLineCanBeReadBack(t *testing.T) {
	for name, want := range map[string]string{
		"a/b.tgz": "a/b.tgz", `say "x"`: `say "x"`, "日本語 x": "日本語 x",
		"a\nb": `a\nb`, "\x1b[31m": `\x1b[31m`, `\n`: `\\n`, "\xff\"": `\xff"`, "\u202e": `\u202e`,
	} {
		require.Equal(t, want, oneLine(name))
	}
}

func TestSortedLooksAgainForEachBatch(t *testing.T) {
	const n = 20
	unreadable := errors.New("unreadable")
	day := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	looks := 0
	files := func() iter.Seq2[dlmanager.FileInfo, error] {
		looks++
		return func(yield func(dlmanager.FileInfo, error) bool) {
			for i := range n {
				k := i * 7 % n // in another order
				f := dlmanager.FileInfo{Name: strconv.Itoa(100 + k), Size: int64(k / 2), LastUse: day.Add(time.Duration(-k/3) * time.Hour)}
				if !yield(f, nil) {
					return
				}
			}
			yield(dlmanager.FileInfo{}, unreadable)
		}
	}
	for word, order := range orders {
		for _, batch := range []int{1, 3, n / 2, n, 2 * n} {
			looks = 0
			var got []sortedFile
			var last error
			for f, err := range sorted(files, order, batch) {
				if last = err; err == nil {
					got = append(got, f)
				}
			}
			require.ErrorIs(t, last, unreadable, "it comes last")
			require.Len(t, got, n, "%s, batches of %d", word, batch)
			for i := 1; i < n; i++ {
				require.Negative(t, order(got[i-1], got[i]), "%s, batches of %d", word, batch)
			}
			want := 1 // what fits is not looked at again
			for left := n; left >= 2*batch; left -= batch {
				want++
			}
			require.Equal(t, want, looks, "%s, batches of %d", word, batch)
		}
	}
	for range sorted(files, orders["name"], 3) {
		break // which ends it
	}
}

func TestConfirm(t *testing.T) {
	for answer, want := range map[string]error{
		"y\n": nil, "Yes\r\n": nil, " y": nil,
		"": errNotConfirmed, "\n": errNotConfirmed, "n\n": errNotConfirmed, "yesterday\n": errNotConfirmed,
	} {
		in, typed, err := os.Pipe()
		require.NoError(t, err)
		_, err = io.WriteString(typed, answer)
		require.NoError(t, err)
		require.NoError(t, typed.Close())
		var said bytes.Buffer
		require.Equal(t, want, newUI(nil, &said).confirm(t.Context(), in, "remove\x1b all?"), "%q", answer)
		require.Equal(t, "dlm: remove? all? [y/N] ", said.String())
		require.NoError(t, in.Close())
	}
	in, typed, err := os.Pipe()
	require.NoError(t, err)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("stopped")
	cancel(why)
	require.Equal(t, why, newUI(nil, io.Discard).confirm(ctx, in, "?"), "nobody answers")
	require.NoError(t, typed.Close())
	require.NoError(t, in.Close())
}
