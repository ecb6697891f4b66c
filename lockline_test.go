package dlmanager

import (
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	sumA = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	sumB = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

func keyOfURL(t testing.TB, raw string) string {
	t.Helper()
	u, err := url.Parse(raw)
	require.NoError(t, err)
	return lockKey(u)
}

func TestWhatAURLIsCalledInALockFile(t *testing.T) {
	for raw, want := range map[string]string{
		"https://h/a":                      "https://h/a",
		"HTTPS://user:s3cret@H:443/a#frag": "https://h/a",
		"http://h":                         "http://h/",
		"http://h:8080/a%2Fb%20c":          "http://h:8080/a%2Fb%20c",
		"https://[::1]/a":                  "https://[::1]/a",
		"https://[::1]:8443/a":             "https://[::1]:8443/a",
		"https://h/a?":                     "https://h/a",
	} {
		assert.Equal(t, want, keyOfURL(t, raw))
	}
	assert.Regexp(t, `^https://h/get\?id=xxxxx&xxxxx#query-[0-9a-f]{16}$`, keyOfURL(t, "https://h/get?id=s3cret&t0ken"))
	assert.NotEqual(t, keyOfURL(t, "https://h/get?id=1"), keyOfURL(t, "https://h/get?id=2"))
}

func TestASignatureIsNoPartOfWhatAURLIs(t *testing.T) {
	for _, c := range [][2]string{
		{"", "?X-Amz-Algorithm=AWS4&X-Amz-Credential=c&X-Amz-Date=d&X-Amz-Expires=60&X-Amz-SignedHeaders=host&X-Amz-Signature=1"},
		{"?versionId=7", "?versionId=7&X-Amz-Security-Token=t&X-Amz-Signature=2"},
		{"?generation=7", "?X-Goog-Algorithm=a&generation=7&x-goog-signature=3"},
		{"", "?AWSAccessKeyId=a&Expires=1&Signature=s"},
		{"", "?Policy=p&Key-Pair-Id=k&Signature=s"},
		{"?rsct=text", "?sv=2024&se=e&sr=b&sp=r&rsct=text&sig=s"},
	} {
		assert.Equal(t, keyOfURL(t, "https://h/a"+c[0]), keyOfURL(t, "https://h/a"+c[1]), c[1])
	}
	for _, query := range []string{"?st=1", "?Expires=1", "?X-Amz-Date=1", "?signature2=1"} {
		assert.NotEqual(t, keyOfURL(t, "https://h/a"), keyOfURL(t, "https://h/a"+query), "which signs nothing")
	}
}

func TestALockFileIsSortedAndKeepsComments(t *testing.T) {
	query := keyOfURL(t, "https://h/q?id=1")
	text := "\ufeff# ours\r\n\nHTTPS://H/z   " + sumA + "\r\n" +
		"https://h/a " + sumB + "\n# theirs\n" + query + " " + sumA + "\nhttps://h/a " + sumB
	read, err := parseLock("dlm.lock", []byte(text))
	require.NoError(t, err, "a line that is there twice says nothing new")
	want := lockTitle + "\n# ours\n# theirs\nhttps://h/a " + sumB + "\n" + query + " " + sumA + "\nhttps://h/z " + sumA + "\n"
	assert.Equal(t, want, string(read.encode()))
	assert.Equal(t, 4, read.lines["https://h/a"].number)
	assert.Equal(t, want, string(read.encode()))
	again, err := parseLock("dlm.lock", []byte(want))
	require.NoError(t, err)
	assert.Equal(t, read.lines, again.lines, "with their numbers")
	assert.Equal(t, want, string(again.encode()))

	written, err := parseLock("dlm.lock", []byte("https://user@h/q?id=1 "+sumA))
	require.NoError(t, err)
	assert.Contains(t, written.lines, query, "as a person writes it")
}

func TestALineThatMakesNoSenseIsNamed(t *testing.T) {
	for text, want := range map[string]string{
		"# c\nhttps://h/a " + sumA + "\nhttps://h/a " + sumB: "dlm.lock:3: line 2 has another digest for this URL: keep the right one",
		"<<<<<<< HEAD\nhttps://h/a " + sumA:                  "dlm.lock:1: two versions were merged and are in conflict: keep the lines of both",
		"https://h/a " + sumA + "\n=======\n":                "dlm.lock:2: two versions",
		">>>>>>> s3cret":                                     "dlm.lock:1: two versions",
		"https://user:s3cret@h/a md5:" + sumA[7:39]:          "dlm.lock:1: not of the form URL sha256:HEX: mend the line, or remove it",
		"https://h/a " + sumA[:70]:                           "dlm.lock:1: not of the form",
		"https://h/a":                                        "dlm.lock:1: not of the form",
		"s3cret":                                             "dlm.lock:1: not of the form",
		"https://h/a " + sumA + " " + sumB:                   "dlm.lock:1: not of the form",
		"# dlm lock file 2: x":                               "dlm.lock:1: the file was written by a newer version, of format 2",
	} {
		_, err := parseLock("dlm.lock", []byte(text))
		require.ErrorContains(t, err, want)
		require.NotContains(t, err.Error(), "s3cret")
		bad, ok := errors.AsType[*LockFileError](err)
		require.True(t, ok)
		require.Equal(t, "dlm.lock", bad.File)
	}
}

func TestALockFileThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	_, err := OpenLockFile(dir, LockOptions{})
	require.ErrorContains(t, err, "not a regular file")
	file := filepath.Join(dir, "dlm.lock")
	require.NoError(t, os.WriteFile(file, []byte("x"), 0o666))
	_, err = OpenLockFile(file, LockOptions{Frozen: true})
	require.ErrorContains(t, err, file+":1: ")
}

func FuzzLockFile(f *testing.F) {
	f.Add("https://h/a "+sumA, "https://u:p@h:80/a b?x=y&z#f")
	f.Add("# x\n\nhttp://h/?a#query-00 "+sumB, "http://[::1%25x]/%20")
	f.Fuzz(func(t *testing.T, text, raw string) {
		if u, err := parseURL(raw); err == nil {
			key := lockKey(u)
			read, err := parseLock("f", []byte(key+" "+sumA))
			require.NoError(t, err)
			require.Contains(t, read.lines, key, "a line leads to the URL that it was written for")
		}
		read, err := parseLock("f", []byte(text))
		if err != nil {
			return
		}
		encoded := read.encode()
		again, err := parseLock("f", encoded)
		require.NoError(t, err)
		require.Equal(t, read.lines, again.lines)
		require.Equal(t, string(encoded), string(again.encode()))
	})
}
