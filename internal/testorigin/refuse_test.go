package testorigin_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/testorigin"
)

func TestRequireBasicAuth(t *testing.T) {
	o := testorigin.New(t)
	// It outranks what stands around it.
	u := o.Serve("/f", []byte("x"), testorigin.RequireBasicAuth("me", "secret"), testorigin.Status(200, "in"))
	a := get(t, o, u)
	assert.Equal(t, 401, a.StatusCode)
	assert.Contains(t, a.Header.Get("WWW-Authenticate"), "Basic ")
	assert.Equal(t, 401, get(t, o, strings.Replace(u, "://", "://me:wrong@", 1)).StatusCode)

	response, err := o.Client().Get(strings.Replace(u, "://", "://me:secret@", 1))
	require.NoError(t, err)
	defer response.Body.Close()
	assert.Equal(t, "in", readN(t, response.Body, 2))
}

func TestRequireHeader(t *testing.T) {
	o := testorigin.New(t)
	u := o.Serve("/f", []byte("x"), testorigin.RequireHeader("X-Token", "t"))
	assert.Equal(t, 403, get(t, o, u).StatusCode)
	assert.Equal(t, "x", get(t, o, u, "X-Token", "t").body)
}

func TestNoHead(t *testing.T) {
	o := testorigin.New(t)
	u := o.Serve("/f", []byte("x"), testorigin.NoHead())
	assert.Equal(t, 405, ask(t, o, http.MethodHead, u).StatusCode)
	assert.Equal(t, "x", get(t, o, u).body)
}

func TestOneAtATime(t *testing.T) {
	o := testorigin.New(t)
	gate := make(chan struct{})
	one := testorigin.OneAtATime(503)
	u := o.Serve("/f", []byte("0123"), one, testorigin.Sequence(testorigin.GateAfter(2, gate), testorigin.OK()), one)
	first, err := o.Client().Do(request(t, http.MethodGet, u))
	require.NoError(t, err)
	defer first.Body.Close()
	for range 2 {
		a := get(t, o, u)
		assert.Equal(t, 503, a.StatusCode)
		assert.Equal(t, "Service Unavailable\n", a.body)
	}
	assert.Equal(t, "x", get(t, o, o.Serve("/other", []byte("x"), one)).body, "each path by itself")
	close(gate)
	body, err := io.ReadAll(first.Body)
	require.NoError(t, err)
	assert.Equal(t, "0123", string(body))
	assert.Equal(t, "0123", get(t, o, u).body, "whoever has it all has left")
}
