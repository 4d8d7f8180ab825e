package job

// meter shares out the time of one goroutine of the engine: each reading of the clock ends what came before it and begins what
// follows, so that there is one reading per query and batch. It measures wall time; the sweep makes CPU time of it.
type meter struct {
	// now reads a clock that never goes back, nanoseconds.
	now func() int64
	// at is the last reading, own what of the item in work is no single query's: nanoseconds.
	at, own int64
}

// lap returns the nanoseconds since the last reading.
func (m *meter) lap() int64 {
	now := m.now()
	d := now - m.at
	m.at = now
	return d
}

// begin starts an item: what came before was waiting.
func (m *meter) begin() {
	m.lap()
	m.own = 0
}

// keep counts the time since the last reading as nobody's in particular.
func (m *meter) keep() { m.own += m.lap() }

// frontMeter is a front goroutine's meter. A batch is measured so:
//
//	keep                       what came before, decoding, is the stream's
//	start
//	pool                       what was done for all queries at once, by the index of their predicates
//	charge(fq), charge(fq) ..  each after the query's own chain has run
//	settle                     the pool is shared out
//
// Where many queries have rows of a batch, reading the clock for each would cost as much as what it measures. Then one batch of
// several is measured, and the time of the others is shared out as that of the measured one.
type frontMeter struct {
	meter
	// pooled are the nanoseconds to be shared out, matched the sum of the rows by which they are; measured are those of single
	// queries. deferred is the time of the batches that were not measured.
	pooled, matched, measured, deferred int64
	// sharers are the queries that had something to do in the batch.
	sharers []*frontQuery
	batches int
	// coarse: not every batch is measured; skip: the batch in work is not.
	coarse, skip bool
	// left are inputs of queries that went out of service since the last sweep.
	left []*frontQuery
}

// leave keeps what an input of a query has cost for the sweep.
func (m *frontMeter) leave(fq *frontQuery) {
	m.left = append(m.left, fq)
}

// Of how many batches one is measured, and from how many queries a batch on that is so.
const (
	measureEvery = 8
	measureAll   = 32
)

// frontSpent is what one front goroutine has spent on one input of a query since the last sweep.
type frontSpent struct {
	rows, busy int64
	// passed is the chain's count at the last charge; matched and alone are the rows and nanoseconds of the batch in work.
	passed, matched, alone int64
	// listed: it is among the sharers.
	listed bool
}

// start begins the part of a batch that is the queries'.
func (m *frontMeter) start() {
	m.batches++
	m.skip = m.coarse && m.batches%measureEvery != 0
}

// pool counts the time since the last reading as spent for all queries of the batch.
func (m *frontMeter) pool() {
	if !m.skip {
		m.pooled += m.lap()
	}
}

// charge counts the time since the last reading as the query's, and the rows that its chain has let in.
func (m *frontMeter) charge(fq *frontQuery) {
	passed := fq.chain.Passed()
	n := passed - fq.spent.passed
	fq.spent.passed = passed
	m.chargeRows(fq, n)
}

// chargeRows is charge where the number of rows is known.
func (m *frontMeter) chargeRows(fq *frontQuery, n int64) {
	if fq.foreign {
		fq.spent.rows += n
	}
	if !m.skip {
		m.spend(fq, m.lap())
		fq.spent.matched += n
		m.matched += n
	}
}

// spend counts nanoseconds as the query's.
func (m *frontMeter) spend(fq *frontQuery, ns int64) {
	s := &fq.spent
	s.alone += ns
	m.measured += ns
	if !s.listed {
		s.listed = true
		m.sharers = append(m.sharers, fq)
	}
}

// settle shares the pool out over the queries by their rows of a batch of rows; a part that stands for the batch itself stays the
// stream's own, so that a query that alone matches one row of a thousand does not pay for the thousand.
func (m *frontMeter) settle(rows int) {
	if m.skip {
		m.deferred += m.lap()
		return
	}
	more := 1.0
	if all := m.measured + m.pooled; all > 0 {
		more += float64(m.deferred) / float64(all)
		m.deferred = 0
	}
	rest, all := float64(m.pooled), float64(m.matched+int64(rows))
	for _, fq := range m.sharers {
		s := &fq.spent
		part := float64(m.pooled) * float64(s.matched) / all
		s.busy += int64((part + float64(s.alone)) * more)
		rest -= part
		s.matched, s.alone, s.listed = 0, 0, false
	}
	m.own += int64(rest * more)
	m.coarse = len(m.sharers) > measureAll
	m.pooled, m.matched, m.measured, m.sharers = 0, 0, 0, m.sharers[:0]
}

// charge counts the time since the last reading as the query's.
func (w *worker) charge(wq *workerQuery) {
	wq.busy += w.meter.lap()
	w.note(wq)
	if wq.watched != w.epoch.n && wq.q.owner.limits.Load().State() {
		wq.watched = w.epoch.n
		w.watched = append(w.watched, wq)
	}
}

// note makes the next sweep look at a query.
func (w *worker) note(wq *workerQuery) {
	if !wq.active {
		wq.active = true
		w.active = append(w.active, wq)
	}
}

// held is the keyed state of a query, or of one of its stages, in one worker.
type held struct {
	keys, bytes int64
	// spillable are those of the bytes that can leave memory.
	spillable int64
}

// fixed are the bytes that cannot.
func (h held) fixed() int64 { return h.bytes - h.spillable }

// spentReport is what a worker spent on a query, or a stage, since the last sweep: nanoseconds; and what it holds of it.
type spentReport struct {
	q    *query
	busy int64
	held held
}

// report hands over, at the end of an epoch, what queries with a limit hold, and, of an epoch that is swept, what the worker spent.
// Queries that had nothing to do hold what they held: they are not asked.
func (w *worker) report(ep *epoch) {
	for _, wq := range w.watched {
		w.out.held = append(w.out.held, spentReport{q: wq.q, held: wq.held()})
	}
	w.reportShut(ep.sweep)
	clear(w.watched)
	w.watched = w.watched[:0]
	if !ep.sweep {
		return
	}
	for _, wq := range w.active {
		w.out.spent = append(w.out.spent, spentReport{wq.q, wq.busy, wq.held()})
		wq.busy, wq.active = 0, false
	}
	clear(w.active)
	w.active = w.active[:0]
}

func (wq *workerQuery) held() held {
	if wq.tree == nil {
		return held{}
	}
	keys, bytes := wq.tree.Held()
	return held{keys, bytes, wq.tree.Spillable()}
}

// spent counts what the worker spent on an item that is no query's.
func (c *costs) spent(it *item, ns int64) {
	if it.stream != nil {
		it.stream.stats.busy.Add(ns)
		return
	}
	c.epochs.Add(ns)
}
