package transfer

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/testorigin"
)

var errStop = errors.New("asked to stop")

// None of these has a stall time-out: if the end of the context were not seen at
// once, they would hang.

func TestCancelBeforeTheStart(t *testing.T) {
	o := testorigin.New(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errStop)
	_, err := Fetch(ctx, Request{URL: parse(t, o.Serve("/f", nil)), Client: newClient(t)}, &memory{})
	require.Same(t, errStop, err)
	require.Zero(t, o.Count("/f"))
}

func TestCancelWhileDialling(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	client := newClient(t, func(transport *http.Transport) {
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			cancel(errStop)
			<-ctx.Done()
			return nil, ctx.Err()
		}
	})
	_, err := Fetch(ctx, Request{URL: parse(t, "http://h/"), Client: client}, &memory{})
	require.Same(t, errStop, err)
}

func TestCancelWhileWaiting(t *testing.T) {
	o := testorigin.New(t)
	o.Serve("/silent", nil, testorigin.Silent())
	for name, raw := range map[string]string{
		"for the headers":    o.URL("/silent"),
		"for a later answer": o.Serve("/redirect", nil, testorigin.Redirect("/silent", 302)),
	} {
		t.Run(name, func(t *testing.T) {
			arrived := o.Arrived("/silent", o.Count("/silent")+1)
			ctx, cancel := context.WithCancelCause(t.Context())
			done := inBackground(ctx, Request{URL: parse(t, raw), Client: newClient(t)}, &memory{})
			<-arrived
			cancel(errStop)
			require.Same(t, errStop, <-done)
		})
	}
}

func TestCancelInTheBody(t *testing.T) {
	o := testorigin.New(t)
	for name, sink := range map[string]func(context.CancelCauseFunc) *memory{
		"after the headers": func(cancel context.CancelCauseFunc) *memory {
			return &memory{onStart: func(Head) error { cancel(errStop); return nil }}
		},
		"after some bytes": func(cancel context.CancelCauseFunc) *memory {
			return &memory{onWrite: func([]byte, int64) error { cancel(errStop); return nil }}
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			raw := o.ServeSize("/f", 1<<30, testorigin.SilentAfter(100))
			_, err := Fetch(ctx, Request{URL: parse(t, raw), Client: newClient(t)}, sink(cancel))
			require.Same(t, errStop, err)
		})
	}
}

func TestCancelInTheBodyOfARedirect(t *testing.T) {
	raw := serveRaw(t, always("HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 9\r\n\r\n"+hold))
	ctx, cancel := context.WithCancelCause(t.Context())
	client := newClient(t)
	client.CheckRedirect = func(*http.Request, []*http.Request) error { cancel(errStop); return nil }
	_, err := Fetch(ctx, Request{URL: parse(t, raw), Client: client}, &memory{})
	require.Same(t, errStop, err)
}

func TestADeadlineIsACause(t *testing.T) {
	o := testorigin.New(t)
	ctx, cancel := context.WithDeadline(t.Context(), time.Unix(1, 0))
	defer cancel()
	_, err := Fetch(ctx, Request{URL: parse(t, o.Serve("/f", nil)), Client: newClient(t)}, &memory{})
	require.Equal(t, context.DeadlineExceeded, err)
}

func TestASinksErrorOutranksCancellation(t *testing.T) {
	o := testorigin.New(t)
	full := errors.New("no space left")
	raw := o.ServeSize("/f", 100)
	for name, sink := range map[string]func(context.CancelCauseFunc) *memory{
		"start": func(cancel context.CancelCauseFunc) *memory {
			return &memory{onStart: func(Head) error { cancel(errStop); return full }}
		},
		"write": func(cancel context.CancelCauseFunc) *memory {
			return &memory{onWrite: func([]byte, int64) error { cancel(errStop); return full }}
		},
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		_, err := Fetch(ctx, Request{URL: parse(t, raw), Client: newClient(t)}, sink(cancel))
		require.Same(t, full, err, name)
	}
}

func TestAnAnswerOutranksCancellation(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	text := io.MultiReader(strings.NewReader("gone"), readFunc(func([]byte) (int, error) {
		cancel(errStop)
		return 0, context.Canceled
	}))
	s := &scripted{responses: []*http.Response{answer(410, text)}}
	_, err := Fetch(ctx, Request{URL: parse(t, "http://h/"), Client: &http.Client{Transport: s}}, &memory{})
	require.Equal(t, "gone", requireStatus(t, err, 410).Message)
}

func TestAWholeBodyOutranksCancellation(t *testing.T) {
	o := testorigin.New(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	m := &memory{onWrite: func([]byte, int64) error { cancel(errStop); return nil }}
	s := &scripted{responses: []*http.Response{answer(200, io.MultiReader(strings.NewReader("all")))}}
	_, err := Fetch(ctx, Request{URL: parse(t, o.URL("/f")), Client: &http.Client{Transport: s}}, m)
	require.NoError(t, err)
	require.Equal(t, "all", string(m.data))
}
