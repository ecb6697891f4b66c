package digest

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Integrity metadata is what the W3C's Subresource Integrity calls tokens like
// sha256-BASE64?options, separated by white space. Options have no meaning yet
// and are ignored, as is an algorithm that is not one of the three (section 3.5);
// of the strongest algorithm there, each digest satisfies (section 3.3.5).

const base64Letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

// longToken is how many characters behind a dash are no name of a file any more
// if all of them are of base64. A SHA-256 has 43.
const longToken = 40

// cutToken parts a token of integrity metadata. The algorithm may be one that
// does not exist; the value is without padding and options.
func cutToken(token string) (a Algorithm, value string, padded, ok bool) {
	name, value, ok := strings.Cut(token, "-")
	value, _, _ = strings.Cut(value, "?")
	bare := strings.TrimRight(value, "=")
	return Algorithm(strings.ToLower(name)), bare, bare != value, ok
}

// isMeantAsIntegrity reports whether a token is a digest of integrity metadata,
// or was one before something happened to it. Names of files begin so, too.
func isMeantAsIntegrity(token string) bool {
	a, value, padded, _ := cutToken(token)
	if a.size() == 0 || value == "" {
		return false
	}
	if padded {
		return strings.Trim(value, base64Letters+"-_") == ""
	}
	sum, ok := decode(value)
	return ok && a.IsStrong() && len(sum) == a.size() ||
		len(value) >= longToken && strings.Trim(value, base64Letters) == ""
}

// decode reads base64 without padding in either alphabet: the grammar allows
// both (Content Security Policy 3, section 2.3.1).
func decode(value string) ([]byte, bool) {
	value = strings.NewReplacer("-", "+", "_", "/").Replace(value)
	sum, err := base64.RawStdEncoding.DecodeString(value)
	return sum, err == nil
}

// parseIntegrity returns the digests of the strongest algorithm.
func parseIntegrity(tokens []string) ([]Digest, error) {
	var digests []Digest
	best := 0
	for _, token := range tokens {
		a, value, _, ok := cutToken(token)
		if !ok {
			return nil, errors.New("integrity metadata has something else among its digests: write each as sha256-…")
		}
		if !a.IsStrong() {
			continue
		}
		sum, ok := decode(value)
		if !ok || len(sum) != a.size() {
			return nil, fmt.Errorf("%s- takes the base64 of %d bytes: copy the whole digest, write %s:… if it is hexadecimal, or ./%s-… if that is a file's name", a, a.size(), a, a)
		}
		digests, best = append(digests, of(a, sum)), max(best, a.size())
	}
	if digests == nil {
		return nil, errors.New("integrity metadata takes sha256, sha384 or sha512: write other digests in hexadecimal, as in sha1:…")
	}
	digests = slices.DeleteFunc(digests, func(d Digest) bool { return d.Algorithm.size() < best })
	slices.SortFunc(digests, func(a, b Digest) int { return strings.Compare(a.Hex, b.Hex) })
	return slices.Compact(digests), nil
}

// integrity writes digests as integrity metadata. There is no other form for
// several of them; only the three algorithms come so.
func integrity(digests []Digest) string {
	tokens := make([]string, len(digests))
	for i, d := range digests {
		sum, _ := hex.DecodeString(d.Hex) // it was made from bytes
		tokens[i] = string(d.Algorithm) + "-" + base64.StdEncoding.EncodeToString(sum)
	}
	return strings.Join(tokens, " ")
}
