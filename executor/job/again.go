package job

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/storage/eventlog"
	"github.com/vigil-sql/vigil/storage/kv"
)

// againFor is the default of Config.AgainFor: as long as the store makes its calls to the disk again. The pauses grow from againPause on.
const (
	againFor   = 2500 * time.Millisecond
	againPause = 10 * time.Millisecond
)

// again makes a call until it succeeds, unless its error is one that stays, ctx ends, or time is over.
func (e *Engine) again(ctx context.Context, stays func(error) bool, call func() error) error {
	for waited, pause := time.Duration(0), againPause; ; waited, pause = waited+pause, 2*pause {
		err := call()
		if err == nil || stays(err) || waited >= e.cfg.AgainFor {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
	}
}

// openLog opens the event log of a stream.
func (e *Engine) openLog(d *spec.Stream) (log *eventlog.Log, err error) {
	dir := e.logDir(d.ID)
	stays := func(err error) bool { return errors.Is(err, eventlog.ErrFormat) }
	err = e.again(e.ctx, stays, func() error {
		log, err = eventlog.Open(eventlog.Options{Dir: dir, FS: e.cfg.LogFS, SegmentBytes: e.cfg.SegmentBytes})
		return err
	})
	if err == nil {
		return log, nil
	}
	told := sqlerr.New(sqlerr.IOError, "could not open the event log of stream %q, directory %s: %v", d.Name, dir, err)
	if stays(err) {
		return nil, told.WithHint("Nothing was changed. Start the version of vigil that wrote it, or a newer one.")
	}
	return nil, told.WithHint("It was tried for %s; nothing was changed. Look at the disk, and at the owner and the rights of the files, then start the server again.", e.cfg.AgainFor)
}

// copyStore writes the store's part of a backup, under the name that says that it is not finished, and tells what it holds. A copy that failed is begun
// anew, so that a file whose sync failed is not trusted.
func (e *Engine) copyStore(ctx context.Context, dir string) (holds backupContent, err error) {
	stays := func(err error) bool { return isFull(err) || errors.Is(err, kv.ErrClosed) }
	err = e.again(ctx, stays, func() error {
		err := e.kv.Backup(dir, func(copy kv.Store) (err error) { holds, err = readBackup(copy); return err })
		if err == nil {
			return nil
		}
		return cleaned(dir, err)
	})
	return holds, err
}

// cleaned removes what a copy that failed has left, and returns why it failed.
func cleaned(dir string, err error) error {
	if clean := os.RemoveAll(dir); clean != nil {
		return fmt.Errorf("%w; what there is of %s could not be removed: %w", err, filepath.Base(dir), clean)
	}
	return err
}

// copyLog writes the part of a stream's event log that a backup holds. A copy that failed is begun anew.
func (e *Engine) copyLog(ctx context.Context, s *stream, dir string, upTo int64) error {
	return e.again(ctx, isFull, func() error {
		err := s.log.Backup(ctx, dir, max(upTo, s.log.Start()))
		if err == nil {
			return nil
		}
		return cleaned(dir, err)
	})
}

// nameBackup makes the names of a backup's files durable, and gives the store its name, last: from then on the backup is one.
func (e *Engine) nameBackup(ctx context.Context, dir string) error {
	disk, unfinished, store := e.logFS(), filepath.Join(dir, BackupUnfinished), filepath.Join(dir, backupStore)
	sync := func(d string) func() error { return func() error { return disk.SyncDir(d) } }
	rename := func() error { // one that was done and failed all the same is not done again
		err := disk.Rename(unfinished, store)
		if _, there := os.Stat(store); errors.Is(err, fs.ErrNotExist) && there == nil {
			return nil
		}
		return err
	}
	for _, call := range []func() error{sync(filepath.Join(dir, backupLogs)), sync(dir), rename, sync(dir), sync(filepath.Dir(dir))} {
		if err := e.again(ctx, isFull, call); err != nil {
			return err
		}
	}
	return nil
}

// logFS is where event logs are, and what surrounds the store in a backup.
func (e *Engine) logFS() eventlog.FS {
	if e.cfg.LogFS == nil {
		return eventlog.OS()
	}
	return e.cfg.LogFS
}
