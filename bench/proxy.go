package main

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// proxyOptions say what is wrong with the way to the server.
type proxyOptions struct {
	delay      time.Duration // in each direction
	window     int           // bytes under way at most, in each direction of a connection
	resetAfter int64         // bytes from the server after which a connection is reset; 0: never
}

// proxy passes TCP connections on to another address.
type proxy struct {
	proxyOptions
	addr   string
	target string
	listen net.Listener
	ctx    context.Context // ends with close
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

func startProxy(target string, o proxyOptions) (*proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &proxy{proxyOptions: o, addr: l.Addr().String(), target: target, listen: l}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	p.wg.Go(p.accept)
	return p, nil
}

// close ends all connections and waits for them.
func (p *proxy) close() error {
	p.cancel()
	err := p.listen.Close()
	p.wg.Wait()
	return err
}

func (p *proxy) accept() {
	for {
		client, err := p.listen.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.serve(client.(*net.TCPConn)) })
	}
}

// serve passes one connection on, until both directions are over or one fails.
func (p *proxy) serve(client *net.TCPConn) {
	defer client.Close()
	var d net.Dialer
	conn, err := d.DialContext(p.ctx, "tcp", p.target)
	if err != nil {
		return
	}
	server := conn.(*net.TCPConn)
	defer server.Close()
	hangUp := func() {
		client.Close()
		server.Close()
	}
	defer context.AfterFunc(p.ctx, hangUp)()
	var wg sync.WaitGroup
	for _, w := range []*way{
		{proxyOptions: proxyOptions{delay: p.delay, window: p.window}, from: client, to: server},
		{proxyOptions: p.proxyOptions, from: server, to: client},
	} {
		wg.Go(func() {
			if err := w.pass(); err != nil {
				hangUp()
			}
		})
	}
	wg.Wait()
}

// way is one direction of a connection.
type way struct {
	proxyOptions
	from, to *net.TCPConn
}

type parcel struct {
	data []byte
	due  time.Time
}

var errReset = errors.New("reset on purpose")

// parcelSize is small beside a window, so that the window is made use of.
const parcelSize = 16 << 10

// pass moves bytes until the sender has no more, and then says so to the
// receiver.
func (w *way) pass() error {
	under := newAllowance(w.window)
	parcels := make(chan parcel, w.window/parcelSize+1)
	failed := make(chan error, 1)
	go func() {
		var err error
		for p := range parcels {
			if err == nil {
				err = w.deliver(p)
				if err != nil {
					w.from.Close() // nobody wants more
				}
			}
			under.give(len(p.data))
		}
		failed <- err
	}()
	readErr := w.collect(under, parcels)
	close(parcels)
	if err := <-failed; err != nil {
		return err
	}
	if errors.Is(readErr, errReset) {
		w.reset()
		return readErr
	}
	if readErr != io.EOF {
		return readErr
	}
	return w.to.CloseWrite()
}

// collect reads until the end, or until it is time for a reset.
func (w *way) collect(under *allowance, parcels chan<- parcel) error {
	var sum int64
	for {
		n := under.take(parcelSize)
		if w.resetAfter > 0 {
			n = min(n, int(w.resetAfter-sum))
		}
		data := make([]byte, n)
		got, err := w.from.Read(data)
		under.give(n - got)
		if got > 0 {
			parcels <- parcel{data[:got], time.Now().Add(w.delay)}
		}
		sum += int64(got)
		if w.resetAfter > 0 && sum >= w.resetAfter {
			return errReset
		}
		if err != nil {
			return err
		}
	}
}

func (w *way) deliver(p parcel) error {
	time.Sleep(time.Until(p.due))
	_, err := w.to.Write(p.data)
	return err
}

// reset ends the connection by a reset, when all before it has arrived: what
// the receiver's system has got, the receiver can still read.
func (w *way) reset() {
	// The time is longer than a reader pauses.
	for deadline := time.Now().Add(30 * time.Second); unsent(w.to) > 0 && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	_ = w.to.SetLinger(0) // one that is closed already cannot be reset
}

// unsent returns how many bytes the other side has not acknowledged.
func unsent(c *net.TCPConn) int {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0
	}
	var n int
	_ = raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
	if err != nil {
		return 0
	}
	return n
}
