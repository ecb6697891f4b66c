//go:build !linux

package fs

import "os"

// statBelow describes what has a name in folders below the open one.
func statBelow(*os.File, string) (Info, bool, error) { return Info{}, false, nil }

// isPlainPath reports whether the name leads to a folder below the open one without
// any link, as far as the kernel can tell in one step.
func isPlainPath(*os.File, string) bool { return false }
