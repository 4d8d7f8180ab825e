// Package pebblekv is the durable kv.Store: Pebble with the settings that vigil's data wants. It is the only package that
// imports Pebble.
package pebblekv

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/vigil-sql/vigil/storage/kv"
)

// FormatVersion is the version of the data directory that this package writes (docs/formats/kv.md). A directory with
// another version is refused.
const FormatVersion = 1

// ErrInUse is wrapped by the error of Open when another process holds the directory.
var ErrInUse = errors.New("in use by another vigil process")

// ErrFormat is wrapped by the error of Open when the directory is not vigil's, or of a version it does not know.
var ErrFormat = errors.New("unknown format")

// formatMajor is Pebble's own file format. It is named here rather than "newest", so that an update of the library does
// not change files behind our back.
const formatMajor = pebble.FormatValueSeparation

const (
	memTableBytes     = 64 << 20
	cacheBytesDefault = 64 << 20
	copyCacheBytes    = 8 << 20 // of a backup that is looked at
	// cacheMemTables is how many memtables the cache leaves room for beside CacheBytes: Pebble takes what they have off its size, so that a cache of the
	// size of a memtable would hold nothing.
	cacheMemTables      = 2
	openFilesMax        = 1000
	l0CompactionTrigger = 4
	// l0Files is how many tables may wait at the top before they are merged although none overlap. Keys that only ascend - rows of journals and of tables,
	// packs of results - leave a small table of their own each time that a memtable is written, and by overlap alone none of them would ever be merged. A
	// memtable leaves a dozen tables, those of the other kinds overlap at the second one.
	l0Files = 48
	// batchBytesKept is how much memory of a batch is kept for another one: results come in batches of megabytes.
	batchBytesKept = 8 << 20
)

// Options of Open. The zero value is a store on disk with the defaults.
type Options struct {
	// CacheBytes is the size of the block cache, default 64 MiB.
	CacheBytes int64
	// MemTableBytes is how much is gathered in memory before it is written to a file, default 64 MiB; up to four of them may be there.
	MemTableBytes int64
	// FS is where the files are; nil is the disk.
	FS vfs.FS
	// Logger gets warnings and errors, and, at debug level, what Pebble does in the background; nil discards them.
	Logger *slog.Logger
	// Fatal is called when the store cannot go on, such as after a failed write of its log: nothing that was acknowledged is
	// lost, but the process must end and open the store again. It must not return. nil panics.
	Fatal func(message string)
	// Hasty: the store does not wait long before it tries again what failed. For tests.
	Hasty bool
}

// Store is a kv.Store in a directory. It is safe for concurrent use; each call after Close fails with kv.ErrClosed.
type Store struct {
	db    *pebble.DB
	cache *pebble.Cache
	lock  *pebble.Lock
	dir   string
	opts  Options
	// waiter holds writes back while the disk is full.
	waiter *waiter

	mu     sync.Mutex
	idle   sync.Cond // signals inUse == 0
	inUse  int       // calls that are inside Pebble, which panics when it is closed under them
	closed bool

	cursors cursors

	merging merging
}

var _ kv.Store = (*Store)(nil)

// Open opens the store in dir, making it where it does not exist. The directory stays locked until Close.
func Open(dir string, o Options) (*Store, error) {
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.CacheBytes <= 0 {
		o.CacheBytes = cacheBytesDefault
	}
	if o.MemTableBytes <= 0 {
		o.MemTableBytes = memTableBytes
	}
	if err := o.FS.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create data directory %s: %w", dir, err)
	}
	lock, err := pebble.LockDirectory(dir, o.FS)
	if err != nil {
		return nil, lockError(dir, err)
	}
	s := &Store{dir: dir, opts: o, waiter: newWaiter(dir, o), lock: lock, cache: pebble.NewCache(o.CacheBytes + cacheMemTables*o.MemTableBytes)}
	s.idle.L = &s.mu
	s.merging.init()
	if s.db, err = s.openDB(); err == nil {
		err = s.checkFormat()
		if err != nil {
			err = errors.Join(err, s.db.Close())
		}
	}
	if err != nil {
		s.merging.stop()
		s.cache.Unref()
		return nil, errors.Join(err, lock.Close())
	}
	s.merging.start(s)
	return s, nil
}

func (s *Store) openDB() (db *pebble.DB, err error) {
	defer func() {
		if p := recover(); p != nil { // some failed writes
			err = fmt.Errorf("open data directory %s: %v", s.dir, p)
		}
	}()
	opts := dbOptions(s.opts, s.cache)
	opts.Lock = s.lock
	opts.FS = waitFS{s.opts.FS, s.waiter}
	opts.EventListener = &pebble.EventListener{FlushEnd: s.merging.flushed}
	fatal := func(message string) { opts.Logger.Fatalf("%s", message) }
	s.waiter.fatal.Store(&fatal)
	s.waiter.opening.Store(true)
	defer s.waiter.opening.Store(false)
	if db, err = pebble.Open(s.dir, opts); err != nil {
		return nil, fmt.Errorf("open data directory %s: %w", s.dir, err)
	}
	return db, nil
}

func dbOptions(o Options, cache *pebble.Cache) *pebble.Options {
	opts := &pebble.Options{
		FS:                          o.FS,
		Cache:                       cache,
		Logger:                      logger{o.Logger, o.Fatal},
		FormatMajorVersion:          formatMajor,
		MemTableSize:                uint64(o.MemTableBytes),
		MemTableStopWritesThreshold: 4,
		MaxOpenFiles:                openFilesMax,
		L0CompactionThreshold:       l0CompactionTrigger,
		L0CompactionFileThreshold:   l0Files,
		CompactionConcurrencyRange:  func() (int, int) { return 1, 2 },
	}
	// What is written most, results, shares what it can already; the rest is to cost little.
	opts.ApplyCompressionSettings(func() pebble.DBCompressionSettings { return pebble.DBCompressionFastest })
	opts.Experimental.SpanPolicyFunc = ownTables
	opts.Experimental.ValueSeparationPolicy = apart
	return opts
}

// ownTables gives each kind of keys, by their first two bytes, tables of its own. A table that reached from the records of epochs to
// the results would overlap a list of millions of entries that lies between them, and each compaction write that anew.
func ownTables(key []byte) (policy pebble.SpanPolicy, end []byte, err error) {
	return policy, kv.PrefixEnd(key[:min(len(key), 2)]), nil
}

// apart keeps large values, results and state, in files of their own: a compaction moves what points at them. A file is written anew
// when a third of it is garbage, unless it is so young that the rest will soon be.
func apart() pebble.ValueSeparationPolicy {
	return pebble.ValueSeparationPolicy{Enabled: true, MinimumSize: 2 << 10, MaxBlobReferenceDepth: 10, RewriteMinimumAge: 5 * time.Minute,
		TargetGarbageRatio: 0.3}
}

// lockError tells a held lock from a directory that cannot be written.
func lockError(dir string, err error) error {
	held := errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES) && !errors.Is(err, os.ErrPermission) ||
		strings.Contains(err.Error(), "lock held")
	if held {
		return fmt.Errorf("data directory %s is %w; stop that process or choose another directory", dir, ErrInUse)
	}
	return fmt.Errorf("lock data directory %s: %w", dir, err)
}

var formatKey = append([]byte{kv.PrefixFormat}, "vigil format"...)

// checkFormat refuses a directory of another format and marks an empty one.
func (s *Store) checkFormat() error {
	value, ok, err := get(s.db, formatKey)
	if err != nil {
		return fmt.Errorf("read the format of data directory %s: %w", s.dir, err)
	}
	if ok {
		if len(value) != 4 {
			return fmt.Errorf("data directory %s: %w: its version is %x", s.dir, ErrFormat, value)
		}
		if v := binary.LittleEndian.Uint32(value); v != FormatVersion {
			return fmt.Errorf("data directory %s: %w: it has version %d and this vigil reads version %d; "+
				"use the vigil that wrote it", s.dir, ErrFormat, v, FormatVersion)
		}
		return nil
	}
	empty := true
	err = scan(s.db, nil, nil, func(_, _ []byte) (bool, error) { empty = false; return false, nil })
	if err != nil {
		return fmt.Errorf("read data directory %s: %w", s.dir, err)
	}
	if !empty {
		return fmt.Errorf("data directory %s: %w: it holds data that vigil did not write", s.dir, ErrFormat)
	}
	version := binary.LittleEndian.AppendUint32(nil, FormatVersion)
	if err := s.db.Set(formatKey, version, pebble.Sync); err != nil {
		return fmt.Errorf("mark data directory %s: %w", s.dir, err)
	}
	return nil
}

// logger sends Pebble's words to slog: what it does in the background is for debugging only.
type logger struct {
	log   *slog.Logger
	fatal func(string)
}

func (l logger) Infof(format string, args ...any) {
	if l.log != nil {
		l.log.Debug("pebble: " + fmt.Sprintf(format, args...))
	}
}

func (l logger) Errorf(format string, args ...any) {
	if l.log != nil {
		l.log.Error("pebble: " + fmt.Sprintf(format, args...))
	}
}

func (l logger) Fatalf(format string, args ...any) {
	message := "storage cannot go on: " + fmt.Sprintf(format, args...)
	if l.log != nil {
		l.log.Error(message)
	}
	if l.fatal != nil {
		l.fatal(message)
	}
	panic(message)
}
