package dlmanager

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/testorigin"
)

// cutThen serves a file of which the first answer is cut in the middle, and what
// comes after is as the steps say.
func cutThen(o *testorigin.Origin, path string, validator testorigin.Option, steps ...testorigin.Option) (url string) {
	first := testorigin.All(validator, testorigin.CutAfter(half))
	return o.ServeSize(path, small, testorigin.Sequence(append([]testorigin.Option{first}, steps...)...))
}

// What is asked for after half of the file has come: the rest, and the whole again
// when the answer to that is no good.
var (
	restAlone = []string{"", `bytes=400- if "v1"`}
	restWhole = []string{"", `bytes=400- if "v1"`, ""}
)

func TestServerReplacedTheContentBetweenAttempts(t *testing.T) {
	for size, fresh := range map[string]string{
		"same size": strings.Repeat("n", small), "shorter": strings.Repeat("n", half/4), "longer": strings.Repeat("n", 2*small),
		"as long as what has come": strings.Repeat("n", half), "empty": "",
	} {
		for kind, validators := range map[string][2]testorigin.Option{
			"none":       {testorigin.OK(), testorigin.OK()},
			"weak":       {testorigin.ETag(`W/"v1"`), testorigin.ETag(`W/"v1"`)},
			"strong":     {testorigin.ETag(`"v1"`), testorigin.ETag(`"v2"`)},
			"date":       {testorigin.LastModified(time.Unix(1, 0)), testorigin.LastModified(time.Unix(2, 0))},
			"young date": {testorigin.LastModified(time.Now()), testorigin.LastModified(time.Now())},
			"tag gone":   {testorigin.ETag(`"v1"`), testorigin.OK()},
		} {
			t.Run(size+", "+kind, func(t *testing.T) {
				o := testorigin.New(t)
				url := cutThen(o, "/file", validators[0], testorigin.All(validators[1], testorigin.Body([]byte(fresh))))
				fetchWhole(t, fresh, url)
				assert.LessOrEqual(t, o.Count("/file"), 3)
			})
		}
	}
}

func TestServerLeavesTheTagWhenItReplacesTheContent(t *testing.T) {
	o := testorigin.New(t)
	other := strings.Repeat("n", small)
	url := cutThen(o, "/file", tagged, testorigin.All(tagged, testorigin.Body([]byte(other))))
	fetchWhole(t, other, url, WithChecksum(sha256Of(other))) // only a checksum can tell, and then it is fetched anew
	assert.Equal(t, 3, o.Count("/file"))
}

func TestServerGivesNothingToGoOnBy(t *testing.T) {
	for name, validator := range map[string]testorigin.Option{
		"no validator": testorigin.OK(),
		"weak tag":     testorigin.ETag(`W/"v1"`),
		"unquoted tag": testorigin.ETag(`v1`),
		"half a tag":   testorigin.ETag(`"v1`),
		"several tags": testorigin.ETag(`"v1", "v2"`),
		"young date":   testorigin.LastModified(time.Now()),
		"weak tag beside a date": testorigin.All(
			testorigin.ETag(`W/"v1"`), testorigin.LastModified(time.Unix(1, 0))),
	} {
		t.Run(name, func(t *testing.T) {
			o := testorigin.New(t)
			r := fetchWhole(t, contentOf(small), cutThen(o, "/file", validator, validator))
			assert.Equal(t, []string{"", ""}, asked(t, o, "/file"), "from the beginning")
			assert.EqualValues(t, half+small, r.WireBytes)

			r = fetchWhole(t, contentOf(small), cutThen(o, "/checked", validator, validator), WithChecksum(sha256Of(contentOf(small))))
			assert.Equal(t, []string{"", "bytes=400-"}, asked(t, o, "/checked"), "a checksum tells whether the parts fit")
			assert.EqualValues(t, small, r.WireBytes)
		})
	}
}

func TestServerGivesAStrongDate(t *testing.T) {
	o := testorigin.New(t)
	date := testorigin.LastModified(time.Unix(1, 0))
	r := fetchWhole(t, contentOf(small), cutThen(o, "/file", date, date))
	assert.Equal(t, []string{"", "bytes=400- if Thu, 01 Jan 1970 00:00:01 GMT"}, asked(t, o, "/file"))
	assert.EqualValues(t, small, r.WireBytes)
}

func TestServerAnswersTheWholeToARange(t *testing.T) {
	lies := testorigin.All(testorigin.NoRanges(), testorigin.Header("Accept-Ranges", "bytes"))
	says := testorigin.All(testorigin.NoRanges(), testorigin.Header("Accept-Ranges", "none"))
	for name, c := range map[string]struct {
		opt  testorigin.Option
		want []string
	}{
		"silent about ranges": {testorigin.NoRanges(), []string{"", `bytes=400- if "v1"`, "bytes=400-"}},
		"lies about ranges":   {lies, []string{"", `bytes=400- if "v1"`, "bytes=400-"}},
		"says it has none":    {says, restAlone},
	} {
		t.Run(name, func(t *testing.T) {
			o := testorigin.New(t)
			r := fetchWhole(t, contentOf(small), cutThen(o, "/file", tagged, testorigin.All(tagged, c.opt)))
			assert.Equal(t, c.want, asked(t, o, "/file"))
			assert.Equal(t, OriginFetched, r.Origin)
		})
	}
}

func TestServerAnswersTheWholeToSeveralConnections(t *testing.T) {
	o := testorigin.New(t)
	r := fetchBeside(t, o, testorigin.NoRanges(), testorigin.Header("Accept-Ranges", "bytes"))
	assert.Equal(t, 1, r.Attempts)
	assert.EqualValues(t, 8*mib, r.WireBytes, "the first connection goes on alone")
}

func TestServerSendsAnotherRangeThanWasAsked(t *testing.T) {
	for name, opt := range map[string]testorigin.Option{
		"earlier": testorigin.ShiftRange(-1), "from the beginning": testorigin.ShiftRange(-half), "later": testorigin.ShiftRange(1),
		"nothing but the last byte": testorigin.ShiftRange(small), "in two parts": testorigin.Multipart(),
	} {
		t.Run(name, func(t *testing.T) {
			o := testorigin.New(t)
			fetchWhole(t, contentOf(small), cutThen(o, "/file", tagged, testorigin.All(tagged, opt)))
			assert.Equal(t, restWhole, asked(t, o, "/file"))
		})
	}
}

func TestServerSendsALessRangeThanWasAsked(t *testing.T) {
	o := testorigin.New(t)
	r := fetchWhole(t, contentOf(small), cutThen(o, "/file", tagged, testorigin.All(tagged, testorigin.ShortenRange(200))))
	assert.Equal(t, []string{"", `bytes=400- if "v1"`, `bytes=600- if "v1"`, `bytes=800- if "v1"`}, asked(t, o, "/file"))
	assert.EqualValues(t, small, r.WireBytes)

	url := cutThen(o, "/stops", tagged, testorigin.All(tagged, testorigin.ShortenRange(1)))
	requireCut(t, fetchInVain(t, url))
	assert.Equal(t, []string{"", `bytes=400- if "v1"`, `bytes=401- if "v1"`}, asked(t, o, "/stops"))
}

func TestServerBreaksContentRange(t *testing.T) {
	for _, field := range []string{
		"", "bytes", "bytes ", "bytes 400-", "bytes 400-999", "bytes 400-999/", "bytes 400-999/*", "bytes */1000", "bytes -400-999/1000",
		"items 400-999/1000", "bytes=400-999/1000", "bytes 400-1000/1000", "bytes 999-400/1000", "bytes 0x190-999/1000",
		"bytes 400-998/1000", "bytes 400-999/999", "bytes 400-999/1001", "bytes 399-998/1000", "bytes 0-599/600",
		"bytes 400-999/99999999999999999999", "bytes 18446744073709552016-18446744073709552615/1000", "bytes 400-999/1000, 400-999/1000",
	} {
		t.Run(field, func(t *testing.T) {
			o := testorigin.New(t)
			fetchWhole(t, contentOf(small), cutThen(o, "/file", tagged, testorigin.All(tagged, testorigin.ContentRange(field))))
			assert.Equal(t, restWhole, asked(t, o, "/file"))
		})
	}
}

func TestServerSendsARangeOfAnotherVersion(t *testing.T) {
	fresh := strings.Repeat("n", small)
	other := func(validator testorigin.Option, body string) testorigin.Option {
		return testorigin.All(testorigin.IgnoreIfRange(), validator, testorigin.Body([]byte(body)))
	}
	for name, second := range map[string]testorigin.Option{
		"another tag":      other(testorigin.ETag(`"v2"`), fresh),
		"weak tag":         other(testorigin.ETag(`W/"v1"`), fresh),
		"no tag":           other(testorigin.OK(), fresh),
		"a date, no tag":   other(testorigin.LastModified(time.Unix(1, 0)), fresh),
		"another total":    other(tagged, fresh+"n"),
		"a shorter total":  other(tagged, fresh[:small-1]),
		"shorter than had": other(testorigin.ETag(`"v2"`), fresh[:half-1]),
	} {
		t.Run(name, func(t *testing.T) {
			o := testorigin.New(t)
			last := testorigin.All(testorigin.ETag(`"v2"`), testorigin.Body([]byte(fresh)))
			fetchWhole(t, fresh, cutThen(o, "/file", tagged, second, last))
			assert.Equal(t, restWhole, asked(t, o, "/file"))
		})
	}
}

func TestServerHasAnotherVersionOnAnotherConnection(t *testing.T) {
	fresh := strings.Repeat("n", 8*mib)
	for name, second := range map[string]testorigin.Option{
		"another tag, in part":  testorigin.IgnoreIfRange(),
		"another tag, in whole": testorigin.OK(),
		"another total":         testorigin.All(testorigin.IgnoreIfRange(), tagged, testorigin.Body([]byte(fresh+"n"))),
		"no tag":                testorigin.All(testorigin.IgnoreIfRange(), testorigin.Header("ETag", "")),
	} {
		t.Run(name, func(t *testing.T) {
			o := testorigin.New(t)
			old := testorigin.All(tagged, testorigin.SilentAfter(64<<10)) // it ends when the other has answered
			url := o.Serve("/file", []byte(fresh), testorigin.ETag(`"v2"`), testorigin.Sequence(
				testorigin.All(testorigin.Size(8*mib), old), second, testorigin.OK()))
			r := fetchWhole(t, fresh, url, WithConnections(2))
			assert.Equal(t, 1, r.Attempts)
			all := asked(t, o, "/file")
			require.Len(t, all, 3)
			assert.Empty(t, all[0])
			assert.Regexp(t, `^bytes=\d+-\d* if "v1"$`, all[1])
			assert.Empty(t, all[2])
		})
	}
}

func TestServerAnswers416WithABody(t *testing.T) {
	refusal := testorigin.Status(416, "no such range")
	for name, second := range map[string]testorigin.Option{
		"without a range": testorigin.All(tagged, refusal),
		"of this size":    testorigin.All(tagged, refusal, testorigin.Header("Content-Range", "bytes */1000")),
		"of what has come, of another version": testorigin.All(testorigin.ETag(`"v2"`), refusal,
			testorigin.Header("Content-Range", "bytes */400")),
		"of what has come, of another size": testorigin.All(tagged, refusal, testorigin.Header("Content-Range", "bytes */400")),
	} {
		t.Run(name, func(t *testing.T) {
			o := testorigin.New(t)
			fetchWhole(t, contentOf(small), cutThen(o, "/file", tagged, second, testorigin.OK()))
			assert.Equal(t, restWhole, asked(t, o, "/file"))
		})
	}
	o := testorigin.New(t)
	err := fetchInVain(t, cutThen(o, "/always", tagged, refusal))
	status, ok := errors.AsType[*StatusError](err)
	require.True(t, ok)
	assert.Equal(t, 416, status.Code)
	assert.Equal(t, restWhole, asked(t, o, "/always"), "it is asked for the whole once")
}

func TestServerAnswers416WhenAllIsThere(t *testing.T) {
	o := testorigin.New(t)
	// All bytes have come, and not the last chunk that proves it.
	url := o.ServeSize("/file", small, tagged, testorigin.Sequence(
		testorigin.All(testorigin.NoLength(), testorigin.CutAfter(small)), testorigin.OK()))
	r := fetchWhole(t, contentOf(small), url)
	assert.Equal(t, []string{"", `bytes=1000- if "v1"`}, asked(t, o, "/file"))
	assert.True(t, r.Verified)
	assert.EqualValues(t, small, r.WireBytes)
}

func TestServerSendsAPartUnasked(t *testing.T) {
	o := testorigin.New(t)
	url := o.ServeSize("/file", small, testorigin.Status(206, contentOf(half)), testorigin.Header("Content-Range", "bytes 0-399/1000"))
	err := fetchInVain(t, url)
	status, ok := errors.AsType[*StatusError](err)
	require.True(t, ok)
	assert.Equal(t, 206, status.Code)
	assert.Equal(t, []string{""}, asked(t, o, "/file"))
	assert.False(t, IsTemporary(err), fmt.Sprint(err))
}
