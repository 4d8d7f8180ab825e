package job

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/vigil-sql/vigil/executor/spec"
)

// costs is what queries and streams cost, as of the last sweep. The goroutines measure by wall time how long they were busy, and
// with what (see meter). Once a second the committer gathers that and scales it by the CPU time that the process had meanwhile: on
// a machine with less time than work, a goroutine that seems busy is waiting for a core for a part of it.
type costs struct {
	base  time.Time
	every time.Duration
	cpu   func() time.Duration
	// epochs is the time, in nanoseconds, that workers spent between the items of streams.
	epochs atomic.Int64
	// due is when the next sweep is: since base. The sequencer's.
	due time.Duration

	// mu guards what follows, the costs of queries and streams, and what queries hold.
	mu sync.Mutex
	// byID has the costs of all queries that are not dropped, also of those out of service.
	byID map[uint64]*queryCost
	// began is the CPU time of the process when the engine started, last at the last sweep.
	began, last time.Duration
	// sweeps counts them; spans are the lengths of the last ones, at times the ends; of the time since base.
	sweeps int
	swept  time.Duration
	spans  spans
	total  ring

	// The committer's: the queries that cost something since the last sweep, what it decided, and the queries whose rows are held back.
	touched   []*query
	verdicts  []verdict
	events    []queryEvent
	throttled []*query
}

// spendSlots is how many sweeps the recent rates are taken over: about as many seconds.
const spendSlots = 10

type (
	// ring holds the nanoseconds of the last sweeps.
	ring  [spendSlots]int64
	spans [spendSlots]time.Duration
)

func (r *ring) sum() int64 {
	n := int64(0)
	for _, x := range r {
		n += x
	}
	return n
}

// queryCost is what a query has cost since the server started, over all times it was in service.
type queryCost struct {
	rowsOut                         int64
	minutes                         minutes
	cpu                             int64 // nanoseconds
	recent                          ring
	rowsIn, withheld, inputWithheld int64
}

// minutes counts results by minutes of the engine's clock: those of the running one and of the one before.
type minutes struct{ minute, rows, before int64 }

func (m *minutes) add(minute, rows int64) {
	switch minute {
	case m.minute:
	case m.minute + 1:
		m.minute, m.before, m.rows = minute, m.rows, 0
	default:
		m.minute, m.before, m.rows = minute, 0, 0
	}
	m.rows += rows
}

const minuteMicros = 60_000_000

// rate is the number of results in the minute up to now, as if those of the minute before had come evenly.
func (m *minutes) rate(now int64) float64 {
	x := *m
	x.add(now/minuteMicros, 0)
	return float64(x.rows) + float64(x.before)*float64(minuteMicros-now%minuteMicros)/minuteMicros
}

// spending is what the sweep gathers of a query or stream. busy and rows are the committer's, of the sweep under way.
type spending struct {
	busy, rows int64
	// recent are the nanoseconds of CPU time by sweep; guarded by the mutex of costs. Of a query: since it came into service.
	recent ring
}

func (e *Engine) openCosts() {
	c := &e.costs
	c.base, c.byID, c.every = time.Now(), map[uint64]*queryCost{}, e.cfg.CostsEvery
	c.cpu = e.cfg.CPU
	if c.cpu == nil {
		c.cpu = processCPU
		if u, ok := e.cfg.UDF.(cpuUser); ok {
			c.cpu = func() time.Duration { return processCPU() + u.CPU() }
		}
	}
	c.began = c.cpu()
	c.last = c.began
}

// now reads the clock of the meters.
func (c *costs) now() int64 { return int64(time.Since(c.base)) }

// cpuUser is a pool of JavaScript workers that can tell the CPU time they have had, ended ones included.
type cpuUser interface{ CPU() time.Duration }

// sweepDue tells the sequencer whether the epoch that it opens is to be swept.
func (c *costs) sweepDue() bool {
	now := time.Since(c.base)
	if now < c.due {
		return false
	}
	c.due = max(c.due+c.every, now+c.every/2) // epochs do not end by the second; their ends do not add up
	return true
}

// attach finds or makes the costs of a query that comes into service.
func (c *costs) attach(q *query) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cost := c.byID[q.owner.spec.ID]
	if cost == nil {
		cost = &queryCost{}
		c.byID[q.owner.spec.ID] = cost
	}
	q.owner.cost = cost
}

// drop forgets a query; what it cost becomes the server's own.
func (c *costs) drop(id uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.byID, id)
}

// published counts an epoch's results; a packed row took perRow nanoseconds to put.
func (c *costs) published(ep *epoch, all *gathered, perRow float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	minute := int64(ep.clock) / minuteMicros
	for q, list := range all.rows {
		if q.owner == q {
			q.cost.published(minute, int64(len(list)))
		}
	}
	for _, m := range all.many {
		if m.q.owner == m.q {
			m.q.cost.published(minute, m.published)
		}
	}
	for i := range all.groups {
		x := &all.groups[i]
		c.gather(x.q, int64(perRow*float64(x.rows)), 0)
		if x.q.owner == x.q {
			x.q.cost.published(minute, int64(x.rows))
		}
	}
}

func (q *queryCost) published(minute, rows int64) {
	q.rowsOut += rows
	q.minutes.add(minute, rows)
}

// sweepCosts runs in the committer after a swept epoch is on disk.
func (e *Engine) sweepCosts(ep *epoch) {
	c := &e.costs
	for _, f := range e.frontList {
		f.mu.Lock()
		for _, fq := range f.queries {
			c.gather(fq.q, fq.spent.busy, fq.spent.rows)
			fq.spent.busy, fq.spent.rows = 0, 0
		}
		for _, fq := range f.meter.left {
			c.gather(fq.q, fq.spent.busy, fq.spent.rows)
		}
		clear(f.meter.left)
		f.meter.left = f.meter.left[:0]
		f.mu.Unlock()
	}
	for i := range ep.outs {
		for _, r := range ep.outs[i].spent {
			c.gather(r.q, r.busy, 0)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range ep.outs {
		for _, r := range ep.outs[i].spent {
			r.q.hold(i, len(ep.outs), r.held)
		}
	}
	e.mu.RLock()
	defer e.mu.RUnlock()
	c.fold(e, time.Since(c.base))
	c.judgeCosts(e, ep)
}

// gather adds to what a query has cost since the last sweep.
func (c *costs) gather(q *query, busy, rows int64) {
	if busy == 0 && rows == 0 {
		return
	}
	s := &q.owner.spending
	if s.busy == 0 && s.rows == 0 {
		c.touched = append(c.touched, q.owner)
	}
	s.busy, s.rows = s.busy+busy, s.rows+rows
}

// hold notes what a worker holds of a query or stage.
func (q *query) hold(worker, workers int, h held) {
	if q.held == nil {
		q.held = make([]held, workers)
	}
	q.held[worker] = h
}

// fold turns the busy times of the sweep into CPU time; now is since base. Called with mu and the engine's mu held.
func (c *costs) fold(e *Engine, now time.Duration) {
	busy := c.epochs.Swap(0)
	for _, s := range e.streams {
		n := s.stats.busy.Swap(0)
		if s.past != nil {
			c.gather(s.past.q, n, 0)
		} else if q := e.queries[spec.StageOwner(s.spec.ID)]; s.isResult && q != nil {
			c.gather(q, n, 0) // handing a result on is for the query that makes it
		} else {
			s.spending.busy += n
		}
	}
	for _, s := range e.streams {
		busy += s.spending.busy
	}
	for _, q := range c.touched {
		busy += q.spending.busy
	}
	cpu := c.cpu()
	used := max(0, int64(cpu-c.last))
	c.last = cpu
	scale := 1.0
	if busy > used {
		scale = float64(used) / float64(busy)
	}
	slot := c.sweeps % spendSlots
	c.sweeps++
	c.spans[slot], c.swept = now-c.swept, now
	c.total[slot] = used
	for _, s := range e.streams {
		s.cpu += s.spending.take(slot, scale)
		n := s.stats.Rows.Load()
		s.arrived[slot], s.counted = n-s.counted, n
	}
	for _, q := range e.queries {
		q.spending.recent[slot] = 0
	}
	for _, cost := range c.byID {
		cost.recent[slot] = 0
	}
	for _, q := range c.touched { // some of them may be out of service by now
		q.cost.rowsIn += q.spending.rows
		ns := q.spending.take(slot, scale)
		q.cost.cpu, q.cost.recent[slot] = q.cost.cpu+ns, q.cost.recent[slot]+ns
	}
	clear(c.touched)
	c.touched = c.touched[:0]
}

// take makes CPU time of what was gathered, and begins anew.
func (s *spending) take(slot int, scale float64) int64 {
	ns := int64(float64(s.busy) * scale)
	s.recent[slot] = ns
	s.busy, s.rows = 0, 0
	return ns
}

// span is the time that the rings hold.
func (c *costs) span() time.Duration {
	d := time.Duration(0)
	for _, x := range c.spans {
		d += x
	}
	return d
}

// Spent is CPU time.
type Spent struct {
	// CPU is since the server started.
	CPU time.Duration
	// PerSecond is milliseconds of CPU time per second, over about the last ten seconds.
	PerSecond float64
	// Share is the part of what the server used in that time, 0 to 1.
	Share float64
}

// QueryCost is what a query has cost since the server started, its stages included, and what it holds.
type QueryCost struct {
	Spent
	// RowsIn are the rows that passed the filters of its inputs, RowsOut the changes published, Withheld those that a limit held back.
	// InputWithheld are those of RowsIn that were not taken while the state was over a limit.
	RowsIn, RowsOut, Withheld, InputWithheld int64
	// RowsPerMinute is the rate of results over the last minute.
	RowsPerMinute float64
	// Keys and Bytes are the keyed state held.
	Keys, Bytes int64
}

// Costs is what the server's CPU time goes to. Queries and Streams (decoding, and finding out which rows are for which query),
// by id, and Server add up to Total. Server is the rest: commits, checkpoints, connections, SELECT, collecting garbage, queries
// that were dropped.
type Costs struct {
	Total, Server Spent
	Queries       map[uint64]QueryCost
	Streams       map[uint64]Spent
	// RowsPerSecond are those of streams, over about the last ten seconds.
	RowsPerSecond map[uint64]float64
}

// Costs reports what queries and streams cost, as of the last sweep.
func (e *Engine) Costs() Costs {
	c := &e.costs
	c.mu.Lock()
	defer c.mu.Unlock()
	e.mu.RLock()
	defer e.mu.RUnlock()
	span, total := c.span(), c.total.sum()
	recent := func(cpu int64, r *ring) Spent {
		s := Spent{CPU: time.Duration(cpu)}
		if n := r.sum(); n > 0 && span > 0 {
			s.PerSecond = float64(n) / 1e6 / span.Seconds()
			s.Share = float64(n) / float64(max(n, total))
		}
		return s
	}
	out := Costs{Total: recent(int64(c.last-c.began), &c.total), Queries: map[uint64]QueryCost{}, Streams: map[uint64]Spent{}, RowsPerSecond: map[uint64]float64{}}
	rest, restRecent := int64(c.last-c.began), c.total
	less := func(cpu int64, r *ring) Spent {
		rest -= cpu
		for i, n := range r {
			restRecent[i] -= n
		}
		return recent(cpu, r)
	}
	for id, s := range e.streams {
		if !s.isResult && s.past == nil {
			out.Streams[id] = less(s.cpu, &s.spending.recent)
			if span > 0 {
				out.RowsPerSecond[id] = float64(s.arrived.sum()) / span.Seconds()
			}
		}
	}
	now := int64(e.cfg.Clock())
	for id, cost := range c.byID {
		r := QueryCost{RowsIn: cost.rowsIn, RowsOut: cost.rowsOut, Withheld: cost.withheld, InputWithheld: cost.inputWithheld,
			RowsPerMinute: cost.minutes.rate(now)}
		r.Spent = less(cost.cpu, &cost.recent)
		if q := e.queries[id]; q != nil {
			h := q.holds()
			r.Keys, r.Bytes = h.keys, h.bytes
		}
		out.Queries[id] = r
	}
	for i := range restRecent {
		restRecent[i] = max(0, restRecent[i])
	}
	out.Server = recent(max(0, rest), &restRecent)
	return out
}

// holds is the keyed state of the query and its stages, over all workers. Called with the mutex of costs held.
func (q *query) holds() held {
	var sum held
	for _, part := range q.all() {
		for _, h := range part.held {
			sum.keys, sum.bytes, sum.spillable = sum.keys+h.keys, sum.bytes+h.bytes, sum.spillable+h.spillable
		}
	}
	return sum
}
