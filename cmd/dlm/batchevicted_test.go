package main

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/dlmanager/dlmanager"
)

func TestEvictionsAreCounted(t *testing.T) {
	for name, c := range map[string]struct {
		events string // in their order: capital letters land, small ones are evicted
		count  int
	}{
		"none":                             {"ABC", 0},
		"after it landed":                  {"ABCb", 1},
		"before it was heard that it did":  {"Aab", 1},
		"both ways":                        {"AcBbCD", 2},
		"not of the batch":                 {"xAyB", 0},
		"again when it has come back":      {"AaAa", 2},
		"landed twice, and is there once":  {"AAa", 1},
		"those before and after the first": {"ABaCDbcd", 4},
	} {
		e := newEvictions()
		for _, r := range c.events {
			if r >= 'a' {
				e.evict(dlmanager.Removed{Path: string(r)})
			} else {
				e.land(string(r + 'a' - 'A'))
			}
		}
		assert.Equal(t, c.count, e.counted(), name)
	}
}
