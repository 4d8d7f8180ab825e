package expr

import (
	"github.com/vigil-sql/vigil/executor/batch"
)

// search looks the keys up and takes what is found, piece by piece; test tells whether rows must meet Test, second that what is asked is
// whether they might.
func (n *queryNode) search(ev *env, test, second bool) error {
	p := &n.probe
	p.More = false
	args := n.vecs[len(n.e.Keys)+len(n.e.TestKeys):]
	for {
		n.rows.Reset(n.want)
		p.Into = n.rows.Cols[:n.width]
		if err := ev.ctx.Tables.Lookup(p); err != nil {
			return err
		}
		for k, v := range args {
			col := &n.rows.Cols[n.width+k]
			if col.Absent {
				continue
			}
			for _, i := range p.Rows {
				col.AppendFrom(v, int(i))
			}
		}
		n.rows.N = len(p.Rows)
		if err := n.take(ev, test, second); err != nil {
			return err
		}
		if !p.More || p.N == 1 && n.e.Kind == TableAny && n.found[n.asker(0)] {
			p.More = false
			return nil
		}
	}
}

// asker is who asks, by its number in the lookup: of a second one only some do.
func (n *queryNode) asker(i uint32) int {
	if len(n.part.ids) > 0 {
		return n.part.ids[i]
	}
	return int(i)
}

// take evaluates what is to be evaluated over the pairs of a piece.
func (n *queryNode) take(ev *env, test, second bool) error {
	p := &n.probe
	failed := n.enter(ev, func(row uint32) int { return n.asker(p.Rows[row]) })
	sel := batch.All(n.rows.N)
	if n.where != nil {
		var err error
		if n.kept, err = n.where.Filter(&n.inner, n.rows, sel, n.kept[:0]); err != nil {
			return err
		}
		sel = n.kept
	}
	var err error
	switch n.e.Kind {
	case TableAny:
		err = n.takeTests(sel, test || second)
	case TableOne:
		err = n.takeItems(sel)
	case TableGroup:
		err = n.takeAggs(sel)
	}
	if err == nil {
		err = *failed
	}
	return err
}

func (n *queryNode) takeTests(sel []uint32, test bool) error {
	rows := n.probe.Rows
	if n.test == nil || !test {
		for _, row := range sel {
			n.found[n.asker(rows[row])] = true
		}
		return nil
	}
	v, err := n.test.Eval(&n.inner, n.rows, sel)
	if err != nil {
		return err
	}
	for k, row := range sel {
		switch i := n.asker(rows[row]); {
		case v.IsNull(k):
			n.unknown[i] = true
		case v.I64[k] != 0:
			n.found[i] = true
		}
	}
	return nil
}

func (n *queryNode) takeItems(sel []uint32) error {
	v, err := n.item.Eval(&n.inner, n.rows, sel)
	if err != nil {
		return err
	}
	for k, row := range sel {
		i := n.probe.Rows[row]
		if n.count[i]++; n.count[i] == 1 {
			n.at[i] = n.items.N
			n.items.AppendFrom(v, k)
		}
	}
	return nil
}

func (n *queryNode) takeAggs(sel []uint32) error {
	for k := range n.aggs {
		a, of := &n.aggs[k], sel
		if a.filter != nil {
			var err error
			if a.sel, err = a.filter.Filter(&n.inner, n.rows, sel, a.sel[:0]); err != nil {
				return err
			}
			of = a.sel
		}
		if len(of) == 0 {
			continue
		}
		a.gids = a.gids[:0]
		for _, row := range of {
			a.gids = append(a.gids, n.probe.Rows[row])
		}
		for i, x := range a.args {
			v, err := x.Eval(&n.inner, n.rows, of)
			if err != nil {
				return err
			}
			a.vecs[i] = v
		}
		if err := a.kernel.Update(&n.slab, a.off, a.gids, a.vecs); err != nil {
			return err
		}
	}
	return nil
}

// searchUnknown asks for those that found nothing by the keys of Test whether it is unknown for a row: keys find no NULL. All rows that
// Where lets pass are candidates, or those of them with a NULL somewhere among the keys and their columns.
func (n *queryNode) searchUnknown(ev *env, count int) error {
	if len(n.e.TestKeys) == 0 {
		return nil // all candidates were seen
	}
	keys, tests := len(n.e.Keys), len(n.e.Keys)+len(n.e.TestKeys)
	for i := range count {
		if !n.found[i] && !n.unknown[i] && n.mayBeUnknown(i) {
			n.part.ids = append(n.part.ids, i)
		}
	}
	if len(n.part.ids) == 0 {
		return nil
	}
	n.gather()
	defer func() { n.part.ids = n.part.ids[:0] }()
	if keys > 0 {
		n.keys(keys, len(n.part.ids))
		n.probe.Cols = n.e.Cols
	} else {
		n.keys(tests, len(n.part.ids))
		n.probe.Cols, n.probe.NullAware = n.e.TestCols, true
	}
	first := n.probe.First
	n.probe.First = false
	err := n.search(ev, true, true)
	n.probe.First = first
	return err
}

// mayBeUnknown tells whether Test can be NULL for who asks as number i.
func (n *queryNode) mayBeUnknown(i int) bool {
	if !n.exact {
		return true
	}
	for k, col := range n.e.TestCols {
		if !n.e.Schema.Cols[col].NotNull || n.vecs[len(n.e.Keys)+k].IsNull(i) {
			return true
		}
	}
	return false
}

// gather makes the operands those of the part that asks again.
func (n *queryNode) gather() {
	for len(n.part.vecs) < len(n.vecs) {
		n.part.vecs = append(n.part.vecs, batch.Vec{})
	}
	for k, v := range n.vecs {
		some := &n.part.vecs[k]
		some.Reset(v.Type)
		for _, i := range n.part.ids {
			some.AppendFrom(v, i)
		}
		n.vecs[k] = some
	}
}
