// Gogetter fetches one URL with hashicorp/go-getter to a path, so that it can
// be measured: gogetter URL PATH [CA-FILE].
package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"

	"github.com/hashicorp/go-getter"
)

func main() {
	if err := get(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func get(args []string) error {
	if len(args) < 2 {
		return errors.New("usage: gogetter URL PATH [CA-FILE]")
	}
	u, err := url.Parse(args[0])
	if err != nil {
		return err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	if len(args) > 2 {
		pem, err := os.ReadFile(args[2])
		if err != nil {
			return err
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return fmt.Errorf("no certificate in %s", args[2])
		}
		transport.TLSClientConfig = &tls.Config{RootCAs: pool}
	}
	g := &getter.HttpGetter{Client: &http.Client{Transport: transport}}
	return g.GetFile(args[1], u)
}
