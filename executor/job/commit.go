package job

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// The operations of a result changelog.
const (
	OpInsert       byte = 1
	OpUpdateBefore byte = 2
	OpUpdateAfter  byte = 3
	OpDelete       byte = 4
)

// Rejected is one row of vigil.rejected, as stored (JSON, see docs/formats/meta.md).
type Rejected struct {
	Versioned
	Stream uint64 `json:"stream"`
	Query  uint64 `json:"query,omitempty"`
	// At is the epoch's clock, microseconds.
	At     int64  `json:"at"`
	Epoch  uint64 `json:"epoch"`
	Code   string `json:"code"`
	Reason string `json:"reason"`
	Raw    []byte `json:"raw"`
}

// Event is one row of vigil.query_events, as stored (JSON, see docs/formats/meta.md).
type Event struct {
	Versioned
	Query  uint64 `json:"query"`
	Name   string `json:"name"`
	At     int64  `json:"at"`
	Epoch  uint64 `json:"epoch"`
	What   string `json:"what"` // "created", "dropped", "deactivated", "paused", "resumed", "throttled", "unthrottled", "sink missed rows", "function deactivated", "function activated"
	Code   string `json:"code,omitempty"`
	Reason string `json:"reason,omitempty"`
	Detail string `json:"detail,omitempty"`
	// Function is whose limit it was, or what went out of service or came back.
	Function string `json:"function,omitempty"`
}

// commitLoop makes epochs durable in order, then visible.
func (e *Engine) commitLoop() {
	defer e.wg.Done()
	debug.SetPanicOnFault(true)
	for ep := range e.commits {
		ep.done.Wait()
		if ep.ahead != aheadOff {
			e.changed.Store(ep.changed.Load())
			e.counted.Store(ep.n)
		}
		if e.Err() != nil {
			ep.answer(e.Err())
			continue
		}
		if err := e.commitReading(ep); err != nil {
			e.fail(fmt.Errorf("commit epoch %d: %w", ep.n, err))
			ep.answer(e.Err())
			continue
		}
		e.giveSlots(ep)
		if ep.sweep {
			e.sweepCosts(ep)
		}
	}
	e.ckpt.wait()
}

// commitReading is commitEpoch. Results that were set aside may lie in a file, which cannot be read when the disk fails: that ends the engine,
// which has lost nothing when it is opened again.
func (e *Engine) commitReading(ep *epoch) (err error) {
	defer func() {
		if fault := faultOf(recover()); fault != nil {
			err = fmt.Errorf("results that were set aside in %s: %w: %w", e.cfg.StateDir, errUnreadable, fault)
		}
	}()
	return e.commitEpoch(ep)
}

func (e *Engine) commitEpoch(ep *epoch) error {
	if ep.replay {
		e.finishEpoch(ep)
		return nil
	}
	e.takeOver(ep)
	e.judge(ep)
	if ep.empty() && ep.checkpoint == nil && len(ep.verdicts)+len(ep.events) == 0 {
		e.handOn(ep, &gathered{})
		ep.answer(nil)
		return nil
	}
	b := e.kv.NewBatch()
	for _, c := range ep.changes {
		c.noteReads(e)
	}
	rows := e.gather(ep)
	e.limitRows(ep, rows.rows)
	put, err := e.putRows(b, ep, rows)
	if err != nil {
		return err
	}
	e.recycle(ep)
	if err := e.putRejects(b, ep); err != nil {
		return err
	}
	if err := e.putLate(b, ep); err != nil {
		return err
	}
	for _, c := range ep.changes {
		if err := c.persist(e, b, ep); err != nil {
			return err
		}
	}
	if err := e.putGates(b, ep); err != nil {
		return err
	}
	if err := e.putJoins(b, ep); err != nil {
		return err
	}
	if err := e.putFailures(b, ep); err != nil {
		return err
	}
	if err := e.putBroken(b, ep); err != nil {
		return err
	}
	if err := e.putVerdicts(b, ep); err != nil {
		return err
	}
	rec := epochRecord{n: ep.n, clock: ep.clock, restarted: ep.restarted, runs: ep.runs}
	e.meta.PutEpoch(b, ep.n, rec.encode())
	if err := b.Commit(true); err != nil {
		return err
	}
	e.committed.Store(ep.n)
	e.listsDone(ep)
	if err := put.Publish(); err != nil {
		return err
	}
	e.handOn(ep, rows)
	e.finishEpoch(ep)
	e.ckpt.trimBeside()
	return nil
}

// handOn gives the epoch's results to the queries that read them. Those who wait for what follows from the epoch wait one
// epoch more for each level of queries over queries: by then all that was committed before has passed it.
func (e *Engine) handOn(ep *epoch, all *gathered) {
	var feeds []feed
	for _, f := range ep.feeds {
		q := f.q
		var some bool
		if f.rows, some = all.rows[q]; some {
			f.from = all.first[q]
		} else if m := all.manyOf(q); m != nil {
			f.from, f.stored, some = m.from, m.published, m.published > 0
		} else {
			f.from = e.results.Next(q.spec.ID)
		}
		if some || f.moved || f.first {
			feeds = append(feeds, f)
		}
	}
	var wait, done []settler
	for _, w := range ep.settled {
		if w.levels--; w.levels >= 0 {
			wait = append(wait, w)
		} else {
			done = append(done, w)
		}
	}
	ep.settled = done
	if len(feeds)+len(wait) > 0 {
		e.fed.put(feeds, wait)
	}
}

// finishEpoch does what follows the commit: answers to waiting users, clean-up of dropped objects, the checkpoint.
func (e *Engine) finishEpoch(ep *epoch) {
	for _, q := range ep.detach {
		if !q.owner.dropped {
			continue
		}
		if err := e.results.Drop(q.spec.ID); err != nil {
			e.log.Error("drop results", "query", q.spec.Name, "error", err)
		}
	}
	e.dropTables(ep)
	e.settleFunctions(ep)
	for _, s := range ep.gone {
		e.removeStream(s)
	}
	e.tellStates(ep)
	ep.answer(nil)
	if ep.checkpoint != nil {
		e.ckpt.start(ep.checkpoint)
	}
}

// tellStates tells of the queries that went out of service, or came back, by themselves.
func (e *Engine) tellStates(ep *epoch) {
	if e.cfg.OnState == nil {
		return
	}
	for _, c := range ep.changes {
		for i := range c.Resume {
			if c.own {
				e.cfg.OnState(c.Resume[i].Meta.ID, StateRunning, "")
			}
		}
	}
	for i := range ep.outages {
		o := &ep.outages[i]
		e.cfg.OnState(o.q.spec.ID, o.state, o.reason())
	}
	for i := range ep.functions {
		if e.cfg.OnFunction != nil {
			e.cfg.OnFunction(ep.functions[i], ep.clock)
		}
	}
}

func (ep *epoch) answer(err error) {
	for _, c := range ep.changes {
		c.finish(err)
	}
	for _, w := range ep.settled {
		w.done <- err
	}
}

// byQuery sorts rows by their queries; those of one keep their order. The rows of all share one piece of memory.
func byQuery(all [][]queryRow) map[*query][]outRow {
	total, queries := 0, 0
	for _, list := range all {
		total += len(list)
		for i := range list {
			if q := list[i].q; q.gathered == 0 {
				q.gathered = 1
				queries++
			} else {
				q.gathered++
			}
		}
	}
	rows := make(map[*query][]outRow, queries)
	memory := make([]outRow, total)
	for _, list := range all {
		for i := range list {
			q := list[i].q
			if q.gathered > 0 { // its first row
				q.into, memory = memory[:0:q.gathered], memory[q.gathered:]
				q.gathered = -q.gathered
			}
			q.into = append(q.into, list[i].row)
			if q.gathered++; q.gathered == 0 { // its last
				rows[q], q.into = q.into, nil
			}
		}
	}
	return rows
}

// sortSteps puts rows into the order of their steps, and those that one step of a watermark brought out into one order
// whichever workers they came from. The halves of an update stay together.
func sortSteps(rows []outRow) {
	type unit struct{ from, n int }
	var units []unit
	for i := 0; i < len(rows); {
		n := 1
		if rows[i].op == batch.UpdateBefore && i+1 < len(rows) {
			n = 2
		}
		units = append(units, unit{i, n})
		i += n
	}
	slices.SortStableFunc(units, func(a, b unit) int { return compareSteps(&rows[a.from], &rows[b.from]) })
	out := make([]outRow, 0, len(rows))
	for _, u := range units {
		out = append(out, rows[u.from:u.from+u.n]...)
	}
	copy(rows, out)
}

// mergeUpdates leaves of several changes of one row within an epoch the first state before and the last one after: nobody
// could have seen those between.
func mergeUpdates(rows []outRow) []outRow {
	out := make([]outRow, 0, len(rows))
	last := map[string]int{} // the newest state of a row that the epoch brought, to its place in out
	for i := 0; i < len(rows); i++ {
		r := rows[i]
		switch {
		case r.op == batch.UpdateBefore && i+1 < len(rows) && rows[i+1].op == batch.UpdateAfter:
			after := rows[i+1]
			i++
			if at, ok := last[string(r.data)]; ok {
				delete(last, string(r.data))
				out[at].data = after.data
				last[string(after.data)] = at
				continue
			}
			out = append(out, r, after)
			last[string(after.data)] = len(out) - 1
		case r.op == batch.Insert:
			out = append(out, r)
			last[string(r.data)] = len(out) - 1
		default:
			out = append(out, r)
			delete(last, string(r.data))
		}
	}
	return out
}

func (e *Engine) putRejects(b batchKV, ep *epoch) error {
	put := func(list []reject) error {
		for _, r := range list {
			if _, skipped := errors.AsType[*expr.Skipped](r.err); skipped {
				continue
			}
			se := sqlerr.As(r.err)
			data, err := json.Marshal(Rejected{Stream: r.stream, Query: r.query, At: int64(ep.clock), Epoch: ep.n,
				Code: string(se.Code), Reason: clip(se.Error()), Raw: r.raw})
			if err != nil {
				return err
			}
			e.meta.Rejected.Add(b, int64(ep.clock), data)
		}
		return nil
	}
	if err := put(ep.order.rejects); err != nil {
		return err
	}
	e.meta.Rejected.Skip(ep.order.rejectsSkipped)
	for i := range ep.outs {
		if err := put(ep.outs[i].rejects); err != nil {
			return err
		}
		e.meta.Rejected.Skip(ep.outs[i].rejectsSkipped)
	}
	return nil
}

// reasonMax bounds the text of why a row was rejected, bytes: it may quote what was wrong.
const reasonMax = 4 << 10

// clip cuts a text to reasonMax, between characters.
func clip(text string) string {
	if len(text) <= reasonMax {
		return text
	}
	return strings.ToValidUTF8(text[:reasonMax], "") + ".."
}

// putFailures records the queries that broke in this epoch and has the sequencer take them out.
func (e *Engine) putFailures(b batchKV, ep *epoch) error {
	list := ep.order.failed
	for i := range ep.outs {
		list = append(list, ep.outs[i].failed...)
	}
	done := map[*query]bool{}
	for _, f := range list {
		f.q = f.q.owner
		if done[f.q] {
			continue
		}
		done[f.q] = true
		if f.q.taken {
			continue // what it does until the sequencer knows counts for nothing
		}
		out := outage{q: f.q, why: sqlerr.As(f.err), state: StateDeactivated}
		if function := ep.noteBroken(f.err); function != 0 {
			if o, err := e.object(ep, function); err == nil {
				out.function = o.Name
			}
		}
		if err := e.putOutage(b, ep, out); err != nil {
			return err
		}
	}
	return nil
}

// putQueryEvent is putEvent for a query under its name of today.
func (e *Engine) putQueryEvent(b batchKV, ep *epoch, q *query, ev Event) error {
	o, err := e.object(ep, q.spec.ID)
	if err != nil {
		return err
	}
	return e.putEvent(b, ep, o.ID, o.Name, ev)
}

func (e *Engine) putEvent(b batchKV, ep *epoch, id uint64, name string, ev Event) error {
	ev.Query, ev.Name, ev.At, ev.Epoch = id, name, int64(ep.clock), ep.n
	data, err := json.Marshal(ev)
	if err != nil {
		return err
	}
	e.meta.Events.Add(b, int64(ep.clock), data)
	return nil
}
