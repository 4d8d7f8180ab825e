package job

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/storage/checkpoint"
	"github.com/vigil-sql/vigil/storage/kv"
	"github.com/vigil-sql/vigil/storage/meta"
)

// A backup is a data directory as a crash at the end of an epoch would have left it: the store with all that the epoch committed,
// and of each stream's event log what the epochs up to it have read. The store is copied first, and the copy tells how much of the
// logs belongs to it, so that the engine runs on meanwhile. The store gets its name last: a backup that was not finished has none.

// KindStream is the kind of a stream's object in storage/meta.
const KindStream = "stream"

const (
	backupStore = "kv"
	backupLogs  = "log"
	// BackupUnfinished is the name of the store in a backup that is being written, or was not finished.
	BackupUnfinished = "kv.unfinished"
)

// backups keeps the files of logs in place while a backup is being written. The engine's mu is taken before its own.
type backups struct {
	mu      sync.Mutex // held while logs are trimmed
	running bool
	// known are all streams that there were since the backup began, dropped those of them whose files go when it is done.
	known   map[uint64]*stream
	dropped []*stream
}

// Backup writes a backup to dir, which is made or is empty, and returns the epoch that it holds the state of: one after all that
// was acknowledged before the call. A server that is started on dir goes on from there.
func (e *Engine) Backup(ctx context.Context, dir string) (epoch uint64, err error) {
	if err := e.Loaded(ctx); err != nil {
		return 0, err
	}
	if err := e.prepareBackup(dir); err != nil {
		return 0, err
	}
	if !e.holdFiles() {
		return 0, sqlerr.New(sqlerr.ObjectInUse, "another backup is being written").WithHint("Wait until it is done.")
	}
	defer e.releaseFiles()
	if err := e.Settle(ctx); err != nil {
		return 0, err
	}
	if epoch, err = e.writeBackup(ctx, dir); err != nil {
		err = errors.Join(err, emptyDir(dir))
	}
	switch {
	case ctx.Err() != nil:
		return 0, ctx.Err()
	case err != nil && isFull(err):
		return 0, sqlerr.New(sqlerr.DiskFull, "could not write the backup: %v", err).WithHint("Nothing is left of it; make room, or choose another disk.")
	case err != nil:
		return 0, sqlerr.New(sqlerr.IOError, "could not write the backup: %v", err).WithHint("Nothing is left of it, unless the message says otherwise.")
	}
	return epoch, nil
}

// prepareBackup makes the directory, or finds it empty.
func (e *Engine) prepareBackup(dir string) error {
	if !filepath.IsAbs(dir) {
		return sqlerr.New(sqlerr.InvalidParameterValue, "the directory of a backup must be an absolute path, not %q", dir).
			WithHint("It is a directory of the machine that the server runs on.")
	}
	if inside, err := within(e.cfg.Dir, dir); err != nil || inside {
		return sqlerr.New(sqlerr.InvalidParameterValue, "%q lies in the data directory", dir).WithHint("Choose a directory elsewhere, best on another disk.")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return sqlerr.New(sqlerr.IOError, "could not make the directory of the backup: %v", err).WithHint("The user that the server runs as must be allowed to.")
	}
	names, err := os.ReadDir(dir)
	if err != nil {
		return sqlerr.New(sqlerr.IOError, "could not read the directory of the backup: %v", err)
	}
	if len(names) > 0 {
		return sqlerr.New(sqlerr.DuplicateFile, "directory %q is not empty", dir).WithHint("Choose a new directory for each backup.")
	}
	return nil
}

// InDirectory reports whether a path lies in the data directory.
func (e *Engine) InDirectory(path string) (bool, error) {
	if _, err := os.Stat(e.cfg.Dir); errors.Is(err, fs.ErrNotExist) {
		return false, nil // it is in memory, in a test
	}
	return within(e.cfg.Dir, path)
}

// within reports whether a path is that of a directory or lies in it, whatever links lead there.
func within(dir, path string) (bool, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return false, err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return false, err
	}
	for path = filepath.Clean(path); ; path = filepath.Dir(path) { // up to what exists
		real, err := filepath.EvalSymlinks(path)
		if err == nil {
			rel, err := filepath.Rel(dir, real)
			return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator)), nil
		}
		if !errors.Is(err, fs.ErrNotExist) || path == filepath.Dir(path) {
			return false, err
		}
	}
}

func (e *Engine) writeBackup(ctx context.Context, dir string) (uint64, error) {
	holds, err := e.copyStore(ctx, filepath.Join(dir, BackupUnfinished))
	if err != nil {
		return 0, err
	}
	logs := filepath.Join(dir, backupLogs)
	if err := e.again(ctx, isFull, func() error { return e.logFS().MkdirAll(logs) }); err != nil {
		return 0, err
	}
	for _, id := range holds.streams {
		if err := e.backupLog(ctx, logs, id, holds.read); err != nil {
			return 0, err
		}
	}
	return holds.epoch, e.nameBackup(ctx, dir)
}

// backupLog copies a stream's log, if it has one, as far as epochs have read it.
func (e *Engine) backupLog(ctx context.Context, logs string, id uint64, read map[uint64]int64) error {
	s := e.files.stream(id)
	if s == nil {
		return fmt.Errorf("stream %d is in the backup, but not in the server", id)
	}
	if s.log == nil {
		return nil
	}
	dir := filepath.Join(logs, fmt.Sprint(id))
	if err := e.copyLog(ctx, s, dir, read[id]); err != nil {
		return err
	}
	return e.again(ctx, isFull, func() error { return e.logFS().SyncDir(dir) })
}

// backupContent is what the copy of a store tells.
type backupContent struct {
	epoch   uint64
	streams []uint64
	// read is how far the log of each stream was read, by id.
	read map[uint64]int64
}

// readBackup looks at the store of a backup, as recovery would.
func readBackup(store kv.Store) (backupContent, error) {
	c := backupContent{read: map[uint64]int64{}}
	m, err := meta.Open(store)
	if err != nil {
		return c, err
	}
	objects, err := m.List()
	if err != nil {
		return c, err
	}
	for _, o := range objects {
		if o.Kind == KindStream && o.Dropped == 0 {
			c.streams = append(c.streams, o.ID)
		}
	}
	_, manifest, ok, err := checkpoint.New(store).Latest()
	if err != nil {
		return c, err
	}
	if ok {
		cut, err := decodeManifest(manifest)
		if err != nil {
			return c, err
		}
		c.epoch = cut.epoch
		for id, s := range cut.streams {
			c.read[id] = s.next[0]
		}
	}
	err = m.Epochs(c.epoch+1, func(n uint64, data []byte) (bool, error) {
		rec, err := decodeEpoch(data)
		if err != nil {
			return false, err
		}
		c.epoch = n
		for _, x := range rec.runs {
			if !x.result {
				c.read[x.stream] = max(c.read[x.stream], x.to)
			}
		}
		return true, nil
	})
	return c, err
}

// holdFiles keeps the files of logs in place; false when they are kept already.
func (e *Engine) holdFiles() bool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	f := &e.files
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.running {
		return false
	}
	f.running, f.known = true, maps.Clone(e.streams)
	return true
}

// note adds a stream that comes while a backup is being written.
func (f *backups) note(s *stream) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.running {
		f.known[s.id()] = s
	}
}

// stream finds a stream, also one that was dropped since the backup began.
func (f *backups) stream(id uint64) *stream {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.known[id]
}

// releaseFiles removes what was dropped meanwhile.
func (e *Engine) releaseFiles() {
	e.files.mu.Lock()
	dropped := e.files.dropped
	e.files.dropped, e.files.known, e.files.running = nil, nil, false
	e.files.mu.Unlock()
	for _, s := range dropped {
		e.removeLog(s)
	}
}

// trimLogs drops what is older than the streams' retention, unless a backup needs the files.
func (e *Engine) trimLogs(cut *checkpointCut, now int64) {
	list := e.streamList()
	e.files.mu.Lock()
	defer e.files.mu.Unlock()
	if e.files.running {
		return
	}
	for _, s := range list {
		if sc := cut.stream(s.spec.ID); s.log != nil && sc != nil {
			if err := s.log.Trim(now, s.spec.Retention, s.spec.RetentionBytes, cut.keepFrom(s.spec.ID, list)); err != nil {
				e.log.Warn("trim event log", "stream", s.spec.Name, "error", err)
			}
		}
	}
}

// keepFrom is the first offset of a stream's log, or of a result that others read, that is still needed: by recovery, and by those who
// read its history. The cut has the stream.
func (c *checkpointCut) keepFrom(id uint64, list []*stream) int64 {
	keep := c.stream(id).next[0]
	for _, x := range list {
		if x.past == nil || x.past.live.spec.ID != id {
			continue
		}
		if sc := c.stream(x.id()); sc != nil {
			keep = min(keep, sc.next[0])
		} else {
			keep = min(keep, x.past.from[0])
		}
	}
	return keep
}

// dropLog removes the log of a dropped stream, now or when the backup that is being written is done.
func (e *Engine) dropLog(s *stream) {
	e.files.mu.Lock()
	held := e.files.running
	if held {
		e.files.dropped = append(e.files.dropped, s)
	}
	e.files.mu.Unlock()
	if !held {
		e.removeLog(s)
	}
}

func (e *Engine) removeLog(s *stream) {
	_ = s.log.Close() // the directory goes next
	if err := os.RemoveAll(e.logDir(s.spec.ID)); err != nil {
		e.log.Error("remove event log of dropped stream", "stream", s.spec.Name, "error", err)
	}
}

// emptyDir takes back what was written of a backup.
func emptyDir(dir string) error {
	for _, name := range []string{BackupUnfinished, backupStore, backupLogs} {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("what was written could not be removed: %w", err)
		}
	}
	return nil
}

func isFull(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }
