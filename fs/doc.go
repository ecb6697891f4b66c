// Package fs is the cache directory on disk: its mark and layout, the names
// that are allowed in it, the partial files that become finished ones by a
// rename, the locks that die with their process, and the times of last use.
//
// Call [Open] first; it returns a [Dir], through which every access goes. A
// Dir on the operating system's file system is rooted with [os.Root], so that
// no symbolic link inside the directory leads out of it.
//
// # Layout
//
//	DIR/name                   a finished file; sub-folders are allowed
//	DIR/CACHEDIR.TAG           the Cache Directory Tagging mark (bford.info/cachedir)
//	DIR/.dlm/format            the mark that makes the directory a cache, with the layout's version
//	DIR/.dlm/config            the directory's own settings, JSON
//	DIR/.dlm/partial/KEY.part  a file on its way; KEY is a hash of the name
//	DIR/.dlm/entries           what is known of the finished files, a journal
//	DIR/.dlm/trees/KEY         a directory that is an entry as a whole; KEY.entry is its stamp
//	DIR/.dlm/unsynced          starts of the machine with finished files that were not flushed
//
// Files are the truth; the journal is a hint, and a directory without it works.
//
// # What it does not promise
//
// A lock says who is at work, not who is right: no rule in this package needs
// a lock to keep a file whole. File systems other than the operating system's
// (afero.MemMapFs, say) have neither locks nor access times, and are contained
// only as well as they contain themselves; they serve tests.
package fs
