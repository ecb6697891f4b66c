package dlmanager

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"sync"

	"github.com/dlmanager/dlmanager/fs"
)

// VerifyOptions say how [DownloadManager.Verify] goes about it.
type VerifyOptions struct {
	Repair   bool                 // remove what is damaged, unless somebody uses it: the next call fetches it anew
	Parallel int                  // files to read at once; 0 or less: one for each CPU
	Progress func(VerifyProgress) // told after each file, one call after the other; nil: nobody is
}

// VerifyProgress is how far a Verify is.
type VerifyProgress struct {
	Name    string // of the file that was looked at last
	Files   int    // looked at
	Bytes   int64  // read
	Damaged int    // of the files
}

// VerifyReport is what a Verify has found.
type VerifyReport struct {
	Files   int      // looked at
	Bytes   int64    // read
	Intact  int      // of the files: those that are what was fetched
	Unknown int      // of the files: those of which nothing is remembered; they are not read
	Damaged []Damage // of the files, by name
}

// Damage is a file that is not what was fetched.
type Damage struct {
	Name    string // in the cache
	Path    string // absolute
	Want    string // what it should be: "1024 bytes", "crc32c:0123abcd", "sha256:…"
	Got     string // what it is
	Removed bool   // by VerifyOptions.Repair
	Err     error  // why it could not be removed, ErrInUse when somebody has it open; nil: it was, or was not to be
}

// Verify reads every finished file again and holds it against its digest, where one
// is known, else against the CRC-32C of what was fetched. A directory is held against
// what was in it when it was filled: names, sizes, links, CRC-32C. That does not count as a
// use, where the operating system can leave a file's access time alone (Linux, for
// the files' owner). Damage is reported and is no error; an error is what could not
// be read, or the context's cause, and the report says what was done until then.
// Files that come or go meanwhile may be passed over.
func (m *DownloadManager) Verify(ctx context.Context, o VerifyOptions) (VerifyReport, error) {
	if m.isClosed() {
		return VerifyReport{}, ErrClosed
	}
	if o.Parallel < 1 {
		o.Parallel = runtime.GOMAXPROCS(0)
	}
	v := &verifying{m: m, o: o, names: make(chan string), found: make(chan finding)}
	ctx, cancel := context.WithCancel(ctx)
	go v.run(ctx)
	defer func() { // also when the progress function panics
		cancel()
		for range v.found {
		}
	}()
	for f := range v.found {
		v.take(f)
	}
	slices.SortFunc(v.report.Damaged, func(a, b Damage) int { return cmp.Compare(a.Name, b.Name) })
	return v.report, errors.Join(append(v.errs, v.walked)...)
}

// verifying is one Verify.
type verifying struct {
	m     *DownloadManager
	o     VerifyOptions
	names chan string  // of the files to look at
	found chan finding // closed when all have been looked at

	walked error // set before found is closed

	// The goroutine of the caller alone uses these.
	report VerifyReport
	errs   []error
}

// run looks at all files, several at once.
func (v *verifying) run(ctx context.Context) {
	defer close(v.found)
	var readers sync.WaitGroup
	for range v.o.Parallel {
		readers.Go(func() {
			for name := range v.names {
				if f, ok := v.look(ctx, name); ok {
					v.found <- f
				}
			}
		})
	}
	v.walked = v.m.eachFile(ctx, func(f FileInfo) error {
		select {
		case v.names <- f.Name:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
	close(v.names)
	readers.Wait()
}

// take adds what was found to the report and tells the progress.
func (v *verifying) take(f finding) {
	r := &v.report
	r.Files++
	r.Bytes += f.bytes
	switch {
	case f.err != nil:
		v.errs = append(v.errs, f.err)
	case f.unknown:
		r.Unknown++
	case f.damage != nil:
		r.Damaged = append(r.Damaged, *f.damage)
		v.m.cfg.defaults.logger.Warn("file is damaged", "name", f.name, "want", f.damage.Want, "got", f.damage.Got, "removed", f.damage.Removed)
	default:
		r.Intact++
	}
	if v.o.Progress != nil {
		v.o.Progress(VerifyProgress{Name: f.name, Files: r.Files, Bytes: r.Bytes, Damaged: len(r.Damaged)})
	}
}

// verifyTries is how often a file is looked at that changes meanwhile: each time
// somebody has fetched it anew.
const verifyTries = 3

// look looks at one file; ok is false if it is passed over.
func (v *verifying) look(ctx context.Context, name string) (f finding, ok bool) {
	if _, isDir := treeOf(name); isDir {
		return v.lookInto(ctx, name)
	}
	for range verifyTries {
		info, err := v.m.dir.Stat(name)
		if errors.Is(err, os.ErrNotExist) {
			return finding{}, false
		}
		if err != nil {
			return finding{name: name, err: err}, true
		}
		f = v.examine(ctx, name, info)
		switch {
		case ctx.Err() != nil, errors.Is(f.err, errGone):
			return finding{}, false
		case f.damage == nil && f.err == nil:
			return f, true
		case v.m.dir.IsStill(name, info):
			return v.repaired(f), true
		}
	}
	return finding{}, false
}

// finding is what was found out about one file.
type finding struct {
	name    string
	bytes   int64 // read
	unknown bool
	damage  *Damage
	err     error
}

// examine holds the file against what is remembered of it.
func (v *verifying) examine(ctx context.Context, name string, info fs.Info) finding {
	dir := v.m.dir
	f := finding{name: name}
	condition := dir.Condition(name, info)
	e, known := dir.Lookup(name)
	if !known || condition == fs.Intact && !e.IsOf(info) {
		f.unknown = true // the entry, if any, is that of an earlier file
		return f
	}
	err := v.m.compare(ctx, e, info)
	wrong, damaged := errors.AsType[*mismatch](err)
	switch {
	case damaged:
		f.damage = &Damage{Name: name, Path: dir.Path(name), Want: wrong.want, Got: wrong.got}
	case err != nil:
		f.err = err
		return f
	case condition == fs.Suspect:
		dir.Settle(e, info)
	}
	if e.Size == info.Size {
		f.bytes = info.Size
	}
	return f
}

// lookInto is look for a directory.
func (v *verifying) lookInto(ctx context.Context, name string) (f finding, ok bool) {
	id, _ := treeOf(name)
	file, t, _, err := v.m.dir.LeaseTree(ctx, id)
	if err != nil {
		return finding{name: name, err: err}, !errors.Is(err, os.ErrNotExist) && ctx.Err() == nil
	}
	found, err := v.m.dir.SurveyTree(ctx, t)
	_ = file.Close() // read-only; it ends the lease
	if ctx.Err() != nil {
		return finding{}, false
	}
	if err != nil {
		err = fmt.Errorf("directory %q: %w", name, err)
	}
	f = finding{name: name, bytes: found.Bytes, err: err}
	if want := (fs.Survey{Bytes: t.Bytes, Files: t.Files, CRC32C: t.CRC32C}); err == nil && found != want {
		f.damage = &Damage{Name: name, Path: v.m.dir.TreePath(t), Want: surveyText(want), Got: surveyText(found)}
	}
	return v.repaired(f), true
}

// surveyText says what is in a directory.
func surveyText(s fs.Survey) string {
	return fmt.Sprintf("%d files, %d bytes, crc32c:%08x", s.Files, s.Bytes, s.CRC32C)
}

// repaired removes a damaged file if that is asked for.
func (v *verifying) repaired(f finding) finding {
	if f.damage == nil || !v.o.Repair {
		return f
	}
	if err := v.m.removeFile(f.name); err != nil && !errors.Is(err, os.ErrNotExist) {
		f.damage.Err = err
		return f
	}
	f.damage.Removed = true
	return f
}
