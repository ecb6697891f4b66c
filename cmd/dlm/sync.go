package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/dlmanager/dlmanager"
)

const syncLong = `Put the files that a manifest names where it says, and print their paths: one
absolute path for each artifact, in the order of the manifest or of the names
given, and an empty line for one that failed. They are fetched side by side, into
the cache first. Nothing is removed. The code is 0 only if all is there.

The manifest is dlm.toml, or the file that is named (FILE.toml):

  [artifact.kubectl]
  version = "1.31.0"
  url = "https://dl.example.com/v{version}/bin/{os}/{arch}/kubectl{exe}"
  checksum = "https://dl.example.com/v{version}/SHA256SUMS"
  to = "bin/kubectl{exe}"
  mode = "0755"

  [artifact.jq]
  version = "1.7.1"
  url = "https://example.com/{name}-{version}/{name}-{os}-{arch}"
  os = { darwin = "macos" }
  arch = { amd64 = "x86_64", arm64 = "aarch64" }
  mirrors = ["https://mirror.example.org/{name}-{os}-{arch}"]
  checksum = { "linux/amd64" = "sha256:…", "darwin/arm64" = "sha256:…" }

  url       where it is. {name}, {version}, {os}, {arch} and {exe} (.exe on
            Windows) are filled in, here and in mirrors, checksum and to; {{ is
            the character itself
  version   what {version} stands for
  os, arch  how the publisher writes what Go calls linux or amd64
  mirrors   other URLs of the same file
  checksum  sha256:HEX or another digest, or the path or URL of a checksum file;
            or a table of these by platform. What dlm.lock says must be right, too,
            if that lies beside the manifest, or what --lock names; a URL that it does
            not have yet is added (but for --frozen)
  to        where it goes, relative to the manifest and inside its folder; a folder
            if it ends in /. Without it the file stays in the cache
  mode      its permissions, before the umask, such as "0755"
  unpack    true: it is an archive (tar, also compressed, or zip), and what is in it
            goes to the folder that to names
  strip     how many leading folders are dropped from the names in the archive

A file that is as it was left makes no request and is not read: size, time and mode
tell, which are noted in .dlm-sync beside the manifest (for this machine, not for
git). If they do not tell, the file is read. One that was changed by hand, or that
is somebody else's, is left alone and fails the call, unless it has the content
that is wanted; --overwrite replaces it. A file of an earlier version is replaced.
The same holds for what was unpacked: files that were added to it stay, and keep it
from being replaced.

With --check nothing is fetched and no destination touched; stderr tells how each
artifact stands, and the code is 0 if all is in place, else 10.`

const syncExamples = `  # All that dlm.toml names
  dlm sync

  # Some of another manifest, for another platform
  dlm sync --os darwin --arch arm64 tools/dlm.toml kubectl jq

  # Write down what each URL brings, and hold to it from then on
  dlm sync --lock dlm.lock

  # Would anything be fetched?
  dlm sync --check`

// manifestExt tells a manifest from the names of artifacts among the arguments.
const manifestExt = ".toml"

// syncFlags are those of "dlm sync" alone.
type syncFlags struct {
	check     bool
	overwrite bool
	os, arch  string
	flags     *pflag.FlagSet
}

func (f *syncFlags) register(s *flagSet, locks *lockFlags) {
	f.flags = s.FlagSet
	s.group("What is done")
	s.BoolVar(&f.check, "check", false, "fetch nothing; tell how each artifact stands, and end with 10 unless all are in place")
	s.BoolVar(&f.overwrite, "overwrite", false, "replace files that were changed by hand or are somebody else's")
	s.StringVar(&f.os, "os", "", "fetch for the system `OS`, as Go calls it (default: this one)")
	s.StringVar(&f.arch, "arch", "", "fetch for the processor `ARCH`, as Go calls it (default: this one)")
	locks.register(s)
	s.Lookup("lock").Usage += " (default: dlm.lock beside the manifest, if it is there)"
}

// syncCommand is one call of "dlm sync".
type syncCommand struct {
	getCommand
	flags syncFlags
}

func newSyncCommand(u *ui) *cobra.Command {
	s := &syncCommand{getCommand: getCommand{ui: u}}
	cmd := &cobra.Command{
		Use:     "sync [flags] [FILE.toml] [NAME...]",
		Short:   "Put the files that a manifest names in their places",
		Long:    syncLong,
		Example: syncExamples,
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.run(cmd.Context(), args)
		},
		ValidArgsFunction: completeArtifacts,
	}
	flags := newFlagSet(cmd.Flags())
	s.flags.register(flags, &s.content.lock)
	s.cache.register(flags)
	s.fresh.register(flags)
	s.transfer.register(flags)
	s.output.register(flags)
	usageByGroup(cmd, flags)
	completeValues(cmd)
	return cmd
}

// syncRun is the work of one call.
type syncRun struct {
	*syncCommand
	root  string // of the manifest, absolute
	items []*syncItem
	state *syncState
	dir   string // of the cache
	opts  []dlmanager.Option
}

func (s *syncCommand) run(ctx context.Context, args []string) error {
	s.ui.setQuiet(s.output.quiet)
	r := &syncRun{syncCommand: s}
	if err := r.prepare(args); err != nil {
		return err
	}
	ctx, cancel := s.bound(ctx)
	defer cancel()
	if err := r.lookAll(ctx); err != nil {
		return err
	}
	if s.flags.check {
		return r.check(ctx)
	}
	failed := r.fetch(ctx)
	if _, some := failed.(fetchErrors); failed != nil && !some {
		return failed
	}
	if err := r.state.save(); err != nil {
		s.ui.failed("notes", err) // the files are there all the same
	}
	r.table()
	return errors.Join(failed, r.printPaths())
}

// prepare checks all that can be wrong with the call before it touches the disk.
func (r *syncRun) prepare(args []string) error {
	if err := r.fresh.check(); err != nil {
		return err
	}
	platform, err := platformFrom(&r.flags)
	if err != nil {
		return err
	}
	file, names := splitManifest(args)
	m, err := readManifest(file)
	if err != nil {
		return err
	}
	if r.items, err = m.items(names, platform); err != nil {
		return err
	}
	if err = r.readLock(m); err != nil {
		return err
	}
	if r.dir, err = r.cache.locate(); err != nil {
		return err
	}
	r.root, r.state = m.dir, readSyncState(m)
	r.opts, err = r.options(dlmanager.Hooks{LimitExceeded: r.warnOfLimit, Retrying: r.warnOfRetry, Stale: r.warnOfStale})
	return err
}

// lockName is the lock file of a manifest that none is given for.
const lockName = "dlm.lock"

// readLock tells the artifacts what their URLs have brought before.
func (r *syncRun) readLock(m *manifest) error {
	f := &r.content.lock
	if beside := filepath.Join(m.dir, lockName); !f.flags.Changed("lock") {
		if _, err := os.Lstat(beside); err == nil {
			f.lock = beside
		}
	}
	lock, err := f.open()
	if err != nil || lock == nil {
		return err
	}
	for _, it := range r.items {
		sum, ok := lock.Lookup(it.url)
		sum = strings.TrimPrefix(sum, "sha256:")
		if it.digest == "" {
			it.digest = sum
		}
		it.unlocked = !ok || sum != it.digest // the download is going to lock it, or to fail
	}
	return nil
}

// splitManifest tells the manifest from the artifacts' names.
func splitManifest(args []string) (file string, names []string) {
	if len(args) > 0 && filepath.Ext(args[0]) == manifestExt {
		return args[0], args[1:]
	}
	return manifestName, args
}

// completeArtifacts proposes the names in the manifest, and manifests.
func completeArtifacts(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	file, _ := splitManifest(args)
	m, err := readManifest(file)
	if err != nil {
		return []string{"toml"}, cobra.ShellCompDirectiveFilterFileExt
	}
	var names []string
	for _, a := range m.artifacts {
		names = append(names, a.name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

// lookAll finds out how the destinations stand. What stays in the cache has none.
func (r *syncRun) lookAll(ctx context.Context) error {
	for _, it := range r.items {
		it.standing = missing
		if it.target == "" {
			continue
		}
		var err error
		if it.standing, err = it.look(ctx, r.root, r.state); err != nil {
			return fmt.Errorf("%s: %w", it.about, err)
		}
		if it.standing == inPlace {
			it.path = it.target
		}
	}
	return nil
}
