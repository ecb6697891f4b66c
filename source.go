package dlmanager

import (
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/spf13/afero"

	"github.com/dlmanager/dlmanager/internal/transfer"
)

// The sources of a download are its URL and then its mirrors, each after what a
// rewrite makes of it.

// source returns the URL to ask now.
func (d *Download) source() *url.URL { return d.sources[d.asks].url }

// standsIn reports whether the next source is what the one that is asked now stands in
// for.
func (d *Download) standsIn() bool { return d.sources[d.asks].standIn }

// nextSource goes to the next source, if there is one and err is a reason to:
// the one before failed for good, went silent, or has other content.
func (l *life) nextSource(err error, again bool) bool {
	if l.asks+1 == len(l.sources) || !isOfSource(err) {
		return false
	}
	if again && !errors.Is(err, ErrStalled) && !l.passesOn(err) {
		return false
	}
	l.asks++
	l.restarted = false
	l.tries = Attempt{Offset: l.fetched.N}
	l.passed = append(l.passed, err)
	return true
}

// passesOn reports whether the source only stands in for the next one, which is asked
// rather than this one again, unless it was cut after it had sent something.
func (l *life) passesOn(err error) bool {
	_, cut := errors.AsType[*TransferError](err)
	return l.standsIn() && (!cut || l.tries.Gained == 0)
}

// withPassed adds why the sources before were given up to the failure of the last.
func (l *life) withPassed(err error) error {
	if len(l.passed) == 0 || !isOfSource(err) {
		return err
	}
	return &SourcesError{append(l.passed, err)}
}

// expired reports whether the answer may be that of a signed URL whose time is
// over, to which the download's URL has led: then that is asked again, at once,
// and leads to a new one. Stores say so with 403, some with 400, 401 or 410.
func (l *life) expired(err error) bool {
	status, ok := errors.AsType[*StatusError](err)
	if !ok || l.fetched.N == 0 || l.expiredOnce || l.partial == nil {
		return false
	}
	switch status.Code {
	case http.StatusForbidden, http.StatusBadRequest, http.StatusUnauthorized, http.StatusGone:
		l.expiredOnce = true
		return !status.isLimited()
	}
	return false
}

// isOfSource reports whether another source may do better.
func isOfSource(err error) bool {
	_, status := errors.AsType[*StatusError](err)
	_, failed := errors.AsType[*TransferError](err)
	return status || failed || errors.Is(err, ErrChecksum)
}

// request returns a request for one of the URLs. Header fields that were given
// for the download's URL go to its own host alone, and each host gets its own
// credentials and fields.
func (l *life) request(u *url.URL) (transfer.Request, error) {
	header, err := l.headerFor(u)
	if err != nil {
		return transfer.Request{}, err
	}
	asked, err := l.withCredentials(u, header)
	if err != nil {
		return transfer.Request{}, err
	}
	return transfer.Request{
		URL: asked, Header: header, UserAgent: l.cfg.userAgent, MinSize: l.cfg.minSize, MaxSize: l.cfg.maxSize,
		Stall: l.cfg.stall, Client: l.client,
		Throttle: throttleOf(l.cfg.throttle, l.throttle),
	}, nil
}

// refusesCompany reports whether a refusal may be of those who come with several
// connections: then the rest is asked for over one, a little later.
func (l *life) refusesCompany(err error) bool {
	_, refused := errors.AsType[*StatusError](err)
	if !refused || !l.shared || l.lone {
		return false
	}
	l.lone = true
	return true
}

// setConnections sets how many connections the transfer may have. Other file
// systems than the operating system's do not allow several to write at once.
func (l *life) setConnections(req *transfer.Request) {
	if _, ok := l.cfg.fs.(*afero.OsFs); !ok || l.lone {
		return
	}
	req.Connections, req.Fixed = l.cfg.connections, l.cfg.connections > 0
	if !req.Fixed {
		req.Connections = maxConnections
	}
	req.Company = company{l}
}

// company is what the site says of a download's connections beyond the first.
type company struct{ l *life }

func (c company) Connect() (release func(), ok bool) { return c.l.site.connect(c.l.Download) }

func (c company) Crowded() int { return c.l.site.crowded(c.l.Download) }

func (c company) Refused(err *transfer.StatusError) {
	if status, ok := errors.AsType[*StatusError](fromTransfer(err)); ok && status.RetryAfter > 0 && !c.l.standsIn() {
		c.l.site.holdOff(status.URL, time.Now().Add(status.RetryAfter))
	}
}

// openClient returns the HTTP client and what gives its idle connections up. One
// that is not shared with other downloads leaves none behind.
func (l *life) openClient() (client *http.Client, idle func()) {
	if l.cfg.client != nil {
		return l.cfg.client, func() {}
	}
	client = &http.Client{Transport: transfer.NewRoundTripper()}
	return client, client.CloseIdleConnections
}
