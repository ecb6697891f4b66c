package fs

import (
	"math/rand/v2"
	"net/url"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var markPattern = regexp.MustCompile(`-[a-z2-7]{16}`)

func TestTreeName(t *testing.T) {
	for raw, want := range map[string]string{
		// To the letter.
		"https://example.com/dir/Tool_Linux.tar.gz":       "example.com/dir/Tool_Linux.tar.gz",
		"HTTPS://EXAMPLE.com:443/tool.tgz":                "example.com/tool.tgz",
		"https://example.com:/tool.tgz":                   "example.com/tool.tgz",
		"https://user:secret@example.com/tool.tgz#part":   "example.com/tool.tgz",
		"http://example.com/tool.tgz":                     "example.com+80/tool.tgz",
		"http://127.0.0.1:8080/tool.tgz":                  "127.0.0.1+8080/tool.tgz",
		"http://example.com:443/tool.tgz":                 "example.com+443/tool.tgz",
		"https://example.com:8443/tool.tgz":               "example.com+tls8443/tool.tgz",
		"https://example.com:80/tool.tgz":                 "example.com+tls80/tool.tgz",
		"https://h/a%20b/%E6%97%A5%5B1%5D(2)~c,d;e@f.txt": "h/a b/日[1](2)~c,d;e@f.txt",
		"https://h/日.txt":                                 "h/日.txt",
		"https://bücher.example/x.pdf":                    "bücher.example/x.pdf",
		// Files without an extension, and folders with one.
		"https://h/kubectl":           "h/-/kubectl",
		"https://h/v1.2":              "h/-/v1.2",
		"https://h/v1.2/tool.tgz":     "h/v1.2/tool.tgz",
		"https://h/a.d/b":             "h/a.d+/-/b",
		"https://h/-/-":               "h/-+/-/-",
		"https://h/c++/c++":           "h/c+++/-/c++",
		"https://h/.config/.bashrc":   "h/.config/-/.bashrc",
		"https://h/github.com/x.tgz":  "h/github.com+/x.tgz",
		"https://h/github.com+/x.tgz": "h/github.com++/x.tgz",
		// With a hash.
		"https://h/tool.tar.gz?v=2":             "h/tool-HASH.tar.gz",
		"https://h/tool.tgz?":                   "h/tool-HASH.tgz",
		"https://h/tool?v=2":                    "h/-/tool-HASH",
		"https://h":                             "h/-/index-HASH",
		"https://h/a/":                          "h/a/-/index-HASH",
		"https://h/a//b.c":                      "h/a/_/b-HASH.c",
		"https://h/a/../b.c":                    "h/a/_/b-HASH.c",
		"https://h/./b.c":                       "h/_/b-HASH.c",
		"https://h/%2e%2e/%2e%2e":               "h/_/-/_-HASH",
		"https://h/%41.c":                       "h/A-HASH.c",
		"https://h/%e6%97%a5.c":                 "h/日-HASH.c",
		"https://h/a%2Fb.c":                     "h/a_b-HASH.c",
		"https://h/a:b/c.d":                     "h/a_b/c-HASH.d",
		"https://h/e%CC%81.c":                   "h/é-HASH.c",
		"https://h/con/nul.txt":                 "h/_con/_nul-HASH.txt",
		"https://h/a./b.c":                      "h/a/b-HASH.c",
		"https://h/tool-abcdefghijklmnop.tgz":   "h/tool-abcdefghijklmnop-HASH.tgz",
		"https://h./b.c":                        "h/b-HASH.c",
		"https://.dlm/format":                   "_.dlm/-/format-HASH",
		"https://cachedir.tag/x.c":              "_cachedir.tag/x-HASH.c",
		"https://con.example/x.c":               "_con.example/x-HASH.c",
		"https://[2001:DB8::1]:8443/x.c":        "2001_db8__1+tls8443/x-HASH.c",
		"https://h+80/x.c":                      "h+80/x-HASH.c",
		"https://h:0443/x.c":                    "h/x-HASH.c",
		"ftp://h/x.c":                           "h/x-HASH.c",
		"https://h/con%20%20/.dlm/CACHEDIR.TAG": "h/_con/.dlm/CACHEDIR-HASH.TAG",
	} {
		name, err := TreeName(parsed(t, raw))
		require.NoError(t, err, raw)
		if strings.Contains(want, "HASH") {
			all := markPattern.FindAllStringIndex(name, -1)
			require.NotEmpty(t, all, name)
			last := all[len(all)-1]
			name = name[:last[0]] + "-HASH" + name[last[1]:]
		}
		assert.Equal(t, want, name, raw)
	}
}

func TestTreeNameNeedsAHost(t *testing.T) {
	for _, raw := range []string{"", "/a/b.c", "file:///a/b.c", "https:///b.c", "mailto:a@b.c", "https://:80/x"} {
		_, err := TreeName(parsed(t, raw))
		require.ErrorIs(t, err, ErrInvalidName, raw)
		assert.ErrorContains(t, err, "give a name")
	}
}

func TestTreeNameFitsWhateverTheLength(t *testing.T) {
	long := strings.Repeat("x", 400)
	for _, raw := range []string{
		"https://h/" + long + ".tar.gz",
		"https://h/" + long + "/" + long + "/" + long + "/x.tar.gz",
		"https://h/" + strings.Repeat("d/", 5000) + "x.tar.gz",
		"https://" + long + ".example:8443/" + long + "/x.tar.gz",
		"https://h/con" + strings.Repeat("%20", 400) + "x/y.tar.gz",
		"https://h/" + strings.Repeat("%20", 400) + "x/y.tar.gz",
	} {
		name, err := TreeName(parsed(t, raw))
		require.NoError(t, err)
		requireStorable(t, name)
		assert.LessOrEqual(t, len(name), maxTree)
		assert.Regexp(t, `-[a-z2-7]{16}\.tar\.gz$`, name)
	}
}

// identityOf says in other words than TreeName what two URLs must share to have
// one name.
func identityOf(u *url.URL) string {
	v := *u
	v.User, v.Fragment, v.RawFragment = nil, "", ""
	v.Scheme = strings.ToLower(v.Scheme)
	lower := strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, v.Host)
	lower = strings.TrimSuffix(lower, ":")
	v.Host = strings.TrimSuffix(lower, map[string]string{"http": ":80", "https": ":443"}[v.Scheme])
	if v.Path == "" {
		v.Path = "/"
	}
	return v.String()
}

func TestCanonicalIsOneForWhatIsOne(t *testing.T) {
	for _, same := range [][2]string{
		{"https://H.example:443", "HTTPS://user:secret@h.EXAMPLE/#part"},
		{"http://h:80/a", "http://h/a#b"},
		{"https://h:/日", "https://h/%E6%97%A5"},
	} {
		assert.Equal(t, Canonical(parsed(t, same[0])), Canonical(parsed(t, same[1])), same)
	}
	for _, others := range [][2]string{
		{"https://h/a", "http://h/a"},
		{"https://h/a", "https://h/A"},
		{"https://h/a", "https://h/a?"},
		{"https://h/a", "https://h/a/"},
		{"https://h/a?x=1", "https://h/a?x=2"},
		{"https://h/a", "https://h:444/a"},
		{"https://İ.example/", "https://i.example/"},
	} {
		assert.NotEqual(t, Canonical(parsed(t, others[0])), Canonical(parsed(t, others[1])), others)
	}
}

// names collects names and finds out whether two of them meet.
type names struct {
	owner   map[string]string // the URL of a name
	folders map[string]string // a URL that needs this folder
}

func (n *names) add(t *testing.T, u *url.URL) {
	t.Helper()
	name, err := TreeName(u)
	require.NoError(t, err, u)
	requireTreeName(t, name)
	if plain, ok := plainTreeName(u); ok {
		same, err := anyTreeName(u)
		require.NoError(t, err, u)
		require.Equal(t, same, plain, u)
	}
	id := identityOf(u)
	if other, taken := n.owner[name]; taken && other != id {
		t.Fatalf("%s and %s are both called %s", id, other, name)
	}
	n.owner[name] = id
	if other, needed := n.folders[name]; needed {
		t.Fatalf("%s, the file of %s, is a folder of %s", name, id, other)
	}
	for dir := path.Dir(name); dir != "."; dir = path.Dir(dir) {
		if other, taken := n.owner[dir]; taken {
			t.Fatalf("%s, the file of %s, is a folder of %s", dir, other, id)
		}
		n.folders[dir] = id
	}
}

func requireTreeName(t *testing.T, name string) {
	t.Helper()
	clean, err := CleanName(name)
	require.NoError(t, err)
	require.Equal(t, name, clean)
	require.LessOrEqual(t, len(name), maxTree)
	require.Contains(t, name, "/")
}

// Every URL of a few awkward pieces has a name of its own that is no folder of
// another one's.
func TestTreeNamesNeverMeet(t *testing.T) {
	sites := []string{"https://h", "http://h", "https://h:80", "http://h:443", "https://h:8443", "http://h:8443", "https://h+80", "https://h+tls80", "https://h.", "https://_h", "https://-"}
	segments := []string{
		"a", "A", "a.b", "a.b+", "a+", "+", "-", "-+", "%2D", "_", "", ".", "..", "%2e", "index", "a%2Fb", "a%2fb", "con", "_con", "a.", "%61", "a.tar.gz", "é", "%C3%A9",
		"e%CC%81", "v1.2", "a%20", "a?x", "a?", "a-abcdefghijklmnop", "a-abcdefghijklmnop.b", "-abcdefghijklmnop",
	}
	all := names{owner: map[string]string{}, folders: map[string]string{}}
	for _, site := range sites {
		for _, first := range segments {
			all.add(t, parsed(t, site+"/"+first))
			for _, second := range segments {
				all.add(t, parsed(t, site+"/"+first+"/"+second))
			}
		}
	}
	random := rand.New(rand.NewPCG(1, 2)) // the same every time
	for range 10_000 {
		raw := sites[random.IntN(len(sites))]
		for range random.IntN(5) {
			raw += "/" + segments[random.IntN(len(segments))]
		}
		all.add(t, parsed(t, raw))
	}
}

// Some URLs take a shorter way to the same names.
func TestUsualURLsArePlain(t *testing.T) {
	for _, raw := range []string{
		"https://example.com/dir/Tool_Linux-1.2.tar.gz", "http://127.0.0.1:8080/x.d/kubectl", "https://h:8443/v1.2/c++/-/.config/a",
	} {
		u := parsed(t, raw)
		name, plain := plainTreeName(u)
		require.True(t, plain, raw)
		any, err := anyTreeName(u)
		require.NoError(t, err)
		assert.Equal(t, any, name)
		assert.LessOrEqual(t, testing.AllocsPerRun(100, func() { _, _ = TreeName(u) }), 1.0)
	}
	for _, raw := range []string{
		"https://con/a.b", "https://.dlm/a.b", "https://h:08/a.b", "https://H/a.b", "https://h./a.b", "https://h/aux.x/b.c", "https://h/a./b",
		"https://h/a//b", "https://h/a/", "https://h/../b.c", "https://h/a.b?", "https://h/a%20b", "https://h/x-ABCDEFGHIJKLMNOP.tar.gz",
		"https://h/" + strings.Repeat("-/", 299) + "a.b", "https://h/" + strings.Repeat("a", 201),
	} {
		_, plain := plainTreeName(parsed(t, raw))
		assert.False(t, plain, raw)
	}
}

func FuzzTreeName(f *testing.F) {
	f.Add("https://h/a", "https://h/a/b")
	f.Add("https://h/a.b", "https://h/a.b/c.d")
	f.Add("https://h/tool.tgz?x", "https://h/tool.tgz")
	f.Add("http://h/x", "https://h:80/x")
	f.Add("https://[::1%25eth0]/%2e./%zz", "https://[::1]:8443//")
	f.Add("https://h/%e9/%E9+", "https://xn--bcher-kva.example/-/-+")
	f.Add("http://h:81/x.d/y", "https://h:443/v1+/-/c++")
	f.Add("https://h/"+strings.Repeat("a", 200)+"/lpt1.x", "https://h/X-ABCDEFGHIJKLMNOP.tar.gz")
	f.Add("https://"+strings.Repeat("h", 200)+":65535/"+strings.Repeat("x.y/", 80)+"z", "https://h/"+strings.Repeat("+/", 150)+"b.c")
	f.Add("https://h/"+strings.Repeat("x.y/", 200), "https://h/"+strings.Repeat("%20", 300)+"con")
	f.Fuzz(func(t *testing.T, one, two string) {
		all := names{owner: map[string]string{}, folders: map[string]string{}}
		for _, raw := range []string{one, two} {
			u, err := url.Parse(raw)
			if err != nil || u.Hostname() == "" || strings.ContainsAny(u.Host, "/?#@") || (u.Scheme != "http" && u.Scheme != "https") {
				continue
			}
			all.add(t, u)
			// A URL that asks for the name that another one has.
			name, err := TreeName(u)
			require.NoError(t, err)
			site, rest, _ := strings.Cut(name, "/")
			all.add(t, &url.URL{Scheme: "https", Host: strings.Map(hostRune, site), Path: "/" + rest})
			all.add(t, u.JoinPath("x"))
		}
	})
}

// hostRune keeps what may stand in a host.
func hostRune(r rune) rune {
	if strings.ContainsRune("/?#@[]%", r) {
		return '_'
	}
	return r
}

func BenchmarkTreeName(b *testing.B) {
	u, err := url.Parse("https://downloads.example.com/releases/v12/artifacts/linux-amd64/tool-12345.tar.gz")
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = TreeName(u)
	}
}
