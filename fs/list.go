package fs

import (
	"context"
	"errors"
	"io"
	"os"
	"path"
	"sync"
	"time"

	"github.com/spf13/afero"
)

// Walk calls fn for every finished file, in no order, until fn or ctx ends it. A
// folder that cannot be read is reported at the end, and the others are walked.
// What vanishes meanwhile is passed over; so are links, devices, the cache's
// own files and other programs' hidden partials.
func (d *Dir) Walk(ctx context.Context, fn func(name string, info Info) error) error {
	return d.walk(ctx, nil, func(f found) error { return fn(f.name, f.info) })
}

// List calls fn for every finished file as Walk does. Of a file that the journal
// knows, size and last use are those of its entry: the file may have been used
// since, or not be what it was. That saves the look at each of a million files,
// and costs who evicts nothing, since he looks at each file before it goes.
func (d *Dir) List(ctx context.Context, fn func(name string, size int64, used time.Time) error) error {
	e := d.entries
	begun := e.beginListing(ctx)
	err := d.walk(ctx, e.recall, func(f found) error { return fn(f.name, f.info.Size, f.info.LastUse) })
	if err == nil {
		e.endListing(begun)
	}
	return err
}

// found is a finished file that a walk has come to.
type found struct {
	name string
	info Info
}

// recollect completes those of the files that are known without a look at them,
// and returns the others.
type recollect func(names []string, known func(i int, size int64, used time.Time))

// walkers is how many goroutines read folders and look at files. The kernel does
// the work, and gets half done in the same time by two of them; more did not help
// on two processors, and would keep a hit waiting.
const walkers = 2

// walk is one walk through the directory.
type walk struct {
	d      *Dir
	ctx    context.Context
	recall recollect // nil: every file is looked at
	out    chan []found

	mu         sync.Mutex // guards all below
	idle       sync.Cond  // on mu: there is something to do, or nothing ever again
	todo       []leg
	waiting    int // goroutines that have nothing to do
	unreadable []error
}

// leg is a part of a walk: a folder to be read, or what was read of one.
type leg struct {
	path   string
	folder *openedFolder // nil: the folder is to be opened
	batch  []os.DirEntry
}

// openedFolder is closed when the last leg in it is over.
type openedFolder struct {
	afero.File
	legs int // guarded by walk.mu
}

func (d *Dir) walk(ctx context.Context, recall recollect, fn func(found) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w := &walk{d: d, ctx: ctx, recall: recall, out: make(chan []found, walkers), todo: []leg{{path: "."}}}
	w.idle.L = &w.mu
	var group sync.WaitGroup
	for range walkers {
		group.Go(w.run)
	}
	go func() {
		group.Wait()
		close(w.out)
	}()
	var failed error
	for batch := range w.out { // to its end, so that nobody is left behind
		for _, f := range batch {
			if failed = context.Cause(ctx); failed == nil {
				failed = fn(f)
			}
			if failed != nil {
				cancel(failed)
				break
			}
		}
	}
	if failed == nil {
		failed = context.Cause(ctx)
	}
	if failed != nil {
		return failed
	}
	return errors.Join(w.unreadable...)
}

func (w *walk) run() {
	for {
		l, ok := w.next()
		if !ok {
			return
		}
		if l.folder != nil {
			w.look(l)
		} else if err := w.read(l.path); err != nil {
			w.note(err)
		}
	}
}

// next waits for something to do. There is nothing any more when all wait.
func (w *walk) next() (leg, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting++
	for len(w.todo) == 0 {
		if w.waiting == walkers {
			w.idle.Broadcast()
			return leg{}, false
		}
		w.idle.Wait()
	}
	w.waiting--
	last := len(w.todo) - 1
	l := w.todo[last]
	w.todo = w.todo[:last]
	return l, true
}

func (w *walk) note(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.unreadable = append(w.unreadable, err)
}

// read reads a folder. What it reads goes to who has nothing to do, else it looks
// at it itself: so memory does not grow with the folder.
func (w *walk) read(name string) error {
	f, err := w.d.fsys.Open(name)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	folder := &openedFolder{File: f, legs: 1}
	defer w.leave(folder)
	return w.eachBatch(folder, name, func(batch []os.DirEntry) {
		l := leg{path: name, folder: folder, batch: batch}
		if !w.handOver(l) {
			w.lookAt(l)
		}
	})
}

// handOver gives the leg to a goroutine that waits, if there is one.
func (w *walk) handOver(l leg) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.waiting == 0 || len(w.todo) >= w.waiting {
		return false
	}
	l.folder.legs++
	w.todo = append(w.todo, l)
	w.idle.Signal()
	return true
}

func (w *walk) leave(f *openedFolder) {
	w.mu.Lock()
	f.legs--
	over := f.legs == 0
	w.mu.Unlock()
	if over {
		_ = f.Close() // read-only: nothing to lose
	}
}

// eachBatch calls fn with what is in the folder, some at a time.
func (w *walk) eachBatch(f *openedFolder, name string, fn func([]os.DirEntry)) error {
	dir, done := lister(f.File, w.d.Path(name))
	defer done()
	if dir == nil {
		return w.eachBatchElsewhere(f, name, fn)
	}
	for w.ctx.Err() == nil {
		batch, err := dir.ReadDir(walkBatch)
		if len(batch) > 0 {
			fn(batch)
		}
		if errors.Is(err, io.EOF) || errors.Is(err, os.ErrNotExist) { // removed while it was read, so empty
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// eachBatchElsewhere is eachBatch where names alone can be read.
func (w *walk) eachBatchElsewhere(f *openedFolder, name string, fn func([]os.DirEntry)) error {
	var batch []os.DirEntry
	err := EachName(f, func(base string) error {
		fi, err := Lstat(w.d.fsys, path.Join(name, base))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			w.note(err)
		}
		if err == nil {
			batch = append(batch, dirEntry{fi})
		}
		return w.ctx.Err()
	})
	if len(batch) > 0 {
		fn(batch)
	}
	return err
}

// dirEntry is what is in a folder, looked at already.
type dirEntry struct{ os.FileInfo }

func (e dirEntry) Type() os.FileMode          { return e.Mode().Type() }
func (e dirEntry) Info() (os.FileInfo, error) { return e.FileInfo, nil }

// look is lookAt for a leg that was handed over.
func (w *walk) look(l leg) {
	defer w.leave(l.folder)
	w.lookAt(l)
}

// lookAt deals with what was read of a folder.
func (w *walk) lookAt(l leg) {
	files, folders := w.sort(l)
	if len(folders) > 0 {
		w.mu.Lock()
		w.todo = append(w.todo, folders...)
		w.mu.Unlock()
		w.idle.Broadcast()
	}
	if files = w.describe(l, files); len(files) == 0 {
		return
	}
	select {
	case w.out <- files:
	case <-w.ctx.Done():
	}
}

// sort returns which of the batch are finished files, as far as names tell, and
// which are folders.
func (w *walk) sort(l leg) (files []found, folders []leg) {
	for _, e := range l.batch {
		name := e.Name()
		if l.path != "." {
			name = l.path + "/" + name
		}
		switch {
		case name == ownDir, name == tagFile, IsHiddenPartial(e.Name()):
		case e.IsDir():
			folders = append(folders, leg{path: name})
		case e.Type().IsRegular():
			files = append(files, found{name: name})
		}
	}
	return files, folders
}

// describe says what there is to say of the files, and leaves out those that are
// gone.
func (w *walk) describe(l leg, files []found) []found {
	known := make([]bool, len(files))
	if w.recall != nil {
		names := make([]string, len(files))
		for i := range files {
			names[i] = files[i].name
		}
		w.recall(names, func(i int, size int64, used time.Time) {
			known[i], files[i].info = true, Info{Size: size, LastUse: used}
		})
	}
	kept := files[:0]
	for i, f := range files {
		if !known[i] {
			if w.ctx.Err() != nil {
				return nil
			}
			var err error
			f.info, err = statIn(w.d.fsys, l.folder.File, f.name)
			switch {
			case errors.Is(err, os.ErrNotExist):
				continue
			case err != nil:
				w.note(err)
				continue
			case !f.info.Mode.IsRegular():
				continue
			}
		}
		kept = append(kept, f)
	}
	return kept
}

// lookUp is statIn by name.
func lookUp(fsys afero.Fs, name string) (Info, error) {
	if r, ok := fsys.(rootFs); ok {
		if info, done, err := r.home.stat(name); done {
			return info, err
		}
	}
	fi, err := Lstat(fsys, name)
	if err != nil {
		return Info{}, err
	}
	return infoOf(fi), nil
}
