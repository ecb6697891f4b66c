//go:build !linux && !darwin

package fs

// BootID names the time since the machine was started; "" if it is not known.
func BootID() string { return "" }
