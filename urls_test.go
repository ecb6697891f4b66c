package dlmanager

import (
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What is taken for right without being parsed is what the parser takes, too.
func FuzzPlainURL(f *testing.F) {
	for _, raw := range []string{
		"https://example.com/dir/tool-1.2.tar.gz", "http://127.0.0.1:8080", "http://h:/x", "http://h:99999999999/", "http://-/..//./", "https://h/@:=+,~_",
		"http:///x", "http://:80/x", "http://h:8x/", "http://h8:/:", "HTTP://h/", "http://u:p@h/", "http://h/%41", "http://h/%zz", "http://h/a b", "http://h/\x7f",
		"http://h/x#f", "http://h/?q", "http://[::1]/", "http://h\\x/", "ftp://h/x", "http://é/", "http", "", "http://",
	} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if !isPlain(raw) {
			return
		}
		u, err := parseURL(raw)
		require.NoError(t, err)
		assert.Nil(t, u.User)
		assert.False(t, strings.ContainsFunc(raw, unicode.IsControl))
	})
}

func TestMostURLsArePlain(t *testing.T) {
	for raw, plain := range map[string]bool{
		"https://example.com/dir/tool-1.2.tar.gz": true, "http://127.0.0.1:8080/f1": true, "https://example.com": true,
		"https://user@example.com/": false, "http://h/%41": false, "http://:80/": false, "https://h/?q": false, "ftp://h/x": false,
	} {
		assert.Equal(t, plain, isPlain(raw), raw)
	}
}
