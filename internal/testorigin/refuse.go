package testorigin

import "net/http"

// denial is the answer to a request that is not let in; it outranks the rest.
type denial struct {
	status    int
	challenge string
}

// RequireBasicAuth answers 401 with a challenge to requests without these
// credentials.
func RequireBasicAuth(user, password string) Option {
	return func(p *plan) {
		r := p.request
		if !r.HasAuth || r.User != user || r.Password != password {
			p.denied = &denial{http.StatusUnauthorized, `Basic realm="testorigin"`}
		}
	}
}

// RequireHeader answers 403 to requests without this header value.
func RequireHeader(key, value string) Option {
	return func(p *plan) {
		if p.request.Header.Get(key) != value {
			p.denied = &denial{status: http.StatusForbidden}
		}
	}
}

// NoHead answers 405 to HEAD.
func NoHead() Option {
	return func(p *plan) {
		if p.request.Method == http.MethodHead {
			p.denied = &denial{status: http.StatusMethodNotAllowed}
		}
	}
}

// OneAtATime answers with this status, and no file, to requests for the path
// that come while another one is being answered. That one counts as in
// [Origin.MaxConcurrent]; those that are refused do not.
func OneAtATime(status int) Option {
	return func(p *plan) {
		if !p.enter() {
			p.denied = &denial{status: status}
		}
	}
}

// plan returns the answer.
func (d *denial) plan(request Request, index int) *plan {
	p := &plan{request: request, index: index, header: http.Header{}}
	Status(d.status, http.StatusText(d.status)+"\n")(p)
	if d.challenge != "" {
		Header("WWW-Authenticate", d.challenge)(p)
	}
	return p
}

// enter takes the only place for requests of a path. It returns false when
// another request has it.
func (o *Origin) enter(path string, by *admission) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if holder, taken := o.alone[path]; taken {
		return holder == by
	}
	o.alone[path] = by
	return true
}

// admission stands for a request that is being answered.
type admission struct{ path string }

// leave ends it.
func (o *Origin) leave(a *admission) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.active--
	if o.alone[a.path] == a {
		delete(o.alone, a.path)
	}
}
