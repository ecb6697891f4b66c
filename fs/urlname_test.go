package fs

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func parsed(t *testing.T, raw string) *url.URL {
	t.Helper()
	u, err := url.Parse(raw)
	require.NoError(t, err, raw)
	return u
}

func TestFlatNameIsTheLastSegmentMadePortable(t *testing.T) {
	for raw, want := range map[string]string{
		"https://h/tool.tgz":                         "tool.tgz",
		"https://h/a/b/Tool_1.2?x=y/z#f":             "Tool_1.2",
		"https://h/a//tool":                          "tool",
		"https://h/a%20b":                            "a b",
		"https://h/%E6%97%A5.txt":                    "日.txt",
		"https://h/日.txt":                            "日.txt",
		"https://h/e%CC%81":                          "é",
		"https://h/a%2Fb":                            "a_b",
		"https://h/..%2F..%2Fetc%2Fpasswd":           ".._.._etc_passwd",
		"https://h/..%5C..%5Cx":                      ".._.._x",
		"https://h/a:b%3Fc*d|e%00f":                  "a_b_c_d_e_f",
		"https://h/%FF%FEx":                          "__x",
		"https://h/a" + strings.Repeat("%CC%85", 31): "a" + strings.Repeat("\u0305", 30) + "_\u0305",
		"https://h/͵%F2%F2\u0300":                    "͵__\u0300",
		"https://h/gpj%E2%80%AE.exe":                 "gpj_.exe",
		"https://h/tool.%20.":                        "tool",
		"https://h/con":                              "_con",
		"https://h/NUL.tar.gz":                       "_NUL.tar.gz",
		"https://h/COM%C2%B9":                        "_COM¹",
		"https://h/.dlm%00":                          ".dlm_",
		"https://h/.dlmx":                            ".dlmx",
		"https://h/%00":                              "_",
		"https://h/.dlm/x":                           "x",
		"https://h/" + strings.Repeat("x", 255):      strings.Repeat("x", 255),
		"https://h/50%25":                            "50%",
		"https://user:secret@h:8443/x.y?t=1#a/b":     "x.y",
	} {
		name, err := FlatName(parsed(t, raw))
		require.NoError(t, err, raw)
		assert.Equal(t, want, name, raw)
	}
}

func TestFlatNameAsksForANameWhereThereIsNone(t *testing.T) {
	for _, raw := range []string{
		"http://h", "http://h/", "http://h/?q", "http://h/a/", "http://h/.", "http://h/a/..", "http://h/%2e%2E", "http://h/...", "http://h/%20",
		"http://h/.dlm", "http://h/.DLM", "http://h/%2Edlm", "http://h/.dlm.", "http://h/.dlm%20", "http://h/CACHEDIR.TAG", "http://h/cachedir.tag",
		"http://h/dlm~1", "http://h/.d%EF%B8%8Flm",
	} {
		_, err := FlatName(parsed(t, raw))
		require.ErrorIs(t, err, ErrInvalidName, raw)
		assert.Regexp(t, `give (a|another) name$`, err.Error())
	}
}

func TestFlatNameShortensBeforeTheExtension(t *testing.T) {
	for _, long := range []string{strings.Repeat("x", 300), strings.Repeat("日", 100), "con" + strings.Repeat(" ", 300) + "x"} {
		one, err := FlatName(parsed(t, "https://h/"+url.PathEscape(long)+"1.tar.gz"))
		require.NoError(t, err)
		two, err := FlatName(parsed(t, "https://h/"+url.PathEscape(long)+"2.tar.gz"))
		require.NoError(t, err)
		assert.Regexp(t, `-[a-z2-7]{16}\.tar\.gz$`, one)
		assert.LessOrEqual(t, len(one), maxPart)
		assert.NotEqual(t, one, two)
	}
}

func TestPortableIsValidForEveryCharacter(t *testing.T) {
	for r := range everyCharacter {
		part := portable("a" + string(r) + "\u0301b")
		if again := portable(part); partFault(part) != "" || characterFault(part) != "" || again != part {
			t.Errorf("%U gives %q, then %q", r, part, again)
		}
	}
}

func TestExtensions(t *testing.T) {
	for name, want := range map[string]string{
		"tool": "", "v1.2": "", "v1.2rc1": "", "x.10": "", ".bashrc": "", "a.b_c": "", "a.": "", "linux.x86_64": "", "a.averyveryverylongone": "", "x.é": "",
		"tool.gz": ".gz", "tool.tar.gz": ".tar.gz", "T.TAR.Zst": ".TAR.Zst", ".tar.gz": ".gz", "a.tar": ".tar", "a.7z": ".7z", "a.3gp": ".3gp", "a.mp4": ".mp4",
		"a.c": ".c", "a.sha256": ".sha256", "m.safetensors": ".safetensors", "a.tar.gz.sha256": ".sha256", "..x": ".x",
	} {
		stem, ext := splitExt(name)
		assert.Equal(t, want, ext, name)
		assert.Equal(t, name, stem+ext)
	}
}

func FuzzFlatName(f *testing.F) {
	for _, raw := range []string{
		"https://h/tool.tgz", "https://h/a/", "http://h", "https://h/..%2f..%2fx", "https://h/%ff%00", "https://h/.dlm%20.", "https://h/con .x",
		"https://h/e%CC%81%E2%80%AE", "https://h/" + strings.Repeat("%e0%a5%98", 120) + ".tar.gz", "https://h/DLM~1",
		"https://h/͵%F2%F2%F2\u0300", "https://h/a" + strings.Repeat("%CC%81", 40) + "%CC%A3",
	} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		u, err := url.Parse(raw)
		if err != nil {
			return
		}
		name, err := FlatName(u)
		if err != nil {
			require.ErrorIs(t, err, ErrInvalidName)
			require.Contains(t, err.Error(), "; give a") // its own reasons, never CleanName's
			return
		}
		requireStorable(t, name)
		require.NotContains(t, name, "/")
		again, err := FlatName(&url.URL{Scheme: "https", Host: "h", Path: "/" + name})
		require.NoError(t, err)
		require.Equal(t, name, again)
	})
}

func TestHashedNameIsOfOneURLAlone(t *testing.T) {
	seen := map[string]string{}
	for _, raw := range []string{
		"https://h/v1/tool.tar.gz", "https://h/v2/tool.tar.gz", "http://h/v1/tool.tar.gz", "https://h:8443/v1/tool.tar.gz",
		"https://h/v1/tool.tar.gz?x=1", "https://h/v1/tool.tar.gz?", "https://h", "https://h/a/", "https://h/a/..", "https://h/.dlm", "https://h/con",
		"https://h/" + strings.Repeat("x", 400), "https://h/" + strings.Repeat("x", 401),
	} {
		name, err := HashedName(parsed(t, raw))
		require.NoError(t, err, raw)
		again, err := CleanName(name)
		require.NoError(t, err, raw)
		assert.Equal(t, name, again)
		assert.NotContains(t, name, "/")
		assert.Empty(t, seen[name], "%s and %s", raw, seen[name])
		seen[name] = raw
	}
	a, err := HashedName(parsed(t, "https://h/v1/tool.tar.gz"))
	require.NoError(t, err)
	assert.Regexp(t, `^tool-[a-z2-7]{16}\.tar\.gz$`, a)
	b, err := HashedName(parsed(t, "HTTPS://user:password@H:443/v1/tool.tar.gz#part"))
	require.NoError(t, err)
	assert.Equal(t, a, b, "the same resource")
	_, err = HashedName(parsed(t, "tool"))
	require.ErrorIs(t, err, ErrInvalidName)
}
