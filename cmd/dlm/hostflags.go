package main

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/dlmanager/dlmanager"
)

// hostFlags say what is different for some hosts.
type hostFlags struct {
	rewrites    rewritesValue
	rewriteOnly bool
	headers     hostHeadersValue
	flags       *pflag.FlagSet
}

func (f *hostFlags) register(s *flagSet) {
	f.flags = s.FlagSet
	s.group("Hosts")
	s.Var(&f.rewrites, "rewrite", "ask for URLs that begin with FROM at TO first, a mirror; `FROM=TO`, several with spaces between; may be repeated")
	s.BoolVar(&f.rewriteOnly, "rewrite-only", false, "do not ask for a URL itself when it is rewritten")
	s.Var(&f.headers, "header-for", "send a header with what is asked of the host, and take it along to no other: `'HOST=NAME: VALUE'`, which others see in the list of processes, "+
		"or HOST=@FILE for those in FILE; HOST means https, http://HOST says otherwise; may be repeated")
}

// options also reads the files that the flags name.
func (f *hostFlags) options() ([]dlmanager.Option, error) {
	var opts []dlmanager.Option
	for _, r := range f.rewrites {
		opts = append(opts, dlmanager.WithRewrite(r.from, r.to))
	}
	if f.rewriteOnly {
		opts = append(opts, dlmanager.WithRewriteOnly())
	}
	for _, h := range f.headers.given {
		all, err := parseHeaders(given(f.flags, "header-for"), []string{h.text})
		if err != nil {
			return nil, err
		}
		opts = append(opts, hostHeaders(h.host, all)...)
	}
	for _, s := range f.headers.sections {
		if f.headers.has(s.host) {
			continue // a flag outranks the file
		}
		more, err := s.options()
		if err != nil {
			return nil, err
		}
		opts = append(opts, more...)
	}
	return opts, nil
}

func hostHeaders(host string, headers []header) []dlmanager.Option {
	var opts []dlmanager.Option
	for _, h := range headers {
		opts = append(opts, dlmanager.WithHostHeader(host, h.name, h.value))
	}
	return opts
}

// rule is one rewrite.
type rule struct{ from, to string }

// rewritesValue is a list of rewrites. Its errors do not repeat the text: TO may have
// a password.
type rewritesValue []rule

func (v *rewritesValue) Set(text string) error {
	rules := strings.Fields(text)
	if len(rules) == 0 {
		return errors.New("it is empty: write FROM=TO")
	}
	for _, one := range rules {
		at := strings.Index(one, "=http") // a path may have a = in it
		if at < 0 {
			return errors.New("want FROM=TO, as https://github.com/=https://mirror.example/gh/")
		}
		r := rule{one[:at], one[at+1:]}
		if err := dlmanager.CheckRewrite(r.from, r.to); err != nil {
			return err
		}
		*v = append(*v, r)
	}
	return nil
}

func (v *rewritesValue) String() string { return "" }

func (v *rewritesValue) Type() string { return "FROM=TO" }

// Append, Replace and GetSlice make it a flag that may be repeated.
func (v *rewritesValue) Append(text string) error { return v.Set(text) }

func (v *rewritesValue) Replace(all []string) error {
	*v = nil
	return v.Set(strings.Join(all, " "))
}

func (v *rewritesValue) GetSlice() []string {
	var all []string
	for _, r := range *v {
		all = append(all, r.from+"="+r.to)
	}
	return all
}

// hostHeader is a header, or @FILE, for a host.
type hostHeader struct{ host, text string }

// hostHeadersValue is what is sent to some hosts: what was given, and what the config
// file says. Its errors do not repeat the text.
type hostHeadersValue struct {
	given    []hostHeader
	sections []hostSection
}

func (v *hostHeadersValue) Set(text string) error {
	host, field, ok := strings.Cut(text, "=")
	if !ok || host == "" || field == "" {
		return errors.New("not of the form 'HOST=NAME: VALUE' or HOST=@FILE")
	}
	if err := dlmanager.CheckHost(host); err != nil {
		return err
	}
	if !strings.HasPrefix(field, "@") {
		if _, err := parseHeader(field); err != nil {
			return err
		}
	}
	v.given = append(v.given, hostHeader{host, field})
	return nil
}

// has reports whether something was given for the host.
func (v *hostHeadersValue) has(host string) bool {
	return slices.ContainsFunc(v.given, func(h hostHeader) bool { return plainHost(h.host) == plainHost(host) })
}

// plainHost is the host in one spelling.
func plainHost(host string) string {
	host = strings.TrimPrefix(strings.ToLower(host), "https://")
	return strings.TrimSuffix(strings.TrimSuffix(host, "/"), ":443")
}

func (v *hostHeadersValue) String() string { return "" }

func (v *hostHeadersValue) Type() string { return "HOST=HEADER" }

// Append, Replace and GetSlice make it a flag that may be repeated. What it holds is
// not to be shown.
func (v *hostHeadersValue) Append(text string) error { return v.Set(text) }

func (v *hostHeadersValue) Replace(all []string) error {
	v.given = nil
	for _, text := range all {
		if err := v.Set(text); err != nil {
			return err
		}
	}
	return nil
}

func (v *hostHeadersValue) GetSlice() []string { return nil }

// hostSection is what the config file says of a host.
type hostSection struct {
	host    string
	headers []string // each a header or @FILE
	command []string // prints headers; nil: none
	source  string   // names the section in messages
}

func (s hostSection) options() ([]dlmanager.Option, error) {
	all, err := parseHeaders(s.source, s.headers)
	if err != nil {
		return nil, err
	}
	opts := hostHeaders(s.host, all)
	if s.command != nil {
		command := newHeaderCommand(s.command)
		opts = append(opts, dlmanager.WithHostHeaderFunc(s.host, func(ctx context.Context) (http.Header, error) {
			return command.header(ctx)
		}))
	}
	return opts, nil
}
