package dlmanager

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/spf13/afero"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/faultfs"
)

// instant answers every host but "slow" at once, and that one never.
type instant struct{}

func (instant) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host == "slow" {
		<-r.Context().Done()
		return nil, context.Cause(r.Context())
	}
	return &http.Response{
		StatusCode: 200, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}, Request: r,
		ContentLength: 1, Body: io.NopCloser(strings.NewReader("x")),
	}, nil
}

// cost is what one download more takes on average.
type cost struct{ steps, allocs float64 }

// costOfOneMore measures downloads, one after the other, through a manager of dir
// with something in it, or in flight, that before has brought about.
func costOfOneMore(t *testing.T, dir string, before func(*DownloadManager)) cost {
	t.Helper()
	const runs = 400
	faults := faultfs.New(afero.NewOsFs())
	m := managerAt(t, dir, WithFs(faults), WithTransport(instant{}), WithMaxPerHost(1), WithSizeLimit(1<<30), WithAdopt(), WithSync(SyncNone))
	before(m)
	fetch := func(i int) {
		require.NoError(t, m.Download("http://quick/file", fmt.Sprint("more-", i)).Wait())
	}
	for i := range 50 { // what is done once is done, the directory read
		fetch(i)
	}
	var was, is runtime.MemStats
	steps := faults.Steps()
	runtime.ReadMemStats(&was)
	for i := range runs {
		fetch(100 + i)
	}
	runtime.ReadMemStats(&is)
	c := cost{float64(faults.Steps()-steps) / runs, float64(is.Mallocs-was.Mallocs) / runs}
	m.Cancel(nil)
	return c
}

// The cost of one download more must not grow with what there is already: neither
// in operations on files nor in allocations.
func TestOneMoreCostsTheSameHoweverManyThereAre(t *testing.T) {
	const many = 1000
	newDir := func() string { return filepath.Join(t.TempDir(), "cache") }
	few := costOfOneMore(t, newDir(), func(*DownloadManager) {})
	full := newDir()
	require.NoError(t, os.MkdirAll(full, 0o777))
	for i := range many {
		require.NoError(t, os.WriteFile(filepath.Join(full, fmt.Sprint("there-", i)), []byte("x"), 0o666))
	}
	for name, c := range map[string]cost{
		"queued": costOfOneMore(t, newDir(), func(m *DownloadManager) {
			for i := range many {
				m.Download("http://slow/file", fmt.Sprint("slow-", i))
			}
		}),
		"finished": costOfOneMore(t, newDir(), func(m *DownloadManager) {
			for i := range many {
				require.NoError(t, m.Download("http://quick/file", fmt.Sprint("done-", i)).Wait())
			}
		}),
		"in the directory": costOfOneMore(t, full, func(*DownloadManager) {}),
	} {
		t.Logf("%s: %+v, with nothing %+v", name, c, few)
		assert.InDelta(t, few.steps, c.steps, 0.1, name)
		assert.Less(t, c.allocs, few.allocs*1.1+2, name)
	}
}
