package testorigin_test

import (
	"io"
	"mime"
	"mime/multipart"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/testorigin"
)

func TestRangesThatAreNotWhatWasAsked(t *testing.T) {
	for name, c := range map[string]struct {
		opt        testorigin.Option
		asked      string
		span, body string
	}{
		"later":             {testorigin.ShiftRange(2), "bytes=4-", "bytes 6-9/10", "6789"},
		"earlier":           {testorigin.ShiftRange(-2), "bytes=4-5", "bytes 2-5/10", "2345"},
		"not before":        {testorigin.ShiftRange(-9), "bytes=4-5", "bytes 0-5/10", "012345"},
		"not behind":        {testorigin.ShiftRange(9), "bytes=4-5", "bytes 9-9/10", "9"},
		"shorter":           {testorigin.ShortenRange(2), "bytes=4-", "bytes 4-5/10", "45"},
		"not longer":        {testorigin.ShortenRange(20), "bytes=4-6", "bytes 4-6/10", "456"},
		"broken":            {testorigin.ContentRange("lines 4-9"), "bytes=4-", "lines 4-9", "456789"},
		"missing":           {testorigin.ContentRange(""), "bytes=4-", "", "456789"},
		"one byte, in part": {testorigin.Multipart(), "bytes=4-4", "bytes 4-4/10", "4"},
		"of two":            {testorigin.ShiftRange(2), "bytes=-3", "bytes 7-9/10", "789"},
	} {
		t.Run(name, func(t *testing.T) {
			o := testorigin.New(t)
			u := o.Serve("/f", []byte("0123456789"), c.opt)
			a := get(t, o, u, "Range", c.asked)
			require.NoError(t, a.err)
			assert.Equal(t, 206, a.StatusCode)
			assert.Equal(t, c.span, a.Header.Get("Content-Range"))
			assert.Equal(t, c.body, a.body)
			a = get(t, o, u)
			assert.Equal(t, 200, a.StatusCode)
			assert.Empty(t, a.Header.Get("Content-Range"))
			assert.Equal(t, "0123456789", a.body)
			assert.Equal(t, 416, get(t, o, u, "Range", "bytes=10-").StatusCode)
		})
	}
}

func TestMultipart(t *testing.T) {
	o := testorigin.New(t)
	a := get(t, o, o.Serve("/f", []byte("0123456789"), testorigin.Multipart()), "Range", "bytes=4-8")
	require.NoError(t, a.err)
	assert.Equal(t, 206, a.StatusCode)
	kind, params, err := mime.ParseMediaType(a.Header.Get("Content-Type"))
	require.NoError(t, err)
	assert.Equal(t, "multipart/byteranges", kind)
	parts := multipart.NewReader(strings.NewReader(a.body), params["boundary"])
	for _, want := range []string{"456", "78"} {
		part, err := parts.NextPart()
		require.NoError(t, err)
		got, err := io.ReadAll(part)
		require.NoError(t, err)
		assert.Equal(t, want, string(got))
	}
}

func TestIgnoreIfRange(t *testing.T) {
	o := testorigin.New(t)
	u := o.Serve("/f", []byte("0123"), testorigin.ETag(`"v2"`), testorigin.IgnoreIfRange())
	a := get(t, o, u, "Range", "bytes=2-", "If-Range", `"v1"`)
	assert.Equal(t, 206, a.StatusCode)
	assert.Equal(t, `"v2"`, a.Header.Get("ETag"))
	assert.Equal(t, "23", a.body)
}
