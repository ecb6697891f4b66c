package dlmanager

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// crowdContent is what the file with the number holds: 500 to 1523 bytes.
func crowdContent(i int) string {
	return strings.Repeat(fmt.Sprintf("%08d", i), 500/8+1)[:500] + strings.Repeat("x", i*7919%1024)
}

// crowd is a process of many that fetch and read the files 0 to COUNT in an order
// of its own: DIR URL/ COUNT LIMIT SEED.
func crowd(args []string) int {
	count, _ := strconv.Atoi(args[2])
	limit, _ := strconv.ParseInt(args[3], 10, 64)
	seed, _ := strconv.ParseUint(args[4], 10, 64)
	m, err := NewDownloadManager(args[0], WithSizeLimit(limit), WithFileLimit(1), WithSync(SyncNone), WithStallTimeout(time.Minute))
	if err != nil {
		fmt.Println("error", err)
		return 1
	}
	names := make(chan int)
	errs := make(chan error, 4)
	var wg sync.WaitGroup
	for range cap(errs) {
		wg.Go(func() {
			for i := range names {
				if err := fetchAndRead(m, args[1], i); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	go func() {
		defer close(names)
		for _, i := range rand.New(rand.NewPCG(seed, 0)).Perm(count) {
			names <- i
		}
	}()
	wg.Wait()
	select {
	case err = <-errs:
	default:
	}
	if err := errors.Join(err, m.Close()); err != nil {
		fmt.Println("error", err)
		return 1
	}
	fmt.Println("done all")
	return 0
}

// fetchAndRead reads a file, and fetches it again if it was evicted first.
func fetchAndRead(m *DownloadManager, base string, i int) error {
	for range 100 {
		d := m.Download(base+strconv.Itoa(i), strconv.Itoa(i%16)+"/"+strconv.Itoa(i))
		if err := d.Wait(); err != nil {
			return err
		}
		text, err := os.ReadFile(d.Dest())
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err == nil && string(text) != crowdContent(i) {
			err = fmt.Errorf("file %d is torn: %d bytes", i, len(text))
		}
		return err
	}
	return fmt.Errorf("file %d is evicted again and again", i)
}
