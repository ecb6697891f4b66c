package main

import (
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
)

func TestValues(t *testing.T) {
	size := func() pflag.Value { return new(sizeValue) }
	duration := func() pflag.Value { return new(durationValue) }
	count := func() pflag.Value { return &countValue{min: 1} }
	for _, c := range []struct {
		make func() pflag.Value
		text string
		want string // "": refused
	}{
		{size, "0", "0"},
		{size, "10GiB", "10GiB"},
		{size, "1.5 KiB", "1.5KiB"},
		{size, "8388608", "8.0MiB"},
		{size, "-1", ""},
		{size, "9223372036854775808", ""},
		{size, "99999999EiB", ""},
		{size, "", ""},
		{size, "big", ""},
		{duration, "0", "0"},
		{duration, "10m", "10m"},
		{duration, "1h", "1h"},
		{duration, "1h5m0s", "1h5m"},
		{duration, "1h0m5s", "1h0m5s"},
		{duration, "30s", "30s"},
		{duration, "-1s", ""},
		{duration, "10", ""},
		{count, "1", "1"},
		{count, "0", ""},
		{count, "many", ""},
	} {
		t.Run(c.text, func(t *testing.T) {
			v := c.make()
			err := v.Set(c.text)
			if c.want == "" {
				require.Error(t, err)
				require.Contains(t, err.Error(), `"`+c.text+`"`)
				return
			}
			require.NoError(t, err)
			require.Equal(t, c.want, v.String())
		})
	}
}
