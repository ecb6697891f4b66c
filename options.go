package dlmanager

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/spf13/afero"

	"github.com/dlmanager/dlmanager/fs"
	"github.com/dlmanager/dlmanager/internal/transfer"
)

// Option sets up a [DownloadManager].
type Option interface{ applyManager(*managerConfig) }

// DownloadOption sets up a [Download]. Given to NewDownloadManager, it is the
// default of all the manager's downloads.
type DownloadOption interface {
	Option
	applyDownload(*downloadConfig)
}

const (
	defaultMaxConcurrent = 8
	// defaultMaxPerHost lets a few hundred downloads at once be asked for without
	// one server getting them all: what browsers open is 6, what many a server
	// takes from one address is a few dozen.
	defaultMaxPerHost = 16
	// defaultFileLimit keeps the newest few files whatever their size: what was
	// just fetched is about to be used.
	defaultFileLimit = 5
	// maxConnections is how many connections a download has at most by itself. It
	// is what browsers and aria2 allow to one server; more is impolite, and seldom
	// faster.
	maxConnections = 16
	// defaultStall is how long a server may be silent. Slow is not silent: one
	// byte within it keeps a download alive.
	defaultStall     = 30 * time.Second
	defaultUserAgent = "dlmanager/" + Version
	defaultMode      = 0o666
)

type managerConfig struct {
	defaults      downloadConfig
	persist       *PersistLimit
	sizeLimit     int64
	sizeLimitSet  bool
	initialLimit  int64
	fileLimit     int
	grace         time.Duration
	maxAge        time.Duration
	minFree       int64
	maxConcurrent int
	rateLimit     int64 // bytes per second, of all downloads together; 0: any
	maxPerHost    int
	requestDelay  time.Duration
	adopt         bool
	existing      bool
	boot          string // names the time since the machine was started; "": the system says it
}

type downloadConfig struct {
	fs          afero.Fs
	fsGiven     bool         // to this download, not to its manager
	client      *http.Client // nil: our own, made when it is needed
	logger      *slog.Logger
	hooks       Hooks
	sync        SyncMode
	progress    ProgressFunc
	header      http.Header
	userAgent   string
	stall       time.Duration
	maxSize     int64
	minSize     int64
	mode        os.FileMode
	force       bool
	noResume    bool
	checksum    string
	sha256      bool
	verify      func(ctx context.Context, content io.ReaderAt, size int64) error
	mirrors     []string
	rewrites    []rewrite
	rewriteOnly bool
	hostHeaders []hostHeader
	lock        *LockFile // nil: none
	connections int       // 0: as many as help
	rate        int64     // bytes per second, of one download; 0: any
	throttle    *throttle // of all downloads of the manager
	strategy    RequestStrategy
	priority    int
	netrc       *netrcSource // nil: none
	archive     string       // what keeps the archive of a directory; "": nothing
	landed      *lease       // is given one on the file when it lands; nil: nobody wants one
	terms
	reading *semaphore // of all files of the manager that are read again; nil: no bound
}

func defaultDownloadConfig() downloadConfig {
	return downloadConfig{
		fs:        afero.NewOsFs(),
		logger:    slog.New(slog.DiscardHandler),
		userAgent: defaultUserAgent,
		stall:     defaultStall,
		mode:      defaultMode,
		strategy:  Patient{},
	}
}

func defaultManagerConfig() managerConfig {
	return managerConfig{
		defaults:      defaultDownloadConfig(),
		fileLimit:     defaultFileLimit,
		maxConcurrent: defaultMaxConcurrent,
		maxPerHost:    defaultMaxPerHost,
	}
}

type managerOption func(*managerConfig)

func (o managerOption) applyManager(c *managerConfig) { o(c) }

type downloadOption func(*downloadConfig)

func (o downloadOption) applyManager(c *managerConfig)   { o(&c.defaults) }
func (o downloadOption) applyDownload(c *downloadConfig) { o(c) }

// FsOption is what WithFs returns.
type FsOption struct{ fs afero.Fs }

func (o FsOption) applyManager(c *managerConfig)   { c.defaults.fs = o.fs }
func (o FsOption) applyDownload(c *downloadConfig) { c.fs, c.fsGiven = o.fs, true }
func (o FsOption) applyLimit(c *limitConfig)       { c.fs = o.fs }

// WithFs sets the file system. Default: the operating system's. Others, such as
// afero.NewMemMapFs(), are for tests: they have neither locks nor access times.
// A manager's downloads cannot have one of their own.
func WithFs(fsys afero.Fs) FsOption { return FsOption{fsys} }

// LoggerOption is what WithLogger returns.
type LoggerOption struct{ logger *slog.Logger }

func (o LoggerOption) applyManager(c *managerConfig)   { c.defaults.logger = o.logger }
func (o LoggerOption) applyDownload(c *downloadConfig) { c.logger = o.logger }
func (o LoggerOption) applyLimit(c *limitConfig)       { c.logger = o.logger }

// WithLogger sets where is said what happens: starts and ends at level Info,
// what a person should know at Warn. URLs come without secrets. Default: nowhere.
func WithLogger(l *slog.Logger) LoggerOption { return LoggerOption{l} }

// GraceOption is what WithGrace returns.
type GraceOption struct{ grace time.Duration }

func (o GraceOption) applyManager(c *managerConfig) { c.grace = o.grace }
func (o GraceOption) applyLimit(c *limitConfig)     { c.grace = o.grace }

// WithGrace protects what was used within d from eviction. Default: none.
func WithGrace(d time.Duration) GraceOption { return GraceOption{d} }

// WithPersistLimit sets the limit to evict by, also to share one between
// managers. It outranks WithSizeLimit, WithFileLimit and WithGrace.
func WithPersistLimit(p *PersistLimit) Option {
	return managerOption(func(c *managerConfig) { c.persist = p })
}

// WithSizeLimit sets how many bytes the directory may hold, for this manager.
// 0 or less: no limit. Default: what the directory's own settings say, else none.
func WithSizeLimit(bytes int64) Option {
	return managerOption(func(c *managerConfig) { c.sizeLimit, c.sizeLimitSet = bytes, true })
}

// WithInitialSizeLimit sets the directory's own limit in bytes, if this call is
// the one that makes the directory a cache. It holds for all who open it later
// and do not set one with WithSizeLimit.
func WithInitialSizeLimit(bytes int64) Option {
	return managerOption(func(c *managerConfig) { c.initialLimit = bytes })
}

// WithFileLimit sets how many files, the newest by last use, are kept whatever
// the size limit says. 0 or less: nothing is evicted at all. Default: 5.
func WithFileLimit(n int) Option {
	return managerOption(func(c *managerConfig) { c.fileLimit = n })
}

// WithMaxConcurrent sets how many downloads run at once; others wait. Default
// and anything below 1: 8.
func WithMaxConcurrent(n int) Option {
	return managerOption(func(c *managerConfig) { c.maxConcurrent = n })
}

// WithMaxPerHost sets how many of the downloads that run at once may be of one
// host: the name and the port in the URL, wherever a redirect leads. A host that
// has its share holds up no other one. 0 or less: no bound beside that of
// WithMaxConcurrent. Default: 16.
func WithMaxPerHost(n int) Option {
	return managerOption(func(c *managerConfig) { c.maxPerHost = n })
}

// WithRequestDelay sets the time that passes at least between the starts of two
// downloads of one host, also when a download starts again after a failure. A
// download's requests within one try, such as redirects, follow at once. 0 or
// less, the default: none.
//
// Whatever it says, when a server asks with Retry-After to be left alone, no
// download of its host starts before that is over; a day counts at most.
func WithRequestDelay(d time.Duration) Option {
	return managerOption(func(c *managerConfig) { c.requestDelay = d })
}

// WithAdopt makes a directory a cache although files are in it. From then on
// they are cache, and may be evicted.
func WithAdopt() Option {
	return managerOption(func(c *managerConfig) { c.adopt = true })
}

// WithExisting makes NewDownloadManager take only what is a cache directory
// already, for who looks after one: a directory without the mark is refused with
// ErrNotCacheDir, and one that is not there with [os.ErrNotExist]. Nothing is made.
func WithExisting() Option {
	return managerOption(func(c *managerConfig) { c.existing = true })
}

// WithHTTPClient sets the client. Its CheckRedirect is asked beside our own
// rules, its Timeout holds for whole downloads. It is not closed.
func WithHTTPClient(client *http.Client) DownloadOption {
	return downloadOption(func(c *downloadConfig) { c.client = client })
}

// WithTransport sets the transport; see [NewTransport]. It is not closed.
func WithTransport(rt http.RoundTripper) DownloadOption {
	return downloadOption(func(c *downloadConfig) { c.client = &http.Client{Transport: rt} })
}

// NewTransport returns a new transport as downloads have it by default:
// connections are kept, the proxy comes from the environment, dialling may take
// 10 s. Change what you need, the root CAs say, and give it to [WithTransport].
// Downloads without one do the same for plain http in less time.
func NewTransport() *http.Transport { return transfer.NewTransport() }

// WithHooks sets the functions to call at the events of a download's life.
func WithHooks(h Hooks) DownloadOption {
	return downloadOption(func(c *downloadConfig) { c.hooks = h })
}

// SyncMode says what is flushed to the disk before a download counts as done.
type SyncMode = fs.SyncMode

const (
	// SyncFile flushes the file's data before it gets its name: after a power
	// loss a file is whole or not there. The default.
	SyncFile = fs.SyncFile
	// SyncDir flushes the directory, too: after a power loss the file is there.
	SyncDir = fs.SyncDir
	// SyncNone flushes nothing. A power loss may damage a file: after the machine was
	// started again, each one is read once before it is used, and fetched anew if it
	// is damaged or its record is lost.
	SyncNone = fs.SyncNone
)

// WithSync sets what is flushed to the disk. Default: SyncFile.
func WithSync(mode SyncMode) DownloadOption {
	return downloadOption(func(c *downloadConfig) { c.sync = mode })
}

// WithProgress sets the function that SetProgress would set. When the download
// is joined, the function is added to those of the callers before.
func WithProgress(fn ProgressFunc) DownloadOption {
	return downloadOption(func(c *downloadConfig) { c.progress = fn })
}

// WithHeader adds a header field to the requests for the URL's own host. No
// redirect takes it to another one.
func WithHeader(key, value string) DownloadOption {
	return downloadOption(func(c *downloadConfig) {
		c.header = c.header.Clone() // the manager's defaults share it
		if c.header == nil {
			c.header = http.Header{}
		}
		c.header.Add(key, value)
	})
}

// WithNetrc sets the file in which the user and password of the URL's own host
// are looked up, if neither the URL has a user nor WithHeader an Authorization.
// They are sent as the URL's own would be: as basic auth, also over plain http,
// to that host and to no other one that a redirect leads to; the entry called
// default goes for all hosts that have none. Errors, logs and records do not show
// them.
//
// The file is read, in the file system of WithFs, when a download asks a server. What
// was read goes for a second for all downloads of a manager that got the option. A file
// that is not there has nothing to say; one that cannot be read, is no regular file, or
// has a mistake in it fails the download with a *NetrcError.
// "", the default, and the null device: none. See also [DefaultNetrcPath].
func WithNetrc(path string) DownloadOption {
	return downloadOption(func(c *downloadConfig) {
		c.netrc = nil
		if path != "" && path != os.DevNull { // which is how people say that there is none
			c.netrc = &netrcSource{path: path}
		}
	})
}

// WithUserAgent sets the User-Agent field. Default: dlmanager/VERSION.
func WithUserAgent(product string) DownloadOption {
	return downloadOption(func(c *downloadConfig) { c.userAgent = product })
}

// WithStallTimeout sets how long the server may be silent, before its headers
// and between bytes, before the download fails with ErrStalled. 0: for ever.
// Default: 30 s.
func WithStallTimeout(d time.Duration) DownloadOption {
	return downloadOption(func(c *downloadConfig) { c.stall = d })
}

// WithMaxSize sets the largest body to accept, in bytes; a larger one fails
// with ErrTooLarge, by its announced length before a byte is stored. 0: any.
func WithMaxSize(bytes int64) DownloadOption {
	return downloadOption(func(c *downloadConfig) { c.maxSize = bytes })
}

// WithMinSize sets the smallest body to accept, in bytes; a smaller one fails
// with ErrTooSmall. 0, the default: any, also an empty one.
func WithMinSize(bytes int64) DownloadOption {
	return downloadOption(func(c *downloadConfig) { c.minSize = bytes })
}

// WithMode sets the file's permissions, before the umask, as in os.OpenFile.
// Default: 0666. A file that is there already is made executable if perm says
// so, and else left alone.
func WithMode(perm os.FileMode) DownloadOption {
	return downloadOption(func(c *downloadConfig) { c.mode = perm.Perm() })
}

// WithStrategy sets what decides whether a request that failed is followed by
// another one, and after which wait. Default: Patient.
func WithStrategy(s RequestStrategy) DownloadOption {
	return downloadOption(func(c *downloadConfig) { c.strategy = s })
}

// WithPriority sets which of the downloads that wait for a place goes first: the
// one with the highest n, and of equals the one that was asked for first. It
// interrupts nothing that runs, and a steady stream of downloads with a higher
// one keeps those with a lower one waiting. It may be negative. Default: 0. It
// means nothing to a download without a manager.
func WithPriority(n int) DownloadOption {
	return downloadOption(func(c *downloadConfig) { c.priority = n })
}

// WithForce fetches the file although it is there; the old one is replaced when
// the new one is whole.
func WithForce() DownloadOption {
	return downloadOption(func(c *downloadConfig) { c.force = true })
}

// WithoutResume begins at the first byte whatever an earlier download has left,
// and leaves nothing when it fails. Within the download, what was received is
// still gone on from.
func WithoutResume() DownloadOption {
	return downloadOption(func(c *downloadConfig) { c.noResume = true })
}

// WithChecksum sets what the file has to be, whether it is fetched or there
// already: "sha256:" and the digest in hexadecimal (also sha384 and sha512, and
// md5 and sha1, which protect against accidents only), Subresource Integrity
// ("sha256-" and base64; W3C), or a checksum file by its path or its http or
// https URL, in which the file's entry is found by name. A file that does not
// match never gets its name; the error matches ErrChecksum. One that is there
// and does not match is fetched anew.
//
// A download that is joined adopts the checksum if it has none; if it has one
// that contradicts, the caller gets a download that failed with
// ErrChecksumConflict, and the other goes on.
func WithChecksum(spec string) DownloadOption {
	return downloadOption(func(c *downloadConfig) { c.checksum = spec })
}

// WithSHA256 computes the file's SHA-256 for the Result, whatever the checksum.
func WithSHA256() DownloadOption {
	return downloadOption(func(c *downloadConfig) { c.sha256 = true })
}

// WithVerify sets a check of the caller's own, of a signature say, on a file that
// was fetched, whole and with the right checksum, before it gets its name. An
// error fails the download, as a *VerifyError, and the file is removed. It is
// not asked about a file that is there already. It must heed ctx, and not keep
// content.
func WithVerify(fn func(ctx context.Context, content io.ReaderAt, size int64) error) DownloadOption {
	return downloadOption(func(c *downloadConfig) { c.verify = fn })
}

// WithMirrors adds URLs that have the same file. The next one is asked when the
// one before fails for good, goes silent for the stall time-out, or sends content
// with another checksum. A mirror goes on from what another one sent only if a
// checksum was given. Header fields of WithHeader go to a mirror only on the
// URL's own host.
func WithMirrors(urls ...string) DownloadOption {
	return downloadOption(func(c *downloadConfig) { c.mirrors = append(slices.Clip(c.mirrors), urls...) })
}

// WithRateLimit bounds the rate of all the manager's downloads together, in bytes
// per second. 0 or less, the default: no bound.
func WithRateLimit(bytesPerSecond int64) Option {
	return managerOption(func(c *managerConfig) { c.rateLimit = bytesPerSecond })
}

// WithDownloadRateLimit bounds the rate of one download, in bytes per second. 0
// or less, the default: no bound.
func WithDownloadRateLimit(bytesPerSecond int64) DownloadOption {
	return downloadOption(func(c *downloadConfig) { c.rate = bytesPerSecond })
}

// WithConnections sets over how many connections a download receives its parts,
// if the server can send parts and proves them to be of one version. 0, the
// default: one, and more as long as twice as many are really faster, up to 16 and
// to what WithMaxPerHost allows.
func WithConnections(n int) DownloadOption {
	return downloadOption(func(c *downloadConfig) { c.connections = max(n, 0) })
}
