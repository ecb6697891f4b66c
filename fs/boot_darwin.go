package fs

import (
	"sync"

	"golang.org/x/sys/unix"
)

// BootID names the time since the machine was started; "" if it is not known.
var BootID = sync.OnceValue(func() string {
	id, err := unix.Sysctl("kern.bootsessionuuid")
	if err != nil {
		return ""
	}
	return id
})
