package dlmanager

import (
	"os"

	"github.com/dlmanager/dlmanager/fs"
)

// claim is how a download asks for its partial file.
type claim struct {
	// accept decides whether to go on with what an earlier download left.
	accept func(note []byte, size int64) bool
	// apart says not to wait for whoever has the destination's partial file.
	apart bool
	// awaited says that somebody else was fetching the file until now, and
	// before is what had its name when he was.
	awaited bool
	before  *fs.Info
	// same says that what he was fetching is this download's URL, as far as that
	// can be seen.
	same bool
}

// create makes or takes over the partial file. fs.ErrHeld: somebody has it.
func (c claim) create(spot fs.Spot, perm os.FileMode) (*fs.Partial, error) {
	if c.apart {
		return spot.CreateApart(perm)
	}
	return spot.Create(perm, c.accept)
}

// changed reports whether a file has come since there was before, nil if none.
func changed(before, now *fs.Info) bool {
	return now != nil && (before == nil || !before.ModTime.Equal(now.ModTime) || before.Size != now.Size)
}
