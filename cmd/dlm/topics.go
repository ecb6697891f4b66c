package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// newTopics returns what "dlm help" explains beside the commands; see also
// listFlags.
func newTopics() []*cobra.Command {
	return []*cobra.Command{
		{Use: topicConfig, Short: "The file with defaults of flags"},
		{Use: topicEnvironment, Short: "The variables that stand for flags"},
		{Use: "exit-codes", Short: "What the exit code tells", Long: exitCodesHelp},
		{Use: "output", Short: "What is written to stdout and stderr", Long: outputHelp},
	}
}

const (
	topicConfig      = "config"
	topicEnvironment = "environment"
)

// listFlags gives the topics their texts that list all flags: to make these takes a
// tenth of what a start of dlm does, and few want them.
func listFlags(root *cobra.Command) {
	for _, topic := range root.Commands() {
		switch topic.Name() {
		case topicConfig:
			topic.Long = configHelp(root)
		case topicEnvironment:
			topic.Long = environmentHelp(root)
		}
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

What is there is used, whatever its age, and no server is asked. --revalidate asks
whether it is still current, --max-stale only if it is older than that; if it is,
nothing but the answer is sent, and else the new file replaces the old one. A file
that has the digest of --checksum needs no asking. --offline makes no request.

Everything in the directory is cache, and may be removed. So a directory with
files in it is taken only with --adopt. It is safe to delete the whole directory.

A directory of dlm get --unpack is one entry: it is counted, kept and removed as a
whole. Its name has a slash at the end.

The commands below look after a cache that is there. They take the names of its
files and directories, or the URLs, of which they know the names.`

const outputHelp = `Stdout has one line for each URL, in their order: the absolute path of the file,
or an empty line if it failed. With -o - it has the file itself, once the file is
whole. When the command line is wrong, nothing is fetched and nothing is printed.

With --json each line is an object with these keys, which are always there:

  url      the URL without user, password and values of the query
  name     the file's name in the cache
  path     its absolute path, "" if it failed; with --unpack, the directory's,
           and the other keys are about the archive
  bytes    its size
  origin   "fetched", "resumed" (the rest of what an earlier call had left),
           "joined" (another process was fetching it), "revalidated" (it was
           there, and the server says that it is current), "cached", "" if it
           failed
  sha256   its digest, in hexadecimal
  verified false if nothing proved that its end is the end: the server sent no
           length, and no checksum was asked for
  stale    why the server could not be asked whether the file is current, if it is
           used all the same (--stale-if-error); else ""
  resumedFrom  bytes that an earlier call had left
  wireBytes    bytes that came over the network
  attempts     requests made
  source       the URL that was asked for the file: its own, that of a --mirror, or
               what --rewrite made of one, without secrets
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
           "transferring", "verifying", "landing", "unpacking",
           "placing"), current and total in bytes (total is -1 if unknown), and
           rate in bytes per second; and {"event":"finished"} for each file, with
           the keys of --json. Lines that do not begin with { are for people
  none     nothing
  auto     bar on a terminal, else plain; none with -q

dlm batch writes nothing to stdout. What its --report gets (- is stdout) are
objects with "line", the link's line in the list, before the keys of --json.

dlm sync writes a line for each artifact. Its --json has these keys before the
others: "artifact" and "version", as the manifest has them; "was", how the
destination stood ("in place", "missing", "outdated", "changed", "foreign"); and
"cached", with --check: whether the cache has what is wanted. A table of the same
goes to stderr. With --check alone stdout is empty.

There are no colours, so NO_COLOR has nothing to switch off.`

// environmentHelp lists the variables of all commands.
func environmentHelp(root *cobra.Command) string {
	var b strings.Builder
	b.WriteString(`Every flag has a variable that stands for it when the flag is not given. Of a
flag that may be repeated, it holds one value a line (of DLM_REWRITE also several,
with spaces between). Switches take true or
false. A variable that is empty counts as not set. The variable outranks the
config file.

`)
	for _, name := range append(flagNames(root), "config") {
		fmt.Fprintf(&b, "  %-20s  --%s\n", variable(name), name)
	}
	b.WriteString(`
These are heard as well: HTTP_PROXY, HTTPS_PROXY and NO_PROXY, for the proxies;
NETRC, the file with credentials of hosts, in place of ~/.netrc; TERM=dumb, which
keeps bars off a terminal.`)
	return b.String()
}

// configHelp lists the settings of all commands.
func configHelp(root *cobra.Command) string {
	var b strings.Builder
	b.WriteString(`The defaults of flags can be changed in dlm/config.toml in your config directory
($XDG_CONFIG_HOME or ~/.config on Linux, ~/Library/Application Support on macOS,
%AppData% on Windows). --config FILE or the variable DLM_CONFIG names another
file; with "none" no file is read. A flag outranks its variable, and the variable
the file.

The file is TOML. Its keys are the long names of flags, and hold for every command
that has the flag:

  # 50 GiB on the large disk
  cache-dir = "~/disk/cache"
  size-limit = "50GiB"
  grace = "1h"
  parallel = 4
  no-netrc = true

~/ is your home directory, and a path that is not absolute starts from where the
file is. What is not known or makes no sense is an error, whichever command is
run. Sections are about hosts:

  # Asked for at the mirror first, as --rewrite says; see also rewrite-only
  [rewrite]
  "https://github.com/" = "https://mirror.example/gh/"

  # What is sent to a host and to no other, as --header-for says
  [host."artifacts.example"]
  header = "@~/artifacts.token"

  # What a program prints, one header a line. It is run once, when the host is
  # first asked, and has 30 seconds
  [host."files.example:8443"]
  header-command = ["vault", "read", "-field=header", "secret/files"]

A host means https; for plain http write [host."http://NAME"]. header may be a
list, and a header may stand in the file itself: then nobody else should be able
to read it. --header-for HOST=… replaces the section of the host. These are the
settings:

`)
	for _, name := range settingNames(root) {
		fmt.Fprintf(&b, "  %s\n", name)
	}
	return strings.TrimRight(b.String(), "\n")
}
