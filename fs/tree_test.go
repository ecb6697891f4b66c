package fs

import (
	"path"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func aTree(folder string) Tree {
	t := Tree{Name: "some/tools", Folder: folder, URL: "https://example.com/tools.tar", Bytes: 10, Files: 2, CRC32C: 3}
	t.Archive = Archive{Size: 5, Digests: "sha256:00"}
	t.SetIdentity([16]byte{1}, [16]byte{2})
	return t
}

func TestStamps(t *testing.T) {
	id := TreeID("some/tools")
	key := path.Base(id)
	for name, tt := range map[string]struct {
		id     string
		change func(*Tree)
		text   func(string) string
		ok     bool
	}{
		"whole":                 {ok: true},
		"another of the name":   {id: id + "-0123456789abcdef", change: func(t *Tree) { t.Folder = key + "-fedcba9876543210" }, ok: true},
		"of another name":       {id: TreeID("other")},
		"folder of another":     {change: func(t *Tree) { t.Folder = path.Base(TreeID("other")) }},
		"folder that is a path": {change: func(t *Tree) { t.Folder = key + "/../../.." }},
		"no folder":             {change: func(t *Tree) { t.Folder = "" }},
		"folder to be filled":   {change: func(t *Tree) { t.Folder = key + fillingSuffix }},
		"invalid name":          {change: func(t *Tree) { t.Name = "../tools" }},
		"negative":              {change: func(t *Tree) { t.Bytes = -1 }},
		"absurd":                {change: func(t *Tree) { t.Bytes = mostBytes + 1 }},
		"torn":                  {text: func(s string) string { return s[:len(s)/2] }},
		"zeroed":                {text: func(s string) string { return strings.Repeat("\x00", len(s)) }},
		"changed":               {text: func(s string) string { return strings.Replace(s, `"bytes":10`, `"bytes":11`, 1) }},
		"another format":        {text: func(s string) string { return strings.Replace(s, `"format":1`, `"format":2`, 1) }},
		"empty":                 {text: func(string) string { return "" }},
	} {
		t.Run(name, func(t *testing.T) {
			want := aTree(key)
			if tt.change != nil {
				tt.change(&want)
			}
			text, err := want.encode()
			require.NoError(t, err)
			if tt.text != nil {
				text = []byte(tt.text(string(text)))
			}
			if tt.id == "" {
				tt.id = id
			}
			got, ok := parseStamp(tt.id, text)
			assert.Equal(t, tt.ok, ok)
			if ok {
				assert.Equal(t, want, got)
			}
		})
	}
}

// FuzzStamp asserts that no stamp leads out of the folder of the trees, or to the
// tree of another name.
func FuzzStamp(f *testing.F) {
	id := TreeID("some/tools")
	text, err := aTree(path.Base(id)).encode()
	require.NoError(f, err)
	f.Add(string(text), "")
	f.Add("", path.Base(id)+"/..")
	f.Fuzz(func(t *testing.T, text, folder string) {
		changed := aTree(folder)
		sealed, err := changed.encode()
		require.NoError(t, err)
		for _, b := range [][]byte{[]byte(text), sealed} {
			if tree, ok := parseStamp(id, b); ok {
				assert.Equal(t, treeDir, path.Dir(path.Join(treeDir, tree.Folder)))
				assert.Equal(t, path.Base(id), keyOf(tree.Folder))
				assert.Equal(t, id, TreeID(tree.Name))
			}
		}
	})
}
