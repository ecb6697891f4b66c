package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// driveBare fetches a list with 16 workers, a connection each, and makes the system
// calls that dlm batch makes for each file, but not those that it makes for many, and
// nothing else: what its promises cost in the kernel. Directory, list.
func driveBare(args []string) error {
	urls, err := readLines(args[1])
	if err != nil {
		return err
	}
	b, err := newBare(args[0])
	if err != nil {
		return err
	}
	return share(urls, 16, b.work)
}

// bare are the open folders of a cache, and the file that notes what is in it.
type bare struct {
	partials, folder int
	journal          *os.File
}

// bareFolder is where files land, as those of one host do.
const bareFolder = "host"

func newBare(dir string) (*bare, error) {
	b := &bare{}
	own := filepath.Join(dir, ".bare")
	if err := os.MkdirAll(filepath.Join(own, "partial"), 0o777); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(dir, bareFolder), 0o777); err != nil {
		return nil, err
	}
	var err error
	for path, fd := range map[string]*int{filepath.Join(own, "partial"): &b.partials, filepath.Join(dir, bareFolder): &b.folder} {
		if *fd, err = unix.Open(path, unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
			return nil, err
		}
	}
	b.journal, err = os.OpenFile(filepath.Join(own, "journal"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o666)
	return b, err
}

// work is one worker.
func (b *bare) work(work <-chan string) error {
	var c net.Conn
	var r *bufio.Reader
	buf := make([]byte, 64*kib)
	for raw := range work {
		u, err := url.Parse(raw)
		if err != nil {
			return err
		}
		if c == nil {
			if c, err = net.Dial("tcp", u.Host); err != nil {
				return err
			}
			defer c.Close()
			r = bufio.NewReaderSize(c, 8*kib)
		}
		if err := b.fetch(c, r, u, buf); err != nil {
			return fmt.Errorf("%s: %w", raw, err)
		}
	}
	return nil
}

// fetch fetches one file.
func (b *bare) fetch(c net.Conn, r *bufio.Reader, u *url.URL, buf []byte) (err error) {
	name := filepath.Base(u.Path)
	file, err := unix.Openat(b.partials, name, unix.O_CREAT|unix.O_EXCL|unix.O_RDWR|unix.O_CLOEXEC, 0o666)
	if err != nil {
		return err
	}
	defer unix.Close(file)
	var st unix.Stat_t
	if err := errors.Join(unix.Flock(file, unix.LOCK_EX|unix.LOCK_NB), unix.Fstat(file, &st), b.look(name)); err != nil {
		return err
	}
	if err := peek(c); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(c, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", u.RequestURI(), u.Host); err != nil {
		return err
	}
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	n, err := io.ReadFull(resp.Body, buf[:min(resp.ContentLength, int64(len(buf)))])
	if err != nil || resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s: %w", resp.Status, err)
	}
	if _, err := unix.Pwrite(file, buf[:n], 0); err != nil {
		return err
	}
	return b.land(file, name)
}

// peek looks whether the connection is quiet.
func peek(c net.Conn) error {
	raw, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		return err
	}
	var came error
	err = raw.Control(func(fd uintptr) {
		_, _, came = unix.Recvfrom(int(fd), make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
	})
	if err == nil && came != unix.EAGAIN {
		err = errors.New("something came unasked, or the connection has ended")
	}
	return err
}

// look looks for a file that is not there, and whether the folder was removed.
func (b *bare) look(name string) error {
	var st unix.Stat_t
	switch err := unix.Fstatat(b.folder, name, &st, unix.AT_SYMLINK_NOFOLLOW); err {
	case nil:
		return os.ErrExist
	case unix.ENOENT:
		return unix.Fstat(b.folder, &st)
	default:
		return err
	}
}

// land seals the file, gives it its name and notes it.
func (b *bare) land(file int, name string) error {
	var st unix.Stat_t
	if err := unix.Fstat(file, &st); err != nil {
		return err
	}
	times := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, st.Mtim}
	if err := unix.UtimesNanoAt(b.partials, name, times, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	if err := unix.Fstat(file, &st); err != nil {
		return err
	}
	if err := unix.Renameat(b.partials, name, b.folder, name); err != nil {
		return err
	}
	if _, err := b.journal.Write(make([]byte, 270)); err != nil {
		return err
	}
	return unix.Fstat(int(b.journal.Fd()), &st)
}
