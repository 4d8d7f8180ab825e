package job

import (
	"github.com/vigil-sql/vigil/executor/op"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
)

// Queries with the same stream, filter, keys, window and EMIT keep their state together, in each worker by itself. What a query
// gives is as if it were alone: op.SharedState. So whether state is shared, and since when, depends on nothing that is recorded
// of an epoch, and may differ between two runs of it.

// shares gives queries that may share the same key. The sequencer's.
type shares map[string]*shareKey

type shareKey struct {
	text   string
	window *spec.WindowAgg
	risks  []string // of the window's aggregates
	users  int
	// born: those share only that had no rows before.
	born bool
}

// join sets the query's key, nil when it shares with none.
func (s shares) join(q *query) {
	text, w, risks := q.parts.SharedGrouping()
	if text == "" {
		return
	}
	k := s[text]
	if k == nil {
		k = &shareKey{text: text, window: w, risks: risks, born: op.SharedFromBirth(w)}
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

// group is the queries of one key in one worker that share state. Of a key whose queries must share from birth, there are several: a
// group takes new queries until rows come.
type group struct {
	key *shareKey
	// at is its place in the worker's list.
	at      int
	stream  *workerStream
	queries []*workerQuery // in the order in which they came
	// state is nil while there is one query, which keeps its own.
	state op.SharedState
	timer timer
	// complete: all queries are members.
	complete bool
	// batch is the number of the one whose rows the state has taken last; told is as a query's.
	batch, told uint64
	// op is the id under which checkpoints have the state, 0: none has it; saved is who they say that the members are; changed: they may
	// not have all of it.
	op      uint64
	saved   []byte
	changed bool
	// spent is what was spent on the state and is not yet shared out: nanoseconds.
	spent int64
	// cost is of entries of the state.
	cost entryCost
}

// joinGroup makes a query that is attached one of its group.
func (w *worker) joinGroup(wq *workerQuery) error {
	g := w.groups[wq.q.share]
	if g == nil {
		g = w.newGroup(wq)
		w.groups[g.key] = g
	}
	wq.group = g
	g.queries, g.complete = append(g.queries, wq), false
	if g.state != nil || len(g.queries) == 1 {
		return nil
	}
	if err := w.makeState(g); err != nil {
		return err
	}
	return g.state.EndEpoch(g.stream.ended)
}

// newGroup makes a group of the key of a query, without queries.
func (w *worker) newGroup(wq *workerQuery) *group {
	g := &group{key: wq.q.share, stream: wq.inputs[0], at: len(w.shared)}
	g.timer = timer{id: wq.q.spec.ID, group: g}
	w.shared = append(w.shared, g)
	return g
}

func (w *worker) makeState(g *group) (err error) {
	w.dropState(g)
	g.told, g.changed = w.ends, true
	g.state, err = op.NewSharedState(g.key.window, g.key.risks, &w.ctx)
	return err
}

// forgetGroup is told that a group has no queries any more.
func (w *worker) forgetGroup(g *group) {
	w.dropState(g)
	g.stream.deadlines.set(&g.timer, types.MaxTime)
	if w.groups[g.key] == g {
		delete(w.groups, g.key)
	}
	last := len(w.shared) - 1
	w.shared[g.at] = w.shared[last]
	w.shared[g.at].at = g.at
	w.shared[last] = nil
	w.shared = w.shared[:last]
}

// begin closes the group of a query that is about to have rows to those that come later, where they must have been there from the
// first row on. Of EMIT EVERY those that came in this epoch are another group: all that they have is told at the end of it.
func (w *worker) begin(wq *workerQuery) {
	g := wq.group
	if !g.key.born || w.groups[g.key] != g {
		return
	}
	delete(w.groups, g.key)
	if g.key.window.Emit.Mode != spec.EmitEvery {
		return
	}
	young := w.newGroup(wq)
	kept := g.queries[:0]
	for _, x := range g.queries {
		if x.since < w.ends {
			kept = append(kept, x)
			continue
		}
		x.group, young.queries = young, append(young.queries, x)
	}
	clear(g.queries[len(kept):])
	if g.queries = kept; len(kept) == 0 {
		w.forgetGroup(g)
	}
	switch {
	case len(young.queries) == 0:
		w.forgetGroup(young)
	case len(young.queries) > 1:
		if err := w.makeState(young); err != nil {
			for _, x := range young.queries {
				w.check(x, err)
			}
		}
	}
}

// complete makes queries members before they are given the next rows. One of EMIT EVERY becomes so in an epoch after that in which
// it came: until it has seen the end of one, it does not tell when the others do.
func (w *worker) complete(g *group) {
	if g.complete {
		return
	}
	g.complete, g.changed = true, true
	every := g.key.window.Emit.Mode == spec.EmitEvery
	for _, wq := range g.queries {
		if w.rouse(wq); wq.dead || wq.member != nil {
			continue
		}
		if every && !g.key.born && wq.since == w.ends {
			g.complete = false
			continue
		}
		m := w.memberOf(wq)
		if err := g.state.Join(m); err != nil {
			w.check(wq, err)
			continue
		}
		wq.member = m
		wq.setDeadline()
	}
}

// memberOf is what a query that has operators can be of the state of its group.
func (w *worker) memberOf(wq *workerQuery) *op.Member {
	m := wq.tree.Member()
	m.Drive = func(do func() error) { w.drive(wq, do) }
	return m
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
	g.queries, g.changed = without(g.queries, wq), true
	if wq.member != nil {
		g.state.Leave(wq.member)
		wq.member = nil
	}
	if len(g.queries) == 0 {
		w.forgetGroup(g)
		return
	}
	w.endSharing(g)
}

// endSharing leaves the last query alone as soon as nothing is open that it needs.
func (w *worker) endSharing(g *group) {
	if len(g.queries) != 1 || g.state == nil || g.state.Open() {
		return
	}
	if wq := g.queries[0]; wq.member != nil {
		g.state.Leave(wq.member)
		wq.member = nil
	}
	w.dropState(g)
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
		return g.state.Process(w.part(r).Input(r.batch(w.at)))
	})
	w.shareCost(g)
}

// driveGroup does something with the state of a group. What fails there, and not in a member, is all members'.
func (w *worker) driveGroup(g *group, r *routed, do func() error) {
	w.meter.keep()
	w.routed, g.changed = r, true
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
	return w.wq.tree.TakeShared(w.part(w.routed).Input(w.routed.batch(w.at)), w.wq.group.state.Left())
}

// advanceGroup moves time on for what a group shares.
func (w *worker) advanceGroup(g *group, wm types.EventTime) {
	if g.state == nil {
		return
	}
	w.driveGroup(g, nil, func() error { return g.state.Advance(wm) })
	w.shareCost(g)
	w.endSharing(g)
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
