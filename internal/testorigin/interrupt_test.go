package testorigin_test

import (
	"context"
	"io"
	"net/http"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/testorigin"
)

// framings are the three ways a body's end is told: by length, by chunks, by
// close; the last is written to the raw connection.
var framings = map[string]testorigin.Option{
	"length": testorigin.OK(), "chunks": testorigin.NoLength(), "close": testorigin.CloseDelimited(),
}

func TestGateHoldsTheHeaders(t *testing.T) {
	o := testorigin.New(t)
	gate := make(chan struct{})
	o.Serve("/f", []byte("x"), testorigin.Gate(gate))
	conn, r := dial(t, o, "/f")
	<-o.Arrived("/f", 1)
	first := make(chan string)
	go func() {
		line, _ := r.ReadString('\n')
		first <- line
	}()
	select {
	case line := <-first:
		t.Fatalf("answered %q before the gate opened", line)
	case gate <- struct{}{}: // the handler stands at the gate
	}
	assert.Equal(t, "HTTP/1.1 200 OK\r\n", <-first)
	require.NoError(t, conn.Close())
}

func TestGateAfter(t *testing.T) {
	for name, framing := range framings {
		t.Run(name, func(t *testing.T) {
			o := testorigin.New(t)
			gate := make(chan struct{})
			u := o.Serve("/f", []byte("0123456789"), framing,
				testorigin.GateAfter(4, gate), testorigin.GateAfter(0, gate)) // any order
			response, err := o.Client().Do(request(t, http.MethodGet, u))
			require.NoError(t, err) // the headers are there, the body is not
			defer response.Body.Close()
			gate <- struct{}{}
			assert.Equal(t, "0123", readN(t, response.Body, 4))
			gate <- struct{}{}
			rest, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			assert.Equal(t, "456789", string(rest))
		})
	}
}

func TestGateAfterBeyondTheBodyIsNotReached(t *testing.T) {
	o := testorigin.New(t)
	a := get(t, o, o.Serve("/f", []byte("0123"), testorigin.GateAfter(5, nil)))
	require.NoError(t, a.err)
	assert.Equal(t, "0123", a.body)
}

func TestSilentEndsWhenTheClientGoes(t *testing.T) {
	o := testorigin.New(t)
	u := o.Serve("/f", []byte("x"), testorigin.Silent())
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-o.Arrived("/f", 1)
		cancel()
	}()
	_, err := o.Client().Do(request(t, http.MethodGet, u).WithContext(ctx))
	require.ErrorIs(t, err, context.Canceled)
}

func TestSilentAfter(t *testing.T) {
	for name, framing := range framings {
		t.Run(name, func(t *testing.T) {
			o := testorigin.New(t)
			for _, n := range []int{0, 3} {
				u := o.Serve("/f", []byte("0123456789"), framing, testorigin.SilentAfter(int64(n)))
				ctx, cancel := context.WithCancel(t.Context())
				response, err := o.Client().Do(request(t, http.MethodGet, u).WithContext(ctx))
				require.NoError(t, err)
				assert.Equal(t, "0123456789"[:n], readN(t, response.Body, n))
				cancel()
				_, err = io.ReadAll(response.Body)
				require.ErrorIs(t, err, context.Canceled)
				require.NoError(t, response.Body.Close())
			}
		})
	}
}

func TestDrip(t *testing.T) {
	for name, framing := range framings {
		t.Run(name, func(t *testing.T) {
			o := testorigin.New(t)
			gate := make(chan struct{})
			u := o.Serve("/f", []byte("0123456789"), framing, testorigin.Drip(3, gate))
			response, err := o.Client().Do(request(t, http.MethodGet, u))
			require.NoError(t, err)
			defer response.Body.Close()
			assert.Equal(t, "012", readN(t, response.Body, 3))
			gate <- struct{}{}
			assert.Equal(t, "345", readN(t, response.Body, 3))
			close(gate)
			rest, err := io.ReadAll(response.Body)
			require.NoError(t, err)
			assert.Equal(t, "6789", string(rest))
		})
	}
	o := testorigin.New(t)
	whole := get(t, o, o.Serve("/f", []byte("012345"), testorigin.Drip(6, nil)))
	assert.Equal(t, "012345", whole.body) // no wait after the last byte
}

func TestCutAfter(t *testing.T) {
	for name, framing := range framings {
		t.Run(name, func(t *testing.T) {
			o := testorigin.New(t)
			for _, n := range []int{0, 4} {
				a := get(t, o, o.Serve("/f", []byte("0123456789"), framing, testorigin.CutAfter(int64(n))))
				assert.Equal(t, 200, a.StatusCode)
				assert.Equal(t, "0123456789"[:n], a.body)
				if name == "close" {
					assert.NoError(t, a.err)
				} else {
					assert.ErrorIs(t, a.err, io.ErrUnexpectedEOF)
				}
			}
		})
	}
}

func TestCutAfterCountsTheBytesOfTheResponse(t *testing.T) {
	o := testorigin.New(t)
	u := o.Serve("/f", []byte("0123456789"), testorigin.CutAfter(2))
	a := get(t, o, u, "Range", "bytes=5-")
	assert.Equal(t, 206, a.StatusCode)
	assert.Equal(t, "56", a.body)
	assert.ErrorIs(t, a.err, io.ErrUnexpectedEOF)
}

func TestCutWithTheLastChunkMissing(t *testing.T) {
	o := testorigin.New(t)
	a := get(t, o, o.Serve("/f", []byte("0123"), testorigin.NoLength(), testorigin.CutAfter(4)))
	assert.Equal(t, "0123", a.body)
	assert.ErrorIs(t, a.err, io.ErrUnexpectedEOF)
}

func TestResetAfter(t *testing.T) {
	for name, framing := range framings {
		t.Run(name, func(t *testing.T) {
			o := testorigin.New(t)
			gate := make(chan struct{})
			// The gate makes sure that the first bytes have been delivered.
			u := o.Serve("/f", []byte("0123456789"), framing, testorigin.GateAfter(4, gate), testorigin.ResetAfter(4))
			response, err := o.Client().Do(request(t, http.MethodGet, u))
			require.NoError(t, err)
			defer response.Body.Close()
			assert.Equal(t, "0123", readN(t, response.Body, 4))
			close(gate)
			_, err = io.ReadAll(response.Body)
			assert.ErrorIs(t, err, syscall.ECONNRESET)
		})
	}
}

func TestDrop(t *testing.T) {
	o := testorigin.New(t)
	o.Serve("/f", []byte("x"), testorigin.Drop())
	_, r := dial(t, o, "/f")
	got, err := io.ReadAll(r)
	require.NoError(t, err)
	assert.Empty(t, got)
	_, err = o.Client().Get(o.URL("/f"))
	assert.ErrorIs(t, err, io.EOF)
}

func TestOpenGate(t *testing.T) {
	o := testorigin.New(t)
	assert.Equal(t, "x", get(t, o, o.Serve("/f", []byte("x"), testorigin.Gate(closed()))).body)
}
