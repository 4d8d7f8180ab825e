package job

import (
	"github.com/vigil-sql/vigil/executor/op"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
)

// Queries with the same stream, filter, keys, window and EMIT keep their open windows together, in each worker by itself. What a query
// gives, and what a checkpoint has of it, is as if it were alone: op.SharedState. So whether windows are shared, and since
// when, depends on nothing that is recorded, and may differ between two runs of an epoch.

// shares gives queries that may share the same key. The sequencer's.
type shares map[string]*shareKey

type shareKey struct {
	text   string
	window *spec.WindowAgg
	users  int
}

// join sets the query's key, nil when it shares with none.
func (s shares) join(q *query) {
	text, w := q.parts.SharedWindow()
	if text == "" {
		return
	}
	k := s[text]
	if k == nil {
		k = &shareKey{text: text, window: w}
		s[text] = k
	}
	k.users++
	q.share = k
}

func (s shares) leave(q *query) {
	if q.share == nil || q.apart {
		return
	}
	if q.share.users--; q.share.users == 0 {
		delete(s, q.share.text)
	}
}

// group is the queries of one key in one worker.
type group struct {
	key     *shareKey
	stream  *workerStream
	queries []*workerQuery // in the order in which they came
	// state is nil while there is one query, which keeps its own.
	state op.SharedState
	timer timer
	// complete: all queries are members.
	complete bool
	// batch is the number of the one whose rows the state has taken last; told is as a query's.
	batch, told uint64
	// spent is what was spent on the state and is not yet shared out: nanoseconds.
	spent int64
	// cost is of entries of the state.
	cost entryCost
}

// joinGroup makes a query that is attached one of its group.
func (w *worker) joinGroup(wq *workerQuery) error {
	g := w.groups[wq.q.share]
	if g == nil {
		g = &group{key: wq.q.share, stream: wq.inputs[0]}
		g.timer = timer{id: wq.q.spec.ID, group: g}
		w.groups[g.key] = g
	}
	wq.group = g
	g.queries, g.complete = append(g.queries, wq), false
	if g.state != nil || len(g.queries) == 1 {
		return nil
	}
	var err error
	if g.state, err = op.NewSharedState(g.key.window, &w.ctx); err != nil {
		return err
	}
	g.told = w.ends
	return g.state.EndEpoch(g.stream.ended)
}

// complete makes queries members before they are given the next rows. One of EMIT EVERY becomes so in an epoch after that in which
// it came: until it has seen the end of one, it does not tell when the others do.
func (w *worker) complete(g *group) {
	if g.complete {
		return
	}
	g.complete = true
	every := g.key.window.Emit.Mode == spec.EmitEvery
	for _, wq := range g.queries {
		if w.rouse(wq); wq.dead || wq.member != nil {
			continue
		}
		if every && wq.since == w.ends {
			g.complete = false
			continue
		}
		m := wq.tree.Member()
		m.Drive = func(do func() error) { w.drive(wq, do) }
		if err := g.state.Join(m); err != nil {
			w.check(wq, err)
			continue
		}
		wq.member = m
		wq.setDeadline()
	}
}

// drive has a member do its part of what is shared.
func (w *worker) drive(wq *workerQuery, do func() error) {
	if wq.dead {
		return
	}
	g := wq.group
	g.spent += w.meter.lap()
	w.touch(wq)
	w.wq = wq
	w.check(wq, guard(do))
	w.charge(wq)
	wq.setDeadline()
}

// leaveGroup takes a query out that is detached.
func (w *worker) leaveGroup(wq *workerQuery) {
	g := wq.group
	if g == nil {
		return
	}
	g.queries = without(g.queries, wq)
	if wq.member != nil {
		g.state.Leave(wq.member)
		wq.member = nil
	}
	if len(g.queries) == 0 {
		g.stream.deadlines.set(&g.timer, types.MaxTime)
		delete(w.groups, g.key)
		return
	}
	g.endSharing()
}

// endSharing leaves the last query alone as soon as nothing is open that it needs.
func (g *group) endSharing() {
	if len(g.queries) != 1 || g.state == nil || g.state.Open() {
		return
	}
	if wq := g.queries[0]; wq.member != nil {
		g.state.Leave(wq.member)
		wq.member = nil
	}
	g.state, g.complete = nil, false
	g.stream.deadlines.set(&g.timer, types.MaxTime)
}

// shareRows gives the rows of the batch in work to the state of a group, at the turn of the first of its queries: the others have the
// same rows.
func (w *worker) shareRows(wq *workerQuery, r *routed) {
	g := wq.group
	if g.batch == w.batches {
		return
	}
	g.batch = w.batches
	w.complete(g)
	w.driveGroup(g, r, func() error {
		if g.told != w.ends {
			g.told = w.ends
			if err := g.state.EndEpoch(g.stream.ended); err != nil {
				return err
			}
		}
		return g.state.Process(r.part(w.at, w.index).Input(r.batch(w.at)))
	})
	w.shareCost(g)
}

// driveGroup does something with the state of a group. What fails there, and not in a member, is all members'.
func (w *worker) driveGroup(g *group, r *routed, do func() error) {
	w.meter.keep()
	w.routed = r
	err := guard(do)
	g.spent += w.meter.lap()
	if err != nil {
		for _, wq := range g.queries {
			if wq.member != nil {
				w.wq = wq
				w.check(wq, err)
			}
		}
		return
	}
	due := types.MaxTime
	if g.state != nil {
		due = g.state.Deadline()
	}
	g.stream.deadlines.set(&g.timer, due)
}

// takeShared is the turn of a member whose rows the state of its group has taken.
func (w *worker) takeShared(wq *workerQuery, r *routed) {
	if wq.dead {
		return
	}
	w.touch(wq)
	w.wq, w.routed = wq, r
	w.check(wq, guard(w.takeSharedOne))
	w.charge(wq)
	wq.setDeadline()
}

func (w *worker) takeSharedRows() error {
	return w.wq.tree.TakeShared(w.routed.part(w.at, w.index).Input(w.routed.batch(w.at)), w.wq.group.state.Left())
}

// advanceGroup moves time on for what a group shares.
func (w *worker) advanceGroup(g *group, wm types.EventTime) {
	if g.state == nil {
		return
	}
	w.driveGroup(g, nil, func() error { return g.state.Advance(wm) })
	w.shareCost(g)
	g.endSharing()
}

// endGroup tells the state of a group the end of an epoch, once.
func (w *worker) endGroup(g *group, wm types.EventTime) {
	if g.told == w.ends+1 {
		return
	}
	g.told = w.ends + 1
	w.driveGroup(g, nil, func() error { return g.state.EndEpoch(wm) })
	w.shareCost(g)
}

// shareCost has each query of a group pay its part of what was spent on the state.
func (w *worker) shareCost(g *group) {
	part := g.spent / int64(len(g.queries))
	for _, wq := range g.queries {
		wq.busy += part
		w.note(wq)
	}
	w.meter.own += g.spent - part*int64(len(g.queries))
	g.spent = 0
}

// snapshotGroups writes what members hold in shared state.
func (w *worker) snapshotGroups(cut *checkpointCut) {
	for _, g := range w.groups {
		if g.state == nil || !g.state.Open() {
			continue
		}
		to := w.writers(g, &cut.parts[w.index])
		err := guard(func() error { return g.state.Snapshot(to) })
		if err != nil {
			cut.fail(err)
		}
	}
}

// writers are those of a group's members; of one that is out of service nil.
func (w *worker) writers(g *group, part *[]stateBlock) func(m *op.Member) op.StateWriter {
	list := map[*op.Member]op.StateWriter{}
	for _, wq := range g.queries {
		if wq.member != nil && !wq.dead {
			list[wq.member] = cutWriter{part: part, op: opID(wq.q, 0), copies: w.copies}
		}
	}
	return func(m *op.Member) op.StateWriter { return list[m] }
}
