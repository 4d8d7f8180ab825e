package worker

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"time"

	"github.com/dop251/goja"

	"github.com/vigil-sql/vigil/udf/wire"
)

const (
	// tick is how often a running batch is looked at; a row may use so much more CPU time than its limit.
	tick = 3 * time.Millisecond
	// quietTicks is for how many looks without a batch the watchdog stays awake.
	quietTicks = 20
	// memorySlack is heap that is the worker's own: frames, results, the collector's delay.
	memorySlack = 8 << 20
	// verdictRounds is in how many collections in a row too much must be reachable, verdictPercent the collector's pace (GOGC) in
	// them: so near its goal, whoever allocates has to help it first, and cannot run ahead of it.
	verdictRounds, verdictPercent = 3, 1
	// realmBytes is the heap of a frozen realm, as BenchmarkRealm tells, rounded up.
	realmBytes = 640 << 10
)

// watchdog interrupts JavaScript that uses more CPU time or heap than its function may. It looks at a CPU clock, not at
// the wall: a row that had to wait for the machine is innocent.
type watchdog struct {
	progress *wire.Progress
	clock    func() time.Duration // CPU time of the thread that runs JavaScript

	mu     sync.Mutex
	rt     *goja.Runtime // nil between batches
	limits wire.Limits
	extra  uint64 // bytes of the batch itself
	base   uint64 // heap bytes of a worker that has no realm
	realms uint64 // heap bytes of all realms
	row    uint64
	since  time.Duration // clock when row was first seen
	asleep bool
	ticked bool // since growing was asked
	closed bool

	wake    chan struct{} // capacity 1; closed by stop
	stopped chan struct{}
	sample  [2]metrics.Sample
}

func newWatchdog(p *wire.Progress) *watchdog {
	w := &watchdog{progress: p, clock: threadClock(), wake: make(chan struct{}, 1), stopped: make(chan struct{}), asleep: true}
	w.sample[0].Name, w.sample[1].Name = "/memory/classes/heap/objects:bytes", "/gc/heap/live:bytes"
	runtime.GC()
	_, w.base = w.heap()
	go w.run()
	return w
}

// begin arms the watchdog for a batch of f.
func (w *watchdog) begin(f *function, frameBytes int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rt, w.limits, w.extra, w.row = f.realm.rt, f.def.Limits, 3*uint64(frameBytes), 0
	if w.asleep {
		w.asleep = false
		w.wake <- struct{}{}
	}
}

// end disarms it. An interrupt already given stays with the runtime; evaluate knows a stale one by its row.
func (w *watchdog) end() {
	w.mu.Lock()
	w.rt = nil
	w.mu.Unlock()
}

// growing reports, at most once a tick, that it is worth looking at the size of the process: a batch ran for so long that
// the watchdog saw it, so it may have grown.
func (w *watchdog) growing() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.ticked
	w.ticked = false
	return t
}

// setRealms tells how many realms there are; they are the worker's own heap, not the running function's.
func (w *watchdog) setRealms(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.realms = uint64(n) * realmBytes
}

// heap is the bytes of all objects, garbage among them, and of those that the last collection found reachable.
func (w *watchdog) heap() (all, reachable uint64) {
	metrics.Read(w.sample[:])
	return w.sample[0].Value.Uint64(), w.sample[1].Value.Uint64()
}

// stop ends the goroutine.
func (w *watchdog) stop() {
	w.mu.Lock()
	w.rt, w.closed = nil, true
	w.mu.Unlock()
	close(w.wake)
	<-w.stopped
}

func (w *watchdog) run() {
	defer close(w.stopped)
	t := time.NewTicker(tick)
	defer t.Stop()
	for range w.wake {
		t.Reset(tick)
		for quiet := 0; quiet < quietTicks; {
			<-t.C
			if w.look() {
				quiet = 0
			} else {
				quiet++
			}
		}
		t.Stop()
		if !w.sleep() {
			return
		}
	}
}

// sleep reports false when the worker ends; a batch that began meanwhile wakes it at once.
func (w *watchdog) sleep() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asleep = w.rt == nil
	if !w.asleep {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
	return !w.closed
}

// look checks the running row and reports whether there is one.
func (w *watchdog) look() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.rt == nil {
		return false
	}
	w.ticked = true
	row, _ := w.progress.Load()
	now := w.clock()
	if row != w.row {
		w.row, w.since = row, now
	}
	switch {
	case now-w.since > time.Duration(w.limits.TimeoutMicros)*time.Microsecond:
		w.rt.Interrupt(&stop{row, wire.TimeLimit})
	case w.overMemory():
		w.rt.Interrupt(&stop{row, wire.MemoryLimit})
	}
	return true
}

// overMemory reports whether more is reachable than allowed: garbage does not count, so it collects before it judges. The
// function runs on meanwhile, and what it allocates during a collection or after it counts as reachable, all the more when the
// machine is busy and this goroutine has to wait; so the collector is hurried, its own count is what is judged, and the least of several.
func (w *watchdog) overMemory() bool {
	most := w.base + w.realms + w.extra + memorySlack + uint64(w.limits.MemoryBytes)
	if all, _ := w.heap(); all <= most {
		return false
	}
	defer debug.SetGCPercent(debug.SetGCPercent(verdictPercent))
	for range verdictRounds {
		runtime.GC()
		if _, reachable := w.heap(); reachable <= most {
			return false
		}
	}
	return true
}
