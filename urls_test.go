package dlmanager

import (
	"net/url"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What is taken apart without the parser is what the parser makes of it.
func FuzzPlainURL(f *testing.F) {
	for _, raw := range []string{
		"https://example.com/dir/tool-1.2.tar.gz", "http://127.0.0.1:8080", "http://h:/x", "http://h:99999999999/", "http://-/..//./", "https://h/@:=+,~_",
		"http:///x", "http://:80/x", "http://h:8x/", "http://h8:/:", "HTTP://h/", "http://u:p@h/", "http://h/%41", "http://h/%zz", "http://h/a b", "http://h/\x7f",
		"http://h/x#f", "http://h/?q", "http://[::1]/", "http://h\\x/", "ftp://h/x", "http://é/", "http", "", "http://",
	} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		scheme, host, path, ok := plainURL(raw)
		if !ok {
			return
		}
		u, err := url.Parse(raw)
		require.NoError(t, err)
		assert.Equal(t, u, &url.URL{Scheme: scheme, Host: host, Path: path})
		assert.NotEmpty(t, u.Hostname())
		assert.False(t, strings.ContainsFunc(raw, unicode.IsControl))
	})
}

func TestMostURLsArePlain(t *testing.T) {
	for raw, plain := range map[string]bool{
		"https://example.com/dir/tool-1.2.tar.gz": true, "http://127.0.0.1:8080/f1": true, "https://example.com": true,
		"https://user@example.com/": false, "http://h/%41": false, "http://:80/": false, "https://h/?q": false, "ftp://h/x": false,
	} {
		_, _, _, ok := plainURL(raw)
		assert.Equal(t, plain, ok, raw)
	}
}
