// Package unpack fills a folder from an archive that nobody has to trust.
//
// Start with [Auto]. It tells by the content, whatever the name, what the archive is:
// tar, plain or compressed by gzip, zstd, xz or bzip2; zip; or a single file
// compressed by one of the four, which becomes one file. What is inside of what was
// unpacked is not unpacked again. [Options] has limits, and drops leading folders;
// [Options.Extract] does the same for any [io.ReaderAt].
//
// # What an archive cannot do
//
//   - Reach anything outside the folder: names with "..", absolute names, drive
//     letters, and links that lead out, by themselves or through other links, are
//     refused. Files go into folders only, never through a link: symbolic links
//     are made last, when all of them are known. The folder given must be empty,
//     and should itself be rooted, as those of the download manager are: that is
//     the second wall.
//   - Fill the disk or the memory: entries, bytes and the ratio of unpacked to packed
//     bytes are limited, the windows of the decoders are, and zip entries that share
//     bytes are refused.
//   - Make anything but folders, regular files, relative symbolic links, and hard links
//     to files that the archive has already brought. Devices, pipes, sockets,
//     set-user-ID and set-group-ID programs are refused. A folder's set-group-ID and
//     sticky bits are dropped, as are owners and extended attributes.
//   - Bring two entries that the file system takes for one (names that differ in case,
//     say): the second is refused, as are names that are not UTF-8, that look like
//     others, or that Windows reads as something else (devices and characters that it
//     alone reserves, on Windows only). Where the file system can tell them
//     apart, they are two. In a tar archive a later file or link takes the place of an
//     earlier one of the same name, as tar(1) means it when it appends; in a zip
//     archive, in which it depends on the reader, the second is refused.
//
// Nothing is passed over silently, but for what [Options.Strip] leaves without a name:
// an entry that is refused ends it all, with the entry's name in the error.
//
// # What becomes of an entry
//
// Files are readable and writable, and executable if their owner may execute them; the
// umask applies. Where the archive does not say, which is so of single files and of
// zip archives made on Windows, programs are known by their content (ELF, Mach-O, #!).
// Modification times are the archive's, but none before 1970 and none in the
// future; folders and links have the time at which they were made. Sparse files are
// written in full.
//
// # What it does not promise
//
// It does not say that the content is harmless: a checksum or a signature does. Nothing
// is flushed to the disk. After an error, what was written so far is there,
// and is to be thrown away.
package unpack
