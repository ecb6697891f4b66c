package dlmanager

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkAccounts is what a manager's queue and limit do for one file that is
// fetched, beside fetching it.
func BenchmarkAccounts(b *testing.B) {
	m := newManager(b, WithSizeLimit(1<<40))
	names := benchNames(10_000)
	now := time.Now()
	d := m.newDownload("http://localhost:8080/file", nil)
	url, err := parseURL(d.raw)
	require.NoError(b, err)
	require.NoError(b, m.house.awaitReady(b.Context()))
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		name := names[i%len(names)]
		i++
		ticket := m.queue.enter(hostKey(url), 0)
		held := m.limit.beginHold(m.shelf, name)
		m.limit.forget(m.shelf, name)
		room, err := m.limit.reserve(b.Context(), m.shelf, 4096)
		if err != nil {
			b.Fatal(err)
		}
		room.land(name, 4096, now, -1)
		m.limit.unhold(held, name)
		ticket.leave()
	}
}
