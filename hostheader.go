package dlmanager

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/dlmanager/dlmanager/internal/ending"
	"github.com/dlmanager/dlmanager/internal/transfer"
)

// WithHostHeader adds a header field to the requests that are made to a host, which
// is how credentials are given for a host and not for a URL: for URLs, mirrors, what
// WithRewrite leads to, and checksum files. host is a name or an address, with :port
// if that is not 443, and means https; written http://host, plain http, where all on
// the way can read it. A field of WithHeader for the URL's own host outranks one of
// the same name. No redirect takes it to another host, and none that comes from
// another host gets it: where that leads is not for us to vouch for. What is sent is
// in no error, no log and no record.
func WithHostHeader(host, key, value string) DownloadOption {
	return WithHostHeaderFunc(host, func(context.Context) (http.Header, error) {
		return http.Header{http.CanonicalHeaderKey(key): {value}}, nil
	})
}

// WithHostHeaderFunc is WithHostHeader for fields that are only known when they are
// needed, such as a token that expires. fn is called before each request to the host,
// by several goroutines at once; it must heed ctx. The header it returns is not
// changed. Its error fails the download, as a *HostHeaderError.
func WithHostHeaderFunc(host string, fn func(ctx context.Context) (http.Header, error)) DownloadOption {
	h := hostHeader{name: host, fields: fn}
	h.origin, h.err = parseHost(host)
	return downloadOption(func(c *downloadConfig) {
		c.hostHeaders = append(slices.Clip(c.hostHeaders), h) // the manager's defaults share it
	})
}

// CheckHost returns why WithHostHeader cannot use a host, as a *URLError; nil if it
// can.
func CheckHost(host string) error {
	_, err := parseHost(host)
	return err
}

// HostHeaderError is the failure of the function of WithHostHeaderFunc.
type HostHeaderError struct {
	Host string // as given
	Err  error  // what the function said
}

func (e *HostHeaderError) Error() string { return "header for " + e.Host + ": " + e.Err.Error() }

// Unwrap returns what the function said.
func (e *HostHeaderError) Unwrap() error { return e.Err }

// hostHeader is what is sent to one host.
type hostHeader struct {
	name   string // as given
	origin *url.URL
	fields func(ctx context.Context) (http.Header, error)
	err    error // why it is no host
}

// parseHost reads what stands for a host: as a URL, if that is all it says.
func parseHost(host string) (*url.URL, error) {
	text := host
	if !strings.Contains(text, "://") {
		text = "https://" + text
	}
	u, err := parseURL(text)
	if err != nil {
		return nil, err
	}
	if u.User != nil || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return nil, &URLError{URL: transfer.Redact(u), Reason: "want a host, and nothing more: HOST, HOST:PORT or http://HOST"}
	}
	return u, nil
}

// checkHostHeaders returns what is wrong with the hosts.
func (c *downloadConfig) checkHostHeaders() error {
	for _, h := range c.hostHeaders {
		if h.err != nil {
			return fmt.Errorf("header for a host: %w", h.err)
		}
	}
	return nil
}

// headerFor returns what is private for a URL: the fields that were given for the
// download's URL, if it is of the same origin, and those for its host.
func (l *life) headerFor(u *url.URL) (http.Header, error) {
	var own http.Header
	if transfer.SameOrigin(l.url, u) {
		own = l.cfg.header
	}
	all := own
	for _, h := range l.cfg.hostHeaders {
		if !transfer.SameOrigin(h.origin, u) {
			continue
		}
		fields, err := l.fieldsOf(h)
		if err != nil {
			return nil, &HostHeaderError{Host: h.name, Err: err}
		}
		all = withFields(all, fields, own)
	}
	return all, nil
}

func (l *life) fieldsOf(h hostHeader) (fields http.Header, err error) {
	ctx, release := ending.Standard(&l.ctx)
	defer release()
	if failed := guard("host header function", func() { fields, err = h.fields(ctx) }); failed != nil {
		return nil, failed
	}
	if err != nil && l.ctx.Err() != nil {
		err = context.Cause(&l.ctx)
	}
	return fields, err
}

// withFields returns a copy of header with the fields added that outrank does not
// have.
func withFields(header, fields, outrank http.Header) http.Header {
	sum := header.Clone()
	if sum == nil {
		sum = http.Header{}
	}
	for key, values := range fields {
		key = http.CanonicalHeaderKey(key)
		if len(outrank.Values(key)) == 0 {
			sum[key] = append(sum[key], values...)
		}
	}
	return sum
}
