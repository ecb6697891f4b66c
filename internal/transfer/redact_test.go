package transfer

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRedact(t *testing.T) {
	for in, want := range map[string]string{
		"https://h/p/a%20b":               "https://h/p/a%20b",
		"https://h:8443/":                 "https://h:8443/",
		"https://me@h/":                   "https://xxxxx@h/",
		"https://me:pw@h/":                "https://xxxxx@h/",
		"https://:pw@h/":                  "https://xxxxx@h/",
		"https://h/?a=1&b=2":              "https://h/?a=xxxxx&b=xxxxx",
		"https://h/?a=1;b=2":              "https://h/?a=xxxxx&b=xxxxx",
		"https://h/?token":                "https://h/?xxxxx",
		"https://h/?token=":               "https://h/?xxxxx",
		"https://h/?dG9rZW4==&a=b":        "https://h/?xxxxx&a=xxxxx",
		"https://h/?a==b":                 "https://h/?a=xxxxx",
		"https://h/?=x":                   "https://h/?=xxxxx",
		"https://h/?a\u202e\u009b =1":     "https://h/?a%E2%80%AE%C2%9B%20=xxxxx",
		"https://h/#frag":                 "https://h/",
		"mailto:me@h":                     "mailto:xxxxx",
		"/path?x=1":                       "/path?x=xxxxx",
		"https://registry/@scope/pkg.tgz": "https://registry/@scope/pkg.tgz",
	} {
		require.Equal(t, want, Redact(parse(t, in)), in)
	}
	require.Empty(t, Redact(nil))
}

func TestRedactString(t *testing.T) {
	for in, want := range map[string]string{
		"":                        "",
		"https://me:pw@h/f?a=b#c": "https://xxxxx@h/f?a=xxxxx",
		"h/f?a=b":                 "h/f?a=xxxxx",
		"//me:pw@h/f":             "//xxxxx@h/f",
		"https://me:p#w@h/":       "https:xxxxx",
		"https://me:p/w@h/":       "https:xxxxx",
		"https://me:pw@h:port/":   "https:xxxxx",
		"HTTPS://me:pw@h:port/":   "https:xxxxx",
		"https:/me:pw@h/":         "https:xxxxx",
		"https:///me:pw@h/":       "https:xxxxx",
		"https:///me%3apw%40h/":   "https:xxxxx",
		"https:me:pw@h/":          "https:xxxxx",
		"me:pw@h/f":               "xxxxx",
		"pw@h/f":                  "xxxxx",
		"https://me:pw@h/%zz":     "https:xxxxx",
		"https://me:pw@h/\x00":    "https:xxxxx",
		"ftp://me:p w@h/":         "ftp:xxxxx",
		"://me:pw@h":              "xxxxx",
		"\x1b[2J":                 "xxxxx",
	} {
		require.Equal(t, want, RedactString(in), "%q", in)
	}
}

// FuzzRedact puts a secret into every place of a URL that is one's own.
func FuzzRedact(f *testing.F) {
	f.Add("https", "h", "/p", "", "")
	f.Add("http", "[::1]:80", "/a;b=c", "a=", "&")
	f.Add("", "", "//h", "@", ":/?#")
	f.Add("http", "h", "/a", "%2Fa", "")
	f.Add("x", "h\x00", "\u202e", ";", "==")
	f.Fuzz(func(t *testing.T, scheme, host, path, before, after string) {
		if strings.Contains(scheme+host+path, key) {
			return // not in a secret place
		}
		secret := before + key + after
		for _, u := range []url.URL{
			{User: url.User(secret)},
			{User: url.UserPassword(secret, "x")},
			{User: url.UserPassword("x", secret)},
			{RawQuery: "a=" + url.QueryEscape(secret)},
			{RawQuery: "a=1&b=" + url.QueryEscape(secret) + "&c"},
			{RawQuery: url.QueryEscape(secret)},
			{RawQuery: url.QueryEscape(secret) + "="},
			{Fragment: secret},
		} {
			u.Scheme, u.Host, u.Path = scheme, host, path
			require.NotContains(t, Redact(&u), key)
			u.Scheme = "https" // another may make a path of all that follows
			require.NotContains(t, RedactString(u.String()), key)
		}
		require.NotContains(t, Redact(&url.URL{Scheme: scheme, Opaque: secret}), key)
		open := url.URL{Scheme: scheme, Host: host, Path: path, RawPath: before}
		require.Equal(t, open.String(), Redact(&open))
		require.Equal(t, sourceOf(&open), sourceShown(&open, Redact(&open)))
	})
}

// FuzzRedactString does so with text that need not be a URL at all.
func FuzzRedactString(f *testing.F) {
	f.Add("https://", "h/p", "x", "y")
	f.Add("", "h:port/%zz", "%", " ")
	f.Add("http:/", "\x1b", "p@", "")
	f.Fuzz(func(t *testing.T, scheme, rest, before, after string) {
		if strings.Contains(scheme+rest, key) || strings.ContainsAny(strings.TrimSuffix(scheme, "//"), "/?#") {
			return // not in a secret place
		}
		secret := url.QueryEscape(before) + key + url.QueryEscape(after)
		for _, raw := range []string{
			scheme + secret + "@" + rest,
			scheme + "me:" + secret + "@" + rest,
			scheme + secret + ":pw@" + rest,
			scheme + "h/p?a=" + secret,
			scheme + "h/p#" + secret,
		} {
			require.NotContains(t, RedactString(raw), key, "%q", raw)
		}
	})
}
