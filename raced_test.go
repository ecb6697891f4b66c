package dlmanager

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dlmanager/dlmanager/internal/testorigin"
)

// Everything at once, by three managers of one directory: no reader fails, and
// when all is over the count is that of what is there.
func TestManagersOfOneDirectoryAtOnce(t *testing.T) {
	o := testorigin.New(t)
	dir := t.TempDir() + "/cache"
	var urls []string
	for i := range 12 {
		urls = append(urls, o.ServeSize(fmt.Sprintf("/%d", i), int64(1000+100*i), testorigin.ETag(`"v"`)))
	}
	first := managerAt(t, dir, WithInitialSizeLimit(8000))
	ms := []*DownloadManager{first, managerAt(t, dir), managerAt(t, dir)}
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	loop := func(fn func(m *DownloadManager, r int)) {
		for _, m := range ms {
			wg.Go(func() {
				for ctx.Err() == nil {
					fn(m, rand.IntN(len(urls)))
				}
			})
		}
	}
	get := func(m *DownloadManager, i int, opts ...DownloadOption) {
		f, err := m.Get(context.Background(), urls[i], fmt.Sprint("f", i), opts...)
		if !assert.NoError(t, err) {
			return
		}
		b := make([]byte, 10)
		_, err = f.ReadAt(b, 990)
		assert.NoError(t, err)
		assert.NoError(t, f.Close())
	}
	loop(func(m *DownloadManager, i int) { get(m, i) })
	loop(func(m *DownloadManager, i int) { get(m, i, always) })
	loop(func(m *DownloadManager, i int) { get(m, i, WithForce()) })
	loop(func(m *DownloadManager, i int) {
		f, err := m.Open(fmt.Sprint("f", i))
		if errors.Is(err, ErrNotCached) {
			return
		}
		if assert.NoError(t, err) {
			assert.NoError(t, f.Close())
		}
	})
	wg.Go(func() {
		for ctx.Err() == nil {
			time.Sleep(50 * time.Millisecond)
			switch rand.IntN(4) {
			case 0:
				assert.NoError(t, ms[1].SetSizeLimit(int64(5000+rand.IntN(5000))))
			case 1:
				_, err := ms[2].Prune(context.Background(), PruneOptions{To: 4000})
				assert.NoError(t, err)
			case 2:
				r, err := ms[0].Verify(context.Background(), VerifyOptions{Repair: true})
				assert.NoError(t, err)
				assert.Empty(t, r.Damaged)
			case 3:
				err := ms[0].Remove("f3")
				if err != nil && !errors.Is(err, ErrNotCached) && !errors.Is(err, ErrInUse) {
					assert.NoError(t, err)
				}
			}
			ms[rand.IntN(3)].Stats()
		}
	})
	wg.Wait()
	for _, m := range ms {
		require.NoError(t, m.Wait())
	}
	// Changes that follow each other closely are noted together, a little later.
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		var files, bytes int64
		for f, err := range first.Files() {
			require.NoError(c, err)
			files++
			bytes += f.Size
		}
		u := first.dir.Usage()
		assert.Equal(c, files, u.Files)
		assert.Equal(c, bytes, u.Bytes)
		assert.Zero(c, u.Reserved)
		assert.Zero(c, u.Huge)
	}, 10*time.Second, 10*time.Millisecond)
}
