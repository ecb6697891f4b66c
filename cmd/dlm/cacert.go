package main

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"os"
	"sync"

	"github.com/dlmanager/dlmanager"
)

// trustingTransport trusts the system's authorities and those of a file. The
// system's are read at the first request: a file that is there already needs
// none, and reading them takes longer than finding it.
type trustingTransport struct {
	pem   []byte
	setUp sync.Once
	base  *http.Transport
}

// trusting returns a transport that trusts also the authorities in the file,
// which the flag or variable called from names.
func trusting(from, file string) (*trustingTransport, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, &usageError{text: from + ": " + err.Error()}
	}
	if !x509.NewCertPool().AppendCertsFromPEM(pem) {
		return nil, &usageError{text: from + ": " + file + " has no certificate in it (PEM: -----BEGIN CERTIFICATE-----)"}
	}
	return &trustingTransport{pem: pem, base: dlmanager.NewTransport()}, nil
}

// RoundTrip sends one request.
func (t *trustingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	t.setUp.Do(func() {
		pool, err := x509.SystemCertPool()
		if err != nil {
			pool = x509.NewCertPool() // a system without any
		}
		pool.AppendCertsFromPEM(t.pem)
		if t.base.TLSClientConfig == nil {
			t.base.TLSClientConfig = &tls.Config{}
		}
		t.base.TLSClientConfig.RootCAs = pool
	})
	return t.base.RoundTrip(r)
}

// CloseIdleConnections ends the connections that are not in use.
func (t *trustingTransport) CloseIdleConnections() { t.base.CloseIdleConnections() }
