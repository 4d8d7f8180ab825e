package job

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/storage/results"
)

// A query that breaks one of its limits goes out of service at the end of an epoch: what the epoch made of it stands, but for the
// rows beyond max_rows_per_min. The decision is in that epoch's commit, as that about a query that breaks is, so that a re-run need
// not know what it was made of: CPU time, or memory, depend on the machine.

// StateThrottled is the state of a query that used more CPU time than it may: it goes on by itself, at PropUntil by the engine's
// clock, microseconds.
const (
	StateThrottled = "throttled"
	PropUntil      = "until"
)

const (
	// cpuWindow is the time over which CPU time is averaged, and the least time for which a query is throttled.
	cpuWindow = spendSlots * time.Second
	// untilLayout is how the end of a throttling is written.
	untilLayout = "2006-01-02 15:04:05Z07:00"
)

// verdict is about a query that broke a limit.
type verdict struct {
	q   *query
	why *sqlerr.Error
	// until is the clock at which the query goes on; 0: it does not by itself.
	until types.EventTime
	// function is the name of the user's function whose limit it was; "": it was the query's.
	function string
}

// queryEvent is a row for vigil.query_events about a query that stays in service.
type queryEvent struct {
	q  *query
	ev Event
}

// rowLimit counts a query's results by minutes of the epochs' clock. The committer's.
type rowLimit struct {
	// published are the rows of minute.
	minute, published int64
	// throttled: rows are held back, or were in the last minute; withheld of them since then, the last ones in withheldIn.
	throttled            bool
	withheld, withheldIn int64
}

// broken says which limit was broken, and what can be done about it in the detail.
func broken(limit, format string, args ...any) *sqlerr.Error {
	return sqlerr.New(sqlerr.ConfigurationLimitExceeded, limit+": "+format, args...).
		WithDetail("ALTER CONTINUOUS QUERY .. SET (%s = ..) changes the limit, RESUME CONTINUOUS QUERY starts the query again.", limit)
}

// judge decides, before an epoch is committed, about the queries whose state has grown in it, and takes over what the last sweep
// found out about others.
func (e *Engine) judge(ep *epoch) {
	ep.verdicts, ep.events = e.costs.verdicts, e.costs.events
	e.costs.verdicts, e.costs.events = nil, nil
	e.costs.mu.Lock()
	defer e.costs.mu.Unlock()
	var touched []*query
	for i := range ep.outs {
		for _, r := range ep.outs[i].held {
			r.q.hold(i, len(ep.outs), r.held)
			if owner := r.q.owner; owner.judged != ep.n {
				owner.judged = ep.n
				touched = append(touched, owner)
			}
		}
	}
	for _, q := range touched {
		if err := q.stateLimit(); err != nil {
			e.overState(q, err, &ep.verdicts)
		}
	}
	ep.countRefused()
}

// stateLimit checks what the query and its stages hold. Called with the mutex of costs held.
func (q *query) stateLimit() *sqlerr.Error {
	l, h := q.limits.Load(), q.holds()
	switch {
	case l.KeysMax > 0 && h.keys > l.KeysMax:
		return broken("max_keys", "the query holds %d keys, its limit is %d", h.keys, l.KeysMax)
	case l.MemoryBytes > 0 && h.bytes > l.MemoryBytes:
		return broken("memory", "the query's state takes %d bytes, its limit is %d", h.bytes, l.MemoryBytes)
	}
	return nil
}

// judgeCosts decides, at the end of a sweep, about the queries that have limits. Called with the mutex of costs and the engine's held.
func (c *costs) judgeCosts(e *Engine, ep *epoch) {
	minute := int64(ep.clock) / minuteMicros
	for _, q := range e.queries {
		if q.owner != q || q.dead() || !q.limits.Load().Any() && !q.mayShut() && !q.intake.shut {
			continue
		}
		if v := q.cpuLimit(c.span(), ep.clock); v.why != nil {
			c.verdicts = append(c.verdicts, v)
		} else if err := q.stateLimit(); err != nil {
			e.overState(q, err, &c.verdicts)
		} else if !q.intake.shut && q.mayShut() && q.overMinute(minute) {
			e.shutMinute(q) // a restart came between the rows and what was decided then
		} else {
			e.reopen(q, minute)
		}
	}
	e.strike()
	slices.SortFunc(c.verdicts, func(a, b verdict) int { return cmp.Compare(a.q.spec.ID, b.q.spec.ID) })
	c.throttled = slices.DeleteFunc(c.throttled, func(q *query) bool {
		r := &q.rows
		if minute <= r.withheldIn+1 {
			return false
		}
		if e.queries[q.spec.ID] == q {
			c.events = append(c.events, queryEvent{q, Event{What: "unthrottled", Reason: "max_rows_per_min: " +
				strconv.FormatInt(r.withheld, 10) + " rows were not published"}})
		}
		r.throttled, r.withheld = false, 0
		q.throttledBy.Store(nil)
		return true
	})
}

// cpuLimit checks the CPU time of the last seconds; a query that was not in service all the time had none before.
func (q *query) cpuLimit(span time.Duration, clock types.EventTime) verdict {
	l := q.limits.Load()
	if l.CPUMicros <= 0 {
		return verdict{}
	}
	used := time.Duration(q.spending.recent.sum())
	over := max(span, cpuWindow)
	allowed := time.Duration(float64(l.CPUMicros)*over.Seconds()) * time.Microsecond
	if used <= allowed {
		return verdict{}
	}
	v := verdict{q: q, why: broken("cpu_ms_per_s", "the query used %d ms of CPU time in %d seconds, its limit is %s ms per second",
		used.Milliseconds(), int(over.Seconds()), strconv.FormatFloat(float64(l.CPUMicros)/1e3, 'f', -1, 64))}
	if l.Throttle {
		// As long as what it used is worth at the limit.
		rest := max(cpuWindow, time.Duration(float64(used.Microseconds())/float64(l.CPUMicros)*float64(time.Second)))
		v.until = clock + types.EventTime(rest/time.Microsecond)
	}
	return v
}

// of is how many rows were published in a minute.
func (r *rowLimit) of(minute int64) int64 {
	if r.minute != minute {
		return 0
	}
	return r.published
}

// limitRows takes out of an epoch's results those beyond max_rows_per_min. Halves of an update stay together; corrections of late
// rows are published in any case, for a part of them would be no correction. A query whose result is updated and that is throttled
// publishes all, and takes no rows after that.
func (e *Engine) limitRows(ep *epoch, rows map[*query][]outRow) {
	var over []*query
	minute := int64(ep.clock) / minuteMicros
	for q, list := range rows {
		if q.owner != q {
			continue
		}
		r, l := &q.rows, q.limits.Load()
		if r.minute != minute {
			r.minute, r.published = minute, 0
		}
		r.published += int64(len(list))
		if l.RowsPerMinute > 0 && r.published > l.RowsPerMinute && !ep.corrects(q) {
			over = append(over, q)
		}
	}
	slices.SortFunc(over, func(a, b *query) int { return cmp.Compare(a.spec.ID, b.spec.ID) })
	for _, q := range over {
		list, l := rows[q], q.limits.Load()
		if l.Throttle && q.spec.Updates {
			e.shutMinute(q)
			continue
		}
		keep := max(0, len(list)-int(q.rows.published-l.RowsPerMinute))
		if keep > 0 && list[keep-1].op == batch.UpdateBefore {
			keep--
		}
		cut := int64(len(list) - keep)
		q.rows.published -= cut
		if rows[q] = list[:keep]; keep == 0 {
			delete(rows, q)
		}
		e.overRows(ep, q, l, cut)
	}
}

// overRows notes that cut rows of a query were not published.
func (e *Engine) overRows(ep *epoch, q *query, l *spec.Limits, cut int64) {
	e.costs.mu.Lock()
	q.cost.withheld += cut
	e.costs.mu.Unlock()
	r := &q.rows
	if !l.Throttle {
		ep.verdicts = append(ep.verdicts, verdict{q: q, why: broken("max_rows_per_min", "the query had more than %d result rows in a minute", l.RowsPerMinute)})
		return
	}
	r.withheld += cut
	r.withheldIn = r.minute
	if r.throttled {
		return
	}
	r.throttled = true
	why := broken("max_rows_per_min", "rows beyond %d in a minute are not published", l.RowsPerMinute)
	reason := why.Error()
	q.throttledBy.Store(&reason)
	e.costs.throttled = append(e.costs.throttled, q)
	ep.events = append(ep.events, queryEvent{q, Event{What: "throttled", Code: string(why.Code), Reason: reason, Detail: why.Detail}})
}

// corrects reports that the epoch's changes correct a query's result.
func (ep *epoch) corrects(q *query) bool {
	for _, c := range ep.changes {
		for i := range c.Corrections {
			if c.Corrections[i].QueryID == q.spec.ID && len(c.Corrections[i].rows) > 0 {
				return true
			}
		}
	}
	return false
}

// putVerdicts records the queries that broke a limit and has the sequencer take them out.
func (e *Engine) putVerdicts(b batchKV, ep *epoch) error {
	for _, x := range ep.events {
		if err := e.putQueryEvent(b, ep, x.q, x.ev); err != nil {
			return err
		}
	}
	for _, v := range ep.verdicts {
		e.mu.RLock()
		current := e.queries[v.q.spec.ID] == v.q
		e.mu.RUnlock()
		if !current || v.q.dead() {
			continue
		}
		v.q.fail(ep.n + 1) // what the epoch made of it stands
		out := outage{q: v.q, why: v.why, state: StateDeactivated, until: v.until, function: v.function}
		if v.until != 0 {
			out.state = StateThrottled
		}
		if err := e.putOutage(b, ep, out); err != nil {
			return err
		}
	}
	return nil
}

// throttled is a query that goes on by itself. The sequencer's.
type throttled struct {
	object Object
	until  types.EventTime
}

// resumeThrottled brings the queries back whose time has come, with fresh state, as RESUME does.
func (e *Engine) resumeThrottled(ep *epoch) {
	var due []uint64
	for id, t := range e.seq.throttled {
		if t.until <= ep.clock {
			due = append(due, id)
		}
	}
	slices.Sort(due)
	for _, id := range due {
		t := e.seq.throttled[id]
		delete(e.seq.throttled, id)
		c := &change{Change: Change{Resume: []Object{t.object}}, streams: map[uint64]*stream{}, queries: map[uint64]*query{},
			done: make(chan error, 1), own: true}
		if err := e.prepare(c); err != nil {
			e.log.Error("resume throttled query", "query", t.object.Meta.Name, "error", err)
			continue
		}
		e.applyChange(ep, c)
	}
}

// alterLimits gives a running query, or one that is throttled, the limits that ALTER has set.
func (e *Engine) alterLimits(ep *epoch, d *spec.Query) {
	if q := e.queries[d.ID]; q != nil {
		q.setLimits(&d.Limits)
		e.setApart(ep, q)
	}
	if t, ok := e.seq.throttled[d.ID]; ok {
		t.object.Def = d
		e.seq.throttled[d.ID] = t
	}
}

func (q *query) setLimits(l *spec.Limits) {
	q.limits.Store(l)
	q.rowsLimited.Store(l.RowsPerMinute > 0)
}

// countMinute counts, after recovery, the results that a query has had in the minute that the last of them is of, since it came
// into service.
func (e *Engine) countMinute(q *query) error {
	r := &q.rows
	return e.results.ScanBack(q.spec.ID, e.results.Next(q.spec.ID), 0, func(row results.Row) (bool, error) {
		minute := row.Clock / minuteMicros
		if r.published == 0 {
			r.minute = minute
		}
		if minute != r.minute || row.Epoch < q.inService {
			return false, nil
		}
		r.published++
		return r.published <= q.limits.Load().RowsPerMinute, nil
	})
}
