// Measure runs one command, or two commands in turn, several times and prints
// wall time, CPU time (user and system, the children's children included) and
// peak memory:
//
//	measure [-runs 5] [-warm 0] [-dir DIR] [-names a,b] -- CMD ARG… [-- CMD ARG…]
//
// In the arguments {} stands for a fresh directory below DIR. Nothing is
// deleted between the runs, because the file system would still be busy with
// it while the next run is timed. With two commands the order changes from
// pair to pair, and ratios are taken pair by pair, the first over the second.
//
// Peak memory may read as high as this program's own, some 10 MiB, where the
// kernel counts what the child had before it executed the command.
package main

import (
	"cmp"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

type sample struct {
	wall, cpu time.Duration
	peak      int64 // bytes
}

type series struct {
	name    string
	args    []string
	samples []sample
}

func main() {
	runs := flag.Int("runs", 5, "measured runs of each command")
	warm := flag.Int("warm", 0, "runs before them that do not count")
	dir := flag.String("dir", "", "folder for fresh directories, one a run")
	names := flag.String("names", "a,b", "what to call the commands")
	flag.Parse()
	if err := measure(*runs, *warm, *dir, strings.Split(*names, ","), flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "measure:", err)
		os.Exit(1)
	}
}

func measure(runs, warm int, dir string, names, args []string) error {
	commands, err := split(names, args)
	if err != nil {
		return err
	}
	for i := range warm + runs {
		order := slices.Clone(commands)
		if i%2 == 1 {
			slices.Reverse(order)
		}
		for _, c := range order {
			s, err := run(c, dir, i)
			if err != nil {
				return fmt.Errorf("%s: %w", c.name, err)
			}
			if i >= warm {
				c.samples = append(c.samples, s)
			}
		}
	}
	report(commands)
	return nil
}

// split cuts the arguments at "--" into one or two commands.
func split(names, args []string) ([]*series, error) {
	var commands []*series
	rest := args
	for len(rest) > 0 {
		end := slices.Index(rest, "--")
		if end < 0 {
			end = len(rest)
		}
		if end == 0 || len(commands) == min(len(names), 2) {
			return nil, errors.New("one or two commands wanted, each with a name, parted by --")
		}
		commands = append(commands, &series{name: names[len(commands)], args: rest[:end]})
		rest = rest[min(end+1, len(rest)):]
	}
	if len(commands) == 0 {
		return nil, errors.New("no command given")
	}
	return commands, nil
}

// run runs a command once, in a fresh directory if it asks for one.
func run(c *series, dir string, n int) (sample, error) {
	args := slices.Clone(c.args)
	if dir != "" {
		fresh := filepath.Join(dir, fmt.Sprintf("%s-%d", c.name, n))
		if err := os.Mkdir(fresh, 0o777); err != nil {
			return sample{}, err
		}
		for i := range args {
			args[i] = strings.ReplaceAll(args[i], "{}", fresh)
		}
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stderr = os.Stderr
	start := time.Now()
	err := cmd.Run()
	wall := time.Since(start)
	if err != nil {
		return sample{}, err
	}
	state := cmd.ProcessState
	s := sample{wall: wall, cpu: state.UserTime() + state.SystemTime()}
	if usage, ok := state.SysUsage().(*syscall.Rusage); ok {
		s.peak = int64(usage.Maxrss) << 10 // Linux counts it in KiB
	}
	return s, nil
}

func report(commands []*series) {
	fmt.Printf("%-8s %10s %10s %10s %10s %10s %10s %9s\n",
		"", "wall", "best", "mean", "cpu", "best", "mean", "peak MiB")
	for _, c := range commands {
		wall, cpu := durations(c, wallOf), durations(c, cpuOf)
		peak := slices.MaxFunc(c.samples, func(a, b sample) int { return cmp.Compare(a.peak, b.peak) }).peak
		fmt.Printf("%-8s %10s %10s %10s %10s %10s %10s %9.1f\n", c.name,
			ms(median(wall)), ms(slices.Min(wall)), ms(mean(wall)),
			ms(median(cpu)), ms(slices.Min(cpu)), ms(mean(cpu)), float64(peak)/(1<<20))
	}
	if len(commands) == 2 {
		a, b := commands[0], commands[1]
		fmt.Printf("%s / %s, median of the pairs and best over best: wall %.2f %.2f, cpu %.2f %.2f\n",
			a.name, b.name,
			median(ratios(a, b, wallOf)), best(a, b, wallOf),
			median(ratios(a, b, cpuOf)), best(a, b, cpuOf))
	}
}

func wallOf(s sample) time.Duration { return s.wall }
func cpuOf(s sample) time.Duration  { return s.cpu }

func durations(c *series, of func(sample) time.Duration) []time.Duration {
	var ds []time.Duration
	for _, s := range c.samples {
		ds = append(ds, of(s))
	}
	return ds
}

func ratios(a, b *series, of func(sample) time.Duration) []float64 {
	var rs []float64
	for i := range a.samples {
		rs = append(rs, float64(of(a.samples[i]))/float64(of(b.samples[i])))
	}
	return rs
}

func best(a, b *series, of func(sample) time.Duration) float64 {
	return float64(slices.Min(durations(a, of))) / float64(slices.Min(durations(b, of)))
}

// median returns the middle value, of an even number the lower one.
func median[T cmp.Ordered](values []T) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[(len(sorted)-1)/2]
}

func mean(ds []time.Duration) time.Duration {
	var sum time.Duration
	for _, d := range ds {
		sum += d
	}
	return sum / time.Duration(len(ds))
}

func ms(d time.Duration) string {
	return fmt.Sprintf("%.1f ms", float64(d)/float64(time.Millisecond))
}
