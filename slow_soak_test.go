//go:build soak

package dlmanager

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func init() { leaseHelpers["slow"] = holdSlow }

// holdSlow has so many downloads at once, and prints how large the heap is when each has
// brought some of its file: DIR URL/ COUNT.
func holdSlow(args []string) error {
	n, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	m, err := NewDownloadManager(args[0], WithMaxConcurrent(n), WithMaxPerHost(n))
	if err != nil {
		return err
	}
	defer m.Close()
	all := make([]*Download, n)
	for i := range all {
		all[i] = m.Download(args[1]+strconv.Itoa(i), strconv.Itoa(i))
	}
	for _, d := range all {
		for d.Progress().Current < 200_000 {
			if err := d.Err(); err != nil {
				return err
			}
			time.Sleep(time.Millisecond)
		}
	}
	var at runtime.MemStats
	var most, sum uint64
	const looks = 100 // at all moments between two collections
	for range looks {
		runtime.ReadMemStats(&at)
		most, sum = max(most, at.HeapAlloc), sum+at.HeapAlloc
		time.Sleep(10 * time.Millisecond)
	}
	runtime.GC()
	runtime.ReadMemStats(&at)
	fmt.Println("heap", most, sum/looks, at.HeapAlloc, at.StackInuse)
	m.Cancel(nil)
	return nil
}

func TestAThousandSlowDownloadsTakeLittleMemory(t *testing.T) {
	content := contentOf(8 * mib)
	o := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"v1"`)
		http.ServeContent(w, r, "", time.Time{}, &paced{ReadSeeker: strings.NewReader(content), rate: 100_000})
	}))
	defer o.Close()
	p := startProcess(t, "slow", filepath.Join(t.TempDir(), "cache"), o.URL+"/", "1000")
	var most, mean, live, stacks int64
	_, err := fmt.Sscan(p.next("heap"), &most, &mean, &live, &stacks)
	require.NoError(t, err)
	assert.Equal(t, "slow", p.end())
	t.Logf("heap with what is not collected yet: %d MiB at most, %d in the mean; live: %d MiB; stacks: %d MiB", most>>20, mean>>20, live>>20, stacks>>20)
	assert.Less(t, live, int64(60<<20))
}
