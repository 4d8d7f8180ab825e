package job

import (
	"cmp"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// Room tells of the disk that the stores are on.
type Room interface {
	// Free is how many bytes can be written, of how many that the disk has.
	Free() (free, total int64, err error)
	// Waiting reports whether commits wait because nothing can be written.
	Waiting() bool
	// Syncing is how long the sync has lasted that is under way; 0: there is none.
	Syncing() time.Duration
}

// Events are refused while less than this is free, so that what was acknowledged can be processed, and the catalogue be changed:
// a twentieth of the disk, and reserveMax at most.
const (
	reserveMax  = 256 << 20
	reservePart = 20
	// roomEvery is how long an answer about the disk holds.
	roomEvery = 200 * time.Millisecond
)

// room is what the engine knows of its disk. Safe for concurrent use.
type room struct {
	mu    sync.Mutex
	asked time.Time
	err   *sqlerr.Error
	// stuck: commits have been waiting for room for a while.
	stuck atomic.Bool
}

// noRoom tells why no events can be taken, nil while they can.
func (e *Engine) noRoom() error {
	if why := e.budget.why.Load(); why != nil {
		return why
	}
	if e.cfg.Room == nil {
		return nil
	}
	r := &e.room
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := time.Now(); now.Sub(r.asked) >= roomEvery || r.asked.IsZero() {
		before := r.err
		r.asked, r.err = now, e.askRoom()
		switch {
		case before == nil && r.err != nil:
			e.log.Error("events are refused until there is room on the disk", "error", r.err)
		case before != nil && r.err == nil:
			e.log.Info("there is room on the disk again: events are taken")
		}
	}
	if r.err == nil {
		return nil
	}
	return r.err
}

func (e *Engine) askRoom() *sqlerr.Error {
	if e.cfg.Room.Waiting() {
		return diskFull("the disk of the data directory is full: nothing can be committed until there is room")
	}
	free, total, err := e.cfg.Room.Free()
	if err != nil { // a disk that does not tell is written to until it refuses
		return nil
	}
	if reserve := min(reserveMax, total/reservePart); free < reserve {
		return diskFull(fmt.Sprintf("the disk of the data directory is almost full: %d bytes are free, events are taken while it has %d", free, reserve))
	}
	return nil
}

func diskFull(text string) *sqlerr.Error {
	return sqlerr.New(sqlerr.DiskFull, "%s", text).
		WithHint("Nothing of this request was acknowledged; make room, or send it again later: vigil goes on by itself.")
}

func (e *Engine) startRoom() {
	if e.cfg.Room != nil {
		e.wg.Add(1)
		go e.watchRoom()
	}
}

// watchRoom looks whether commits wait for room, and has those who wait for commits look again when they do.
func (e *Engine) watchRoom() {
	defer e.wg.Done()
	look := time.NewTicker(stallEvery)
	defer look.Stop()
	for before := false; ; {
		select {
		case <-look.C:
		case <-e.closing:
			return
		case <-e.ctx.Done():
			return
		}
		waiting := e.cfg.Room.Waiting()
		e.room.stuck.Store(waiting && before)
		if before = waiting; !e.room.stuck.Load() {
			continue
		}
		for _, s := range e.streamList() {
			s.progress.wake()
		}
	}
}

// stallEvery is the time between two looks at whether commits wait; after two they are said to.
const stallEvery = 500 * time.Millisecond

// stalled tells why what is waited for may not come to be, nil when it will.
func (e *Engine) stalled() error {
	if !e.room.stuck.Load() {
		return nil
	}
	return sqlerr.New(sqlerr.DiskFull, "the disk of the data directory is full: what was changed last is not visible yet").
		WithHint("Nothing is lost: it will be as soon as there is room.")
}

// Ready tells why the server cannot do its work at the moment, nil when it can.
func (e *Engine) Ready() error {
	if err := cmp.Or(e.Err(), e.NotLoaded()); err != nil {
		return err
	}
	if err := e.noRoom(); err != nil {
		return err
	}
	return e.diskTrouble()
}

// slowMax is how long a sync may last before the server says that it is not ready.
const slowMax = 5 * time.Second

// diskTrouble tells what has failed, or lasts too long, since something of its kind succeeded. All of it is tried again.
func (e *Engine) diskTrouble() error {
	trouble := func(form string, a ...any) error {
		return sqlerr.New(sqlerr.IOError, form, a...).WithHint("Nothing that was acknowledged is lost; look at the disk of the data directory.")
	}
	if err := e.ckpt.failing.Load(); err != nil {
		return trouble("checkpoints fail: %v", *err)
	}
	if e.cfg.Room != nil {
		if d := e.cfg.Room.Syncing(); d >= slowMax {
			return trouble("the disk is slow: a write of the store has lasted for %s", d.Round(time.Second))
		}
	}
	for _, s := range e.streamList() {
		if s.log == nil {
			continue
		}
		failing, writing := s.log.Health()
		if failing != nil {
			return trouble("the event log of stream %q cannot be written: %v", s.spec.Name, failing)
		}
		if writing >= slowMax {
			return trouble("the disk is slow: a write to the event log of stream %q has lasted for %s", s.spec.Name, writing.Round(time.Second))
		}
	}
	return nil
}

// FreeBytes is what can be written to the disk, if that is known.
func (e *Engine) FreeBytes() (int64, bool) {
	if e.cfg.Room == nil {
		return 0, false
	}
	free, _, err := e.cfg.Room.Free()
	return free, err == nil
}
