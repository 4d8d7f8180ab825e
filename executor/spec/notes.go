package spec

import (
	"fmt"

	"github.com/vigil-sql/vigil/executor/window"
)

// Note is something that choosing physical operators did, for EXPLAIN.
type Note struct{ Topic, Text string }

// Notes tells how a continuous program is cut up and what its operators do for one another; a bounded one has none.
func Notes(p *Program) []Note {
	if !p.Continuous {
		return nil
	}
	var w noter
	for _, st := range p.Stages {
		w.add("stages", "%s is a stage: rows change hands behind it, and its result is what ResultScan %s reads", st.Name, st.Name)
	}
	for _, st := range p.Stages {
		w.node(st.Program.Root)
	}
	w.node(p.Root)
	return w.notes
}

type noter struct{ notes []Note }

func (w *noter) add(topic, format string, args ...any) {
	w.notes = append(w.notes, Note{topic, fmt.Sprintf(format, args...)})
}

func (w *noter) node(n *Node) {
	switch op := n.Op.(type) {
	case *Exchange:
		w.front(n.In[0], fmt.Sprintf("before rows go to the worker that owns (%s)", list(op.Keys)))
		return
	case *Result:
		if !Keyed(n.In[0]) {
			w.front(n.In[0], "on each batch as it is decoded")
			return
		}
	case *WindowAgg:
		w.panes(n, op)
	case *Filter:
		switch n.In[0].Op.(type) {
		case *WindowAgg, *GroupAgg:
			w.add("having", "%s is checked inside the grouping, before its rows are made", parens(op.Cond.String()))
		}
	}
	for _, in := range n.In {
		w.node(in)
	}
}

// front notes the conditions that are checked as rows come in.
func (w *noter) front(n *Node, when string) {
	if f, ok := n.Op.(*Filter); ok {
		w.add("front", "%s is checked %s", parens(f.Cond.String()), when)
	}
	for _, in := range n.In {
		w.front(in, when)
	}
}

// panes notes windows that are put together from parts.
func (w *noter) panes(n *Node, op *WindowAgg) {
	g, ok := window.GridOf(op.Window)
	if !ok || g.Pane == g.Size {
		return
	}
	w.add("panes", "a row is added to one pane of %s; %s puts its windows together from up to %d panes", micros(g.Pane),
		windowText(op.Window, windowColumn(n, op)), g.Size/g.Pane)
}
