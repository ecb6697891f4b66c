package batch

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// readList returns the links, and the errors by their lines.
func readList(t testing.TB, l *LinkList) (links []Link, bad map[int]string, end error) {
	t.Helper()
	bad = map[int]string{}
	for {
		link, err := l.Next(t.Context())
		if wrong, ok := errors.AsType[*LineError](err); ok {
			bad[wrong.Line] = wrong.Error()
			continue
		}
		if err != nil {
			return links, bad, err
		}
		links = append(links, link)
	}
}

func TestALinkListIsReadLineByLine(t *testing.T) {
	long := "https://h/" + strings.Repeat("x", 60<<10)
	text := "\xef\xbb\xbfhttps://h/1\r\n\r\n  # a comment\n\thttps://h/2 two\n" +
		"https://h/3 three/3 sha256-abc=\nhttps://h/4 - sha256:00\n" +
		`{"url": "https://h/5", "name": "my 5", "checksum": "md5:0", "mirrors": ["https://m/5"], "priority": 2}` + "\n" +
		long + "\nhttps://h/日本"
	links, bad, err := readList(t, NewLinkList(strings.NewReader(text), "links"))
	require.ErrorIs(t, err, io.EOF)
	assert.Empty(t, bad)
	assert.Equal(t, []Link{
		{URL: "https://h/1", Line: 1},
		{URL: "https://h/2", Name: "two", Line: 4},
		{URL: "https://h/3", Name: "three/3", Checksum: "sha256-abc=", Line: 5},
		{URL: "https://h/4", Checksum: "sha256:00", Line: 6},
		{URL: "https://h/5", Name: "my 5", Checksum: "md5:0", Mirrors: []string{"https://m/5"}, Priority: 2, Line: 7},
		{URL: long, Line: 8},
		{URL: "https://h/日本", Line: 9},
	}, links)
}

func TestEachBadLineIsAnErrorWithItsNumber(t *testing.T) {
	lines := []string{
		"https://h/ok",
		"h/x", "ftp://h/x", "https://h/x a b c", "https://h/x sha256:00", "https://user:topsecret@h:port/x",
		`{"url": "https://h/x"`, `{"uri": "https://h/x"}`, `{"url": 5}`, `{"name": "x"}`, `{"url": "https://h/x"} x`,
		`{"url": "https://h/x", "mirrors": ["x://u:topsecret@h"]}`, "https://h/topsecret\x1b[31m",
		"https://h/" + strings.Repeat("y", maxLine),
		"https://h/last",
	}
	links, bad, err := readList(t, NewLinkList(strings.NewReader(strings.Join(lines, "\n")), "links.txt"))
	require.ErrorIs(t, err, io.EOF)
	assert.Len(t, links, 2)
	assert.Equal(t, len(lines), links[1].Line)
	for n := 2; n < len(lines); n++ {
		assert.True(t, strings.HasPrefix(bad[n], fmt.Sprintf("links.txt:%d: ", n)), "line %d: %q", n, bad[n])
		assert.NotContains(t, bad[n], "topsecret")
	}
	assert.Contains(t, bad[5], "write - there")
}

func TestWhatIsNoListIsSeenEarly(t *testing.T) {
	for name, text := range map[string]string{
		"binary":          "\x7fELF\x02\x01\x01\x00\x00\n" + strings.Repeat("\x00\xff\n", 1_000_000),
		"prose":           strings.Repeat("this is no link\n", 1_000_000),
		"an endless line": strings.Repeat("x", 10<<20),
		"later":           "https://h/1\nhttps://h/2\n\xff\xfe\n",
	} {
		t.Run(name, func(t *testing.T) {
			r := strings.NewReader(text)
			l := NewLinkList(r, "links")
			_, bad, err := readList(t, l)
			require.ErrorIs(t, err, ErrNotList)
			assert.Regexp(t, `^links:\d+: `, err.Error())
			assert.Less(t, len(bad), manyBad)
			assert.Less(t, len(text)-r.Len(), 3<<20)
			_, again := l.Next(t.Context())
			assert.Equal(t, err, again)
		})
	}
}

func TestAReadErrorSaysWhere(t *testing.T) {
	l := NewLinkList(io.MultiReader(strings.NewReader("https://h/1\n"), iotest{}), "links")
	_, _, err := readList(t, l)
	require.ErrorIs(t, err, errFull)
	assert.Contains(t, err.Error(), "links:2: ")
}

type iotest struct{}

func (iotest) Read([]byte) (int, error) { return 0, errFull }

func TestAFrozenListGoesOnWithTheLinkInHand(t *testing.T) {
	path := filepath.Join(t.TempDir(), "links")
	const text = "https://h/1\n# x\nhttps://h/2\nnonsense\nhttps://h/3\nhttps://h/4"
	l := listAt(t, path, text)
	for want := range 3 {
		frozen, err := l.Freeze()
		require.NoError(t, err)
		assert.Equal(t, max(0, want-1), frozen.Index)
		stored, err := json.Marshal(frozen)
		require.NoError(t, err)
		frozen, err = parseFrozen(stored)
		require.NoError(t, err)
		again := listAt(t, path, "")
		require.NoError(t, again.Thaw(frozen))
		link, err := again.Next(t.Context())
		require.NoError(t, err)
		assert.Equal(t, []int{1, 1, 3}[want], link.Line, "at least once")
		require.ErrorIs(t, again.Thaw(frozen), ErrUsed)
		_, _ = l.Next(t.Context())
	}
	_, _, err := readList(t, l)
	require.ErrorIs(t, err, io.EOF)
	frozen, err := l.Freeze()
	require.NoError(t, err)
	grown := listAt(t, path, text+"4\nhttps://h/5\n")
	require.NoError(t, grown.Thaw(frozen))
	links, _, _ := readList(t, grown)
	assert.Equal(t, []Link{{URL: "https://h/44", Line: 6}, {URL: "https://h/5", Line: 7}}, links, "the last line had no end")
	changed := listAt(t, path, "https://h/0\n# x\nhttps://h/2\nnonsense\nhttps://h/3\nhttps://h/4\n")
	require.ErrorIs(t, changed.Thaw(frozen), ErrForeign)
	links, _, _ = readList(t, changed)
	assert.Len(t, links, 4, "it can be read from its beginning then")
	require.ErrorIs(t, listAt(t, filepath.Join(t.TempDir(), "other"), text).Thaw(frozen), ErrForeign, "another path")
}

func TestEachReasonNotToThawIsAnErrorOfItsOwn(t *testing.T) {
	pages := func(magic string) *Pages[int] {
		return NewPages(func(context.Context, string) ([]int, string, error) { return []int{1, 2, 3}, "", nil }, magic, time.Hour)
	}
	p := pages("a")
	_, err := p.Next(t.Context())
	require.NoError(t, err)
	frozen, err := p.Freeze()
	require.NoError(t, err)
	require.ErrorIs(t, p.Thaw(frozen), ErrUsed)
	require.ErrorIs(t, pages("b").Thaw(frozen), ErrForeign)
	for name, f := range map[string]func(*Frozen){
		"format":   func(f *Frozen) { f.Format = 2 },
		"index":    func(f *Frozen) { f.Index = -1 },
		"position": func(f *Frozen) { f.Position = []byte("x") },
		"at":       func(f *Frozen) { f.Position = []byte(`{"at": -1}`) },
	} {
		broken := frozen
		f(&broken)
		require.ErrorIs(t, pages("a").Thaw(broken), ErrCorrupt, name)
	}
	late := frozen
	late.BestBefore = time.Now().Add(-time.Second)
	fresh := pages("a")
	require.ErrorIs(t, fresh.Thaw(late), ErrExpired)
	require.NoError(t, fresh.Thaw(frozen), "a refusal changes nothing")
}

func TestMagicDoesNotDependOnTheOrderOfAMap(t *testing.T) {
	a, b := map[string]any{}, map[string]any{}
	for i := range 100 {
		a[fmt.Sprint(i)] = i
		b[fmt.Sprint(99-i)] = 99 - i
	}
	assert.Equal(t, MagicOf("x", a), MagicOf("x", b))
	assert.NotEqual(t, MagicOf("x", a), MagicOf("y", a))
	b["1"] = 2
	assert.NotEqual(t, MagicOf("x", a), MagicOf("x", b))
	assert.Panics(t, func() { MagicOf("x", map[string]any{"f": func() {}}) })
}

func FuzzLinkList(f *testing.F) {
	f.Add([]byte("\xef\xbb\xbfhttps://h/1 name sha256:00\r\n\n# c\n{\"url\":\"https://h/2\"}\nx"))
	f.Add([]byte("\x00"))
	f.Fuzz(func(t *testing.T, text []byte) {
		l := NewLinkList(bytes.NewReader(text), "fuzz")
		lines := bytes.Count(text, []byte("\n")) + 1
		last := 0
		for {
			item, err := l.next()
			_, bad := errors.AsType[*LineError](err)
			if err != nil && !bad {
				break
			}
			if item.line.number <= last || item.line.number > lines || item.line.offset >= int64(len(text)) {
				t.Fatalf("line %d after line %d of %d, at byte %d", item.line.number, last, lines, item.line.offset)
			}
			last = item.line.number
			if err == nil && (item.check() != nil || strings.ContainsAny(item.Name, "\n\x00")) {
				t.Fatalf("%+v was let pass", item.Link)
			}
		}
		if at := l.here(); at.Offset > int64(len(text)) || at.Offset > 0 && text[at.Offset-1] != '\n' {
			t.Fatalf("the place %+v is not behind a line", at)
		}
	})
}

func TestAListHasToBeAFile(t *testing.T) {
	_, err := OpenLinkList(t.TempDir())
	require.ErrorContains(t, err, "as a stream")
	_, err = OpenLinkList(filepath.Join(t.TempDir(), "missing"))
	require.ErrorIs(t, err, os.ErrNotExist)
}
