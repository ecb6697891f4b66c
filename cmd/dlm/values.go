package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// The kinds of values that flags take. Each refuses what makes no sense, with a
// message that can follow the flag's or the variable's name.

// sizeValue is a number of bytes.
type sizeValue int64

func (v *sizeValue) Set(text string) error {
	n, err := humanize.ParseBytes(text)
	if err != nil || n > math.MaxInt64 {
		return fmt.Errorf("%q is not a size: write 500MB, 10GiB or a number of bytes", text)
	}
	*v = sizeValue(n)
	return nil
}

func (v *sizeValue) String() string {
	if *v == 0 {
		return "0"
	}
	return strings.ReplaceAll(humanize.IBytes(uint64(*v)), " ", "")
}

func (v *sizeValue) Type() string { return "SIZE" }

// durationValue is a span of time that is not negative.
type durationValue time.Duration

func (v *durationValue) Set(text string) error {
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 {
		return fmt.Errorf("%q is not a duration: write 30s, 10m or 1h30m", text)
	}
	*v = durationValue(d)
	return nil
}

func (v *durationValue) String() string {
	if *v == 0 {
		return "0"
	}
	return shortDuration(time.Duration(*v))
}

func (v *durationValue) Type() string { return "DURATION" }

// connectionsValue is how many connections a file may have; 0: as many as help.
type connectionsValue int

// maxConnectionsAsked keeps a slip of the finger from being an attack.
const maxConnectionsAsked = 64

func (v *connectionsValue) Set(text string) error {
	if text == "auto" {
		*v = 0
		return nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxConnectionsAsked {
		return fmt.Errorf("%q is neither auto nor a number from 1 to %d", text, maxConnectionsAsked)
	}
	*v = connectionsValue(n)
	return nil
}

func (v *connectionsValue) String() string {
	if *v == 0 {
		return "auto"
	}
	return strconv.Itoa(int(*v))
}

func (v *connectionsValue) Type() string { return "N" }

// shortDuration is d as people write it: 10m, and not 10m0s.
func shortDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// countValue is a whole number that is not less than min.
type countValue struct{ n, min int }

func (v *countValue) Set(text string) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < v.min {
		return fmt.Errorf("%q is not a whole number from %d up", text, v.min)
	}
	v.n = n
	return nil
}

func (v *countValue) String() string { return strconv.Itoa(v.n) }

func (v *countValue) Type() string { return "N" }

// choiceValue is one of a few words.
type choiceValue struct {
	word    string
	choices []string
}

func (v *choiceValue) Set(text string) error {
	for _, choice := range v.choices {
		if text == choice {
			v.word = text
			return nil
		}
	}
	return fmt.Errorf("%q is none of %s", text, strings.Join(v.choices, ", "))
}

func (v *choiceValue) String() string { return v.word }

func (v *choiceValue) Type() string { return strings.Join(v.choices, "|") }
