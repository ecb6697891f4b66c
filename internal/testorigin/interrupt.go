package testorigin

// stop is a point in the body where something happens. Offsets count the bytes
// of this response's body, not those of the resource.
type stop struct {
	at   int64
	kind stopKind
	gate <-chan struct{} // for stopWait; nil waits for ever
}

type stopKind int

const (
	stopWait stopKind = iota
	stopCut
	stopReset
)

// Gate holds the answer back, headers and all, until gate is closed or gives
// a value.
func Gate(gate <-chan struct{}) Option {
	return func(p *plan) { p.gates = append(p.gates, gate) }
}

// GateAfter sends the headers and n bytes of the body (0: the headers alone)
// and the rest when gate is closed or gives a value.
func GateAfter(n int64, gate <-chan struct{}) Option {
	return func(p *plan) { p.stops = append(p.stops, stop{n, stopWait, gate}) }
}

// Silent accepts the request and never answers.
func Silent() Option { return Gate(nil) }

// SilentAfter sends the headers and n bytes of the body (0: the headers alone)
// and then nothing more, with the connection open.
func SilentAfter(n int64) Option { return GateAfter(n, nil) }

// Drip sends n bytes of the body, then n more for every value that gate gives,
// and the rest when gate is closed.
func Drip(n int64, gate <-chan struct{}) Option {
	return func(p *plan) { p.drip, p.dripGate = n, gate }
}

// CutAfter closes the connection after n bytes of the body, in good order as
// far as TCP is concerned. With [NoLength] the last chunk is missing; with
// [CloseDelimited] nothing tells that the body is not whole.
func CutAfter(n int64) Option {
	return func(p *plan) { p.stops = append(p.stops, stop{at: n, kind: stopCut}) }
}

// ResetAfter resets the connection after n bytes of the body. The kernel
// throws away what it had not delivered yet, so that the client sees at most n
// bytes before "connection reset by peer".
func ResetAfter(n int64) Option {
	return func(p *plan) { p.stops = append(p.stops, stop{at: n, kind: stopReset}) }
}

// Drop closes the connection without an answer.
func Drop() Option {
	return func(p *plan) { p.drop = true }
}
