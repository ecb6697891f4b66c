//go:build unix && !linux

package fs

import "os"

const unused = 0

const flushMode = os.O_RDONLY
