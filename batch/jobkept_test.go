package batch

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLinksAreKeptUpToABound(t *testing.T) {
	short := func(i int) string { return fmt.Sprintf("http://h/%d\n", i) }
	long := func(i int) string { return fmt.Sprintf("http://h/%d#%s\n", i, strings.Repeat("x", 32<<10)) }
	oneBad := func(i int) string {
		if i == 5 {
			return "bad\n"
		}
		return short(i)
	}
	for name, list := range map[string]struct {
		lines, kept int
		line        func(int) string
	}{
		"all of a short list":       {100, 100, short},
		"the first of a long one":   {maxKept + 100, maxKept, short},
		"the first of long lines":   {200, 127, long},
		"those behind a bad line":   {100, 99, oneBad},
		"those behind one, bounded": {maxKept + 100, maxKept - 1, oneBad},
	} {
		t.Run(name, func(t *testing.T) {
			var text strings.Builder
			for i := range list.lines {
				text.WriteString(list.line(i))
			}
			j := newJob(t)
			l := listAt(t, filepath.Join(t.TempDir(), "links.txt"), text.String())
			_, err := j.AddList(t.Context(), l)
			require.NoError(t, err)
			assert.Equal(t, list.kept, j.kept.left)
			for i := range list.lines {
				if k := j.kept.get(uint32(i)); k != nil {
					assert.Equal(t, strings.TrimSpace(list.line(i)), k.link.URL)
				}
				j.kept.drop(uint32(i))
			}
			assert.Zero(t, j.kept.left)
			assert.Empty(t, j.kept.groups, "all had their turn")
			assert.Zero(t, j.kept.size)
		})
	}
}
