package main

import (
	"slices"
	"strings"
)

// scenario is one job for all contenders.
type scenario struct {
	name       string
	about      string
	load       payload
	onDisk     bool                  // the destinations; else they are on the tmpfs
	server     func(p *place) string // base URL
	contenders []contender
}

func plainServer(p *place) string   { return "http://" + p.nginx.plain }
func tls1Server(p *place) string    { return "https://" + byName(p.nginx.tls1) }
func tls2Server(p *place) string    { return "https://" + byName(p.nginx.tls2) }
func limitedServer(p *place) string { return "http://" + p.nginx.limited }
func delayServer(p *place) string   { return "http://" + p.delaying.addr }
func cuttingServer(p *place) string { return "http://" + p.cutting.addr }

// byName has the name in place of the address: not all who verify certificates
// look for an address in them.
func byName(addr string) string { return strings.Replace(addr, "127.0.0.1", "localhost", 1) }

// scenarios returns all of them, in the order in which they run.
func scenarios() []scenario { return slices.Concat(oneFile(), oneFileTrouble(), manyFiles()) }

func scenarioNames() []string {
	var names []string
	for _, s := range scenarios() {
		names = append(names, s.name)
	}
	return names
}
