package transfer

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWhatIsHeldIsAskedAboutByItsValidators(t *testing.T) {
	const date = "Tue, 14 Nov 2023 22:13:20 GMT"
	for name, c := range map[string]struct {
		tag, modified       string
		wantTag, wantSince  string
		from                string // "": the URL itself
		answerTag           string
		answer              int
		unmodified, retried bool
	}{
		"strong":         {tag: `"a"`, wantTag: `"a"`, answer: 304, unmodified: true},
		"weak":           {tag: `W/"a"`, wantTag: `W/"a"`, answer: 304, answerTag: `"a"`, unmodified: true},
		"both":           {tag: `"a"`, modified: date, wantTag: `"a"`, wantSince: date, answer: 304, answerTag: `"a"`, unmodified: true},
		"date":           {modified: date, wantSince: date, answer: 304, unmodified: true},
		"no validator":   {answer: 200},
		"malformed tag":  {tag: `a`, modified: date, answer: 200},
		"malformed date": {modified: "yesterday", answer: 200},
		"another sender": {tag: `"a"`, from: "http://elsewhere.example/", answer: 200},
		"changed":        {tag: `"a"`, wantTag: `"a"`, answer: 200, answerTag: `"b"`},
		"304 of another": {tag: `"a"`, wantTag: `"a"`, answer: 304, answerTag: `"b"`, retried: true},
	} {
		t.Run(name, func(t *testing.T) {
			var asked []http.Header
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked = append(asked, r.Header)
				if c.answerTag != "" {
					w.Header().Set("ETag", c.answerTag)
				}
				if c.answer == 304 && len(asked) == 1 {
					w.WriteHeader(304)
					return
				}
				_, _ = w.Write([]byte("body"))
			}))
			defer server.Close()
			u, err := url.Parse(server.URL + "/file")
			require.NoError(t, err)
			from := sourceOf(u)
			if c.from != "" {
				from.URL = c.from
			}
			client := server.Client()
			defer client.CloseIdleConnections()
			var sink heldSink
			result, err := Fetch(t.Context(), Request{
				URL: u, Client: client,
				Held: &Held{ETag: c.tag, LastModified: c.modified, From: senderID(from, c.tag)},
			}, &sink)
			assert.Equal(t, c.wantTag, asked[0].Get("If-None-Match"))
			assert.Equal(t, c.wantSince, asked[0].Get("If-Modified-Since"))
			if c.unmodified {
				require.ErrorIs(t, err, ErrUnmodified)
				assert.Equal(t, c.answerTag, result.ETag)
				assert.Equal(t, server.URL+"/file", result.FinalURL)
				assert.Empty(t, sink.data)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, "body", string(sink.data))
			if c.retried {
				require.Len(t, asked, 2)
				assert.Empty(t, asked[1].Get("If-None-Match"))
			}
		})
	}
}

// heldSink keeps a short body.
type heldSink struct{ data []byte }

func (s *heldSink) Start(Head, Source, int64) error { return nil }
func (s *heldSink) WriteAt(b []byte, _ int64) (int, error) {
	s.data = append(s.data, b...)
	return len(b), nil
}
func (s *heldSink) Stored(*Result, int) error { return nil }

func TestOtherConnectionsAskAboutNothing(t *testing.T) {
	const size = 8 << 20
	s, raw := newStore(t, size, 4)
	_, _, err := fetchSlate(t, raw, size, fixed(4), func(r *Request) {
		r.Held = &Held{ETag: `"old"`, From: senderID(sourceOf(r.URL), `"old"`)}
	})
	require.NoError(t, err)
	asked := s.requests()
	require.Greater(t, len(asked), 1)
	assert.Equal(t, `"old"`, asked[0].Header.Get("If-None-Match"))
	for _, r := range asked[1:] {
		assert.Empty(t, r.Header.Get("If-None-Match"))
	}
}
