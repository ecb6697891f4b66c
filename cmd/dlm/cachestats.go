package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/dlmanager/dlmanager"
)

const cacheStatsLong = `Print what the cache holds and how its limit is kept, one figure a line, with a tab
behind its name:

  files         finished files
  bytes         their sizes, and those of unfinished ones
  limit         the directory's own; 0: none
  reserved      what running downloads are going to need
  over          by how much the limit is exceeded
  why           what keeps it exceeded: reserved, leased (files that are open),
                grace, fileLimit (--keep), failed (files that cannot be removed)
  leased, grace, fileLimit, failed   bytes of each of these, when the limit was
                last found exceeded; 0 while it is kept
  counted       when the files were last counted one by one
  lastEviction  when a file was last evicted
  victimAge     for how long that had not been used, in seconds: what was used
                later is still there

Sizes are in bytes. What is not known is empty. With --json it is one object; there,
why is a list.`

// cacheStats is one call of "dlm cache stats".
type cacheStats struct {
	cacheCall
	json bool
}

func newCacheStatsCommand(u *ui) *cobra.Command {
	s := &cacheStats{cacheCall: cacheCall{ui: u}}
	cmd := &cobra.Command{
		Use:     "stats [flags]",
		Short:   "Print what the cache holds, and how its limit is kept",
		Long:    cacheStatsLong,
		Example: "  dlm cache stats --json",
		Args:    noArguments,
		RunE:    func(*cobra.Command, []string) error { return s.allowNone(s.with(s.print)) },
	}
	flags := newFlagSet(cmd.Flags())
	flags.group("What is shown")
	flags.BoolVar(&s.json, "json", false, "print a JSON object")
	s.register(flags)
	usageByGroup(cmd, flags)
	completeValues(cmd)
	return cmd
}

// statsReport is what --json prints. All keys are always there.
type statsReport struct {
	Files        int      `json:"files"`
	Bytes        int64    `json:"bytes"`
	Limit        int64    `json:"limit"`
	Reserved     int64    `json:"reserved"`
	Over         int64    `json:"over"`
	Why          []string `json:"why"`
	Leased       int64    `json:"leased"`
	Grace        int64    `json:"grace"`
	FileLimit    int64    `json:"fileLimit"`
	Failed       int64    `json:"failed"`
	Counted      string   `json:"counted"`
	LastEviction string   `json:"lastEviction"`
	VictimAge    float64  `json:"victimAge"`
}

func (s *cacheStats) print(m *dlmanager.DownloadManager) error {
	r, err := reportOf(m)
	if err != nil {
		return err
	}
	text := string(asJSON(r)) + "\n"
	if !s.json {
		text = r.lines()
	}
	_, err = s.ui.out.WriteString(text)
	return err
}

// reportOf counts the files itself where processes do not count together.
func reportOf(m *dlmanager.DownloadManager) (statsReport, error) {
	s := m.Stats()
	r := statsReport{
		Files: s.Files, Bytes: s.Bytes, Limit: s.DirectoryLimit, Reserved: s.Reserved, Over: s.Over, Why: []string{},
		Leased: s.Leased, Grace: s.Grace, FileLimit: s.Newest, Failed: s.Failed,
		Counted: knownTime(s.Counted), LastEviction: knownTime(s.LastEviction), VictimAge: s.VictimAge.Round(time.Second).Seconds(),
	}
	for _, reason := range s.Why {
		r.Why = append(r.Why, string(reason))
	}
	if s.Shared {
		return r, nil
	}
	r.Files, r.Bytes = 0, 0
	for f, err := range m.Files() {
		if err != nil {
			return r, err
		}
		r.Files++
		r.Bytes += f.Size
	}
	if r.Limit > 0 {
		r.Over = max(0, r.Bytes-r.Limit)
	}
	return r, nil
}

func knownTime(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return timeText(t)
}

func (r statsReport) lines() string {
	age := ""
	if r.LastEviction != "" {
		age = fmt.Sprint(r.VictimAge)
	}
	var b strings.Builder
	for _, line := range []struct {
		name  string
		value any
	}{
		{"files", r.Files},
		{"bytes", r.Bytes},
		{"limit", r.Limit},
		{"reserved", r.Reserved},
		{"over", r.Over},
		{"why", strings.Join(r.Why, ",")},
		{"leased", r.Leased},
		{"grace", r.Grace},
		{"fileLimit", r.FileLimit},
		{"failed", r.Failed},
		{"counted", r.Counted},
		{"lastEviction", r.LastEviction},
		{"victimAge", age},
	} {
		fmt.Fprintf(&b, "%s\t%v\n", line.name, line.value)
	}
	return b.String()
}
