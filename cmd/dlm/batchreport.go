package main

import (
	"bytes"
	"errors"
	"io"
	"os"

	"github.com/dlmanager/dlmanager/batch"
)

// linkReport is what --report says of a link.
type linkReport struct {
	Line int `json:"line"` // in the list; 0: in none
	report
}

// batchReport writes the outcomes of a batch, a line each.
type batchReport struct {
	out  *os.File // nil: nobody wants it
	file bool     // it is ours to close
}

// openReport opens the file at path, whose lines stay if the job goes on. "" is
// none, and - is stdout.
func openReport(path string, goesOn bool, stdout *os.File) (*batchReport, error) {
	switch path {
	case "":
		return &batchReport{}, nil
	case toStdout:
		return &batchReport{out: stdout}, nil
	}
	mode := os.O_RDWR | os.O_CREATE
	if !goesOn {
		mode |= os.O_TRUNC
	}
	f, err := os.OpenFile(path, mode, 0o666)
	if err != nil {
		return nil, err
	}
	if err := toEndOfLines(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &batchReport{f, true}, nil
}

// toEndOfLines goes to the end of the file. What is there of a last line without an
// end, which a crash may leave, is cut off.
func toEndOfLines(f *os.File) error {
	fi, err := f.Stat()
	if err != nil || !fi.Mode().IsRegular() {
		return err
	}
	const longest = 1 << 20 // beyond any line of ours
	begin := max(fi.Size()-longest, 0)
	tail := make([]byte, fi.Size()-begin)
	if _, err := f.ReadAt(tail, begin); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	end := begin + int64(bytes.LastIndexByte(tail, '\n')+1)
	if err := f.Truncate(end); err != nil {
		return err
	}
	_, err = f.Seek(end, io.SeekStart)
	return err
}

// write writes one line with one call, which a kill does not cut.
func (r *batchReport) write(j *job, line int) error {
	if r.out == nil {
		return nil
	}
	_, err := r.out.Write(append(asJSON(linkReport{line, j.report()}), '\n'))
	return err
}

// writeEarlier writes what has failed in earlier runs, when the report begins with
// this one.
func (r *batchReport) writeEarlier(j *batch.Job) error {
	if r.out == nil {
		return nil
	}
	if at, err := r.out.Seek(0, io.SeekCurrent); r.file && (err != nil || at > 0) {
		return nil // it has them, or is no file that could
	}
	for f, err := range j.Failures() {
		if err != nil {
			return err
		}
		if f.Untold {
			continue // this run tells it
		}
		line := linkReport{f.Line, report{URL: f.URL, Name: f.Name, Tries: f.Attempts, Error: describe("", errors.New(f.Reason))}}
		if _, err := r.out.Write(append(asJSON(line), '\n')); err != nil {
			return err
		}
	}
	return nil
}

func (r *batchReport) close() error {
	if !r.file {
		return nil
	}
	return r.out.Close()
}
