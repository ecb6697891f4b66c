//go:build !unix

package journal

import "os"

// nonblock: there are no pipes in directories.
const nonblock = 0

// links: the system does not tell at once how many names a file has.
func links(os.FileInfo) (n uint64, known bool) { return 0, false }
