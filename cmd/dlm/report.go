package main

import (
	"bytes"
	"encoding/json"
	"strings"

	"github.com/dlmanager/dlmanager"
)

// report is what --json prints of a file. All keys are always there; what does
// not apply is "" or 0.
type report struct {
	URL     string  `json:"url"`  // without secrets
	Name    string  `json:"name"` // in the cache
	Path    string  `json:"path"` // absolute; "" if the file is not there
	Bytes   int64   `json:"bytes"`
	Origin  string  `json:"origin"`      // fetched, resumed, joined, revalidated, cached, or "" if it failed
	Digest  string  `json:"sha256"`      // in hexadecimal
	Checked bool    `json:"verified"`    // its end was proven, or a checksum was asked for
	Stale   string  `json:"stale"`       // why the server could not be asked whether the file is current; "" if there was no need, or it was
	Resumed int64   `json:"resumedFrom"` // bytes that an earlier call had left
	Wire    int64   `json:"wireBytes"`   // that came over the network
	Tries   int     `json:"attempts"`    // requests
	Source  string  `json:"source"`      // the URL that was asked for the file: its own, a mirror's, or what a rewrite made of them, without secrets
	Final   string  `json:"finalURL"`    // that sent the file, without secrets
	Named   string  `json:"disposition"` // the name that the server proposes
	Seconds float64 `json:"seconds"`     // what the download took
	Error   string  `json:"error"`       // "" if it did not fail
}

// report returns the outcome of the job.
func (j *job) report() report {
	r := report{
		URL: dlmanager.RedactURL(j.url), Name: j.name, Path: j.path,
		Bytes: j.result.Bytes, Origin: j.result.Origin.String(), Seconds: j.seconds(),
		Checked: j.result.Verified,
		Resumed: j.result.ResumedFrom, Wire: j.result.WireBytes, Tries: j.result.Attempts,
		Source: j.result.Source, Final: j.result.FinalURL, Named: j.result.DispositionName,
	}
	if digits, ok := strings.CutPrefix(j.result.Digest, "sha256:"); ok {
		r.Digest = digits
	}
	if j.result.Stale != nil {
		r.Stale = describe("", j.result.Stale)
	}
	if j.err != nil {
		r.Path, r.Origin, r.Bytes = "", "", 0
		r.Error = describe("", j.err)
	}
	return r
}

// asJSON encodes what cannot fail to be encoded. URLs keep their & as it is.
func asJSON(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
