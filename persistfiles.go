package dlmanager

import (
	"hash/maphash"
	"iter"
	"math/bits"
)

// fileSet has files by their names, which are in the files themselves: so it takes
// 20 to 30 bytes a file, where a map takes 37. It is a table with open addressing in
// the order of hashes, which is copied from front to back when it grows: somebody
// waits for the lock meanwhile. The zero fileSet is empty.
type fileSet struct {
	seed  maphash.Seed
	table []fileSlot
	n     int
}

type fileSlot struct {
	hash uint64
	file *limitFile // nil: none
}

func (s *fileSet) len() int { return s.n }

// places returns up to where some finds files.
func (s *fileSet) places() int { return len(s.table) }

// some returns the files in n places from from on. It is valid as long as nothing
// is put in; a file that is removed meanwhile may move others to before from.
func (s *fileSet) some(from, n int) []*limitFile {
	var files []*limitFile
	for _, slot := range s.table[from:min(from+n, len(s.table))] {
		if slot.file != nil {
			files = append(files, slot.file)
		}
	}
	return files
}

// all returns every file once. Files may be removed meanwhile.
func (s *fileSet) all() iter.Seq[*limitFile] {
	return func(yield func(*limitFile) bool) {
		for _, f := range s.some(0, len(s.table)) {
			if !yield(f) {
				return
			}
		}
	}
}

func (s *fileSet) home(hash uint64) int {
	high, _ := bits.Mul64(hash, uint64(len(s.table)))
	return int(high)
}

func (s *fileSet) after(place int) int {
	if place++; place < len(s.table) {
		return place
	}
	return 0
}

// find returns the place of the name, or the empty one where it would go.
func (s *fileSet) find(hash uint64, name string) int {
	for i := s.home(hash); ; i = s.after(i) {
		slot := &s.table[i]
		if slot.file == nil || slot.hash == hash && slot.file.name == name {
			return i
		}
	}
}

// get returns the file called name, nil if there is none.
func (s *fileSet) get(name string) *limitFile {
	if s.n == 0 {
		return nil
	}
	return s.table[s.find(maphash.String(s.seed, name), name)].file
}

// put takes in f, in place of the one that has its name.
func (s *fileSet) put(f *limitFile) {
	if 5*(s.n+1) > 4*len(s.table) {
		s.grow()
	}
	hash := maphash.String(s.seed, f.name)
	i := s.find(hash, f.name)
	if s.table[i].file == nil {
		s.n++
	}
	s.table[i] = fileSlot{hash, f}
}

func (s *fileSet) grow() {
	if s.table == nil {
		s.seed = maphash.MakeSeed()
	}
	old := s.table
	s.table = make([]fileSlot, max(16, len(old)+len(old)/2))
	for _, slot := range old {
		if slot.file == nil {
			continue
		}
		i := s.home(slot.hash)
		for s.table[i].file != nil {
			i = s.after(i)
		}
		s.table[i] = slot
	}
}

// remove takes f out, and moves those behind it up that would not be found any
// more. Another file of its name stays.
func (s *fileSet) remove(f *limitFile) {
	if s.n == 0 {
		return
	}
	i := s.find(maphash.String(s.seed, f.name), f.name)
	if s.table[i].file != f {
		return
	}
	s.n--
	for j := s.after(i); s.table[j].file != nil; j = s.after(j) {
		if h := s.home(s.table[j].hash); i <= j && i < h && h <= j || i > j && (i < h || h <= j) {
			continue
		}
		s.table[i] = s.table[j]
		i = j
	}
	s.table[i] = fileSlot{}
}
