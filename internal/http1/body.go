package http1

import (
	"context"
	"io"
	"net/http"
	"sync"
)

// body is the body of an answer. Its end is that of the exchange. It may be closed
// while it is read.
type body struct {
	from io.Reader
	conn *conn
	ctx  context.Context

	mu  sync.Mutex // guards err
	err error      // how it ended; nil: it has not
}

// beginBody makes the body of an answer that has come over a connection one of these.
func beginBody(resp *http.Response, c *conn, ctx context.Context) {
	b, ok := resp.Body.(*body)
	if !ok {
		b = &body{from: resp.Body}
		resp.Body = b
	}
	b.conn, b.ctx = c, ctx
}

// Read implements [io.Reader]. When the request's context has ended it returns the
// cause.
func (b *body) Read(p []byte) (int, error) {
	b.mu.Lock()
	err := b.err
	b.mu.Unlock()
	if err != nil {
		return 0, err
	}
	n, err := b.from.Read(p)
	if err != nil {
		err = b.end(err)
	}
	return n, err
}

// Close gives up what has not been read, and the connection with it.
func (b *body) Close() error {
	_ = b.end(http.ErrBodyReadAfterClose)
	return nil
}

// end ends the exchange, once, and returns why it has ended. From then on the
// connection may be somebody else's.
func (b *body) end(err error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		if err != io.EOF && b.ctx.Err() != nil {
			err = context.Cause(b.ctx)
		}
		b.err = err
		b.conn.end(err == io.EOF)
	}
	return b.err
}
