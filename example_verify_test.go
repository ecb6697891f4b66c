package dlmanager_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/dlmanager/dlmanager"
)

// signedBy returns a check of a detached Ed25519 signature: its 64 bytes lie beside the
// file. The key comes with the program, not from the network.
func signedBy(key ed25519.PublicKey, signatureURL string) dlmanager.DownloadOption {
	return dlmanager.WithVerify(func(ctx context.Context, content io.ReaderAt, size int64) error {
		signature, err := fetchSmall(ctx, signatureURL)
		if err != nil {
			return err
		}
		text := make([]byte, size) // Ed25519 signs the whole: give such a file a WithMaxSize
		if _, err := content.ReadAt(text, 0); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if !ed25519.Verify(key, text, signature) {
			return errors.New("the signature is not that of the publisher")
		}
		return nil
	})
}

// fetchSmall fetches what goes with a file, a signature say.
func fetchSmall(ctx context.Context, url string) ([]byte, error) {
	temp, err := os.MkdirTemp("", "signature-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(temp)
	d := dlmanager.NewDownload(url, filepath.Join(temp, "file"), dlmanager.WithMaxSize(4<<10))
	if err := d.WaitContext(ctx); err != nil {
		d.Cancel()
		<-d.Done()
		return nil, err
	}
	return os.ReadFile(d.Dest())
}

func ExampleWithVerify() {
	url, key, dir, done := publisher()
	defer done()
	m, err := dlmanager.NewDownloadManager(dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Close()
	signed := m.Download(url+"/tool", "tool", dlmanager.WithMaxSize(1<<20), signedBy(key, url+"/tool.sig"))
	fmt.Println(signed.Wait())
	forged := m.Download(url+"/forged", "forged", dlmanager.WithMaxSize(1<<20), signedBy(key, url+"/tool.sig"))
	fmt.Println(strings.TrimPrefix(forged.Wait().Error(), url))
	_, err = os.Stat(forged.Dest())
	fmt.Println(errors.Is(err, os.ErrNotExist))
	// Output:
	// <nil>
	// /forged: verify: the signature is not that of the publisher
	// true
}

// minisignKey is a public key as minisign prints it: base64 of "Ed", the key's number
// and the key.
type minisignKey struct {
	id  [8]byte
	key ed25519.PublicKey
}

func parseMinisignKey(text string) (k minisignKey, err error) {
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(raw) != 42 || string(raw[:2]) != "Ed" {
		return k, errors.New("not a public key of minisign's")
	}
	copy(k.id[:], raw[2:10])
	k.key = raw[10:]
	return k, nil
}

// verify checks a signature file of minisign's: a comment, base64 of "Ed", the key's
// number and the signature of the content, a comment that is trusted, and the
// signature of both. Signatures of a hash ("ED", minisign -H) need BLAKE2b, of
// golang.org/x/crypto.
func (k minisignKey) verify(content, file []byte) error {
	lines := strings.Split(strings.ReplaceAll(strings.TrimSpace(string(file)), "\r\n", "\n"), "\n")
	if len(lines) != 4 {
		return errors.New("not a signature of minisign's")
	}
	signature, err := base64.StdEncoding.DecodeString(lines[1])
	comment, trusted := strings.CutPrefix(lines[2], "trusted comment: ")
	both, err2 := base64.StdEncoding.DecodeString(lines[3])
	switch {
	case err != nil || err2 != nil || !trusted || len(signature) != 74 || string(signature[:2]) != "Ed":
		return errors.New("not a signature of minisign's, or one of a hash")
	case !bytes.Equal(signature[2:10], k.id[:]):
		return errors.New("signed with another key")
	case !ed25519.Verify(k.key, content, signature[10:]),
		!ed25519.Verify(k.key, append(bytes.Clone(signature[10:]), comment...), both):
		return errors.New("the signature is wrong")
	}
	return nil
}

// The signature of a file with the content "test", and the key that it is by, from
// minisign's own documentation.
const (
	publicKey = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3"
	minisig   = "untrusted comment: signature from minisign secret key\n" +
		"RWQf6LRCGA9i59SLOFxz6NxvASXDJeRtuZykwQepbDEGt87ig1BNpWaVWuNrm73YiIiJbq71Wi+dP9eKL8OC351vwIasSSbXxwA=\n" +
		"trusted comment: timestamp:1555779966\tfile:test\n" +
		"QtKMXWyYcwdpZAlPF7tE2ENJkRd1ujvKjlj1m9RtHTBnZPa5WKU5uWRs5GoP5M/VqE81QFuMKI5k/SfNQUaOAA==\n"
)

func ExampleWithVerify_minisign() {
	url, _, dir, done := publisher()
	defer done()
	m, err := dlmanager.NewDownloadManager(dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Close()
	key, err := parseMinisignKey(publicKey)
	if err != nil {
		fmt.Println(err)
		return
	}
	check := dlmanager.WithVerify(func(ctx context.Context, content io.ReaderAt, size int64) error {
		signature, err := fetchSmall(ctx, url+"/test.minisig")
		if err != nil {
			return err
		}
		text, err := io.ReadAll(io.NewSectionReader(content, 0, size))
		if err != nil {
			return err
		}
		return key.verify(text, signature)
	})
	fmt.Println(m.Download(url+"/test", "test", dlmanager.WithMaxSize(1<<20), check).Wait())
	forged := m.Download(url+"/forged", "forged", dlmanager.WithMaxSize(1<<20), check)
	fmt.Println(strings.TrimPrefix(forged.Wait().Error(), url))
	// Output:
	// <nil>
	// /forged: verify: the signature is wrong
}

func ExampleWithLockFile() {
	url, _, dir, done := publisher()
	defer done()
	fetch := func(cache, name string, o dlmanager.LockOptions) error {
		lock, err := dlmanager.OpenLockFile(filepath.Join(filepath.Dir(dir), "dlm.lock"), o)
		if err != nil {
			return err
		}
		d := dlmanager.NewDownload(url+name, filepath.Join(dir, cache, "file"), dlmanager.WithLockFile(lock))
		return d.Wait()
	}
	fmt.Println(fetch("a", "/moving", dlmanager.LockOptions{})) // it is recorded
	err := fetch("b", "/moving", dlmanager.LockOptions{})       // and has changed since
	fmt.Println(errors.Is(err, dlmanager.ErrChecksum))
	err = fetch("c", "/tool", dlmanager.LockOptions{Frozen: true}) // as in a test run
	fmt.Println(errors.Is(err, dlmanager.ErrNotLocked))
	// Output:
	// <nil>
	// true
	// true
}

// publisher is a server with signed files, its key, and a cache directory.
func publisher() (url string, key ed25519.PublicKey, cache string, done func()) {
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte("seed"), ed25519.SeedSize/4))
	tool := []byte("#!/bin/sh\necho hello\n")
	files := map[string][]byte{
		"/tool": tool, "/tool.sig": ed25519.Sign(private, tool),
		"/test": []byte("test"), "/test.minisig": []byte(minisig),
		"/forged": []byte("#!/bin/sh\necho gotcha\n"),
	}
	var versions atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/moving" {
			fmt.Fprintln(w, versions.Add(1))
			return
		}
		_, _ = w.Write(files[r.URL.Path])
	}))
	temp, err := os.MkdirTemp("", "dlmanager-example-")
	if err != nil {
		panic(err)
	}
	return s.URL, private.Public().(ed25519.PublicKey), filepath.Join(temp, "cache"), func() {
		s.Close()
		_ = os.RemoveAll(temp)
	}
}
