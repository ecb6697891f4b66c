package batch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// listing is pages by their cursors; what stands behind "|" is the next one.
type listing map[string]string

func (l listing) fetch(_ context.Context, cursor string) ([]string, string, error) {
	items, next, _ := strings.Cut(l[cursor], "|")
	return strings.Fields(items), next, nil
}

func all[T any](t testing.TB, s Source[T]) (items []T) {
	t.Helper()
	for range 1000 {
		item, err := s.Next(t.Context())
		if errors.Is(err, io.EOF) {
			return items
		}
		require.NoError(t, err)
		items = append(items, item)
	}
	t.Fatal("it does not end")
	return nil
}

func TestAPagedListingEnds(t *testing.T) {
	for name, l := range map[string]listing{
		"without a next page":    {"": "a b|1", "1": "c|2", "2": "d"},
		"with an empty page":     {"": "a b|1", "1": "c d|2", "2": "|3", "3": "x"},
		"with a repeated page":   {"": "a b|1", "1": "c d|2", "2": "c d|3", "3": "x"},
		"with a repeated cursor": {"": "a b|1", "1": "c d|1"},
		"with a circle":          {"": "a b|1", "1": "c|2", "2": "d|1"},
	} {
		p := NewPages(l.fetch, "m", 0)
		assert.Equal(t, []string{"a", "b", "c", "d"}, all(t, p), name)
		_, err := p.Next(t.Context())
		require.ErrorIs(t, err, io.EOF)
	}
	assert.Empty(t, all(t, NewPages(listing{}.fetch, "m", 0)))
}

func TestAPageThatFailsIsAskedForAgain(t *testing.T) {
	fails := 2
	p := NewPages(func(ctx context.Context, cursor string) ([]string, string, error) {
		if cursor == "1" && fails > 0 {
			fails--
			return nil, "", errFull
		}
		return listing{"": "a|1", "1": "b"}.fetch(ctx, cursor)
	}, "m", 0)
	_, err := p.Next(t.Context())
	require.NoError(t, err)
	for range 2 {
		_, err = p.Next(t.Context())
		require.ErrorIs(t, err, errFull)
	}
	assert.Equal(t, []string{"b"}, all(t, p))
}

func TestAListingGoesOnWithTheItemInHand(t *testing.T) {
	l := listing{"": "a b|1", "1": "c d|2", "2": "e"}
	for n := range 7 {
		p := NewPages(l.fetch, "m", 0)
		for range n {
			_, _ = p.Next(t.Context())
		}
		frozen, err := p.Freeze()
		require.NoError(t, err)
		again := NewPages(l.fetch, "m", 0)
		require.NoError(t, again.Thaw(frozen))
		refrozen, err := again.Freeze()
		require.NoError(t, err)
		assert.Equal(t, frozen, refrozen)
		want := []string{"a", "b", "c", "d", "e"}
		if n == 6 {
			want = want[5:] // the end was reached
		} else {
			want = want[max(0, n-1):]
		}
		assert.Equal(t, 5-len(want), frozen.Index)
		assert.Equal(t, want, append([]string{}, all(t, again)...), "after %d", n)
	}
	p := NewPages(l.fetch, "m", 0)
	require.NoError(t, p.Thaw(Frozen{Format: 1, Magic: "m", Position: []byte(`{"cursor": "1", "at": 7}`)}))
	assert.Equal(t, []string{"e"}, all(t, p), "the page has got shorter")
}

// resumed goes through a listing and stops after some items; -1: it does not.
func resumed(t *testing.T, store Store, magic string, stop int) (r *Resumption[string], items []string, said string) {
	t.Helper()
	var log strings.Builder
	p := NewPages(listing{"": "a b|1", "1": "c d|2", "2": "e"}.fetch, magic, time.Hour)
	r, err := Resumable(p, store, slog.New(slog.NewTextHandler(&log, nil)))
	require.NoError(t, err)
	for item, err := range r.All(t.Context()) {
		require.NoError(t, err)
		items = append(items, item)
		if len(items) == stop {
			break
		}
	}
	return r, items, log.String()
}

func TestAResumableIterationGoesOnWhereItWasLeft(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	store := NewFileStore(path)
	r, items, _ := resumed(t, store, "m", 3)
	assert.False(t, r.Resuming)
	assert.Equal(t, []string{"a", "b", "c"}, items)
	fi, err := os.Stat(path)
	require.NoError(t, err)
	assert.Zero(t, fi.Mode().Perm()&0o077)
	r, items, said := resumed(t, store, "m", 2)
	assert.True(t, r.Resuming)
	assert.Equal(t, 2, r.Start)
	assert.Equal(t, []string{"c", "d"}, items, "leaving the loop early keeps it")
	assert.Empty(t, said)
	_, items, _ = resumed(t, store, "m", -1)
	assert.Equal(t, []string{"d", "e"}, items)
	left, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	assert.Empty(t, left, "removed on completion")
}

func TestAStateThatCannotBeUsedIsSetAside(t *testing.T) {
	good := Frozen{Format: 1, Magic: "m", Index: 2, Position: []byte(`{"cursor":"1","at":0}`)}
	expired, foreign := good, good
	expired.BestBefore = time.Now().Add(-time.Minute)
	foreign.Magic = "other"
	for name, state := range map[string]any{"expired": expired, "foreign": foreign, "corrupt": "nonsense"} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "state")
			store := NewFileStore(path)
			text, err := json.Marshal(state)
			require.NoError(t, err)
			require.NoError(t, store.Save(text))
			r, items, said := resumed(t, store, "m", -1)
			assert.False(t, r.Resuming)
			assert.Len(t, items, 5)
			assert.Contains(t, said, "beginning anew")
			assert.Equal(t, string(text), readFile(t, path+".aside"))
		})
	}
}

func TestAStateIsSavedOnErrorsInterruptsAndPanics(t *testing.T) {
	store := NewFileStore(filepath.Join(t.TempDir(), "state"))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	broken := false
	p := NewPages(func(ctx context.Context, cursor string) ([]string, string, error) {
		if broken {
			return nil, "", errFull
		}
		return listing{"": "a b|1", "1": "c d|2", "2": "e"}.fetch(ctx, cursor)
	}, "m", 0)
	r, err := Resumable(p, store, slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	broken = false
	var last error
	for item, err := range r.All(ctx) {
		last = err
		if item == "b" {
			broken = true
		}
	}
	require.ErrorIs(t, last, errFull)
	_, items, _ := resumed(t, store, "m", 1)
	assert.Equal(t, []string{"b"}, items)

	broken = false
	for item, err := range r.All(ctx) {
		last = err
		if item == "c" {
			cancel()
		}
	}
	require.ErrorIs(t, last, context.Canceled)
	_, items, _ = resumed(t, store, "m", 1)
	assert.Equal(t, []string{"c"}, items)

	assert.Panics(t, func() {
		for range r.All(t.Context()) {
			panic("no")
		}
	})
	_, items, _ = resumed(t, store, "m", 1)
	assert.Equal(t, []string{"d"}, items)
}

func TestAStateIsSavedPeriodically(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		store := NewFileStore(filepath.Join(dir, "state"))
		r, err := Resumable(NewPages(listing{"": "a b c d e f g h"}.fetch, "m", 0), store, slog.New(slog.DiscardHandler))
		require.NoError(t, err)
		n := 0
		for _, err := range r.All(t.Context()) {
			require.NoError(t, err)
			n++
			time.Sleep(time.Second)
			text, err := store.Load()
			if n <= 5 {
				require.ErrorIs(t, err, os.ErrNotExist)
				continue
			}
			require.NoError(t, err)
			frozen, err := parseFrozen(text)
			require.NoError(t, err)
			require.Equal(t, 5, frozen.Index, "as of the fifth second")
		}
	})
}

func TestABadLineIsPassedOverByWhoGoesOn(t *testing.T) {
	list := NewLinkList(strings.NewReader("https://h/1\nnonsense\nhttps://h/2\n"), "links")
	r, err := Resumable(list, NewFileStore(filepath.Join(t.TempDir(), "state")), slog.New(slog.DiscardHandler))
	require.NoError(t, err)
	var got []string
	for link, err := range r.All(t.Context()) {
		if err != nil {
			got = append(got, err.Error()[:8])
			continue
		}
		got = append(got, link.URL)
	}
	assert.Equal(t, []string{"https://h/1", "links:2:", "https://h/2"}, got)
}

func FuzzFrozen(f *testing.F) {
	f.Add([]byte(`{"format":1,"magic":"m","index":2,"position":{"cursor":"1","at":1}}`))
	f.Add([]byte(`{"format":1,"magic":"m","position":{"offset":12,"line":1,"sha256":"x"},"bestBefore":"2020-01-01T00:00:00Z"}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		frozen, err := parseFrozen(text)
		if err != nil {
			return
		}
		frozen.Magic = "m"
		p := NewPages(listing{"": "a b|1", "1": "c d"}.fetch, "m", 0)
		if p.Thaw(frozen) == nil {
			items := all(t, p)
			if len(items) > 4 {
				t.Fatal(fmt.Sprint("more than there is: ", items))
			}
		}
		l := NewLinkList(strings.NewReader("https://h/1\nhttps://h/2\n"), "links")
		frozen.Magic = l.Magic()
		if l.Thaw(frozen) == nil {
			all(t, l)
		}
	})
}
