package digest

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// token is a digest as integrity metadata has it.
func token(a Algorithm, content string) string {
	h := a.New()
	h.Write([]byte(content))
	return string(a) + "-" + base64.StdEncoding.EncodeToString(h.Sum(nil))
}

func TestSpecOfADigest(t *testing.T) {
	for _, a := range every {
		s, err := ParseSpec(" " + strings.ToUpper(string(a)) + ":" + upper(a, "x") + "\n")
		require.NoError(t, err)
		assert.Equal(t, []Digest{{a, sum(a, "x")}}, s.Digests())
		assert.Equal(t, string(a)+":"+sum(a, "x"), s.String())
		assert.Empty(t, s.Path())
		assert.Nil(t, s.URL())
	}
}

func TestSpecOfIntegrityMetadata(t *testing.T) {
	one, two := Digest{SHA384, sum(SHA384, "1")}, Digest{SHA384, sum(SHA384, "2")}
	if one.Hex > two.Hex {
		one, two = two, one
	}
	otherAlphabet := strings.NewReplacer("+", "-", "/", "_")
	both := token(SHA384, "1") + " " + token(SHA384, "2")
	for name, c := range map[string]struct {
		text string
		want []Digest
	}{
		"one":                      {token(SHA256, "x"), []Digest{{SHA256, sum(SHA256, "x")}}},
		"without padding":          {strings.TrimRight(token(SHA256, "x"), "="), []Digest{{SHA256, sum(SHA256, "x")}}},
		"the other alphabet":       {"sha512-" + otherAlphabet.Replace(token(SHA512, "x")[7:]), []Digest{{SHA512, sum(SHA512, "x")}}},
		"options":                  {token(SHA512, "x") + "?ct=text/html", []Digest{{SHA512, sum(SHA512, "x")}}},
		"upper case":               {"SHA256" + token(SHA256, "x")[6:], []Digest{{SHA256, sum(SHA256, "x")}}},
		"two":                      {both, []Digest{one, two}},
		"two and white space":      {"\t" + token(SHA384, "2") + "\r\n  " + token(SHA384, "1") + "\n", []Digest{one, two}},
		"twice the same":           {both + " " + both, []Digest{one, two}},
		"the strongest":            {token(SHA256, "3") + " " + both + " " + token(SHA256, "1"), []Digest{one, two}},
		"with what has no meaning": {"sha3-xyz md5-abc= " + both + " " + token(SHA1, "1"), []Digest{one, two}},
	} {
		s, err := ParseSpec(c.text)
		require.NoError(t, err, name)
		assert.Equal(t, c.want, s.Digests(), name)
		assert.Empty(t, s.Path(), name)
		again, err := ParseSpec(s.String())
		require.NoError(t, err, name)
		assert.Equal(t, s, again, name)
	}
	a, err := ParseSpec(both)
	require.NoError(t, err)
	b, err := ParseSpec(token(SHA384, "2") + "?x " + token(SHA256, "9") + " " + token(SHA384, "1"))
	require.NoError(t, err)
	assert.Equal(t, a.String(), b.String())
	assert.Equal(t, 2, len(strings.Fields(a.String())))
}

func TestSpecOfAURL(t *testing.T) {
	for text, want := range map[string]string{
		"https://host/SHA256SUMS":           "https://host/SHA256SUMS",
		" HTTPS://host/SHA256SUMS\n":        "https://host/SHA256SUMS",
		"http://user:pw@host:8080/a?sig=x%": "http://user:pw@host:8080/a?sig=x%",
	} {
		s, err := ParseSpec(text)
		require.NoError(t, err)
		assert.Equal(t, want, s.String())
		assert.Equal(t, want, s.URL().String())
		s.URL().Path = "/elsewhere"
		assert.Equal(t, want, s.URL().String(), "what is handed out is a copy")
		assert.Nil(t, s.Digests())
		assert.Empty(t, s.Path())
	}
}

func TestSpecOfAPath(t *testing.T) {
	for _, text := range []string{
		"SHA256SUMS", "./sums.txt", "../sums", "/tmp/sums.txt", "dir with space/sums", " leading",
		`C:\sums.txt`, "c:sums.txt", `C:/sums.txt`, "C://sums.txt", `\\host\share\sums`, "C:deadbeef00",
		"dir/sha256-notes.txt", "sha256-notes.txt", "sha256-notes", "sha256-", "sha256", "md5-sums",
		"sha512-sums/2024/linux/tool.txt",
		"dir/https://x", "http", "https-sums", "deadbeef", "shared:notes", "notes:today", "backup:2024", "a=b",
		"./crc32:abcd1234", "./" + sum(SHA256, ""), "./sha256:", sum(SHA256, "") + ".txt",
	} {
		s, err := ParseSpec(text)
		require.NoError(t, err, text)
		assert.Equal(t, text, s.Path())
		assert.Equal(t, text, s.String())
		assert.Nil(t, s.Digests())
		assert.Nil(t, s.URL())
	}
	assert.Empty(t, Spec{}.String())
}

func TestSpecSaysWhatToWrite(t *testing.T) {
	hex := sum(SHA256, "x")
	for text, hint := range map[string]string{
		"":                                 "write sha256:…, or the path or URL",
		" \n":                              "write sha256:…, or the path or URL",
		"a\x00b":                           "zero byte",
		hex:                                "write sha256:" + hex,
		upper(MD5, "x"):                    "write md5:",
		sum(SHA1, "x"):                     "write sha1:",
		sum(SHA384, "x"):                   "write sha384:",
		sum(SHA512, "x"):                   "write sha512:",
		hex + "  tool.tgz":                 "write sha256:" + hex + ",",
		"sha256=" + hex:                    "write sha256:" + hex,
		"sha256:" + hex[1:]:                "this has 63: copy the whole digest",
		"sha256:" + hex[1:] + "g":          "nothing else",
		"sha256:":                          "takes 64",
		"sha256:notes.txt":                 "./sha256:…",
		"md5:" + hex:                       "as sha256 does",
		"crc32:abcd1234":                   `unknown algorithm "crc32": use sha256,`,
		"sha3:whatever":                    `unknown algorithm "sha3"`,
		"sha3-256:" + hex:                  `unknown algorithm "sha3-256"`,
		"sha512/256:" + hex:                `unknown algorithm "sha512/256"`,
		"SHA-256:" + hex:                   "write sha256:…",
		"blake2b:" + hex:                   `unknown algorithm "blake2b"`,
		"whirlpool:" + hex:                 `unknown algorithm "whirlpool"`,
		token(SHA256, "x")[:40]:            "", // may be a file's name
		token(SHA256, "x")[:47] + "=":      "base64 of 32 bytes",
		token(SHA512, "x")[:60]:            "base64 of 64 bytes",
		"sha256-" + hex:                    "write sha256:… if it is hexadecimal",
		token(SHA1, "x"):                   "as in sha1:…",
		token(MD5, "x"):                    "as in sha1:…",
		"sha1-" + sum(SHA1, "x"):           "as in sha1:…",
		token(SHA256, "x") + " what":       "write each as sha256-…",
		token(SHA256, "x") + " sha512-abc": "base64 of 64 bytes",
		"ftp://host/sums":                  `by "ftp": use an http or https URL`,
		"htps://host/sums":                 `by "htps"`,
		"file:///tmp/sums":                 "without file://",
		"https:":                           "write https://host/path",
		"http:host":                        "write http://host/path",
		"https:///sums":                    "write https://host/path",
	} {
		_, err := ParseSpec(text)
		if hint == "" {
			assert.NoError(t, err, text)
			continue
		}
		require.Error(t, err, text)
		assert.ErrorContains(t, err, hint, text)
	}
}

func TestNoErrorShowsAURL(t *testing.T) {
	for _, text := range []string{
		"https://user:secret@host/%zz", "https://user:secret@ho st/", "https://user:secret@/x",
		"ftp://user:secret@host/x", "htps://user:secret@host/", "file://user:secret@host/x",
		"https:/user:secret@host", "https:user:secret@host", "http://host:secret/", "https://user:sec\x7fret@host/secret",
	} {
		_, err := ParseSpec(text)
		require.Error(t, err, text)
		for _, part := range []string{"user", "sec", "ret"} {
			assert.NotContains(t, err.Error(), part)
		}
	}
}

func FuzzParseSpec(f *testing.F) {
	for _, text := range []string{
		"sha256:" + sum(SHA256, ""), token(SHA256, ""), token(SHA384, "1") + " " + token(SHA384, "2") + "?x",
		"https://user:pw@host/a?b#c", `C:\sums.txt`, "crc32:abcd1234", sum(MD5, ""), "http://[::1%25x]/", "dir/sums", " ",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := ParseSpec(text)
		if err != nil {
			return
		}
		kinds := 0
		for _, is := range []bool{s.Digests() != nil, s.Path() != "", s.URL() != nil} {
			if is {
				kinds++
			}
		}
		if kinds != 1 {
			t.Fatalf("%q is of %d kinds", text, kinds)
		}
		again, err := ParseSpec(s.String())
		if err != nil || again.String() != s.String() {
			t.Fatalf("%q became %q and then %q: %v", text, s, again, err)
		}
		for _, d := range s.Digests() {
			if parsed, err := Parse(d.String()); err != nil || parsed != d {
				t.Fatalf("%q has the digest %q: %v", text, d, err)
			}
		}
	})
}
