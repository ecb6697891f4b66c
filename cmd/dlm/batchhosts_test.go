package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestAListOfOneHostIsSeen(t *testing.T) {
	for text, one := range map[string]bool{
		"":                           true,
		"http://a/1\nhttp://A/2 n\n": true,
		"http://a:1/1\nhttp://a:2/2": false,
		"# http://b/\n\n http://a?x\r\nhttps://a#f\nhttp://a": true,
		"http://a/1\nhttp://b/2":                              false,
		`{"url": "http://a/1", "mirrors": ["http://b/1"]}`:    false,
		`{"url": "http:\/\/a/1"}` + "\nhttp://b/1":            true, // not seen: a guess is enough for a default
		"http://a/" + strings.Repeat("x", 1<<16):              false,
		"http://a/1\nhttp://a/" + strings.Repeat("x", 1<<16):  false,
		"http://a/1\nhttp://a/2\nhttp://a/3\nhttp://ab/4":     false,
		"http://a\nhttp://a.b\n":                              false,
		"http://a/1\nhttp://a/2 n http://b/3\n":               false,
		"http://a/1\nhttp://a/x:y\nhttps://a/1\n":             true,
		"http://a":          true,
		"http://a\nhttp://": false,
	} {
		list := filepath.Join(t.TempDir(), "links.txt")
		require.NoError(t, os.WriteFile(list, []byte(text), 0o600))
		assert.Equal(t, one, isOneHosts(list), text)
	}
	assert.False(t, isOneHosts(filepath.Join(t.TempDir(), "missing")))
}
