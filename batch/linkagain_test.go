package batch

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestALineIsReadAgainByItsPlace(t *testing.T) {
	var text strings.Builder
	var urls []string
	var offsets []int64
	for i := range 400 {
		url := fmt.Sprintf("http://h/%d/%s", i, strings.Repeat("x", i*37%500))
		if i%100 == 50 { // longer than what is read at once
			url += strings.Repeat("y", 3*windowSize)
		}
		urls, offsets = append(urls, url), append(offsets, int64(text.Len()))
		text.WriteString(url + []string{"\n", "\r\n", " name\n"}[i%3])
	}
	path := filepath.Join(t.TempDir(), "links.txt")
	require.NoError(t, os.WriteFile(path, []byte(strings.TrimRight(text.String(), "\r\n")), 0o600))
	l, err := OpenLinkList(path)
	require.NoError(t, err)
	defer l.Close()
	turns := rand.Perm(len(urls))
	for i := range urls {
		turns = append(turns, i)
	}
	for _, i := range turns {
		line, err := l.textAt(offsets[i])
		require.NoError(t, err)
		link, err := l.linkIn(line, i+1)
		require.NoError(t, err)
		assert.Equal(t, urls[i], link.URL)
		assert.Equal(t, i+1, link.Line)
	}
	line, err := l.textAt(int64(text.Len()))
	require.NoError(t, err)
	_, err = l.linkIn(line, 401)
	require.Error(t, err, "there is nothing")
}
