package digest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParse(t *testing.T) {
	for _, a := range every {
		want := Digest{a, sum(a, "")}
		for _, text := range []string{
			string(a) + ":" + sum(a, ""),
			strings.ToUpper(string(a)) + ":" + upper(a, ""),
		} {
			got, err := Parse(text)
			require.NoError(t, err)
			assert.True(t, got == want)
		}
		again, err := Parse(want.String())
		require.NoError(t, err)
		assert.Equal(t, want, again)
		assert.Len(t, want.Hex, 2*a.New().Size())
		assert.False(t, want.IsZero())
	}
	assert.Equal(t, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", sum(SHA256, ""))
	assert.Equal(t, "d41d8cd98f00b204e9800998ecf8427e", sum(MD5, ""))
	assert.True(t, Digest{}.IsZero())
	assert.Empty(t, Digest{}.String())
}

func TestParseSaysWhatToWrite(t *testing.T) {
	for text, hint := range map[string]string{
		"":                                 "as in sha256:",
		sum(SHA256, ""):                    "as in sha256:",
		"sha256:":                          "takes 64 hexadecimal digits",
		"sha256:" + sum(SHA256, "")[1:]:    "this has 63: copy the whole digest",
		"sha256:" + sum(SHA256, "")[2:]:    "this has 62",
		"sha256:" + sum(SHA256, "") + "\n": "nothing else",
		"sha256: " + sum(SHA256, ""):       "nothing else",
		"sha256:" + sum(SHA512, ""):        "as sha512 does: write sha512:…",
		"sha256:xyz":                       "./sha256:…",
		"sha-256:" + sum(SHA256, ""):       "write sha256:…",
		"SHA2-512:" + sum(SHA512, ""):      "write sha512:…",
		"crc32:abcd1234":                   `"crc32": use sha256,`,
		strings.Repeat("x", 1000) + ":ab":  "before the colon: use sha256,",
	} {
		_, err := Parse(text)
		require.Error(t, err, text)
		assert.ErrorContains(t, err, hint, text)
		assert.Less(t, len(err.Error()), 200)
	}
}

func TestStrength(t *testing.T) {
	for _, a := range every {
		assert.Equal(t, a != MD5 && a != SHA1, a.IsStrong(), a)
	}
	assert.False(t, Algorithm("crc32").IsStrong())
	assert.PanicsWithValue(t, "digest: no such algorithm: crc32", func() { Algorithm("crc32").New() })
}
