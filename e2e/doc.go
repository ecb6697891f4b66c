// Package e2e holds tests of the public API against real servers and a real
// proxy that breaks connections: go-httpbin, net/http over HTTP/1.1 and HTTP/2,
// toxiproxy. It is a module of its own, so that nobody else needs theirs.
package e2e
