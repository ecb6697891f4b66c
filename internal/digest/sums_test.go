package digest

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFindReadsEachForm(t *testing.T) {
	hex, other := sum(SHA256, "x"), sum(SHA256, "other")
	want := Digest{SHA256, hex}
	signed := "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n- # sums\n%s  tool.tgz\n" +
		"-----BEGIN PGP SIGNATURE-----\n\niHUEARYKAB0\n=abcd\n-----END PGP SIGNATURE-----\n"
	for name, file := range map[string]string{
		"GNU":                               other + "  a\n" + hex + "  tool.tgz\n" + other + "  z\n",
		"GNU, binary":                       hex + " *tool.tgz\n",
		"GNU, no last line end":             hex + "  tool.tgz",
		"GNU, escaped":                      `\` + hex + "  tool.tgz\n",
		"GNU, in a folder":                  hex + "  dist/tool.tgz\n",
		"GNU, from a folder":                hex + "  ./tool.tgz\n",
		"GNU, in a folder there":            hex + " *./dist/tool.tgz\n",
		"GNU, in Windows' folder":           hex + " *dist\\tool.tgz\n",
		"upper case":                        strings.ToUpper(hex) + "  tool.tgz\n",
		"CRLF":                              other + "  a\r\n" + hex + "  tool.tgz\r\n",
		"BOM":                               "\xef\xbb\xbf" + hex + "  tool.tgz\r\n",
		"one space":                         hex + " tool.tgz\n",
		"tab":                               hex + "\ttool.tgz\n",
		"columns":                           "  " + hex + "      tool.tgz  \n",
		"named":                             "sha256:" + hex + "  tool.tgz\n",
		"named otherwise":                   "SHA-256:" + hex + " *tool.tgz\n",
		"BSD":                               "SHA256 (a) = " + other + "\nSHA256 (tool.tgz) = " + hex + "\n",
		"BSD, SHA2":                         "SHA2-256 (tool.tgz) = " + hex + "\n",
		"BSD, escaped":                      `\SHA256 (tool.tgz) = ` + hex + "\n",
		"BSD, in a folder":                  "SHA256 (./dist/tool.tgz) = " + strings.ToUpper(hex) + "\r\n",
		"BSD, among others":                 "TIMESTAMP = 17\nSIZE (tool.tgz) = 1234\nBLAKE2b (tool.tgz) = abcd\nSHA256 (tool.tgz) = " + hex,
		"OpenSSL":                           "SHA2-256(tool.tgz)= " + hex + "\n",
		"OpenSSL 1":                         "SHA256(tool.tgz)= " + hex + "\n",
		"comments":                          "# sums of 1.2\n\n  # indented\n#" + other + "  tool.tgz\n" + hex + "  tool.tgz\n",
		"prose":                             "Checksums of release 1.2:\n\n" + hex + "  tool.tgz\n",
		"signed":                            fmt.Sprintf(signed, hex),
		"signed, CRLF":                      strings.ReplaceAll(fmt.Sprintf(signed, hex), "\n", "\r\n"),
		"alone":                             hex,
		"alone, line end":                   hex + " \r\n\r\n",
		"alone, comment":                    "# tool\n" + hex + "\n",
		"alone, named":                      "sha256:" + hex + "\n",
		"alone, signed":                     strings.ReplaceAll(fmt.Sprintf(signed, hex), "  tool.tgz", ""),
		"alone, standard input":             hex + "  -\n",
		"alone, OpenSSL's":                  "SHA2-256(stdin)= " + hex + "\n",
		"twice the same":                    hex + "  tool.tgz\n" + strings.ToUpper(hex) + " *tool.tgz\n",
		"the path before the base":          other + "  old/tool.tgz\n" + hex + "  tool.tgz\n" + other + "  new/tool.tgz\n",
		"the path, though weaker elsewhere": sum(SHA512, "y") + "  old/tool.tgz\n" + hex + "  ./tool.tgz\n",
		"the strongest":                     sum(MD5, "x") + "  tool.tgz\n" + hex + "  tool.tgz\n" + sum(SHA1, "x") + "  tool.tgz\n" + sum(SHA1, "y") + "  tool.tgz\n",
	} {
		got, err := Find([]byte(file), "tool.tgz")
		require.NoError(t, err, name)
		assert.Equal(t, want, got, name)
	}
}

func TestFindTellsAlgorithmsFromTheirLength(t *testing.T) {
	for _, a := range every {
		for _, line := range []string{"%s  f", "%s", strings.ToUpper(string(a)) + " (f) = %s", string(a) + ":%s f"} {
			got, err := Find(fmt.Appendf(nil, line, sum(a, "x")), "f")
			require.NoError(t, err)
			assert.Equal(t, Digest{a, sum(a, "x")}, got)
		}
	}
}

func TestFindNames(t *testing.T) {
	one, two, three := sum(SHA256, "1"), sum(SHA256, "2"), sum(SHA256, "3")
	file := []byte(one + "  linux/tool\n" + two + "  darwin/tool\n" + three + "  other\n" +
		`\` + one + `  line\nend` + "\n" + `\` + two + `  back\\slash` + "\n" +
		"SHA256 (a (1) = b.txt) = " + three + "\n" + two + "  two words *\n")
	for name, want := range map[string]string{
		"linux/tool": one, "./darwin/tool": two, "x/other": three, "line\nend": one, `back\slash`: two,
		"a (1) = b.txt": three, "two words *": two,
	} {
		got, err := Find(file, name)
		require.NoError(t, err, name)
		assert.Equal(t, want, got.Hex, name)
	}
	got, err := Find(file, "absent", "other", "linux/tool")
	require.NoError(t, err)
	assert.Equal(t, three, got.Hex, "the first name that is found")
	_, err = Find(file, "tool")
	require.ErrorContains(t, err, `two different sha256 digests for "tool": give the right one itself, as sha256:…`)
	for _, absent := range []string{"Other", "the", "oth", "", ".", "tool/", `line\nend`} {
		_, err = Find(file, absent)
		require.Error(t, err, absent)
	}
}

func TestFindSaysWhatIsWrong(t *testing.T) {
	hex := sum(SHA256, "x")
	for name, c := range map[string]struct{ file, hint string }{
		"empty":                {"", "the checksum file is empty"},
		"white space":          {"\xef\xbb\xbf \r\n", "the checksum file is empty"},
		"no entry":             {hex + "  a\n" + hex + "  b\n", `no entry for "tool.tgz" or "tool" (it has 2 for other names)`},
		"no entry but alone":   {hex + "  a\n" + hex + "\n", `no entry for "tool.tgz" or "tool" (it has 1 for other names)`},
		"web page":             {"\n<!DOCTYPE html>\n" + hex + "  tool.tgz\n", "a web page: use the URL of the file itself"},
		"binary":               {"\x1f\x8b\x00" + hex, "no checksum file: it is binary"},
		"garbage":              {"\x1f\x8b\x99\n\xff(\xff", "no checksum file: no line"},
		"text":                 {"Not Found", "no checksum file: no line"},
		"PowerShell":           {"\xff\xfeA\x00", "UTF-16"},
		"large":                {strings.Repeat("\n", MaxFile+1), "larger than 16 MiB"},
		"unknown algorithms":   {"RMD160 (tool.tgz) = abcd\n", "use one with sha256,"},
		"two alone":            {hex + "\n" + sum(SHA256, "y"), "2 digests and no names"},
		"alone in a text":      {"sum:\n" + hex + "\n", "more in it than a digest"},
		"contradiction":        {hex + "  tool.tgz\n" + sum(SHA256, "y") + "  tool.tgz\n", "two different sha256"},
		"contradiction, third": {hex + "  tool.tgz\n" + sum(SHA256, "y") + "  tool.tgz\n" + hex + "  tool.tgz\n", "two different sha256"},
		"named, wrong length":  {"SHA512 (tool.tgz) = " + hex, "no checksum file"},
		"short":                {hex[1:] + "  tool.tgz", "no checksum file"},
		"long":                 {hex + "0  tool.tgz", "no checksum file"},
		"only a signature":     {"-----BEGIN PGP SIGNATURE-----\n\n" + hex + "\n-----END PGP SIGNATURE-----\n", "no checksum file"},
		"bad escape":           {`\` + hex + `  tool\x.tgz`, "no checksum file"},
		"cut escape":           {`\` + hex + `  tool\`, "no checksum file"},
	} {
		_, err := Find([]byte(c.file), "tool.tgz", "tool")
		require.Error(t, err, name)
		assert.ErrorContains(t, err, c.hint, name)
		assert.Less(t, len(err.Error()), 250)
	}
	_, err := Find([]byte(hex + "  a"))
	require.ErrorContains(t, err, "a file without a name")
}

func TestFindTakesHostileFiles(t *testing.T) {
	hex := sum(SHA256, "x")
	const size = 1 << 20 // at which anything but linear time is minutes
	for _, unit := range []string{"x", "a", ")(", `\`, "x ", "./", "- ", "x\r\n", "SHA256 (", hex + " ", hex + "  z\n"} {
		for _, start := range []string{"", hex + "  ", `\` + hex + "  ", "SHA256 (", "#"} {
			_, err := Find([]byte(start+strings.Repeat(unit, size/len(unit))), "tool.tgz", "another")
			require.Error(t, err, start+unit)
			assert.Less(t, len(err.Error()), 250)
		}
	}
}

func FuzzFind(f *testing.F) {
	hex := sum(SHA256, "x")
	f.Add([]byte(hex+"  tool.tgz\n"), "tool.tgz", "x")
	f.Add([]byte(`\`+hex+`  a\nb`+"\n"), "a\nb", "y")
	f.Add([]byte("SHA256 (a) = "+hex+"\r\nSHA2-256(b)= "+hex), "b", "")
	f.Add([]byte("-----BEGIN PGP SIGNED MESSAGE-----\n\n- "+hex+"\n-----BEGIN PGP SIGNATURE-----\n"), "c", "z")
	f.Add([]byte("sha256:"+hex), "d", "z")
	f.Fuzz(func(t *testing.T, file []byte, name, content string) {
		if d, err := Find(file, name); err == nil {
			if again, err := Parse(d.String()); err != nil || again != d {
				t.Fatalf("found %q, which is no digest: %v", d, err)
			}
		}
		if !isTame(name) {
			return
		}
		want := Digest{SHA512, sum(SHA512, content)}
		escaped := strings.NewReplacer(`\`, `\\`, "\n", `\n`).Replace(name)
		mark := ""
		if escaped != name {
			mark = `\`
		}
		for _, line := range []string{
			mark + want.Hex + "  " + escaped, mark + want.Hex + " *" + escaped,
			mark + "SHA512 (" + escaped + ") = " + want.Hex,
		} {
			text := append(bytes.TrimPrefix([]byte(line), utf8BOM), "\n"+sum(SHA256, "z")+"  z"...)
			if got, err := Find(text, name); err != nil || got != want {
				t.Fatalf("%q in %q: %v, %v", name, text, got, err)
			}
		}
	})
}

// isTame reports whether a name is one that no rule takes for something else:
// white space at its ends, a mark, standard input, a folder.
func isTame(name string) bool {
	return strings.TrimSpace(name) == name && !strings.ContainsAny(name, "\x00") && !strings.HasPrefix(name, "*") &&
		name != "-" && name != "stdin" && name[lastPart(name):] != ""
}
