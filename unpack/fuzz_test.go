package unpack

import (
	"archive/tar"
	"bytes"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// fuzzed are limits that a fuzzer reaches.
var fuzzed = Options{MaxEntries: 50, MaxBytes: 1 << 20, MaxEntryBytes: 1 << 19}

// FuzzUnpack feeds bytes. Whatever they are, nothing outside changes, nothing inside
// leads out, the limits hold, and an error says what it is.
func FuzzUnpack(f *testing.F) {
	for _, archive := range small(f) {
		f.Add(archive, uint8(0))
	}
	for _, bomb := range bombs(f) {
		f.Add(bomb, uint8(0))
	}
	for _, items := range hostile {
		f.Add(tarOf(f, items...), uint8(1))
		f.Add(zipOf(f, items...), uint8(1))
	}
	f.Fuzz(func(t *testing.T, archive []byte, strip uint8) {
		o := fuzzed
		o.Strip = int(strip % 4)
		p := newPlace(t)
		requireWithinLimits(t, p, p.unpack(t, o, "a", archive))
	})
}

// FuzzEntries makes archives of fuzzed names, targets and types: each line of entries is
// a type, a space, a name, and after a tab a target or content.
func FuzzEntries(f *testing.F) {
	for _, cases := range []map[string][]item{hostile, tarOnly} {
		for _, items := range cases {
			var lines []string
			for _, it := range items {
				lines = append(lines, string(it.tarHeader().Typeflag)+" "+it.name+"\t"+it.target)
			}
			f.Add(strings.Join(lines, "\n"), uint8(0))
		}
	}
	f.Fuzz(func(t *testing.T, entries string, strip uint8) {
		o := fuzzed
		o.Strip = int(strip % 4)
		items := parseItems(entries)
		for _, archive := range [][]byte{lenientTar(items), lenientZip(t, items)} {
			p := newPlace(t)
			requireWithinLimits(t, p, p.unpack(t, o, "a", archive))
		}
	})
}

func parseItems(entries string) (items []item) {
	for line := range strings.SplitSeq(entries, "\n") {
		kind, rest, ok := strings.Cut(line, " ")
		if !ok || len(kind) != 1 || len(items) == 60 {
			continue
		}
		name, target, _ := strings.Cut(rest, "\t")
		it := item{name: name, kind: kind[0], mode: 0o755, modTime: time.Unix(int64(len(line)), 0)}
		if slices.Contains([]byte{tar.TypeSymlink, tar.TypeLink}, it.kind) {
			it.target = target
		} else if it.kind == tar.TypeReg {
			it.content = target
		}
		items = append(items, it)
	}
	return items
}

// lenientTar makes a tar archive of the entries that can be in one.
func lenientTar(items []item) []byte {
	var b bytes.Buffer
	for _, it := range items {
		w := tar.NewWriter(&b)
		if w.WriteHeader(it.tarHeader()) == nil {
			_, _ = w.Write([]byte(it.content))
			_ = w.Flush() // no end mark
		}
	}
	return append(b.Bytes(), make([]byte, 1024)...)
}

func lenientZip(t *testing.T, items []item) []byte {
	fit := items[:0:0]
	for _, it := range items {
		if strings.HasSuffix(it.name, "/") {
			it.content, it.target = "", "" // zip.Writer writes no content of a folder
		}
		if len(it.name) < 1<<16 {
			fit = append(fit, it)
		}
	}
	return zipOf(t, fit...)
}

// requireWithinLimits asserts that what is there is within the limits of fuzzed, and that
// the error is one of ours, or that of a name that this machine's file system refuses.
func requireWithinLimits(t *testing.T, p place, err error) {
	t.Helper()
	entries, size := 0, 0
	for _, content := range p.tree(t) {
		entries++
		size += len(content)
	}
	require.LessOrEqual(t, entries, fuzzed.MaxEntries)
	require.LessOrEqual(t, size, int(fuzzed.MaxBytes)+entries*maxTarget)
	if err == nil {
		return
	}
	for _, known := range []error{ErrFormat, ErrRefused, ErrLimit, ErrDamaged} {
		if errors.Is(err, known) {
			return
		}
	}
	var path *os.PathError
	require.ErrorAs(t, err, &path, "%v", err)
}
