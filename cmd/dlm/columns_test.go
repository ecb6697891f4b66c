package main

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

func TestFit(t *testing.T) {
	for _, c := range []struct {
		text  string
		width int
		want  string
	}{
		{"tool", 6, "tool  "},
		{"tool", 4, "tool"},
		{"terraform-provider_1.2.3.tar.gz", 20, "terraform...3.tar.gz"},
		{"tool", 3, "too"},
		{"tool", 0, ""},
		{"名前名前名前", 12, "名前名前名前"},
		{"名前名前名前", 10, "名前... 前"},
		{"名前", 3, "名 "},
	} {
		t.Run(c.text, func(t *testing.T) {
			require.Equal(t, c.want, fit(c.text, c.width))
		})
	}
}

func FuzzFit(f *testing.F) {
	f.Add("terraform-provider_1.2.3.tar.gz", 20)
	f.Add("👩\u200d💻🚀", 5)
	f.Add("e\u0301\u0301\u0301", 2)
	f.Add("\x1b[31mred", 6)
	f.Fuzz(func(t *testing.T, text string, width int) {
		if width < 0 || width > 300 || len(text) > 1000 {
			return
		}
		got := fit(printable(text), width)
		require.Equal(t, width, displayWidth(got), "%q", got)
	})
}

func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"tool.tar.gz":        "tool.tar.gz",
		"two words":          "two words",
		"\x1b[31mred\x07":    "?[31mred?",
		"line\r\nline\u2028": "line??line?",
		"evil\u202etxt.exe":  "evil?txt.exe",
		"\xff":               "?",
		"👩\u200d💻":           "👩\u200d💻",
		"ダウンロード":             "ダウンロード",
		"\u009b31m":          "?31m",
	} {
		require.Equal(t, want, printable(text))
	}
}

func TestLinesFitEveryWidth(t *testing.T) {
	v := view{files: 3, failed: 1, current: 1 << 40, total: 1<<41 - 1, rate: 1023 << 20, widest: 300}
	for _, label := range []string{"a", strings.Repeat("long-name-", 30), strings.Repeat("名前", 60)} {
		v.running = append(v.running,
			row{label: label, current: 1023 << 10, total: 1023 << 20, rate: 1023 << 20},
			row{label: label, current: 1023 << 10, total: -1, silent: time.Hour},
			row{label: label, state: "landing", total: 0},
		)
	}
	for width := range 250 {
		lines := barLines(v, width)
		require.Len(t, lines, len(v.running)+1)
		for _, line := range lines {
			require.LessOrEqual(t, displayWidth(line), width, "%q", line)
			require.True(t, utf8.ValidString(line))
		}
	}
}

func TestLinesShowWhatMatters(t *testing.T) {
	v := view{files: 2, current: 100 << 20, total: -1, rate: 10 << 20, widest: 25, running: []row{
		{label: "tool.tar.gz", state: "transferring", current: 50 << 20, total: 200 << 20, rate: 10 << 20},
		{label: "unknown.bin", state: "transferring", current: 50 << 20, total: -1, silent: 5 * time.Second},
	}}
	require.Equal(t, []string{
		"tool.tar.gz           [=>       ]   25%       50.0/200 MiB  10.0 MiB/s      15s",
		"unknown.bin           [         ]                 50.0 MiB  no data for 5s",
		"0/2 files             [         ]                  100 MiB  10.0 MiB/s",
	}, barLines(v, 79))
	require.Equal(t, []string{
		"tool.tar.gz              25%  10.0 MiB/s",
		"unknown.bin",
		"0/2 files                     10.0 MiB/s",
	}, barLines(v, 40))
	v.batch, v.done, v.failed, v.files = &batchView{left: time.Hour, known: true}, 99_000, 12, 100_000
	v.running = nil
	for width, want := range map[int]string{
		100: "99000/100000 files, 12 failed  [===================> ]   99%            100 MiB  10.0 MiB/s    1h00m",
		79:  "99000/100000 files, 12 failed       99%            100 MiB  10.0 MiB/s    1h00m",
		60:  "99000/100000 files, 12 failed       99%  10.0 MiB/s    1h00m",
		40:  "99000/100000 files, 12 failed        99%",
		25:  "99000/100000, 12 failed",
		20:  "99000/100000",
		8:   "",
	} {
		require.Equal(t, []string{want}, barLines(v, width), width)
	}
	v.batch, v.files, v.running = nil, 1, []row{{label: "tool"}}
	require.Len(t, barLines(v, 79), 1, "a total of one file says nothing")
}

func TestBarText(t *testing.T) {
	for _, c := range []struct {
		current, total int64
		want           string
	}{
		{0, -1, "[        ]"},
		{0, 100, "[        ]"},
		{13, 100, "[>       ]"},
		{50, 100, "[===>    ]"},
		{99, 100, "[======> ]"},
		{100, 100, "[========]"},
		{200, 100, "[========]"},
		{0, 0, "[        ]"},
		{1 << 62, 1<<63 - 1, "[===>    ]"},
	} {
		require.Equal(t, c.want, barText(c.current, c.total, 10))
	}
}

func TestSpanAndLeft(t *testing.T) {
	for d, want := range map[time.Duration]string{
		400 * time.Millisecond: "0s", 59 * time.Second: "59s", 61 * time.Second: "1m01s",
		time.Hour: "1h00m", 100*time.Hour + 5*time.Minute: "100h05m",
	} {
		require.Equal(t, want, span(d))
	}
	d, ok := left(50, 100, 10)
	require.True(t, ok)
	require.Equal(t, 5*time.Second, d)
	for _, never := range []struct {
		total int64
		rate  float64
	}{{-1, 10}, {100, 0}, {1 << 62, 1}} {
		_, ok := left(50, never.total, never.rate)
		require.False(t, ok)
	}
}
