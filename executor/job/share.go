package job

import (
	"github.com/vigil-sql/vigil/executor/op"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
)

// Queries with the same stream, filter, keys and window keep their open windows together, in each worker by itself. What a query
// gives, and what a checkpoint has of it, is as if it were alone: op.SharedWindows. So whether windows are shared, and since
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
	if q.share == nil {
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
	members []*workerQuery // in the order in which they came
	// windows are nil while there is one member, which keeps its own.
	windows *op.SharedWindows
	timer   timer
	// complete: all members have operators.
	complete bool
	// batch is the number of the one whose rows the windows have taken last, and late those of them that were late.
	batch uint64
	late  []op.LateRow
}

// joinGroup makes a query that is attached a member of its group.
func (w *worker) joinGroup(wq *workerQuery) error {
	g := w.groups[wq.q.share]
	if g == nil {
		g = &group{key: wq.q.share, stream: wq.inputs[0]}
		g.timer = timer{id: wq.q.spec.ID, group: g}
		w.groups[g.key] = g
	}
	wq.group = g
	g.members, g.complete = append(g.members, wq), false
	switch {
	case g.windows != nil && g.windows.Open():
		// What it must not see is known now only.
		if err := wq.build(); err != nil {
			return err
		}
		g.windows.Keep(wq.tree.Window())
		w.touch(wq)
		wq.setDeadline()
	case g.windows == nil && len(g.members) > 1:
		return w.share(g)
	}
	return nil
}

// share begins to keep the windows of a group together: those that open from now on.
func (w *worker) share(g *group) error {
	windows, err := op.NewSharedWindows(g.key.window, &w.ctx)
	if err != nil {
		return err
	}
	g.windows = windows
	for _, m := range g.members {
		if m.tree == nil || m.dead {
			continue
		}
		if err := windows.Join(m.tree.Window()); err != nil {
			return err
		}
	}
	return nil
}

// leaveGroup takes a query out that is detached.
func (w *worker) leaveGroup(wq *workerQuery) {
	g := wq.group
	if g == nil {
		return
	}
	g.members = without(g.members, wq)
	if g.windows != nil && wq.tree != nil {
		g.windows.Leave(wq.tree.Window())
	}
	if len(g.members) == 0 {
		g.stream.deadlines.set(&g.timer, types.MaxTime)
		delete(w.groups, g.key)
		return
	}
	g.endSharing()
}

// endSharing leaves the last member alone as soon as no window is open that it needs.
func (g *group) endSharing() {
	if len(g.members) != 1 || g.windows == nil || g.windows.Open() {
		return
	}
	if m := g.members[0]; m.tree != nil {
		g.windows.Leave(m.tree.Window())
	}
	g.windows = nil
}

// processShared gives rows to a member of a group: the first one's go to the windows, the others have the same.
func (w *worker) processShared(wq *workerQuery, r *routed) {
	g := wq.group
	if g.batch != w.batches {
		g.batch = w.batches
		w.complete(g)
		w.wq, w.routed = wq, r
		if err := guard(w.shareOne); err != nil {
			for _, m := range g.members {
				w.check(m, err)
			}
			return
		}
		g.stream.deadlines.set(&g.timer, g.windows.Deadline())
	}
	if wq.dead {
		return
	}
	w.wq, w.routed = wq, r
	w.check(wq, guard(w.takeOpenOne))
	wq.setDeadline()
}

// complete makes the operators of all members: what these rows open is theirs.
func (w *worker) complete(g *group) {
	if g.complete {
		return
	}
	for _, m := range g.members {
		w.rouse(m)
	}
	g.complete = true
}

func (w *worker) shareRows() (err error) {
	g := w.wq.group
	g.late, err = g.windows.Process(w.routed.part(w.at, w.index).Input(w.routed.batch(w.at)))
	return err
}

func (w *worker) takeOpen() error {
	late := w.wq.group.late
	for _, l := range late {
		w.lateRow(l.Row, l.Closed)
	}
	return w.wq.tree.TakeOpen(w.routed.part(w.at, w.index).Input(w.routed.batch(w.at)), len(late))
}

// advanceGroup closes the windows of a group that end at or before a watermark.
func (w *worker) advanceGroup(g *group, wm types.EventTime) {
	for g.windows != nil && g.windows.Open() && g.windows.Deadline() <= wm {
		for _, m := range g.members {
			if w.rouse(m); m.dead {
				continue
			}
			w.touch(m)
			w.wq, w.routed = m, nil
			w.check(m, guard(w.emitSharedOne))
			m.setDeadline()
		}
		g.windows.CloseFirst()
	}
	g.endSharing()
	due := types.MaxTime
	if g.windows != nil {
		due = g.windows.Deadline()
	}
	g.stream.deadlines.set(&g.timer, due)
}

// snapshotGroups writes what members hold in shared windows.
func (w *worker) snapshotGroups(cut *checkpointCut) {
	var views []op.View
	for _, g := range w.groups {
		if g.windows == nil || !g.windows.Open() {
			continue
		}
		views = views[:0]
		for _, m := range g.members {
			if m.tree != nil && !m.dead {
				views = append(views, op.View{Agg: m.tree.Window(), Out: cut.writer(w.index, opID(m.q, 0))})
			}
		}
		if err := guard(func() error { return g.windows.Snapshot(views) }); err != nil {
			cut.fail(err)
		}
	}
}
