package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/dlmanager/dlmanager/batch"
)

// locate works out the paths. The jobs of lists lie in the cache's own folder: no
// file of the cache can be called so, nothing in it is evicted, and who removes the
// whole directory removes with the files what says that they are there.
func (r *batchRun) locate(list string) error {
	var err error
	if list != fromStdin {
		if r.listPath, err = filepath.Abs(list); err != nil {
			return err
		}
	}
	if r.placing.output != "" {
		if r.target, err = filepath.Abs(r.placing.output); err != nil {
			return err
		}
	}
	switch {
	case r.flags.job != "":
		r.jobDir, err = filepath.Abs(r.flags.job)
	case list != fromStdin:
		sum := sha256.Sum256([]byte(strings.Join([]string{r.listPath, r.target, r.flags.layout.word}, "\x00")))
		r.jobDir = filepath.Join(jobsOf(r.dir), hex.EncodeToString(sum[:8]))
		if r.target != "" {
			r.jobDir += copiesSuffix
		}
	}
	return err
}

// jobsOf is where the jobs of a cache directory lie.
func jobsOf(cache string) string { return filepath.Join(cache, ".dlm", "jobs") }

// copiesSuffix ends the names of jobs with -o: what they say is done is there, also
// when the cache has nothing of it.
const copiesSuffix = "-o"

// removeJobs removes the jobs that say of files in the cache that they are there,
// and returns how many. Those that are in use are errors.
func removeJobs(cache string) (removed int, err error) {
	jobs, err := os.ReadDir(jobsOf(cache))
	if errors.Is(err, iofs.ErrNotExist) {
		return 0, nil
	}
	for _, j := range jobs {
		if strings.HasSuffix(j.Name(), copiesSuffix) {
			continue
		}
		failed := batch.RemoveJob(filepath.Join(jobsOf(cache), j.Name()))
		if failed == nil {
			removed++
		}
		err = errors.Join(err, failed)
	}
	return removed, err
}

// openJob opens the job, or begins it anew.
func (r *batchRun) openJob() error {
	if r.flags.restart && r.jobDir != "" {
		if err := batch.RemoveJob(r.jobDir); err != nil {
			return err
		}
	}
	magic := batch.MagicOf("dlm batch", map[string]any{"output": r.target, "layout": r.flags.layout.word})
	job, err := batch.OpenJob(r.jobDir, batch.WithMagic(magic), batch.WithJobNaming(r.naming))
	if errors.Is(err, batch.ErrForeign) {
		return &otherJob{r.jobDir}
	}
	r.job = job
	return err
}

// otherJob is a job's directory that was made with another -o or --layout.
type otherJob struct{ dir string }

func (e *otherJob) Error() string {
	return fmt.Sprintf("the job in %s is another one: its -o or --layout was another", e.dir)
}

// isOtherJob reports whether a job cannot be gone on with.
func isOtherJob(err error) bool {
	_, other := errors.AsType[*otherJob](err)
	return other || errors.Is(err, batch.ErrInUse) || errors.Is(err, batch.ErrListChanged) ||
		errors.Is(err, batch.ErrNotJob) || errors.Is(err, batch.ErrDamaged)
}

// cancelableReader reads from what may never answer, a terminal or a pipe. When it
// is cancelled, a read that hangs is left to the end of the program.
type cancelableReader struct {
	in    io.Reader
	ctx   context.Context
	stop  context.CancelFunc
	reads chan readResult
}

type readResult struct {
	data []byte
	err  error
}

func newCancelableReader(in io.Reader) *cancelableReader {
	r := &cancelableReader{in: in, reads: make(chan readResult, 1)}
	r.ctx, r.stop = context.WithCancel(context.Background())
	return r
}

func (r *cancelableReader) cancel() { r.stop() }

func (r *cancelableReader) Read(b []byte) (int, error) {
	buf := make([]byte, len(b)) // a read that was left must not write into b
	go func() {
		n, err := r.in.Read(buf)
		r.reads <- readResult{buf[:n], err}
	}()
	select {
	case got := <-r.reads:
		return copy(b, got.data), got.err
	case <-r.ctx.Done():
		return 0, r.ctx.Err()
	}
}
