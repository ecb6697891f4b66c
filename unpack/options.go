package unpack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"

	"github.com/spf13/afero"

	"github.com/dlmanager/dlmanager"
)

const (
	// defaultEntries is more than twice what the source tree of Linux has, and costs
	// some 50 MiB while it is unpacked.
	defaultEntries = 250_000
	// defaultBytes is the limit of a cache directory that is made by the command: what
	// is larger could not stay in it.
	defaultBytes = 10 << 30
	// defaultRatio is a tenth of what deflate can reach (1032), which zeros do and bombs
	// are made of. Source code comes to 10, logs to 50.
	defaultRatio = 100
	// harmless is how many bytes any archive may come to, whatever the ratio: a small
	// one may well hold a file of zeros.
	harmless = 64 << 20
)

// Options say how an archive is unpacked. The zero value is what [Auto] uses. An
// Options may be used by several goroutines at once.
type Options struct {
	// Strip is how many leading folders are dropped from the names of entries, and
	// from the targets of hard links. Entries that are left without a name are passed
	// over, and count as if they were not. A single compressed file has no folders:
	// it stays.
	Strip int
	// MaxEntries limits the entries, with the folders that only the names of others
	// tell of, and with it the memory that their names take: 256 bytes for each on
	// average, and 1 MiB more. 0: 250,000. Negative: no limit.
	MaxEntries int
	// MaxBytes limits the bytes of all files together. 0: 10 GiB. Negative: no limit.
	MaxBytes int64
	// MaxEntryBytes limits the bytes of one file. 0 and negative: MaxBytes does.
	MaxEntryBytes int64
	// MaxRatio limits how many times as large as the archive all files together are;
	// 64 MiB are allowed in any case. 0: 100. Negative: no limit.
	MaxRatio int
}

// Auto fills into from the archive with the default options. It is a filler for the
// download manager's directories.
func Auto(ctx context.Context, archive *dlmanager.File, into afero.Fs) error {
	return Options{}.Fill(ctx, archive, into)
}

// Fill is [Auto] with options. The archive's offset is neither used nor moved.
func (o Options) Fill(ctx context.Context, archive *dlmanager.File, into afero.Fs) error {
	return o.Extract(ctx, archive, archive.Size(), archive.Name(), into)
}

// Extract fills into, the root of an empty folder, from an archive of size bytes. A
// single compressed file is named after name, without .gz, .zst, .xz or .bz2; when
// name does not end so, after what its gzip header says, or else name. Nothing
// else depends on the name.
//
// For symbolic links into has to be an [afero.Symlinker] that makes them as they are: the
// download manager's and fs.NewRoot's are, [afero.BasePathFs] is not. Hard links are made if it
// has LinkIfPossible(target, name string) error; else the file is copied.
//
// It returns an [*EntryError] (ErrRefused), a [*LimitError] (ErrLimit), a
// [*DamagedError] (ErrDamaged), ErrFormat, the cause of ctx soon after it ends, or
// what reading or writing failed with.
func (o Options) Extract(ctx context.Context, archive io.ReaderAt, size int64, name string, into afero.Fs) error {
	if o.Strip < 0 {
		return fmt.Errorf("unpack: cannot strip %d folders", o.Strip)
	}
	if err := requireEmpty(into); err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	src := &source{ctx: ctx, archive: archive, size: size}
	head, err := src.head()
	if err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	kind := sniff(head)
	if kind == unknown {
		return fmt.Errorf("unpack: %w%s; what can be unpacked is tar, zip, and what gzip, zstd, xz or bzip2 compressed", ErrFormat, guess(head))
	}
	x := newExtraction(o, src, into)
	if err := x.run(kind, path.Base(name)); err != nil {
		return fmt.Errorf("unpack %s: %w", x.format, err)
	}
	return nil
}

// requireEmpty makes sure that what this package remembers of what it wrote is all
// that there is.
func requireEmpty(into afero.Fs) error {
	dir, err := into.Open(".")
	if err != nil {
		return err
	}
	names, err := dir.Readdirnames(1)
	if isEOF(err) {
		err = nil
	}
	if err = errors.Join(err, dir.Close()); err != nil {
		return err
	}
	if len(names) > 0 {
		return errors.New("the folder to fill is not empty; give a new one")
	}
	return nil
}
