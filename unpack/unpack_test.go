package unpack

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFormatsAreToldByContent(t *testing.T) {
	want := map[string]string{"dir/": "", "dir/hello": "hello\n"}
	plain := tarOf(t, item{name: "dir/hello", content: "hello\n"})
	for format, archive := range map[string][]byte{
		"tar": plain, "tar.gz": gz(t, plain), "tar.zst": zst(t, plain), "tar.xz": xzOf(plain, 18), "tar.bz2": bz2Tar(t),
		"xz(1)": xzTar(t), "zip": zipOf(t, item{name: "dir/hello", content: "hello\n"}),
	} {
		t.Run(format, func(t *testing.T) {
			p := newPlace(t)
			require.NoError(t, p.unpack(t, Options{}, "no-suffix", archive))
			require.Equal(t, want, p.tree(t))
		})
	}
}

func TestSingleFiles(t *testing.T) {
	hello := []byte("hello\n")
	for name, archive := range map[string][]byte{
		"a.gz": gz(t, hello), "a.zst": zst(t, hello), "a.xz": xzOf(hello, 18), "a.bz2": bz2Single(t),
	} {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			require.NoError(t, p.unpack(t, Options{}, "x/"+name, archive))
			require.Equal(t, map[string]string{"a": "hello\n"}, p.tree(t))
		})
	}
}
