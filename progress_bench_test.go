package dlmanager

import (
	"testing"
	"time"
)

// BenchmarkProgress is what following a transfer costs: for each piece that
// arrives, without and with a function that is told, and for each look from
// outside.
func BenchmarkProgress(b *testing.B) {
	const piece = 256 << 10
	b.Run("advance", func(b *testing.B) {
		var m meter
		m.start(0, -1, time.Now())
		b.ReportAllocs()
		for b.Loop() {
			m.advance(piece, time.Now())
		}
	})
	b.Run("notify", func(b *testing.B) {
		var told int64
		d := NewDownload("https://example.com/file", "file", WithProgress(func(_ *Download, current, _ int64) { told = current }))
		var current int64
		b.ReportAllocs()
		for b.Loop() {
			current += piece
			if err := d.observers.notify(d, current, -1); err != nil {
				b.Fatal(err)
			}
		}
		if told != current {
			b.Fatal(told, current)
		}
	})
	b.Run("read", func(b *testing.B) {
		d := NewDownload("https://example.com/file", "file")
		d.meter.start(0, -1, time.Now())
		b.ReportAllocs()
		for b.Loop() {
			d.Progress()
		}
	})
}
