package netrc

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLookup(t *testing.T) {
	for name, c := range map[string]struct{ text, host, login, password string }{
		"one line":              {"machine h login l password p", "h", "l", "p"},
		"many lines":            {"machine\nh\n\tlogin\r\n l\n\npassword\tp\n", "h", "l", "p"},
		"password first":        {"machine h password p login l", "h", "l", "p"},
		"keywords in any case":  {"Machine h LOGIN l Password p", "h", "l", "p"},
		"hosts in any case":     {"machine Example.COM login l password p", "eXample.com", "l", "p"},
		"port of the question":  {"machine h login l password p", "h:8080", "l", "p"},
		"IPv6":                  {"machine ::1 login l password p", "::1", "l", "p"},
		"IPv6 with a port":      {"machine ::1 login l password p", "[::1]:80", "l", "p"},
		"IPv6 in brackets":      {"machine ::1 login l password p", "[::1]", "l", "p"},
		"byte order mark":       {"\ufeffmachine h login l password p", "h", "l", "p"},
		"account":               {"machine h login l account a password p", "h", "l", "p"},
		"login alone":           {"machine h login l", "h", "l", ""},
		"password alone":        {"machine h password p", "h", "", "p"},
		"empty password":        {`machine h login l password ""`, "h", "l", ""},
		"the first machine":     {"machine h login l password p machine h login l2 password p2", "h", "l", "p"},
		"said twice":            {"machine h login l login l2 password p password p2", "h", "l2", "p2"},
		"keywords as values":    {"machine machine login password password login", "machine", "password", "login"},
		"default":               {"machine h login x password y\ndefault login l password p", "g", "l", "p"},
		"machine, not default":  {"machine h login l password p\ndefault login x password y", "h", "l", "p"},
		"comments":              {"# machine h login x password y\nmachine h # login x\n# password y\nlogin l password p # end", "h", "l", "p"},
		"comment without space": {"#machine x\nmachine h login l password p", "h", "l", "p"},
		"hash in a value":       {"machine h login l#l password p#", "h", "l#l", "p#"},
		"hash before a value":   {"machine h login #l password #p", "h", "#l", "#p"},
		"quotes":                {`machine "h" login "l 1" password "p # 2"`, "h", "l 1", "p # 2"},
		"escapes":               {`machine h login "a\"b\\c" password "\n\r\t\x\ "`, "h", `a"b\c`, "\n\r\tx "},
		"quote within":          {`machine h login l"l password p"`, "h", `l"l`, `p"`},
		"backslash, no quotes":  {`machine h login d\l password \np\`, "h", `d\l`, `\np\`},
		"macro before":          {"macdef init\n\tcd login\n\tmachine h login x password y\n\nmachine h login l password p", "h", "l", "p"},
		"macro within":          {"machine h login l\nmacdef m\npassword y\n\npassword p", "h", "l", "p"},
		"macro, CRLF":           {"machine h login l\r\nmacdef m\r\npassword y\r\n\r\npassword p\r\n", "h", "l", "p"},
		"macro, spaces":         {"machine h login l password p\nmacdef m\n \npassword y\n", "h", "l", "p"},
		"macro to the end":      {"machine h login l password p\nmacdef m\npassword y", "h", "l", "p"},
		"macro, its own line":   {"machine h login l macdef m password x\n\npassword p", "h", "l", "p"},
		"empty macro":           {"macdef m\n\nmachine h login l password p", "h", "l", "p"},
		"UTF-8":                 {"machine h login ü password pässwörd", "h", "ü", "pässwörd"},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := Parse([]byte(c.text))
			require.NoError(t, err)
			login, password, ok := f.Lookup(c.host)
			require.True(t, ok)
			require.Equal(t, c.login, login)
			require.Equal(t, c.password, password)
		})
	}
}

func TestLookupFindsNothing(t *testing.T) {
	for name, c := range map[string]struct{ text, host string }{
		"empty":                  {"", "h"},
		"blank":                  {" \r\n\t\n", "h"},
		"comment":                {"# machine h login l password p", "h"},
		"another host":           {"machine h login l password p", "g"},
		"a letter like it":       {"machine k login l password p", "\u212a"},
		"part of the host":       {"machine example.com login l password p", "a.example.com"},
		"more than the host":     {"machine a.example.com login l password p", "example.com"},
		"a machine with a port":  {"machine h:80 login l password p", "h"},
		"no host":                {"machine h login l password p", ""},
		"says nothing":           {"machine h account a", "h"},
		"says it is not default": {"machine h\ndefault login l password p", "h"},
		"in a macro":             {"macdef m\nmachine h login l password p", "h"},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := Parse([]byte(c.text))
			require.NoError(t, err)
			login, password, ok := f.Lookup(c.host)
			require.False(t, ok)
			require.Empty(t, login+password)
		})
	}
}

func TestErrorsNameTheLineAndRepeatNothing(t *testing.T) {
	for name, c := range map[string]struct {
		text, want string
	}{
		"no keyword":          {"machine h\nlogin l password two s3cret", "line 2: a word that is no keyword; values with spaces need double quotes"},
		"quoted keyword":      {`"machine" s3cret`, "line 1: a word that is no keyword; values with spaces need double quotes"},
		"no value":            {"machine h login l\n\npassword\n\n", "line 3: no value after password"},
		"no host":             {"\nmachine", "line 2: no value after machine"},
		"open quote":          {"machine h login l\npassword \"s3cret\n\"", "line 2: a quote that is not closed on its line"},
		"quote open at a \\":  {"machine h login l\npassword \"s3cret\\", "line 2: a quote that is not closed on its line"},
		"text behind a quote": {"machine h\npassword \"s3\"cret", "line 2: no space after a closing quote"},
		"login first":         {"# a\n\nlogin s3cret", "line 3: login before any machine"},
		"machine at the end":  {"default login l password s3cret\nmachine h", "line 2: machine after default, which has to be the last"},
		"two defaults":        {"default login l\ndefault login s3cret", "line 2: a second default"},
		"after a macro":       {"macdef m\ns3cret\n\nlogin s3cret", "line 4: login before any machine"},
		"not text":            {"\x00s3cret", "line 1: a word that is no keyword; values with spaces need double quotes"},
	} {
		t.Run(name, func(t *testing.T) {
			f, err := Parse([]byte(c.text))
			require.EqualError(t, err, c.want)
			require.Nil(t, f)
		})
	}
}

func TestDefaultPath(t *testing.T) {
	home := filepath.Join("some", "home")
	for _, c := range []struct{ netrc, goos, home, want string }{
		{"", "linux", home, filepath.Join(home, ".netrc")},
		{"", "darwin", home, filepath.Join(home, ".netrc")},
		{"", "windows", home, filepath.Join(home, "_netrc")},
		{"/a/file", "linux", home, "/a/file"},
		{"/a/file", "windows", "", "/a/file"},
		{"", "linux", "", ""},
		{"", "windows", "", ""},
	} {
		getenv := func(name string) string { return map[string]string{"NETRC": c.netrc}[name] }
		require.Equal(t, c.want, DefaultPath(getenv, c.goos, c.home))
	}
}

func FuzzParse(f *testing.F) {
	f.Add("machine h login l password p\nmacdef m\nx\n\ndefault login l", "h")
	f.Add("\ufeff# c\r\nmachine \"h\" login \"\\\"\" password \"\\n", "H:80")
	f.Fuzz(func(t *testing.T, text, host string) {
		file, err := Parse([]byte(text))
		if err != nil {
			failed, ok := errors.AsType[*Error](err)
			require.True(t, ok)
			require.Nil(t, file)
			require.GreaterOrEqual(t, failed.Line, 1)
			require.LessOrEqual(t, failed.Line, 1+strings.Count(text, "\n"))
			return
		}
		login, password, ok := file.Lookup(host)
		require.True(t, ok || login+password == "")
		for _, value := range []string{login, password} {
			require.True(t, strings.Contains(text, value) || strings.Contains(text, `\`), "a value that is not in the file")
		}
	})
}

// FuzzQuoted holds that any text on one line survives being quoted.
func FuzzQuoted(f *testing.F) {
	f.Add("h", "l", `p "#\ `)
	f.Fuzz(func(t *testing.T, host, login, password string) {
		if strings.Contains(host, "]") || strings.Contains(host, "[") || strings.Contains(host, ":") {
			return // read as a host with a port, or an address
		}
		quoted := strings.NewReplacer(`"`, `\"`, `\`, `\\`, "\n", `\n`, "\r", `\r`, "\t", `\t`)
		text := `machine "` + quoted.Replace(host) + `" login "` + quoted.Replace(login) + `" password "` + quoted.Replace(password) + `"`
		file, err := Parse([]byte(text))
		require.NoError(t, err)
		gotLogin, gotPassword, ok := file.Lookup(host)
		require.True(t, ok)
		require.Equal(t, login, gotLogin)
		require.Equal(t, password, gotPassword)
	})
}
