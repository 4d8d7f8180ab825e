package pebblekv

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// fullPause is the time between two attempts to write to a disk that is full.
	fullPause = 100 * time.Millisecond
	// A call that failed otherwise is made triesMax times more, with pauses that double, from tryPause on: 2.5 s in all.
	triesMax = 8
	tryPause = 10 * time.Millisecond
)

// waiter makes calls to the data directory wait while its disk is full, and try again where it fails for a moment: Pebble takes a failed write for
// the end, but one that only lasts goes on as if nothing had been. Calls elsewhere fail as they do. See docs/design/0008-faults.md.
type waiter struct {
	dir             string
	log             *slog.Logger // may be nil
	pause, tryPause time.Duration
	waiting         atomic.Int64
	health          health
	// fatal is told of a write that fails for good, and of any call while the store is being opened. It does not return.
	fatal   atomic.Pointer[func(message string)]
	opening atomic.Bool
	// stop ends the waiting: calls fail then.
	stop chan struct{}
	once sync.Once
}

func newWaiter(dir string, o Options) *waiter {
	w := &waiter{dir: filepath.Clean(dir), log: o.Logger, pause: fullPause, tryPause: tryPause, stop: make(chan struct{})}
	if o.Hasty {
		w.pause, w.tryPause = time.Millisecond, time.Microsecond
	}
	return w
}

func (w *waiter) giveUp() { w.once.Do(func() { close(w.stop) }) }

// retry makes a call until it succeeds, or fails for good. The call must be one that can be made again.
func (w *waiter) retry(name string, call func() error) error {
	err := call()
	if err == nil || !w.covers(name) {
		return err
	}
	for tries := 0; err != nil; {
		switch {
		case isFull(err):
			if err = w.untilRoom(name, err, call); isFull(err) {
				return err
			}
		case isTransient(err) && tries < triesMax && w.rest(name, err, w.tryPause<<tries):
			tries++
			err = call()
		default:
			if w.opening.Load() { // Pebble's goroutines go on when opening fails half way
				w.end(name, err)
			}
			return err
		}
	}
	return nil
}

// must is retry for a call without which the store cannot go on: Pebble does not survive it everywhere, so that the process ends here, with a
// message that tells why.
func (w *waiter) must(name string, call func() error) error {
	err := w.retry(name, call)
	w.end(name, err)
	return err
}

// end ends the process because of an error that stays.
func (w *waiter) end(name string, err error) {
	if fatal := w.fatal.Load(); fatal != nil && w.covers(name) && (isTransient(err) || isFull(err)) {
		(*fatal)(fmt.Sprintf("%s failed again and again: %v", name, err))
	}
}

// untilRoom makes a call until it gives another error than that the disk is full, or the waiting is ended.
func (w *waiter) untilRoom(name string, err error, call func() error) error {
	if w.waiting.Add(1) == 1 && w.log != nil {
		w.log.Error("the disk is full: writes wait until there is room", "file", name, "error", err)
	}
	defer w.waiting.Add(-1)
	for isFull(err) {
		select {
		case <-time.After(w.pause):
		case <-w.stop:
			return err
		}
		err = call()
	}
	return err
}

// rest waits before a call is made again; false when there is no time for that.
func (w *waiter) rest(name string, err error, pause time.Duration) bool {
	w.health.retries.Add(1)
	if w.log != nil {
		w.log.Warn("an input/output error: trying again", "file", name, "error", err, "in", pause)
	}
	select {
	case <-time.After(pause):
		return true
	case <-w.stop:
		return false
	}
}

func (w *waiter) covers(name string) bool {
	return name == w.dir || strings.HasPrefix(name, w.dir+string(filepath.Separator))
}

func isFull(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// isTransient reports an error of a disk that may be well again in a moment. All others are what they say: a file that is not there, say.
func isTransient(err error) bool {
	for _, e := range []syscall.Errno{syscall.EIO, syscall.EAGAIN, syscall.EINTR, syscall.ETIMEDOUT, syscall.ENOMEM, syscall.ENOBUFS} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// Waiting reports whether writes wait for room on the disk. Commits last as long as they do.
func (s *Store) Waiting() bool { return s.waiter.waiting.Load() > 0 }

// GiveUp makes calls that wait for room fail, now and from now on; the store cannot go on then.
func (s *Store) GiveUp() { s.waiter.giveUp() }
