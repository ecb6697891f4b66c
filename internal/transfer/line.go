package transfer

import (
	"errors"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// line is one connection at work on a board: it receives one part after the
// other. Its goroutine alone uses it, but for what is said otherwise.
type line struct {
	*fetch
	board *board
	part  *part
	speed float64     // bytes per second, of the parts before; 0: unknown
	heard atomic.Bool // something has come
	leave atomic.Bool // it is not wanted any more; set by others
	over  atomic.Bool // it has ended
}

// Ways in which a line ends that are no failure of the transfer.
var (
	errLeft    = errors.New("connection given up")
	errRefused = errors.New("no second connection")
)

// errChanged says that another answer is of another version.
var errChanged = errors.New("the content changed on the server")

// receive stores an answer's body in the line's part, in a loop of our own:
// io.Copy would hand it to the file's ReadFrom, which takes 32 KiB at a time
// whatever the speed.
func (l *line) receive(body io.Reader) error {
	buf := firstBuffers
	b := buf.get()
	defer func() { buf.put(b) }()
	var speed pace
	for {
		n, err := l.read(body, *b, &speed)
		given := false
		if n > 0 {
			l.heard.Store(true)
			done, storeErr := l.keep(buf, b, n, &given)
			if given {
				b = nil
			}
			if storeErr != nil {
				return storeErr
			}
			if done {
				return l.expectEnd(body, err)
			}
		}
		if errors.Is(err, io.EOF) {
			return l.ended()
		}
		if err != nil {
			return l.fail("read", l.part.at, err)
		}
		if l.leave.Load() {
			return errLeft
		}
		if next := buf.follow(n, &speed); given || next != buf {
			buf.put(b)
			buf, b = next, next.get()
		}
	}
}

// expectEnd looks for more behind the file's end, which a transport of the
// caller's own may bring. net/http tells the end of a body with its last bytes.
func (l *line) expectEnd(body io.Reader, err error) error {
	if err != nil || l.muxed || !l.have.Exact || l.part.at != l.have.Total {
		return nil // of what comes after the part nothing is wanted
	}
	l.watch.arm()
	n, _ := body.Read(make([]byte, 1))
	l.watch.disarm()
	if n > 0 {
		return &Error{Op: "read", URL: l.have.FinalURL, Offset: l.part.at, Err: errTooLong}
	}
	return nil
}

// keep stores the n bytes that came and hands the buffer to who follows them.
func (l *line) keep(buf *buffers, b *[]byte, n int, given *bool) (done bool, err error) {
	p := l.part
	at := p.at // nobody else moves it
	if err := l.fits(at+int64(n), l.have.Head); err != nil {
		return false, &Error{Op: "read", URL: l.have.FinalURL, Offset: at, Err: err}
	}
	stored := 0
	for stored < n && !done { // a part may grow while its end is being stored
		var more int
		if more, done, err = l.board.store(p, (*b)[stored:n]); err != nil {
			l.board.fail(err)
			return false, err
		}
		stored += more
	}
	if tap := l.board.tap; tap != nil && stored > 0 {
		*given = true
		tap.Take(l.watch, (*b)[:stored], at, func() { buf.put(b) })
	}
	return done, nil
}

// ended says whether the end of an answer's body is that of the part.
func (l *line) ended() error {
	p := l.part
	if !l.have.Exact {
		l.board.close(p)
		return nil
	}
	l.board.mu.Lock()
	missing := p.left() > 0
	l.board.mu.Unlock()
	if missing {
		return &Error{Op: "read", URL: l.have.FinalURL, Offset: p.at, Err: cut{}}
	}
	return nil
}

// run receives the body, if there is one, and then part after part, until
// nothing is left, or the line fails.
func (l *line) run(body io.ReadCloser) (err error) {
	for l.part != nil {
		if body == nil {
			if body, err = l.ask(); err != nil {
				break
			}
		}
		err = l.receive(body)
		_ = body.Close() // reading has shown whether it is whole
		body = nil
		if err == nil && l.leave.Load() {
			err = errLeft
		}
		if err != nil {
			break
		}
		l.pass()
	}
	if l.part != nil {
		l.board.drop(l.part)
	}
	return err
}

// pass ends a part and takes the next.
func (l *line) pass() {
	if l.board.remaining() > 0 { // else there is none
		l.board.mu.Lock()
		if s := l.part.speed(time.Now()); s > 0 {
			l.speed = s
		}
		l.board.mu.Unlock()
	}
	l.board.drop(l.part)
	l.part = l.board.take(l)
}

// ask requests the line's part, of the version that is stored and no other.
func (l *line) ask() (io.ReadCloser, error) {
	l.have = l.board.snapshot()
	l.have.N, l.have.Ranges = l.part.at, nil // as if that were what is stored
	l.ranged, l.until = true, l.part.reach
	begun := time.Now()
	resp, err := l.respond()
	if err != nil {
		return nil, err
	}
	l.board.mu.Lock()
	l.board.latency = time.Since(begun)
	l.board.mu.Unlock()
	if err := l.accepts(resp); err != nil {
		_ = resp.Body.Close()
		return nil, err
	}
	return resp.Body, nil
}

// accepts judges the answer to a request for one part beside others.
func (l *line) accepts(resp *http.Response) error {
	if !l.have.isFrom(l.at) {
		return errRefused // it was led elsewhere
	}
	v, _ := l.have.judge(reply{
		status: resp.StatusCode, header: resp.Header, length: resp.ContentLength,
		elsewhere: !l.have.isFrom(l.at), digested: l.req.Digested && l.have.validator() == "",
	})
	switch {
	case v == rest && !isEncoded(resp):
		return nil
	case v == refused:
		return l.statusError(resp)
	case resp.StatusCode == http.StatusOK && l.have.isSame(resp.Header):
		return errRefused // it is the same, but not in parts
	}
	return errChanged
}
