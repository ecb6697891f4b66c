package digest

import (
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sum returns some digest of an algorithm, as hexadecimal digits.
func sum(a Algorithm, content string) string {
	h := a.New()
	h.Write([]byte(content))
	return of(a, h.Sum(nil)).Hex
}

// upper is sum in upper case.
func upper(a Algorithm, content string) string { return strings.ToUpper(sum(a, content)) }

var every = []Algorithm{SHA256, SHA384, SHA512, MD5, SHA1}
