package dlmanager

import (
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/testorigin"
)

func TestProgressBeginsAtZeroAndEndsWithTheTotal(t *testing.T) {
	o := testorigin.New(t)
	gate := make(chan struct{})
	const size = 3 << 20
	cases := []struct {
		name       string
		url        string
		firstTotal int64
		size       int64
	}{
		{"length", o.ServeSize("/a", size), size, size},
		{"no length", o.ServeSize("/b", size, testorigin.NoLength()), -1, size},
		{"stored length", o.ServeSize("/c", size, testorigin.NoLength(), testorigin.StoredLength(size)), size, size},
		{"wrong stored length", o.ServeSize("/d", size, testorigin.NoLength(), testorigin.StoredLength(1000)), 1000, size},
		{"empty", o.Serve("/e", nil), 0, 0},
		{"empty without length", o.Serve("/f", nil, testorigin.NoLength()), -1, 0},
		{"slow", o.ServeSize("/g", size, testorigin.Drip(size/8, gate)), size, size},
	}
	close(gate)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			type report struct{ current, total int64 }
			var reports []report
			d := NewDownload(c.url, filepath.Join(t.TempDir(), "file"), WithProgress(func(_ *Download, current, total int64) {
				reports = append(reports, report{current, total})
			}))
			require.NoError(t, d.Wait())
			require.NotEmpty(t, reports)
			assert.Equal(t, report{0, c.firstTotal}, reports[0])
			assert.Equal(t, report{c.size, c.size}, reports[len(reports)-1])
			for i := 1; i < len(reports); i++ {
				assert.GreaterOrEqual(t, reports[i].current, reports[i-1].current)
				if c.size > 0 {
					assert.NotEqual(t, reports[i], reports[i-1], "no report comes twice")
				}
			}
			p := d.Progress()
			assert.Equal(t, Progress{State: StateDone, Current: c.size, Total: c.size, Rate: p.Rate, Attempt: 1}, p)
		})
	}
}

func TestProgressFunctionsMayCallTheDownload(t *testing.T) {
	o := testorigin.New(t)
	url := o.ServeSize("/file", 1<<20)
	var second []int64
	d := NewDownload(url, filepath.Join(t.TempDir(), "file"))
	d.SetProgress(func(same *Download, _, _ int64) {
		assert.Same(t, d, same)
		d.Progress()
		d.IsRunning()
		d.SetProgress(func(_ *Download, current, _ int64) { second = append(second, current) })
	})
	stopped := 0
	var stop func()
	stop = d.OnProgress(func(*Download, int64, int64) { stopped++; stop() })
	require.NoError(t, d.Wait())
	require.NotEmpty(t, second)
	assert.EqualValues(t, 1<<20, second[len(second)-1])
	assert.Equal(t, 1, stopped)
}

func TestCancelFromAProgressFunction(t *testing.T) {
	o := testorigin.New(t)
	dir := t.TempDir()
	d := NewDownload(o.ServeSize("/file", 1<<20), filepath.Join(dir, "file"),
		WithProgress(func(d *Download, _, _ int64) { d.Cancel() }))
	require.ErrorIs(t, d.Wait(), ErrCanceled)
	requireEmpty(t, dir)
}

func TestPanickingProgressFunctionFailsItsDownload(t *testing.T) {
	o := testorigin.New(t)
	url := o.ServeSize("/file", 1<<20)
	for _, at := range []int64{0, 1, 1 << 20} { // at the headers, on the way, at the end
		dir := t.TempDir()
		d := NewDownload(url, filepath.Join(dir, "file"), WithProgress(func(_ *Download, current, _ int64) {
			if current >= at {
				panic("boom")
			}
		}))
		require.ErrorContains(t, d.Wait(), "boom")
		requireEmpty(t, dir)
	}
}

func TestObserverThatComesLateIsToldTheEnd(t *testing.T) {
	o := testorigin.New(t)
	d := NewDownload(o.Serve("/file", []byte("12345")), filepath.Join(t.TempDir(), "file"))
	require.NoError(t, d.Wait())
	var got []int64
	d.SetProgress(func(_ *Download, current, total int64) { got = append(got, current, total) })
	d.OnProgress(func(_ *Download, current, total int64) { got = append(got, current, total) })
	d.OnProgress(func(*Download, int64, int64) { panic("boom") })
	assert.Equal(t, []int64{5, 5, 5, 5}, got)

	failed := NewDownload(o.Serve("/missing", nil, testorigin.Status(404, "")), filepath.Join(t.TempDir(), "file"))
	require.Error(t, failed.Wait())
	failed.SetProgress(func(*Download, int64, int64) { t.Error("told of a failure") })
}

func TestRateFollowsTheLastSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m meter
		m.start(0, 1<<30, time.Now())
		for range 100 {
			time.Sleep(100 * time.Millisecond)
			m.advance(100, time.Now())
		}
		_, _, rate := m.read(time.Now())
		assert.InEpsilon(t, 1000, rate, 0.01)
		for range 100 {
			time.Sleep(100 * time.Millisecond)
			m.advance(200, time.Now())
		}
		_, _, rate = m.read(time.Now())
		assert.InEpsilon(t, 2000, rate, 0.05)
		time.Sleep(time.Minute)
		_, _, rate = m.read(time.Now())
		assert.Less(t, rate, 1.0, "it fades while nothing comes")
	})
}
