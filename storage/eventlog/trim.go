package eventlog

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// retention holds the arguments of Trim.
type retention struct{ now, maxAge, maxBytes, keepFrom int64 }

// Trim drops whole old segments: those whose last entry arrived before now - maxAge (microseconds; 0: age does not matter), and the
// oldest while the log is larger than maxBytes (0: size does not matter). Nothing from keepFrom on is dropped. If all that the
// segment being written holds is too old, it is closed first, so that a stream that has gone quiet does not keep its last
// events for ever.
func (l *Log) Trim(now, maxAge, maxBytes, keepFrom int64) error {
	r := retention{now, maxAge, maxBytes, keepFrom}
	if l.activeExpired(r) {
		err := l.exclusive(func() error {
			l.mu.Lock()
			err := l.err
			l.mu.Unlock()
			if err == nil && l.activeExpired(r) {
				err = l.roll(l.End())
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	l.side.Lock()
	defer l.side.Unlock()
	for {
		base, old, ok, err := l.expired(r)
		if err != nil || !ok {
			return err
		}
		// If this fails half way, or the power does, Open finds the segment or the lone sidecar again.
		for _, name := range []string{segmentName(base), sidecarName(base)} {
			err := l.o.FS.Remove(filepath.Join(l.o.Dir, name))
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("trim event log: %w", err)
			}
		}
		l.mu.Lock()
		if size := l.segments[0].size; old {
			l.metrics.TrimmedOld += size
		} else {
			l.metrics.TrimmedLarge += size
		}
		l.segments = append([]*segment(nil), l.segments[1:]...)
		l.mu.Unlock()
	}
}

func (l *Log) activeExpired(r retention) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	s := l.last()
	return r.maxAge > 0 && s.size > 0 && s.end() <= r.keepFrom && s.lastArrival < r.now-r.maxAge
}

// expired returns the oldest segment if it may go, and whether that is because of its age.
func (l *Log) expired(r retention) (base int64, old, ok bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if errors.Is(l.err, ErrClosed) {
		return 0, false, false, l.err
	}
	if len(l.segments) == 1 {
		return 0, false, false, nil
	}
	s, total := l.segments[0], int64(0)
	for _, other := range l.segments {
		total += other.size
	}
	old = r.maxAge > 0 && s.lastArrival < r.now-r.maxAge
	large := r.maxBytes > 0 && total > r.maxBytes
	return s.base, old, (old || large) && l.segments[1].base <= r.keepFrom, nil
}
