package transfer

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// maxRedirects is net/http's own bound. Browsers take 20 and curl 50; honest
// servers need three or four.
const maxRedirects = 10

// drain is how much of a redirect's body is read so that its connection can be
// used again; a new connection costs more than reading this.
const drain = 4 << 10

// respond sends the request and follows its redirects, by rules of our own:
// net/http forwards a caller's headers to any host, sends a Referer with the
// query, and quotes URLs in its errors.
func (f *fetch) respond() (*http.Response, error) {
	f.past = append(f.past, f.via...)
	f.at, f.via, f.private = f.req.URL, nil, true
	if f.direct != nil {
		f.at, f.private = f.direct, f.directPrivate
	}
	req := f.request(f.at, f.private)
	for by := newDoer(f.req.Client); ; {
		resp, err := f.send(&by, req)
		if f.via == nil && f.past == nil {
			f.via = f.room[:0] // most transfers make one request
		}
		f.via = append(f.via, req)
		if err != nil {
			return nil, f.fail("get", 0, err)
		}
		if !isRedirect(resp) {
			return resp, nil
		}
		next, err := f.follow(resp)
		if errors.Is(err, http.ErrUseLastResponse) {
			return resp, nil
		}
		if err != nil {
			_ = resp.Body.Close()
			return nil, &Error{Op: "follow redirect", URL: Redact(f.at), Err: err}
		}
		f.discard(resp.Body)
		req, f.at = next, next.URL
	}
}

// follow returns the request that the redirect leads to, if it may be followed.
func (f *fetch) follow(resp *http.Response) (*http.Request, error) {
	if len(f.via) > maxRedirects {
		return nil, ErrTooManyRedirects
	}
	to, err := target(f.at, resp.Header.Get("Location"))
	if err != nil {
		return nil, err
	}
	private := f.private && SameOrigin(f.at, to)
	req := f.request(to, private)
	req.Response = resp
	if err := f.ask(req); err != nil {
		return nil, err
	}
	f.private = private
	return req, nil
}

// target returns where a Location leads from a URL, if it is a place to go to.
func target(from *url.URL, location string) (*url.URL, error) {
	to, err := from.Parse(location)
	if err != nil || to.Hostname() == "" {
		return nil, ErrBadRedirect // the parser's error would quote it
	}
	to.User = nil // a server has no say in who we are
	switch scheme := strings.ToLower(to.Scheme); {
	case scheme != "http" && scheme != "https":
		return nil, ErrBadRedirect
	case scheme == "http" && strings.EqualFold(from.Scheme, "https"):
		return nil, ErrInsecureRedirect
	}
	return to, nil
}

// ask asks the caller's client whether it would follow, too. As in net/http, it
// may change the request.
func (f *fetch) ask(req *http.Request) error {
	check := f.req.Client.CheckRedirect
	if check == nil {
		return nil
	}
	err := check(req, f.via)
	req.Header.Set("Accept-Encoding", "identity") // whatever was changed
	if err == nil || errors.Is(err, http.ErrUseLastResponse) {
		return err
	}
	return fmt.Errorf("%w: %w", errRedirectForbidden, f.clean(err))
}

// hop is a request with what only it refers to.
type hop struct {
	request http.Request
	url     url.URL
	fields  [2]string // the values of header fields
}

// aGet is what is the same in all requests, as [http.NewRequest] sets it.
var aGet = http.Request{Method: http.MethodGet, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1}

// request makes the request for one hop. What is private goes to the origin of
// the first URL alone, and after a redirect has left it to nobody any more.
func (f *fetch) request(at *url.URL, private bool) *http.Request {
	h := &hop{url: *at, fields: [2]string{f.req.UserAgent, "identity"}}
	h.url.User = nil
	h.url.Fragment, h.url.RawFragment = "", ""
	h.url.RawQuery = graphic(h.url.RawQuery)         // as it is, a space in it would end the request's line
	h.url.Host = strings.TrimSuffix(h.url.Host, ":") // an empty port
	h.request = *aGet.WithContext(f.watch)
	h.request.URL, h.request.Host, h.request.Header = &h.url, h.url.Host, http.Header{}
	req := &h.request
	if private {
		f.addPrivate(req)
	}
	if first(req.Header["User-Agent"]) == "" {
		req.Header["User-Agent"] = h.fields[:1:1]
	}
	req.Header["Accept-Encoding"] = h.fields[1:]
	f.condition(req, at)
	if f.ranged {
		req.Header.Set("Range", f.span())
		if v := f.have.validator(); v != "" && !f.plain && (!f.req.Digested || f.have.isFrom(at)) {
			req.Header.Set("If-Range", v)
		}
	}
	return req
}

// span is the Range that is asked for.
func (f *fetch) span() string {
	text := "bytes=" + strconv.FormatInt(f.have.ask(), 10) + "-"
	if f.until > 0 && f.until < f.have.Total {
		text += strconv.FormatInt(f.until-1, 10)
	}
	return text
}

// addPrivate adds the caller's own headers, and the basic auth of the URL unless
// they say otherwise.
func (f *fetch) addPrivate(req *http.Request) {
	for key, values := range f.req.Header {
		key = http.CanonicalHeaderKey(key)
		req.Header[key] = append(req.Header[key], values...)
	}
	if host := first(req.Header["Host"]); host != "" {
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

// discard ends a body that is not wanted.
func (f *fetch) discard(body io.ReadCloser) {
	f.watch.arm()
	_, _ = io.CopyN(io.Discard, body, drain)
	f.watch.disarm()
	_ = body.Close()
}

// SameOrigin reports whether what is private for the one URL may go to the
// other: the same scheme, host and port, or the step from http to https on the
// default ports of one host.
func SameOrigin(from, to *url.URL) bool {
	if from.Scheme == to.Scheme && from.Host == to.Host {
		return true // as it is before any redirect
	}
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
