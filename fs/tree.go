package fs

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path"
	"strings"
	"time"

	"github.com/spf13/afero"
)

// A tree is a folder that is an entry of the cache as a whole: what an archive
// holds, say. It lies in treeDir under a short hash of its name, where no name of
// a file can collide with what is in it and no walk along the files comes, with
// its stamp beside: a small file that says which folder it is and what is
// remembered of it. The stamp is the entry: its times are those of the last use,
// and its lock is the lease.
const treeDir = ownDir + "/trees"

const (
	stampSuffix   = ".entry"
	fillingSuffix = ".fill" // ends the name of a folder that is being filled
	goneSuffix    = ".gone" // and of one that is being deleted
)

// stampFormat is the version of the stamp. What has another one is no entry.
const stampFormat = 1

// maxStamp bounds what is read of a stamp, which somebody else may have written.
const maxStamp = 64 << 10

// Tree is what is remembered of a tree.
type Tree struct {
	Name     string   `json:"name"`
	Folder   string   `json:"folder"` // its base name, in treeDir
	URL      string   `json:"url"`    // of the archive, without secrets
	Identity hexBytes `json:"identity"`
	Bytes    int64    `json:"bytes"` // of all its files
	Files    int64    `json:"files"`
	CRC32C   uint32   `json:"crc32c"` // of all that is in it; see Survey
	Archive  Archive  `json:"archive"`
	Unsynced string   `json:"unsynced"` // as Entry.Unsynced
}

// Archive is what is remembered of the file that a tree was made from.
type Archive struct {
	Size      int64    `json:"size"`
	CRC32C    uint32   `json:"crc32c"`
	Digests   string   `json:"digests"` // "sha256:…", separated by spaces
	CheckedBy hexBytes `json:"checkedBy"`
	Unproven  bool     `json:"unproven"` // nothing proved that its end was the end
}

// hexBytes is an identity as JSON has it.
type hexBytes [16]byte

// MarshalText writes it in hexadecimal.
func (h hexBytes) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h[:])), nil }

// UnmarshalText reads what MarshalText wrote.
func (h *hexBytes) UnmarshalText(text []byte) error {
	if hex.DecodedLen(len(text)) != len(h) {
		return errors.New("wrong length")
	}
	_, err := hex.Decode(h[:], text)
	return err
}

// SetIdentity notes whose archive it is, and what checksum file that was checked by.
func (t *Tree) SetIdentity(url, checkedBy [16]byte) {
	t.Identity, t.Archive.CheckedBy = url, checkedBy
}

// TreeID returns what the tree called name is called among the directory's files:
// what no file is called.
func TreeID(name string) string { return treeDir + "/" + key(name) }

// IsTree reports whether the name is a tree's, not a file's.
func IsTree(id string) bool { return strings.HasPrefix(id, treeDir+"/") }

// TreePath returns the absolute path of the tree's folder.
func (d *Dir) TreePath(t Tree) string { return d.Path(treeDir + "/" + t.Folder) }

// sealedStamp is a stamp as it is written, with what tells a torn one.
type sealedStamp struct {
	Format int             `json:"format"`
	CRC32C string          `json:"crc32c"` // of the bytes of Tree
	Tree   json.RawMessage `json:"tree"`
}

func (t Tree) encode() ([]byte, error) {
	inner, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	return json.Marshal(sealedStamp{stampFormat, stampSum(inner), inner})
}

func stampSum(b []byte) string { return fmt.Sprintf("%08x", crc32.Checksum(b, castagnoli)) }

// parseStamp reads the stamp with the ID. One that is torn, foreign, or names a
// folder that is not its own, is none.
func parseStamp(id string, text []byte) (Tree, bool) {
	var outer sealedStamp
	var t Tree
	if json.Unmarshal(text, &outer) != nil || outer.Format != stampFormat ||
		outer.CRC32C != stampSum(outer.Tree) || json.Unmarshal(outer.Tree, &t) != nil {
		return Tree{}, false
	}
	sound := t.Bytes >= 0 && t.Bytes <= mostBytes && t.Files >= 0 &&
		CleanTreeName(t.Name) == nil && keyOf(path.Base(id)) == key(t.Name) &&
		isTreeFolder(t.Folder) && keyOf(t.Folder) == key(t.Name)
	return t, sound
}

// CleanTreeName is CleanName for the name of a tree.
func CleanTreeName(name string) error {
	_, err := CleanName(name)
	return err
}

// keyOf returns the key that the base name of a tree's folder or file begins with.
func keyOf(base string) string { return base[:min(len(base), keyLength)] }

const keyLength = 20 // of what key returns

// isTreeFolder reports whether the base name is one of a folder that holds a tree:
// a key, and if there were several of that name, what tells them apart.
func isTreeFolder(base string) bool {
	key, rest := keyOf(base), base[len(keyOf(base)):]
	if len(key) < keyLength || strings.Trim(key, "0123456789ABCDEFGHIJKLMNOPQRSTUV") != "" {
		return false
	}
	return rest == "" || len(rest) == 1+16 && rest[0] == '-' && strings.Trim(rest[1:], "0123456789abcdef") == ""
}

var errNoStamp = errors.New("not the entry of a directory")

// readStamp reads the stamp from the open file.
func readStamp(id string, f afero.File) (Tree, error) {
	text, err := io.ReadAll(io.NewSectionReader(f, 0, maxStamp))
	if err != nil {
		return Tree{}, err
	}
	t, ok := parseStamp(id, text)
	if !ok {
		return Tree{}, &os.PathError{Op: "read", Path: id + stampSuffix, Err: errNoStamp}
	}
	return t, nil
}

// StatTree describes the tree with the ID: Size is that of all its files, and the
// times are those of the entry. It is no use of it. One that is not there, or not
// whole, is os.ErrNotExist.
func (d *Dir) StatTree(id string) (Tree, Info, error) {
	name := id + stampSuffix
	if fi, err := Lstat(d.fsys, name); err != nil {
		return Tree{}, Info{}, err
	} else if !fi.Mode().IsRegular() {
		return Tree{}, Info{}, &os.PathError{Op: "stat", Path: name, Err: os.ErrNotExist}
	}
	f, err := d.OpenUnused(name)
	if err != nil {
		return Tree{}, Info{}, err
	}
	defer f.Close() // read-only: nothing to lose
	return d.describeTree(id, f)
}

// describeTree is StatTree with the open stamp.
func (d *Dir) describeTree(id string, f afero.File) (Tree, Info, error) {
	t, err := readStamp(id, f)
	if errors.Is(err, errNoStamp) {
		err = &os.PathError{Op: "open", Path: id, Err: os.ErrNotExist}
	}
	if err != nil {
		return Tree{}, Info{}, err
	}
	fi, err := f.Stat()
	if err != nil {
		return Tree{}, Info{}, err
	}
	folder, err := Lstat(d.fsys, treeDir+"/"+t.Folder)
	if err == nil && (!folder.IsDir() || t.isOutlived(d.boot)) {
		err = &os.PathError{Op: "open", Path: id, Err: os.ErrNotExist}
	}
	if err != nil {
		return Tree{}, Info{}, err
	}
	info := infoOf(fi)
	info.Size = t.Bytes
	return t, info, nil
}

// isOutlived reports whether a power loss may have damaged the tree: it was not
// flushed, and the machine has been started since, as far as that is known.
func (t Tree) isOutlived(boot string) bool {
	return Entry{Unsynced: t.Unsynced}.isOutlived(boot)
}

// EachTree calls fn for each tree, in no order, until fn or ctx ends it. What
// cannot be read is passed over.
func (d *Dir) EachTree(ctx context.Context, fn func(id string, t Tree, info Info) error) error {
	ids, err := d.treeIDs(ctx)
	if err != nil {
		return err
	}
	for _, id := range ids {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		t, info, err := d.StatTree(id)
		if err != nil {
			continue
		}
		if err := fn(id, t, info); err != nil {
			return err
		}
	}
	return nil
}

// treeIDs returns the IDs of all stamps.
func (d *Dir) treeIDs(ctx context.Context) (ids []string, err error) {
	err = d.eachName(ctx, treeDir, func(base string) error {
		if stem, ok := strings.CutSuffix(base, stampSuffix); ok && isTreeFolder(stem) {
			ids = append(ids, treeDir+"/"+stem)
		}
		return nil
	})
	return ids, err
}

// TouchTree is Touch for a tree.
func (d *Dir) TouchTree(id string, info Info, now time.Time) { d.Touch(id+stampSuffix, info, now) }
