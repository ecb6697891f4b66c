package fs

import (
	"os"
	"strings"
	"sync"
)

// BootID names the time since the machine was started; "" if it is not known.
var BootID = sync.OnceValue(func() string {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id") // random(4)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
})
