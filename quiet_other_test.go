//go:build !linux

package dlmanager

const usesQuietReads = false
