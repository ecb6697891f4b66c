package transfer

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// maxRedirects is what browsers and net/http take for a loop, halved by habit:
// curl's 50 and this differ on no honest server.
const maxRedirects = 10

// drain is how much of a redirect's body is read so that its connection can be
// used again; a new connection costs more than reading this.
const drain = 4 << 10

// respond sends the request and follows its redirects, by rules of our own:
// net/http forwards a caller's headers to any host, sends a Referer with the
// query, and quotes URLs in its errors.
func (f *fetch) respond() (*http.Response, error) {
	client := *f.req.Client
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	at, private := f.req.URL, true
	var via []*http.Request
	for {
		req, err := f.request(at, private)
		if err != nil {
			return nil, f.fail("get", Redact(at), 0, err)
		}
		f.watch.arm()
		resp, err := client.Do(req)
		f.watch.disarm()
		if err != nil {
			return nil, f.fail("get", Redact(at), 0, err)
		}
		if !isRedirect(resp) {
			return resp, nil
		}
		via = append(via, req)
		next, err := f.next(at, resp, len(via))
		if err == nil {
			err = f.ask(next, via)
		}
		if errors.Is(err, http.ErrUseLastResponse) {
			return resp, nil
		}
		f.discard(resp.Body)
		if err != nil {
			return nil, &Error{Op: "follow redirect", URL: Redact(at), Err: err}
		}
		private = private && sameOrigin(at, next)
		at = next
	}
}

// request makes the request for one hop. What is private goes to the origin of
// the first URL alone, and after a redirect has left it to nobody any more.
func (f *fetch) request(at *url.URL, private bool) (*http.Request, error) {
	target := *at
	target.User = nil
	target.Fragment, target.RawFragment = "", ""
	req, err := http.NewRequestWithContext(f.watch.ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return nil, err
	}
	if private {
		f.addPrivate(req)
	}
	req.Header.Set("Accept-Encoding", "identity")
	if req.Header.Get("User-Agent") == "" {
		req.Header.Set("User-Agent", f.req.UserAgent)
	}
	return req, nil
}

// addPrivate adds the caller's own headers, and the basic auth of the URL unless
// they say otherwise.
func (f *fetch) addPrivate(req *http.Request) {
	for key, values := range f.req.Header {
		req.Header[http.CanonicalHeaderKey(key)] = append([]string(nil), values...)
	}
	if host := req.Header.Get("Host"); host != "" {
		req.Host = host // net/http sends it from here
		req.Header.Del("Host")
	}
	if user := f.req.URL.User; user != nil && req.Header.Get("Authorization") == "" {
		password, _ := user.Password()
		req.SetBasicAuth(user.Username(), password)
	}
}

func isRedirect(resp *http.Response) bool {
	switch resp.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return resp.Header.Get("Location") != ""
	}
	return false
}

// next returns where the redirect leads, if it may be followed.
func (f *fetch) next(at *url.URL, resp *http.Response, hops int) (*url.URL, error) {
	if hops > maxRedirects {
		return nil, ErrTooManyRedirects
	}
	to, err := at.Parse(resp.Header.Get("Location"))
	if err != nil || to.Hostname() == "" {
		return nil, ErrBadRedirect // the parser's error would quote it
	}
	to.User = nil
	switch {
	case to.Scheme != "http" && to.Scheme != "https":
		return nil, ErrBadRedirect
	case strings.EqualFold(at.Scheme, "https") && to.Scheme == "http":
		return nil, ErrInsecureRedirect
	}
	return to, nil
}

// ask asks the caller's client whether it would follow, too.
func (f *fetch) ask(to *url.URL, via []*http.Request) error {
	check := f.req.Client.CheckRedirect
	if check == nil {
		return nil
	}
	req, err := f.request(to, false)
	if err != nil {
		return ErrBadRedirect
	}
	err = check(req, via)
	if err == nil || errors.Is(err, http.ErrUseLastResponse) {
		return err
	}
	return errors.Join(errRedirectForbidden, plain(err))
}

// discard ends a body that is not wanted.
func (f *fetch) discard(body io.ReadCloser) {
	f.watch.arm()
	_, _ = io.CopyN(io.Discard, body, drain)
	f.watch.disarm()
	_ = body.Close()
}

// sameOrigin reports whether what is private for the one URL may go to the
// other: the same scheme, host and port, or the step from http to https on the
// default ports of one host.
func sameOrigin(from, to *url.URL) bool {
	if !strings.EqualFold(from.Hostname(), to.Hostname()) {
		return false
	}
	if strings.EqualFold(from.Scheme, to.Scheme) {
		return port(from) == port(to)
	}
	return strings.EqualFold(from.Scheme, "http") && port(from) == "80" &&
		strings.EqualFold(to.Scheme, "https") && port(to) == "443"
}

func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	if strings.EqualFold(u.Scheme, "https") {
		return "443"
	}
	return "80"
}
