package transfer

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

// The request for a URL is the one that net/http makes of its text.
func FuzzRequestIsThatOfNetHTTP(f *testing.F) {
	for _, seed := range []string{
		"http://h/a", "http://h", "https://H:/a%20b?q=a b", "http://h:81/a%2Fb/../c?", "http://me:pw@h/#f",
		"http://[::1%25lo]:80/", "http://h//a/./b", "http://%C3%A4.example/ä?ä", "http://h/a;b,c:d@e", "http://h?x=%zz",
		"http://h/%41", "http://h/\x7f", "//h/a", "http:o", "http:/a", "http:///a",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		at, err := url.Parse(raw)
		if err != nil || at.Scheme != "http" && at.Scheme != "https" || at.Hostname() == "" {
			return // cannot be fetched
		}
		text := *at
		text.User, text.Fragment, text.RawFragment, text.RawQuery = nil, "", "", graphic(at.RawQuery)
		want, err := http.NewRequestWithContext(t.Context(), http.MethodGet, text.String(), nil)
		if err != nil {
			require.Contains(t, at.Host, "%", "only a zone can be read and not be written")
			return
		}
		want.Header = http.Header{"User-Agent": {"test/1"}, "Accept-Encoding": {"identity"}}

		fetch := &fetch{req: Request{URL: at, UserAgent: "test/1"}, watch: newWatch(t.Context(), 0)}
		got := fetch.request(at, false).WithContext(t.Context())
		require.Equal(t, want.URL.RequestURI(), got.URL.RequestURI())
		want.URL.RawPath, got.URL.RawPath = "", "" // a hint, which need not be a valid one
		require.Equal(t, want, got)
	})
}
