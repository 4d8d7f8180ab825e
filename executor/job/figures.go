package job

import (
	"sync"
	"time"
)

// QueueFigures are how many things wait in one of the engine's queues, and how many may.
type QueueFigures struct {
	Name         string
	Waiting, Max int
}

// Queues lists the engine's bounded queues, in the order in which events pass them.
func (e *Engine) Queues() []QueueFigures {
	return []QueueFigures{{"inbox", len(e.inbox), cap(e.inbox)}, {"changes", len(e.changes), cap(e.changes)}, {"fronts", len(e.fronts), cap(e.fronts)},
		{"ordered", len(e.ordered), cap(e.ordered)}, {"commits", len(e.commits), cap(e.commits)}}
}

// FedRows is how many committed rows wait for the queries that read other queries' results. They are those of an epoch or two, in
// memory or, where they are many, in the store: the sequencer takes them before it takes anything else.
func (e *Engine) FedRows() (n int64) {
	f := &e.fed
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.feeds {
		n += f.feeds[i].count()
	}
	return n
}

// CheckpointFigures are for metrics; counters are since the server started.
type CheckpointFigures struct {
	Done, Failed, Bytes int64
	// Last is how long the newest took to be written, LastBytes how much it was; zero before the first.
	Last      time.Duration
	LastBytes int64
	// Ended is when it was complete; before the first, when the server started.
	Ended time.Time
	// Pause is the longest time that a worker stood still for a checkpoint.
	Pause time.Duration
}

// checkpointFigures are gathered by those who write checkpoints.
type checkpointFigures struct {
	mu sync.Mutex
	f  CheckpointFigures
}

// note takes in a checkpoint that was begun at a time.
func (c *checkpointFigures) note(cut *checkpointCut, began time.Time, err error) {
	bytes := int64(0)
	for _, part := range cut.parts {
		for i := range part {
			bytes += int64(len(part[i].data))
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.f.Failed++
		return
	}
	c.f.Done, c.f.Bytes, c.f.LastBytes = c.f.Done+1, c.f.Bytes+bytes, bytes
	c.f.Ended = time.Now()
	c.f.Last = c.f.Ended.Sub(began)
}

// Checkpoints tells of the checkpoints of keyed state.
func (e *Engine) Checkpoints() CheckpointFigures {
	c := &e.ckpt.figures
	c.mu.Lock()
	f := c.f
	c.mu.Unlock()
	f.Pause = time.Duration(e.pauses.wall.Load())
	return f
}
