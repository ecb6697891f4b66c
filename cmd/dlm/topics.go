package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// newTopics returns what "dlm help" explains beside the commands.
func newTopics(root *cobra.Command) []*cobra.Command {
	return []*cobra.Command{
		{Use: "cache", Short: "Where files are kept, for how long, and what they are called", Long: cacheHelp},
		{Use: "environment", Short: "The variables that stand for flags", Long: environmentHelp(root)},
		{Use: "exit-codes", Short: "What the exit code tells", Long: exitCodesHelp},
		{Use: "output", Short: "What is written to stdout and stderr", Long: outputHelp},
	}
}

const cacheHelp = `The cache is one directory: the one of --cache-dir, else that of the variable
DLM_CACHE_DIR, else dlm in your cache directory ($XDG_CACHE_HOME or ~/.cache on
Linux, ~/Library/Caches on macOS, %LocalAppData% on Windows). Several processes
may use it at once.

A file is called HOST/PATH in it, after its URL, with a short hash where the URL
has a query, so that two URLs never meet. --name NAME calls it otherwise; then
the name alone says which file is meant, and a file that is there under the name
is the answer whatever the URL.

When the cache exceeds its limit, the files that were used longest ago are
removed, but not the last few (--keep) and none that was used a short while ago
(--grace): a path that dlm has printed stays good for that long; and none that a
process has open, such as a program that dlm exec runs. The limit is the
directory's own, 10GiB when dlm makes it; --size-limit sets another for one run.

Everything in the directory is cache, and may be removed. So a directory with
files in it is taken only with --adopt. It is safe to delete the whole directory.`

const outputHelp = `Stdout has one line for each URL, in their order: the absolute path of the file,
or an empty line if it failed. With -o - it has the file itself, once the file is
whole. When the command line is wrong, nothing is fetched and nothing is printed.

With --json each line is an object with these keys, which are always there:

  url      the URL without user, password and values of the query
  name     the file's name in the cache
  path     its absolute path, "" if it failed
  bytes    its size
  origin   "fetched", "resumed" (the rest of what an earlier call had left),
           "joined" (another process was fetching it), "cached", "" if it failed
  sha256   its digest, in hexadecimal
  verified false if nothing proved that its end is the end: the server sent no
           length, and no checksum was asked for
  resumedFrom  bytes that an earlier call had left
  wireBytes    bytes that came over the network
  attempts     requests made
  finalURL     the URL that sent the file, after redirects, without secrets
  disposition  the file name that the server proposes
  seconds  what the download took
  error    what went wrong, "" if nothing did

Everything else goes to stderr. Lines of dlm's own begin with "dlm: "; one that
begins with "dlm: hint: " says what can be done about the line before it.

--progress says how progress is shown there:

  bar      bars with name, size, rate and time left, for the running files
  plain    a line every 5 seconds
  json     objects, one a line: {"event":"progress"} every second for each
           running file, with url, name, state ("awaiting",
           "transferring", "verifying", "landing", "placing"), current and total in bytes (total is -1 if unknown), and
           rate in bytes per second; and {"event":"finished"} for each file, with
           the keys of --json. Lines that do not begin with { are for people
  none     nothing
  auto     bar on a terminal, else plain; none with -q

There are no colours, so NO_COLOR has nothing to switch off.`

// environmentHelp lists the variables of all commands.
func environmentHelp(root *cobra.Command) string {
	var b strings.Builder
	b.WriteString(`Every flag has a variable that stands for it when the flag is not given. Of a
flag that may be repeated, it holds one value a line. Switches take true or
false. A variable that is empty counts as not set.

`)
	listed := map[string]bool{}
	for _, cmd := range root.Commands() {
		cmd.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
			if listed[f.Name] {
				return
			}
			listed[f.Name] = true
			fmt.Fprintf(&b, "  %-20s  --%s\n", variable(f.Name), f.Name)
		})
	}
	b.WriteString(`
These are heard as well: HTTP_PROXY, HTTPS_PROXY and NO_PROXY, for the proxies;
NETRC, the file with credentials of hosts, in place of ~/.netrc; TERM=dumb, which
keeps bars off a terminal.`)
	return b.String()
}
