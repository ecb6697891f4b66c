package unpack_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/dlmanager/dlmanager/fs"
	"github.com/dlmanager/dlmanager/unpack"
)

// An archive that is in memory, or in any other place, goes into any folder.
func ExampleOptions_Extract() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	root, err := os.OpenRoot(dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer root.Close()

	archive := release("tool-1.2/bin/tool", "#!/bin/sh\necho hello\n")
	o := unpack.Options{Strip: 1, MaxBytes: 1 << 30}
	if err := o.Extract(context.Background(), bytes.NewReader(archive), int64(len(archive)), "tool.tar.gz", fs.NewRoot(root)); err != nil {
		fmt.Println(err)
		return
	}
	script, err := os.ReadFile(filepath.Join(dir, "bin", "tool"))
	fmt.Printf("%s%v\n", script, err)
	// Output:
	// #!/bin/sh
	// echo hello
	// <nil>
}

// What an archive may not do is an error that names the entry.
func ExampleEntryError() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	root, err := os.OpenRoot(dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer root.Close()

	archive := release("../../.ssh/authorized_keys", "ssh-ed25519 …")
	err = unpack.Options{}.Extract(context.Background(), bytes.NewReader(archive), int64(len(archive)), "tool.tar.gz", fs.NewRoot(root))
	fmt.Println(errors.Is(err, unpack.ErrRefused))
	fmt.Println(err)
	// Output:
	// true
	// unpack tar.gz: entry "../../.ssh/authorized_keys" is refused: its name has the part "..", and may lead out of the folder; ask for an archive without it
}

// release makes a tar.gz archive of one program.
func release(name, content string) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(content))})
	_, writeErr := w.Write([]byte(content))
	if err := errors.Join(err, writeErr, w.Close(), z.Close()); err != nil {
		panic(err)
	}
	return b.Bytes()
}
