package job

import (
	"runtime"
	"sync/atomic"
	"time"
)

// Pause is for how long a worker stood still for a checkpoint.
type Pause struct {
	Wall time.Duration
	// CPU is what of it the worker's own thread worked, where Config.ThreadCPU tells; the rest it waited for a processor.
	CPU time.Duration
}

// pauses are the longest pauses since they were last asked for.
type pauses struct{ wall, cpu atomic.Int64 }

// CheckpointPause is the longest time for which a worker stood still for a checkpoint since the last call, and the most that it
// worked then, maybe another time.
func (e *Engine) CheckpointPause() Pause {
	return Pause{Wall: time.Duration(e.pauses.wall.Swap(0)), CPU: time.Duration(e.pauses.cpu.Swap(0))}
}

// keepState does what the epoch wants of the worker's state, and notes for how long that holds rows up.
func (w *worker) keepState(ep *epoch) {
	if ep.ahead == aheadOff && ep.checkpoint == nil {
		return
	}
	if cpu := w.e.cfg.ThreadCPU; cpu != nil {
		runtime.LockOSThread() // whose time is read
		defer runtime.UnlockOSThread()
		from := cpu()
		defer func() { raise(&w.e.pauses.cpu, int64(cpu()-from)) }()
	}
	from := time.Now()
	w.copyAhead(ep)
	if ep.checkpoint != nil {
		w.snapshot(ep.checkpoint)
	}
	raise(&w.e.pauses.wall, int64(time.Since(from)))
}

// raise makes a number n if it is less.
func raise(most *atomic.Int64, n int64) {
	for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
	}
}
