package eventlog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
)

// Backup writes to dir, which must hold no log, a copy of the log as it was when upTo was its end, while the log is in use; where
// upTo lies within an append, all of that append is in the copy. Files that never change any more are the same files under another
// name where the file system allows it. The caller sees to it that Trim does not run meanwhile. A copy that was
// not finished is no log.
func (l *Log) Backup(ctx context.Context, dir string, upTo int64) error {
	if err := l.backup(ctx, dir, upTo); err != nil {
		return fmt.Errorf("back up event log %s: %w", l.o.Dir, err)
	}
	return nil
}

func (l *Log) backup(ctx context.Context, dir string, upTo int64) error {
	list, err := l.before(upTo)
	if err != nil {
		return err
	}
	if err := l.o.FS.MkdirAll(dir); err != nil {
		return err
	}
	end := upTo
	for i := range list {
		if err := ctx.Err(); err != nil {
			return err
		}
		s := &list[i]
		if i == len(list)-1 {
			if end, err = l.cutAt(s, upTo); err == nil {
				err = l.copyFile(segmentName(s.base), dir, headerBytes+end-s.base)
			}
		} else {
			err = l.linkSegment(s.base, dir)
		}
		if err != nil {
			return err
		}
	}
	// The last segment is one of its own, so that whoever opens the copy appends to none of those files.
	f, err := createSegment(Options{Dir: dir, FS: l.o.FS}, end)
	if err != nil {
		return err
	}
	return f.Close()
}

// before returns the segments that begin before upTo.
func (l *Log) before(upTo int64) ([]segment, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case errors.Is(l.err, ErrClosed):
		return nil, l.err
	case upTo < l.segments[0].base:
		return nil, fmt.Errorf("offset %d: %w", upTo, ErrTrimmed)
	case upTo > l.last().end():
		return nil, fmt.Errorf("offset %d is beyond the end, %d", upTo, l.last().end())
	}
	var list []segment
	for _, s := range l.segments {
		if s.base < upTo {
			list = append(list, segment{base: s.base, size: s.size})
		}
	}
	return list, nil
}

// cutAt is the end of the append that reaches upTo; upTo where the segment is damaged before it.
func (l *Log) cutAt(s *segment, upTo int64) (int64, error) {
	end := upTo
	_, err := l.scanSegment(s, func(_ *body, at Span) {
		if at.From < upTo {
			end = max(end, at.To)
		}
	})
	return end, err
}

// linkSegment takes over a segment that is not written to any more, and what is known of it: without, it is found out again.
func (l *Log) linkSegment(base int64, dir string) error {
	if err := l.linkFile(segmentName(base), dir); err != nil {
		return err
	}
	err := l.linkFile(sidecarName(base), dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (l *Log) linkFile(name, dir string) error {
	err := l.o.FS.Link(filepath.Join(l.o.Dir, name), filepath.Join(dir, name))
	if errors.Is(err, ErrNoLink) {
		return l.copyFile(name, dir, -1)
	}
	return err
}

// copyFile copies the first size bytes of a file, all when size is negative, and makes them durable; the name is not yet.
func (l *Log) copyFile(name, dir string, size int64) error {
	from, err := l.o.FS.OpenRead(filepath.Join(l.o.Dir, name))
	if err != nil {
		return err
	}
	defer from.Close()
	if size < 0 {
		if size, err = from.Size(); err != nil {
			return err
		}
	}
	to, err := l.o.FS.Create(filepath.Join(dir, name))
	if err != nil {
		return err
	}
	_, err = io.CopyBuffer(io.NewOffsetWriter(to, 0), io.NewSectionReader(from, 0, size), make([]byte, windowBytes))
	if err == nil {
		err = to.Sync()
	}
	return errors.Join(err, to.Close())
}
