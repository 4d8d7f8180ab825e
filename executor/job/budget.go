package job

import (
	"fmt"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"sync/atomic"
	"time"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/storage/state/arena"
)

// budget keeps the process within its memory: state of queries moves to a file when there is too much, see docs/design/0006-memory.md.
// The goroutine of watchMemory owns what is not atomic.
type budget struct {
	max  int64
	pool *arena.Pool
	// why events are not taken; nil: they are.
	why atomic.Pointer[sqlerr.Error]
	// heap is what is alive on the Go heap, when that is more than it may be, bytes; 0: it is not.
	heap       atomic.Int64
	resident   atomic.Int64
	end, ended chan struct{}
	// limit is what the Go runtime was told last; alive what was alive on its heap.
	limit   int64
	alive   int64
	samples []metrics.Sample
	// struck is the number of the sweep after which a query was taken out of service for memory; the committer's.
	struck int
}

const (
	// memoryEvery is the time between two looks at the memory of the process, memoryCalm that while it has little.
	memoryEvery = 5 * time.Millisecond
	memoryCalm  = 50 * time.Millisecond
	// heapEvery is the time between two looks at the Go heap.
	heapEvery = 100 * time.Millisecond
	// heapMost is the part of the budget, in percent, that may be alive on the Go heap, and heapLeast the part that it may have in any case.
	heapMost, heapLeast = 75, 33
	// strikePause is how many sweeps pass before another query is taken out of service.
	strikePause = 5
)

// Memory are figures of the server's memory, bytes.
type Memory struct {
	// Budget is what the process may have in memory, 0: there is no budget. Resident is what it has.
	Budget, Resident int64
	// State is what lies outside of the Go heap, OnDisk the part of it that has a place on disk.
	State, OnDisk int64
	// SetAside are the bytes of results that were too many for the Go heap, since the engine was opened.
	SetAside int64
}

// Memory reports figures.
func (e *Engine) Memory() Memory {
	s := e.budget.pool.Stats()
	return Memory{Budget: e.budget.max, Resident: e.budget.resident.Load(), State: s.State, OnDisk: s.File, SetAside: e.setAside.Load()}
}

func (e *Engine) openBudget() {
	b := &e.budget
	if b.max = e.cfg.Memory; b.max <= 0 {
		return
	}
	b.pool = arena.NewPool(e.cfg.StateDir, b.max, e.residentBy())
	if b.pool == nil {
		e.log.Warn("state of queries cannot leave memory on this system: it stays on the heap, and the query that holds the most is deactivated when that is too large",
			"system", runtime.GOOS, "page_bytes", os.Getpagesize())
	}
	b.samples = []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	for _, w := range e.workers {
		w.ctx.State = b.pool.Arena()
		w.copies, w.aside = w.ctx.State.Part(), w.ctx.State.Part()
	}
	if _, ok := arena.Resident(); ok || e.cfg.MemoryUse != nil {
		b.end, b.ended = make(chan struct{}), make(chan struct{})
		go e.watchMemory()
	}
}

// residentBy is what tells the pool how much is in memory; nil: the system.
func (e *Engine) residentBy() func(*arena.Pool) int64 {
	use := e.cfg.MemoryUse
	if use == nil {
		return nil
	}
	return func(p *arena.Pool) int64 {
		n, _ := use(p.Resident)
		return n
	}
}

// look measures what is in memory, and has what is too much moved out.
func (b *budget) look() int64 {
	n := int64(0)
	if b.pool != nil {
		n = b.pool.Look()
	} else {
		n, _ = arena.Resident()
	}
	b.resident.Store(n)
	return n
}

// closeBudget ends all that openBudget began, after all else has ended.
func (e *Engine) closeBudget() error {
	b := &e.budget
	if b.end != nil {
		close(b.end)
		<-b.ended
		b.end = nil
		if b.limit > 0 {
			debug.SetMemoryLimit(math.MaxInt64)
		}
	}
	return b.pool.Close()
}

// watchMemory looks at the memory of the process all the time.
func (e *Engine) watchMemory() {
	b := &e.budget
	defer close(b.ended)
	timer := time.NewTimer(0)
	defer timer.Stop()
	var looked time.Time
	for {
		select {
		case <-timer.C:
		case <-b.end:
			return
		}
		n := b.look()
		if now := time.Now(); now.Sub(looked) >= heapEvery {
			looked = now
			e.lookAtHeap(n)
			e.holdIntake(n)
		}
		if n < b.max/2 {
			timer.Reset(memoryCalm)
		} else {
			timer.Reset(memoryEvery)
		}
	}
}

// lookAtHeap tells the Go runtime how much it may have: what the state outside of it leaves, but never so little that it would only
// collect garbage.
func (e *Engine) lookAtHeap(resident int64) {
	b := &e.budget
	if use := e.cfg.MemoryUse; use != nil {
		_, b.alive = use(b.pool.Resident)
	} else {
		metrics.Read(b.samples)
		b.alive = int64(b.samples[0].Value.Uint64())
		other := max(0, resident-int64(b.samples[1].Value.Uint64()-b.samples[2].Value.Uint64()))
		limit := max(b.max-other, b.max/100*heapLeast, b.alive+b.alive/4)
		if d := limit - b.limit; d > b.max/50 || d < -b.max/50 {
			b.limit = limit
			debug.SetMemoryLimit(limit)
		}
	}
	over := int64(0)
	if b.alive > b.max/100*heapMost {
		over = b.alive
	}
	b.heap.Store(over)
}

// holdIntake decides whether events are taken: not while state has to move to the disk and cannot.
func (e *Engine) holdIntake(resident int64) {
	b := &e.budget
	if b.pool == nil {
		return
	}
	b.pool.Hold(e.diskError())
	err := b.pool.Err()
	held := b.why.Load() != nil
	switch {
	case !held && err != nil && resident > b.max:
		why := sqlerr.New(sqlerr.DiskFull, "the server has %d bytes in memory, its budget is %d, and state cannot move to the disk: %v", resident, b.max, err).
			WithHint("Nothing of this request was acknowledged. Make room on the disk, drop queries that hold much (vigil.query_costs), or start with a larger --memory.")
		b.why.Store(why)
		e.log.Error("events are refused until there is memory", "error", why)
	case held && (err == nil || resident < b.max):
		b.why.Store(nil)
		e.log.Info("there is memory again: events are taken")
	}
}

// diskError is why the disk takes no state, nil while it does.
func (e *Engine) diskError() error {
	e.room.mu.Lock()
	defer e.room.mu.Unlock()
	if e.room.err == nil {
		return nil
	}
	return e.room.err
}

// strike decides, when the Go heap has more than it may, that the query with the most state there goes out of service: its state cannot leave
// memory. Called in a sweep, with the mutex of costs and the engine's held.
func (e *Engine) strike() {
	b, c := &e.budget, &e.costs
	live := b.heap.Load()
	if live == 0 || b.struck > 0 && c.sweeps < b.struck+strikePause {
		return
	}
	var most *query
	for _, q := range e.queries {
		if q.owner != q || q.dead() || slices.ContainsFunc(c.verdicts, func(v verdict) bool { return v.q == q }) {
			continue
		}
		if most == nil || q.holds().fixed() > most.holds().fixed() {
			most = q
		}
	}
	b.struck = c.sweeps
	if most == nil || most.holds().fixed() < live/10 {
		e.log.Error("the server has too much memory in use, and no query holds much of it that cannot move to the disk", "bytes", live, "budget", b.max)
		return
	}
	why := sqlerr.New(sqlerr.OutOfMemory, "memory of the server: %d bytes are in use that cannot move to the disk, its budget is %d; the query holds the most, %d",
		live, b.max, most.holds().fixed()).
		WithDetail("%s", fmt.Sprintf("State that cannot move to the disk is named in docs/limits.md. RESUME CONTINUOUS QUERY %s starts the query again.", most.spec.Name))
	c.verdicts = append(c.verdicts, verdict{q: most, why: why})
}
