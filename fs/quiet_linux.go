package fs

import (
	"os"
	"syscall"
)

// unused opens a file so that reading it does not count as its use (open(2)). Only
// its owner may; for others the kernel keeps the time as it likes.
const unused = syscall.O_NOATIME

// flushMode opens a file that is going to be flushed.
const flushMode = os.O_RDONLY
