package batch

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestNoSecretReachesTheDisk(t *testing.T) {
	c := newCounter(t)
	secret := "hunter2hunter2"
	host := strings.TrimPrefix(c.URL, "http://")
	urls := []string{
		"http://user:" + secret + "@" + host + "/1",
		c.URL + "/2?X-Amz-Signature=" + secret,
		c.URL + "/3?token=" + secret,
		c.URL + "/4?" + strings.Repeat(secret, 4),
		c.URL + "/bad?access_key=" + secret,
	}
	dir := t.TempDir()
	j := jobAt(t, filepath.Join(dir, "job"))
	for _, url := range urls {
		_, err := j.Add(Link{URL: c.URL + "/good"}, Link{URL: url})
		require.ErrorIs(t, err, ErrSecret, url)
		assert.NotContains(t, err.Error(), secret)
		_, err = j.Add(Link{URL: c.URL + "/5", Mirrors: []string{url}})
		require.ErrorIs(t, err, ErrSecret)
	}
	assert.Zero(t, j.Stats().Links, "nothing is added with an error")
	add(t, j, c.URL+"/6?v=1.2&commit=0123456789012345678901234567890123456789&date=2020-01-01")
	list := listAt(t, filepath.Join(t.TempDir(), "list"), strings.Join(urls, "\n")+"\n")
	report, err := j.AddList(t.Context(), list)
	require.NoError(t, err)
	assert.Equal(t, ListReport{Added: 5}, report)
	_, err = j.AddList(t.Context(), NewLinkList(strings.NewReader(c.URL+"/7?sig="+secret), "stream"))
	require.NoError(t, err)
	got := run(t, j, newManager(t))
	assert.Equal(t, 5, got.Written)
	assert.Equal(t, 2, got.Failed, "the link that is not kept, too")
	f := failures(t, j)
	require.Len(t, f, 2)
	assert.Contains(t, f[1].Reason, "credentials")
	n, err := j.RetryFailed()
	require.NoError(t, err)
	assert.Equal(t, 2, n)
	assert.Equal(t, 2, run(t, j, newManager(t)).Failed, "what was not written down cannot be tried again")
	require.NoError(t, j.Close())
	require.NoError(t, filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			assert.NotContains(t, readFile(t, path), secret, path)
			assert.NotContains(t, readFile(t, path), "hunter2")
		}
		return err
	}))
}

func TestWhatLooksSignedIsTakenForASecret(t *testing.T) {
	for query, want := range map[string]bool{
		"": false, "v=1.2.3&os=linux": false, "sha=0123456789012345678901234567890123456789": false, "author=me": false,
		"path=a/very/long/path/to/some/file/that/is/not/a/secret.tgz": false, "q=this+is+a+long+text+that+somebody+is+looking+for": false,
		"X-Amz-Signature=0": true, "sig=0": true, "Signature=x": true, "a=b;token=x": true, "api_key=x": true, "auth=x": true, "%73ig=0": true,
		"x=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc-def_ghi": true, strings.Repeat("Ab1", 15): true, strings.Repeat("A", 50) + "==": true,
	} {
		assert.Equal(t, want, looksSigned(query), query)
	}
}
