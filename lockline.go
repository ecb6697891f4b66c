package dlmanager

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/dlmanager/dlmanager/internal/digest"
	"github.com/dlmanager/dlmanager/internal/transfer"
)

// The text of a lock file:
//
//	# dlm lock file 1: URLs and the SHA-256 of what they brought first
//	https://example.com/a.tgz sha256:…
//	https://example.com/get?id=xxxxx#query-0f1e2d3c4b5a6978 sha256:…
//
// One line a URL, sorted by its bytes, so that versions can be merged line by line
// ("merge=union" in .gitattributes, or sort -u). Who reads it takes the lines in any
// order, and also URLs that a person has written otherwise. Lines that begin with # are
// kept, at the top.

const (
	lockFormat = 1
	lockTitle  = "# dlm lock file 1: URLs and the SHA-256 of what they brought first"
	// queryMark begins the fragment with the hash of a query, whose values may be
	// secrets.
	queryMark = "query-"
)

// LockFileError is a line of a lock file that makes no sense, or contradicts another.
type LockFileError struct {
	File   string // as given to OpenLockFile
	Line   int    // from 1
	Reason string // with the remedy; without secrets
}

func (e *LockFileError) Error() string {
	return e.File + ":" + strconv.Itoa(e.Line) + ": " + e.Reason
}

// lockLine is what the file says of one URL.
type lockLine struct {
	digest digest.Digest
	number int // of the line
}

// lockText is the content of the file.
type lockText struct {
	file     string
	comments []string
	lines    map[string]lockLine // by the URLs' keys
	content  []byte              // all of it
}

func parseLock(file string, text []byte) (*lockText, error) {
	t := &lockText{file: file, lines: map[string]lockLine{}, content: text}
	number := 0
	for line := range strings.Lines(string(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf")))) {
		number++
		if reason := t.add(strings.TrimSpace(line), number); reason != "" {
			return nil, &LockFileError{File: file, Line: number, Reason: reason}
		}
	}
	return t, nil
}

// conflictMarkers begin the lines that git puts between two versions.
var conflictMarkers = []string{"<<<<<<<", "|||||||", "=======", ">>>>>>>"}

// add reads a line and returns what is wrong with it.
func (t *lockText) add(line string, number int) (reason string) {
	switch {
	case line == "":
		return ""
	case strings.HasPrefix(line, "#"):
		return t.addComment(line)
	case slices.ContainsFunc(conflictMarkers, func(m string) bool { return strings.HasPrefix(line, m) }):
		return "two versions were merged and are in conflict: keep the lines of both, without the markers, and of two for one URL the right one"
	}
	raw, sum, _ := strings.Cut(line, " ")
	u, err := parseURL(raw)
	d, bad := digest.Parse(strings.TrimSpace(sum))
	if err != nil || bad != nil || d.Algorithm != digest.SHA256 {
		return "not of the form URL sha256:HEX: mend the line, or remove it to have the URL locked anew"
	}
	key := raw
	if !strings.HasPrefix(u.Fragment, queryMark) {
		key = lockKey(u)
	}
	before, twice := t.lines[key]
	if twice && before.digest != d {
		return fmt.Sprintf("line %d has another digest for this URL: keep the right one of the two", before.number)
	}
	if !twice {
		t.lines[key] = lockLine{d, number}
	}
	return ""
}

var lockVersion = regexp.MustCompile(`^# dlm lock file (\d+)`)

func (t *lockText) addComment(line string) (reason string) {
	if found := lockVersion.FindStringSubmatch(line); found != nil {
		if found[1] != strconv.Itoa(lockFormat) {
			return "the file was written by a newer version, of format " + found[1] + ": use that"
		}
		return "" // it is written anew
	}
	t.comments = append(t.comments, line)
	return ""
}

// with returns the text with the lines added that it does not have; itself, if it has
// all.
func (t *lockText) with(adds map[string]digest.Digest) *lockText {
	sum := &lockText{file: t.file, comments: t.comments, lines: maps.Clone(t.lines)}
	for key, d := range adds {
		if _, there := sum.lines[key]; !there {
			sum.lines[key] = lockLine{digest: d}
		}
	}
	if len(sum.lines) == len(t.lines) {
		return t
	}
	sum.content = sum.encode()
	return sum
}

// encode returns the text, sorted, and numbers the lines as they are in it.
func (t *lockText) encode() []byte {
	var b bytes.Buffer
	b.WriteString(lockTitle + "\n")
	for _, c := range t.comments {
		b.WriteString(c + "\n")
	}
	for i, key := range slices.Sorted(maps.Keys(t.lines)) {
		line := t.lines[key]
		line.number = 1 + len(t.comments) + i + 1
		t.lines[key] = line
		b.WriteString(key)
		b.WriteByte(' ')
		b.WriteString(line.digest.String())
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// lockKey is what a URL is called in a lock file: scheme, host and path, and in place
// of the values of its query their hash, together with the names. What only signs the
// request is left out: it is another one each time.
func lockKey(u *url.URL) string {
	shown := &url.URL{Scheme: strings.ToLower(u.Scheme), Host: lockHost(u), Path: u.Path, RawPath: u.RawPath}
	if shown.Path == "" {
		shown.Path = "/"
	}
	query := withoutSignature(u.RawQuery)
	if query == "" {
		return transfer.Redact(shown)
	}
	shown.RawQuery = query
	sum := sha256.Sum256([]byte(query))
	return transfer.Redact(shown) + "#" + queryMark + hex.EncodeToString(sum[:8])
}

// lockHost is the host in lower case, with its port unless that is the scheme's own.
func lockHost(u *url.URL) string {
	host, port := strings.ToLower(u.Hostname()), u.Port()
	if port == "" || port == map[string]string{"http": "80", "https": "443"}[strings.ToLower(u.Scheme)] {
		if strings.Contains(host, ":") {
			return "[" + host + "]"
		}
		return host
	}
	return net.JoinHostPort(host, port)
}

// signatures are the ways in which stores sign URLs: a parameter that gives each away,
// and what else belongs to it. A name with a - at its end stands for all that begin so.
var signatures = map[string][]string{
	"x-amz-signature":  {"x-amz-"},                                                                                              // S3, version 4
	"x-goog-signature": {"x-goog-"},                                                                                             // Google Cloud Storage, version 4
	"signature":        {"signature", "expires", "awsaccesskeyid", "googleaccessid", "policy", "key-pair-id", "hash-algorithm"}, // version 2 of both, and CloudFront
	"sig": { // Azure shared access signatures
		"sig", "se", "st", "sp", "sv", "sr", "spr", "sip", "si", "ss", "srt", "sdd", "ses", "skoid", "sktid", "skt", "ske", "sks", "skv", "saoid", "suoid", "scid",
	},
}

// withoutSignature returns the query without what only signs it.
func withoutSignature(query string) string {
	parts := strings.Split(query, "&")
	nameOf := func(part string) string {
		name, _, _ := strings.Cut(part, "=")
		return strings.ToLower(name)
	}
	for mark, names := range signatures {
		if !slices.ContainsFunc(parts, func(p string) bool { return nameOf(p) == mark }) {
			continue
		}
		parts = slices.DeleteFunc(parts, func(p string) bool {
			return slices.ContainsFunc(names, func(n string) bool {
				return nameOf(p) == n || strings.HasSuffix(n, "-") && strings.HasPrefix(nameOf(p), n)
			})
		})
	}
	return strings.Join(parts, "&")
}
