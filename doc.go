// Package dlmanager downloads files in the background into a cache directory
// that does not outgrow its size limit.
//
//	m, err := dlmanager.NewDownloadManager(dir, dlmanager.WithSizeLimit(10<<30))
//	…
//	defer m.Close()
//	d := m.Download("https://example.com/tool.tar.gz", "tool.tar.gz")
//	if err := d.Wait(); err != nil { … }
//	open(d.Dest())
//
// Call [NewDownloadManager] first, then [DownloadManager.Download] for each file;
// it returns at once, and [Download.Wait] tells how it ended. What is there is
// not fetched again, and what is in flight is shared: any number of callers who
// ask for one name make one request. [NewDownload] fetches one file to a path of
// your own, without a cache.
//
// [DownloadManager.Get] is Download, Wait and opening the file in one, and
// [DownloadManager.Open] opens what is there. No process evicts a [File] until it is
// closed, so that its path can be handed on and executed; it costs an open
// descriptor. [DownloadManager.GetDir] does the same with a directory: an archive that
// is unpacked once for all who ask for it.
//
// # What it promises
//
// A file under its final name is whole, and has the checksum that was asked for
// ([WithChecksum]): it gets there by a rename within one file system, when all has
// arrived that the server announced. A download that fails, is cancelled or dies
// with its process leaves the name as it was.
//
// A request that fails for a passing reason is followed by another one, as the
// [RequestStrategy] says, which goes on where the first ended if and only if the
// server proves that the content is the same. Two versions never become one. What
// a download leaves unfinished, other than by Cancel, is kept from about 1 MiB on,
// and the next one goes on from there by the same rule, or with a checksum without
// a proof before the end.
//
// Any number of callers who ask for one name share one transfer, in one process or
// in several. A process that finds another one at work waits for it, and takes
// over where it stopped should it die.
//
// Finished files and what running downloads have reserved stay within the limit,
// except for the newest few files (WithFileLimit), those used within the grace
// time (WithGrace), and a single file that is larger than the limit; when these
// exceed it, that is told ([Hooks].LimitExceeded). What was used longest ago is
// evicted first.
//
// A directory with somebody's files in it is not made a cache by surprise
// ([ErrNotCacheDir]). No name leads out of the directory, and neither does a
// symbolic link in it. Credentials go to the host they were given for and
// nowhere else, and no error or log line shows them.
//
// Who it is that sends a file, and whether it is the one that was sent before, is for the
// caller to say: by a digest ([WithChecksum]), by a signature ([WithVerify], with examples),
// or by what came first ([WithLockFile]).
//
// # What it does not promise
//
// Where the file system has no locks, and when a process is frozen for longer than
// the stall time-out, two processes may each fetch a file; the result is whole all
// the same; nor does an open file protect anything there. Each process counts what it knows of the directory against the limit,
// so that several of them together may exceed it by what they fetch at once. A path
// that was handed out is not protected from eviction beyond the grace time, unless
// the file is open.
//
// A close-delimited body (HTTP/1.0) has no proof of its end; [Result].Verified
// is false then, unless a checksum was given.
//
// # Names
//
// The name is the file's path in the cache, with slashes, and its identity: what
// is there or in flight under the name is the answer, also if the URL is another
// one (signed URLs differ each time). Names are portable: what one of the common
// systems cannot store is refused with [ErrInvalidName], and so is a name that
// some of them cannot tell from that of a file in the cache ([ErrNameTaken]).
// Without a name, [FlatName] of the URL is a label only, and stands for that URL
// alone.
package dlmanager
