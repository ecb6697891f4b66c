package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"os"

	"golang.org/x/sys/unix"
)

// The machine's limits: the least that can be done with a body of plain HTTP,
// by system calls on a blocking socket.

// pieceSize is enough for the calls to cost nothing beside the bytes.
const pieceSize = mib

// driveDiscard reads a body and does nothing with it: URL.
func driveDiscard(args []string) error {
	c, left, err := ask(args[0])
	if err != nil {
		return err
	}
	defer unix.Close(c)
	buf := make([]byte, pieceSize)
	for left > 0 {
		n, err := again(func() (int, error) { return unix.Read(c, buf) })
		if err != nil || n == 0 {
			return fmt.Errorf("%d bytes are missing: %w", left, orEOF(err))
		}
		left -= int64(n)
	}
	return nil
}

// driveSplice has the kernel move a body to a file: URL, path.
func driveSplice(args []string) error {
	c, left, err := ask(args[0])
	if err != nil {
		return err
	}
	defer unix.Close(c)
	f, err := os.OpenFile(args[1], os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	defer f.Close() // a second time, if all goes well
	var pipe [2]int
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return err
	}
	if _, err := unix.FcntlInt(uintptr(pipe[1]), unix.F_SETPIPE_SZ, pieceSize); err != nil {
		return err
	}
	for left > 0 {
		n, err := splice(c, pipe[1], pieceSize)
		if err != nil || n == 0 {
			return fmt.Errorf("%d bytes are missing: %w", left, orEOF(err))
		}
		left -= int64(n)
		for n > 0 {
			m, err := splice(pipe[0], int(f.Fd()), n)
			if err != nil || m == 0 {
				return fmt.Errorf("%s: %w", args[1], orEOF(err))
			}
			n -= m
		}
	}
	return f.Close()
}

func splice(from, to, n int) (int, error) {
	return again(func() (int, error) {
		moved, err := unix.Splice(from, nil, to, nil, n, unix.SPLICE_F_MOVE|unix.SPLICE_F_MORE)
		return int(moved), err
	})
}

// again repeats a call that a signal interrupted.
func again(call func() (int, error)) (int, error) {
	for {
		n, err := call()
		if err != unix.EINTR {
			return n, err
		}
	}
}

func orEOF(err error) error {
	if err == nil {
		return io.ErrUnexpectedEOF
	}
	return err
}

// ask sends a request over a socket of its own, reads the header, and returns
// the socket and how many bytes come.
func ask(raw string) (socket int, length int64, err error) {
	u, err := url.Parse(raw)
	if err != nil {
		return 0, 0, err
	}
	addr, err := netip.ParseAddrPort(u.Host)
	if err != nil {
		return 0, 0, err
	}
	c, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, 0, err
	}
	defer func() {
		if err != nil {
			unix.Close(c)
		}
	}()
	if err := unix.Connect(c, &unix.SockaddrInet4{Port: int(addr.Port()), Addr: addr.Addr().As4()}); err != nil {
		return 0, 0, err
	}
	request := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", u.RequestURI(), u.Host)
	if _, err := unix.Write(c, []byte(request)); err != nil {
		return 0, 0, err
	}
	header, err := readHeader(c)
	if err != nil {
		return 0, 0, err
	}
	r, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(header)), nil)
	if err != nil {
		return 0, 0, err
	}
	r.Body.Close() // there is none
	if r.StatusCode != http.StatusOK || r.ContentLength < 0 {
		return 0, 0, fmt.Errorf("status %s, length %d", r.Status, r.ContentLength)
	}
	return c, r.ContentLength, nil
}

// readHeader reads byte by byte, in order not to take any of the body.
func readHeader(c int) ([]byte, error) {
	var header []byte
	b := make([]byte, 1)
	for !bytes.HasSuffix(header, []byte("\r\n\r\n")) {
		n, err := again(func() (int, error) { return unix.Read(c, b) })
		if err != nil || n == 0 {
			return nil, orEOF(err)
		}
		header = append(header, b...)
	}
	return header, nil
}
