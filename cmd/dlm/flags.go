package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/dlmanager/dlmanager"
)

// The flags of "dlm get", in the groups that its help shows. Other subcommands
// take the groups they need.

const (
	defaultLimit    = 10 << 30
	defaultKeep     = 5
	defaultGrace    = 10 * time.Minute
	defaultParallel = 8
	defaultPerHost  = 16
	defaultStall    = 30 * time.Second
	defaultAttempts = 5
)

// placeFlags say where the file goes.
type placeFlags struct {
	output     string
	executable bool
	link       bool
	name       string
	flags      *pflag.FlagSet
}

func (f *placeFlags) register(s *flagSet) {
	f.flags = s.FlagSet
	s.group("Where the file goes")
	s.StringVarP(&f.output, "output", "o", "", "put a copy at `PATH`: a file, a directory (one that is there, or ends in /), or - for stdout")
	s.BoolVarP(&f.executable, "executable", "x", false, "make the file executable")
	s.BoolVar(&f.link, "link", false, "with -o: put a hard link there, no copy; the file is shared with the cache, and who changes one changes the other")
	f.registerName(s)
}

func (f *placeFlags) registerName(s *flagSet) {
	f.flags = s.FlagSet
	s.StringVar(&f.name, "name", "", "call the file `NAME` in the cache, instead of host/path")
}

// mode is the permissions of the file, before the umask.
func (f *placeFlags) mode() os.FileMode {
	if f.executable {
		return 0o777
	}
	return 0o666
}

// dirFlag says which directory the cache is.
type dirFlag struct {
	dir   string
	flags *pflag.FlagSet
}

func (f *dirFlag) register(s *flagSet) {
	f.flags = s.FlagSet
	s.StringVar(&f.dir, "cache-dir", "", "the cache's `DIR` (default: dlm in the user's cache directory)")
}

// cacheFlags say which directory the cache is, and what it may hold.
type cacheFlags struct {
	dirFlag
	limit     sizeValue
	keep      countValue
	grace     durationValue
	maxAge    durationValue
	minFree   sizeValue
	adopt     bool
	limitFlag *pflag.Flag
}

func (f *cacheFlags) register(s *flagSet) {
	f.limit, f.keep, f.grace = defaultLimit, countValue{defaultKeep, 0}, durationValue(defaultGrace)
	s.group("The cache")
	f.dirFlag.register(s)
	s.Var(&f.limit, "size-limit", "what the cache may hold, for this run; 0: any amount (default: what the directory itself says, 10GiB when it is made)")
	f.limitFlag = s.Lookup("size-limit")
	f.limitFlag.DefValue = "0" // its usage says more than a figure can
	s.Var(&f.keep, "keep", "keep the `N` files used last whatever the limit; 0: remove none at all")
	s.Var(&f.grace, "grace", "keep what was used within `DURATION` whatever the limit")
	s.Var(&f.maxAge, "max-age", "remove what was not used for `DURATION`, except the files of --keep; 0: age alone removes nothing")
	s.Var(&f.minFree, "min-free", "remove old files also to leave `SIZE` free on the file system; 0: any amount")
	s.BoolVar(&f.adopt, "adopt", false, "make a directory with files in it a cache; they may be removed then")
}

func (f *cacheFlags) options() []dlmanager.Option {
	opts := []dlmanager.Option{
		dlmanager.WithInitialSizeLimit(defaultLimit),
		dlmanager.WithFileLimit(f.keep.n),
		dlmanager.WithGrace(time.Duration(f.grace)),
	}
	if f.limitFlag.Changed {
		opts = append(opts, dlmanager.WithSizeLimit(int64(f.limit)))
	}
	if f.maxAge > 0 {
		opts = append(opts, dlmanager.WithMaxAge(time.Duration(f.maxAge)))
	}
	if f.minFree > 0 {
		opts = append(opts, dlmanager.WithMinFree(int64(f.minFree)))
	}
	if f.adopt {
		opts = append(opts, dlmanager.WithAdopt())
	}
	return opts
}

// contentFlags say what the file has to be, and who else has it.
type contentFlags struct {
	checksum string
	mirrors  []string
	lock     lockFlags
	flags    *pflag.FlagSet
}

func (f *contentFlags) register(s *flagSet) {
	f.flags = s.FlagSet
	s.group("What the file is")
	s.StringVar(&f.checksum, "checksum", "", "the file has the digest `SUM`: sha256:HEX (sha384, sha512, md5, sha1), sha256-BASE64, or a checksum file's path or URL in which it is listed")
	s.StringArrayVar(&f.mirrors, "mirror", nil, "`URL` has the same file and is asked when those before fail; may be repeated")
	f.lock.register(s)
}

// check refuses what cannot be, and what is meant for one file when there are
// several.
func (f *contentFlags) check(urls int) error {
	mirror, checksum := given(f.flags, "mirror"), given(f.flags, "checksum")
	for _, url := range f.mirrors {
		if _, err := dlmanager.TreeName(url); err != nil {
			problem := urlProblem(url, err)
			problem.text = mirror + ": " + problem.text
			return problem
		}
	}
	if urls > 1 && len(f.mirrors) > 0 {
		return &usageError{mirror + " is for one URL, and there are several", "fetch the file that has mirrors by itself"}
	}
	if f.checksum == "" {
		if f.flags.Changed("checksum") { // a variable of a script that is not set
			return &usageError{checksum + " is empty", "leave it out to check nothing"}
		}
		return nil
	}
	many, err := dlmanager.IsChecksumFile(f.checksum)
	if err != nil {
		return &usageError{text: checksum + ": " + err.Error()}
	}
	if urls > 1 && !many {
		return &usageError{checksum + " with a digest is for one URL, and there are several", "a checksum file may list several files"}
	}
	return nil
}

// options also reads the lock file.
func (f *contentFlags) options() ([]dlmanager.Option, error) {
	opts, err := f.lock.options()
	if err != nil {
		return nil, err
	}
	if f.checksum != "" {
		opts = append(opts, dlmanager.WithChecksum(f.checksum))
	}
	if len(f.mirrors) > 0 {
		opts = append(opts, dlmanager.WithMirrors(f.mirrors...))
	}
	return opts, nil
}

// transferFlags say how the bytes come.
type transferFlags struct {
	parallel  countValue
	perHost   countValue
	delay     durationValue
	attempts  countValue
	headers   []string
	noNetrc   bool
	userAgent string
	cacert    string
	stall     durationValue
	maxTime   durationValue
	maxSize   sizeValue
	rate      sizeValue
	conns     connectionsValue
	noResume  bool
	sync      choiceValue
	hosts     hostFlags
	flags     *pflag.FlagSet
}

func (f *transferFlags) register(s *flagSet) {
	f.parallel, f.perHost = countValue{defaultParallel, 1}, countValue{defaultPerHost, 0}
	f.attempts = countValue{defaultAttempts, 1}
	f.stall = durationValue(defaultStall)
	f.sync = choiceValue{"file", []string{"file", "dir", "none"}}
	f.flags = s.FlagSet
	s.group("The transfer")
	s.VarP(&f.parallel, "parallel", "j", "fetch `N` files at once")
	s.Var(&f.perHost, "per-host", "of these, fetch `N` at most from one host; 0: any number")
	s.Var(&f.delay, "delay", "begin with two files of one host at least `DURATION` apart")
	s.Var(&f.attempts, "attempts", "give up when `N` requests in a row have brought nothing new; 1: ask once")
	s.StringArrayVar(&f.headers, "header", nil, "send a header, written `'NAME: VALUE'`, to the URL's own host; @FILE: those in FILE, one a line; may be repeated")
	s.BoolVar(&f.noNetrc, "no-netrc", false, "do not look for credentials in the netrc file ($NETRC, or ~/.netrc, on Windows ~/_netrc)")
	s.StringVar(&f.userAgent, "user-agent", "dlm/"+dlmanager.Version, "call us `NAME`")
	s.StringVar(&f.cacert, "cacert", "", "trust also the certificate authorities in `FILE` (PEM)")
	s.Var(&f.stall, "stall-timeout", "give up when the server is silent for `DURATION`; 0: never")
	s.Var(&f.maxTime, "max-time", "give up when the whole command takes longer than `DURATION`; 0: never")
	s.Var(&f.maxSize, "max-size", "refuse files larger than `SIZE`; 0: none")
	s.Var(&f.rate, "rate", "receive no more than `SIZE` a second, all files together; 0: any amount")
	s.Var(&f.conns, "connections", "receive each file over `N` connections; auto: one, and more as long as they make it faster, up to 16")
	s.BoolVar(&f.noResume, "no-resume", false, "begin at the first byte whatever an earlier call has left, and leave nothing")
	s.Var(&f.sync, "sync", "what a power loss cannot damage: the file, the directory's entry too, or nothing")
	f.hosts.register(s)
}

// options also reads the files that the flags name.
func (f *transferFlags) options() ([]dlmanager.Option, error) {
	headers, err := parseHeaders(given(f.flags, "header"), f.headers)
	if err != nil {
		return nil, err
	}
	if !validHeaderValue(f.userAgent) || f.userAgent == "" {
		return nil, &usageError{text: given(f.flags, "user-agent") + ": empty, or with a control character in it"}
	}
	modes := map[string]dlmanager.SyncMode{"file": dlmanager.SyncFile, "dir": dlmanager.SyncDir, "none": dlmanager.SyncNone}
	opts := []dlmanager.Option{
		dlmanager.WithMaxConcurrent(f.parallel.n),
		dlmanager.WithMaxPerHost(f.perHost.n),
		dlmanager.WithRequestDelay(time.Duration(f.delay)),
		dlmanager.WithStrategy(dlmanager.Patient{Attempts: f.attempts.n}),
		dlmanager.WithUserAgent(f.userAgent),
		dlmanager.WithStallTimeout(time.Duration(f.stall)),
		dlmanager.WithMaxSize(int64(f.maxSize)),
		dlmanager.WithRateLimit(int64(f.rate)),
		dlmanager.WithConnections(int(f.conns)),
		dlmanager.WithSync(modes[f.sync.word]),
	}
	for _, h := range headers {
		opts = append(opts, dlmanager.WithHeader(h.name, h.value))
	}
	if !f.noNetrc {
		opts = append(opts, dlmanager.WithNetrc(dlmanager.DefaultNetrcPath()))
	}
	if f.noResume {
		opts = append(opts, dlmanager.WithoutResume())
	}
	hosts, err := f.hosts.options()
	if err != nil {
		return nil, err
	}
	opts = append(opts, hosts...)
	if f.cacert != "" {
		transport, err := trusting(given(f.flags, "cacert"), f.cacert)
		if err != nil {
			return nil, err
		}
		opts = append(opts, dlmanager.WithTransport(transport))
	}
	return opts, nil
}

// outputFlags say what is shown.
type outputFlags struct {
	progress choiceValue
	json     bool
	quiet    bool
	verbose  bool
}

func (f *outputFlags) register(s *flagSet) {
	f.registerProgress(s)
	s.BoolVar(&f.json, "json", false, "print a JSON object for each file instead of its path")
}

// registerProgress registers those of a command that prints nothing itself.
func (f *outputFlags) registerProgress(s *flagSet) {
	f.progress = choiceValue{"auto", []string{"auto", "bar", "plain", "json", "none"}}
	s.group("What is shown")
	s.Var(&f.progress, "progress", "how progress is shown on stderr; auto: bars on a terminal, else a line every few seconds")
	s.BoolVarP(&f.quiet, "quiet", "q", false, "say nothing but errors")
	s.BoolVarP(&f.verbose, "verbose", "v", false, "log what is done to stderr")
}

// flagSet remembers the group of each flag that is defined.
type flagSet struct {
	*pflag.FlagSet
	groups []flagGroup
}

func newFlagSet(flags *pflag.FlagSet) *flagSet {
	flags.SortFlags = false // in the order of their definition
	return &flagSet{FlagSet: flags}
}

type flagGroup struct {
	title string
	flags *pflag.FlagSet
}

// group begins a group.
func (s *flagSet) group(title string) {
	s.endGroup()
	s.groups = append(s.groups, flagGroup{title: title})
}

// endGroup puts the flags that are in no group yet into the last one.
func (s *flagSet) endGroup() {
	if len(s.groups) == 0 {
		return
	}
	last := &s.groups[len(s.groups)-1]
	last.flags = pflag.NewFlagSet(last.title, pflag.ContinueOnError)
	last.flags.SortFlags = false
	s.VisitAll(func(f *pflag.Flag) {
		for _, g := range s.groups[:len(s.groups)-1] {
			if g.flags.Lookup(f.Name) != nil {
				return
			}
		}
		last.flags.AddFlag(f)
	})
}

// helpWidth is how wide help texts are, on any terminal: longer lines are hard to
// read.
const helpWidth = 80

// workKey is the annotation of the commands that do the work.
const workKey = "dlm_work"

// works reports whether the command's flags have defaults in the config file.
func works(cmd *cobra.Command) bool { return cmd.Annotations[workKey] != "" }

// usageByGroup makes a command's help show its flags in their groups, and lets
// the config file set them.
func usageByGroup(cmd *cobra.Command, s *flagSet) {
	s.endGroup()
	cmd.Annotations = map[string]string{workKey: "true"}
	cmd.SetUsageFunc(func(cmd *cobra.Command) error {
		w := cmd.OutOrStdout()
		fmt.Fprintf(w, "Usage:\n  %s\n", cmd.UseLine())
		if cmd.HasExample() {
			fmt.Fprintf(w, "\nExamples:\n%s\n", cmd.Example)
		}
		for _, g := range s.groups {
			fmt.Fprintf(w, "\n%s:\n%s", g.title, g.flags.FlagUsagesWrapped(helpWidth))
		}
		fmt.Fprintf(w, "\nFor every command:\n%s", cmd.InheritedFlags().FlagUsagesWrapped(helpWidth))
		fmt.Fprintf(w, "\nEvery flag has a variable: DLM_CACHE_DIR is --cache-dir, and so on.\nSee also: dlm help cache, dlm help config, dlm help environment, dlm help exit-codes\n")
		return nil
	})
}

// flagProblem turns what pflag says into a usage error. It does not repeat the
// values of --header: they are secrets.
func flagProblem(cmd *cobra.Command, err error) error {
	if errors.Is(err, pflag.ErrHelp) {
		return err
	}
	text := err.Error()
	if bad, ok := errors.AsType[*pflag.InvalidValueError](err); ok {
		text = "--" + bad.GetFlag().Name + ": " + valueProblem(bad.GetFlag(), bad.GetValue(), bad.Unwrap())
	}
	return &usageError{text: text, hint: "see " + cmd.CommandPath() + " --help"}
}

// valueProblem says what is wrong with a flag's value.
func valueProblem(f *pflag.Flag, value string, err error) string {
	if f.Value.Type() == "bool" {
		return fmt.Sprintf("%q is neither true nor false", value)
	}
	return strings.ReplaceAll(err.Error(), "\n", " ")
}
