package http1

import (
	"bytes"
	"net/http"
	"strings"
)

// writeHead writes what [http.Request.Write] writes of a request that is ours, which
// takes less than half the time. What is out of the ordinary is left to that. ordinary
// is what [isOrdinary] says.
func writeHead(w *bytes.Buffer, req *http.Request, ordinary bool) error {
	target, agent := req.URL.RequestURI(), req.Header["User-Agent"]
	isPlain := ordinary || len(agent) == 1 && isPrintable(agent[0])
	if !isPlain || !isPlainHost(req.Host) || !isPrintable(target) || req.ContentLength != 0 {
		return req.Write(w)
	}
	for _, s := range [...]string{"GET ", target, " HTTP/1.1\r\nHost: ", req.Host, "\r\n"} {
		w.WriteString(s)
	}
	if agent[0] != "" {
		w.WriteString("User-Agent: ")
		w.WriteString(agent[0])
		w.WriteString("\r\n")
	}
	if ordinary {
		w.WriteString("Accept-Encoding: ")
		w.WriteString(req.Header["Accept-Encoding"][0])
		w.WriteString("\r\n\r\n")
		return nil
	}
	err := req.Header.WriteSubset(w, notRepeated)
	w.WriteString("\r\n")
	return err
}

// isOrdinary reports whether the request is for plain http and has only the fields that
// every download sends, in which net/http's transport would find nothing wrong.
func isOrdinary(req *http.Request) bool {
	if len(req.Header) != 2 || len(req.Trailer) > 0 || req.URL == nil || req.URL.Scheme != "http" {
		return false
	}
	agent, coding := req.Header["User-Agent"], req.Header["Accept-Encoding"]
	return len(agent) == 1 && len(coding) == 1 && isPrintable(agent[0]) && isPrintable(coding[0])
}

// notRepeated are the fields that are not sent as they stand in a request's header.
var notRepeated = map[string]bool{
	"Host": true, "User-Agent": true, "Content-Length": true, "Transfer-Encoding": true, "Trailer": true,
}

// isPlainHost reports whether the host is sent as it is: it is there, and neither
// unicode nor has it a zone.
func isPlainHost(host string) bool {
	for _, c := range []byte(host) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-.:[]", c) >= 0:
		default:
			return false
		}
	}
	return host != ""
}

// isPrintable reports whether the text has neither control characters nor a space
// at an end.
func isPrintable(text string) bool {
	for _, c := range []byte(text) {
		if !isText(c) {
			return false
		}
	}
	return text == "" || text[0] != ' ' && text[len(text)-1] != ' '
}
