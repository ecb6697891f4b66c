package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
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
	var host []byte
	for {
		line, err := r.ReadSlice('\n')
		for _, h := range hostsIn(line) {
			if host == nil {
				host = bytes.Clone(h)
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

// hostsIn returns what stands behind each :// of a line, up to where a host ends.
func hostsIn(line []byte) (hosts [][]byte) {
	if first := bytes.TrimSpace(line); len(first) > 0 && first[0] == '#' {
		return nil
	}
	for {
		_, rest, found := bytes.Cut(line, []byte("://"))
		if !found {
			return hosts
		}
		end := bytes.IndexAny(rest, "/?#\"\\ \t\r\n")
		if end < 0 {
			end = len(rest)
		}
		hosts, line = append(hosts, rest[:end]), rest[end:]
	}
}
