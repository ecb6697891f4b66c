package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// payload says what is to be fetched.
type payload struct {
	count  int
	size   int64 // of each file
	sparse bool  // zeros, which take no room at the server
}

const (
	kib = 1 << 10
	mib = 1 << 20
	gib = 1 << 30
)

// scaled returns less of the same: fewer files if there are many, smaller ones
// if there is one.
func (l payload) scaled(scale float64) payload {
	if l.count > 1 {
		l.count = max(2, int(math.Round(float64(l.count)*scale)))
	} else {
		l.size = min(l.size, max(64*kib, int64(float64(l.size)*scale)))
	}
	return l
}

func (l payload) bytes() int64 { return int64(l.count) * l.size }

func (l payload) folder() string { return fmt.Sprintf("%dx%d-%v", l.count, l.size, l.sparse) }

// source is a file at the server.
type source struct {
	name string // in the payload's folder
	size int64
	sum  string // SHA-256, in hexadecimal
}

// store has what the server serves: each payload once, in a folder of its own.
type store struct {
	dir  string
	made map[payload][]source
}

func newStore(dir string) *store { return &store{dir, map[payload][]source{}} }

// get makes the payload's files if nobody did.
func (s *store) get(l payload) ([]source, error) {
	if files, ok := s.made[l]; ok {
		return files, nil
	}
	dir := filepath.Join(s.dir, l.folder())
	if err := os.Mkdir(dir, 0o755); err != nil {
		return nil, err
	}
	// The same bytes in each run of the program.
	random := rand.NewChaCha8([32]byte([]byte("the same bytes in each benchmark")))
	files := make([]source, l.count)
	for i := range files {
		f := &files[i]
		*f = source{name: fmt.Sprintf("f%05d.bin", i), size: l.size}
		var err error
		if f.sum, err = writeFile(filepath.Join(dir, f.name), l, random); err != nil {
			return nil, err
		}
	}
	s.made[l] = files
	return files, nil
}

// writeFile writes one file and returns its sum.
func writeFile(path string, l payload, random io.Reader) (sum string, err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if l.sparse {
		if err := f.Truncate(l.size); err != nil {
			return "", err
		}
		_, err = io.Copy(h, f)
	} else {
		_, err = io.CopyN(io.MultiWriter(f, h), random, l.size)
	}
	return hex.EncodeToString(h.Sum(nil)), err
}

// sumOf returns a file's SHA-256.
func sumOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	_, err = io.Copy(h, f)
	return hex.EncodeToString(h.Sum(nil)), err
}
