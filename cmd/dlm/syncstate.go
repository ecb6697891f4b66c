package main

import (
	"encoding/json"
	"errors"
	"fmt"
	iofs "io/fs"
	"maps"
	"os"
	"path/filepath"
	"sync"
)

// What dlm sync has put where is noted beside the manifest, in a folder of its own
// that git passes over. It tells a file of ours from one of somebody else's, and
// that it is as we left it without reading it: by size and time, as make and git do.

// syncFolder is the folder's name.
const syncFolder = ".dlm-sync"

// syncFormat is the version of the notes. Those of another one are not read.
const syncFormat = 1

// syncState is what is noted. Several goroutines may use it.
type syncState struct {
	path string

	mu      sync.Mutex // guards all below
	records map[string]syncRecord
	news    map[string]syncRecord // since it was read
}

// syncRecord is what is noted of one destination.
type syncRecord struct {
	Wanted   string `json:"wanted"` // what it was made from
	SHA256   string `json:"sha256"`
	Asked    uint32 `json:"asked"` // the mode before the umask
	Bytes    int64  `json:"bytes"`
	Modified int64  `json:"modified"` // nanoseconds since 1970
	Mode     uint32 `json:"mode"`
	Tree     string `json:"tree,omitempty"` // of what is in it; "": it is a file
}

// fits reports whether the file is as it was noted, as far as that can be told
// without reading it.
func (r syncRecord) fits(fi iofs.FileInfo) bool {
	return r.Bytes == fi.Size() && r.Modified == fi.ModTime().UnixNano() && iofs.FileMode(r.Mode) == fi.Mode()
}

// syncNotes is the file.
type syncNotes struct {
	Format int                   `json:"format"`
	Files  map[string]syncRecord `json:"files"` // by destination, with slashes
}

// readSyncState reads what is noted of a manifest. What is not there, or cannot be
// understood, is as if nothing had been noted: then files are read.
func readSyncState(m *manifest) *syncState {
	s := &syncState{
		path:    filepath.Join(m.dir, syncFolder, filepath.Base(m.file)+".json"),
		records: map[string]syncRecord{}, news: map[string]syncRecord{},
	}
	if notes, err := readSyncNotes(s.path); err == nil {
		s.records = notes
	}
	return s
}

var errOtherNotes = errors.New("not understood")

func readSyncNotes(path string) (map[string]syncRecord, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var notes syncNotes
	if err := json.Unmarshal(text, &notes); err != nil {
		return nil, err
	}
	if notes.Format != syncFormat || notes.Files == nil {
		return nil, errOtherNotes
	}
	return notes.Files, nil
}

func (s *syncState) of(rel string) (r syncRecord, ours bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ours = s.records[rel]
	return r, ours
}

func (s *syncState) note(rel string, r syncRecord) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.records[rel] != r {
		s.records[rel], s.news[rel] = r, r
	}
}

// save writes what is new, beside what another process has noted meanwhile. Two that
// save at the same moment may lose a note, which costs reading a file.
func (s *syncState) save() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.news) == 0 {
		return nil
	}
	notes := syncNotes{syncFormat, map[string]syncRecord{}}
	if there, err := readSyncNotes(s.path); err == nil {
		notes.Files = there
	}
	maps.Copy(notes.Files, s.news)
	text, err := json.MarshalIndent(notes, "", " ")
	if err != nil {
		return err
	}
	if err := makeSyncFolder(filepath.Dir(s.path)); err != nil {
		return err
	}
	return replaceFile(s.path, append(text, '\n'))
}

// makeSyncFolder makes the folder, with what keeps it out of git.
func makeSyncFolder(dir string) error {
	err := os.Mkdir(dir, 0o777)
	if errors.Is(err, iofs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, ".gitignore"), []byte("*\n"), 0o666)
}

// replaceFile writes a file whole or not at all.
func replaceFile(path string, text []byte) error {
	temp := fmt.Sprintf("%s-%d", path, os.Getpid()) // within a process, nobody else writes it
	defer os.Remove(temp)                           // after the rename there is nothing
	if err := os.WriteFile(temp, text, 0o666); err != nil {
		return err
	}
	return os.Rename(temp, path)
}
