package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"iter"
	"os"
)

// isOneHosts reports whether all URLs of a list are of one host, as far as that can
// be seen without reading them as the batch does: what cannot be is another host. A
// list of several hosts mostly shows it in its first lines.
func isOneHosts(list string) bool {
	f, err := os.Open(list)
	if err != nil {
		return false // who reads the list says why
	}
	defer f.Close() // read-only: nothing to lose
	r := bufio.NewReader(f)
	var host, begin []byte // of the first line with one, as far as the host's end
	for {
		line, err := r.ReadSlice('\n')
		if err == nil && begin != nil && bytes.HasPrefix(line, begin) && bytes.IndexByte(line[len(begin):], ':') < 0 {
			continue // as most lines are
		}
		for h, rest := range hostsIn(line) {
			if host == nil {
				host = bytes.Clone(h)
				begin = bytes.Clone(line[:len(line)-len(rest)+min(len(rest), 1)])
			}
			if !bytes.EqualFold(host, h) {
				return false
			}
		}
		if err != nil {
			return errors.Is(err, io.EOF)
		}
	}
}

// hostsIn returns what stands behind each :// of a line, up to where a host ends, and the
// rest of the line behind it.
func hostsIn(line []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(host, rest []byte) bool) {
		if first := bytes.TrimSpace(line); len(first) > 0 && first[0] == '#' {
			return
		}
		for rest := line; ; {
			var found bool
			if _, rest, found = bytes.Cut(rest, behindScheme); !found {
				return
			}
			end := 0
			for end < len(rest) && !endsHost[rest[end]] {
				end++
			}
			host := rest[:end]
			rest = rest[end:]
			if !yield(host, rest) {
				return
			}
		}
	}
}

var (
	behindScheme = []byte("://")
	endsHost     = [1 << 8]bool{'/': true, '?': true, '#': true, '"': true, '\\': true, ' ': true, '\t': true, '\r': true, '\n': true}
)
