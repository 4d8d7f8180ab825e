package job

import (
	"context"

	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/task"
	"github.com/vigil-sql/vigil/executor/types"
)

// Inspection is what a running query has done, as of the end of one epoch. Counts begin when the query's operators are
// built: when it is created or resumed, and when the server starts; epochs that recovery ran again count.
type Inspection struct {
	// Clock is the epoch's, Since the clock when counting began.
	Clock, Since types.EventTime
	Workers      int
	// Parts are the query's stages, then the query itself.
	Parts []PartStatus

	q *query
	// counted is what each worker found, by part. Each writes its own.
	counted [][]task.CountMap
}

// PartStatus is a query or one of its stages.
type PartStatus struct {
	Name   string
	Root   *spec.Node
	Inputs []InputStatus
	// Counts are of all operators, summed over fronts and workers.
	Counts task.CountMap
	// Watermark is that of the result; types.MinTime before there is one.
	Watermark types.EventTime
	// RowsOut are the changes that were committed, Late the rows that came too late for an operator.
	RowsOut, Late int64
}

// InputStatus is one input of a part.
type InputStatus struct {
	Name string
	// IsResult: the input is another query's result, and Behind is in rows; else it is in bytes of the event log.
	IsResult  bool
	Watermark types.EventTime
	// Silent: nothing has come for so long that the input holds nobody back.
	Silent bool
	// Behind is what waits to be taken in; -1 where nobody can tell, because a connector reads by itself.
	Behind int64
}

// settle asks for the end of the open epoch; the answer comes when it is on disk.
type settle struct {
	done chan error
	// inspect, when set, is filled at the end of that epoch; without, what follows from the epoch is waited for too.
	inspect *Inspection
	// end: no row will follow on any stream, from an epoch of its own on.
	end bool
}

// Inspect counts what a running query has done, after everything that was appended before the call has passed it.
func (e *Engine) Inspect(ctx context.Context, id uint64) (*Inspection, error) {
	if err := e.Settle(ctx); err != nil {
		return nil, err
	}
	e.mu.RLock()
	q := e.queries[id]
	e.mu.RUnlock()
	if q == nil {
		return nil, sqlerr.New(sqlerr.ObjectNotInPrerequisite, "the query does not run")
	}
	x := &Inspection{q: q, Workers: len(e.workers), counted: make([][]task.CountMap, len(e.workers))}
	for _, part := range q.all() {
		x.Parts = append(x.Parts, PartStatus{Name: part.spec.Name, Root: part.spec.Program.Root, Counts: task.CountMap{},
			Inputs: make([]InputStatus, len(part.parts.Inputs))})
	}
	if err := e.settle(ctx, settle{inspect: x}); err != nil {
		return nil, err
	}
	x.gather(e)
	return x, nil
}

// atSequencer notes what the sequencer owns, as the epoch ends.
func (x *Inspection) atSequencer(e *Engine, ep *epoch) {
	x.Clock, x.Since = ep.clock, x.q.since
	for i, part := range x.q.all() {
		for j := range part.parts.Inputs {
			in, out := &part.parts.Inputs[j], &x.Parts[i].Inputs[j]
			out.Name, out.IsResult, out.Behind = in.Name, in.IsResult, -1
			e.mu.RLock()
			s := e.streams[part.reads[j]]
			e.mu.RUnlock()
			switch {
			case s == nil:
			case s.past != nil:
				out.Behind = s.left()
			case in.IsResult:
				out.Behind = max(0, e.results.Next(in.Source)-s.next[0])
			case s.log != nil:
				out.Behind = max(0, s.log.End()-max(s.next[0], s.log.Start()))
			}
		}
	}
}

// atOrderer notes the watermarks, as the epoch ends.
func (x *Inspection) atOrderer(e *Engine) {
	for i, part := range x.q.all() {
		x.Parts[i].Watermark = e.resultWatermark(part)
		for j := range part.parts.Inputs {
			out := &x.Parts[i].Inputs[j]
			out.Watermark = types.MinTime
			e.mu.RLock()
			s := e.streams[part.timed[j]]
			e.mu.RUnlock()
			if s != nil && (s.isResult || s.order.tracker != nil) {
				out.Watermark, out.Silent = s.order.now(), s.order.silent()
			}
		}
	}
}

// atWorker counts what the worker's operators did, as the epoch ends.
func (x *Inspection) atWorker(w *worker) {
	maps := make([]task.CountMap, len(x.Parts))
	for i, part := range x.q.all() {
		if wq := w.queries[part]; wq != nil && !wq.dead {
			maps[i] = task.CountMap{}
			wq.count(maps[i])
		}
	}
	x.counted[w.index] = maps
}

// count adds what the query's operators did; those that are not there yet have done nothing.
func (wq *workerQuery) count(m task.CountMap) {
	if wq.tree != nil {
		wq.tree.Count(m)
		return
	}
	tree, err := task.NewTree(&wq.w.ctx, wq.q.parts, nil)
	if err != nil {
		return // it will fail where it matters
	}
	tree.Count(m)
	_ = tree.Close() // it held nothing
}

// gather sums over workers and adds what the fronts did. A front may be ahead of the epoch by what it has in work.
func (x *Inspection) gather(e *Engine) {
	parts := x.q.all()
	for _, maps := range x.counted {
		for i, m := range maps {
			x.Parts[i].Counts.AddAll(m)
		}
	}
	for _, f := range e.frontList {
		f.mu.Lock()
		for i, part := range parts {
			for j := range part.parts.Inputs {
				f.count(part, j, x.Parts[i].Counts)
			}
		}
		f.mu.Unlock()
	}
	for i, part := range parts {
		for j := range part.parts.Inputs {
			if in := &part.parts.Inputs[j]; !in.IsResult && len(part.readFrom) > 0 {
				// The fronts count all rows of the stream: these came before the query.
				in.CountRead(-part.readFrom[j].rows, -part.readFrom[j].batches, part.fronts[j].nodes, x.Parts[i].Counts)
			}
		}
	}
	for i, part := range parts {
		p := &x.Parts[i]
		p.RowsOut = part.stats.RowsOut.Load()
		for _, c := range p.Counts {
			p.Late += c.Late
		}
		p.Counts[p.Root] = task.Counts{In: p.Counts[p.Root.In[0]].Out, Out: p.RowsOut}
	}
}

// count adds what this front has done for an input of a query. Rows read and rows that passed are counted here together, so that no
// more pass than are read.
func (f *front) count(part *query, input int, m task.CountMap) {
	in, fq := &part.parts.Inputs[input], f.queries[reader{part, input}]
	id := in.Source
	if s := part.past(id); s != nil && part.backfilling() {
		id = s.id()
	}
	if fp := f.plans[id]; fp != nil && !in.IsResult {
		in.CountRead(fp.read.rows, fp.read.batches, part.fronts[input].nodes, m)
	}
	if fq == nil {
		return
	}
	if in.IsResult {
		rows, batches := fq.chain.In()
		in.CountRead(rows, batches, 0, m)
	}
	in.Count(fq.noted(), m)
}
