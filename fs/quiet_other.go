//go:build !unix

package fs

import "os"

const unused = 0

// flushMode: Windows flushes only what is open for writing.
const flushMode = os.O_RDWR
