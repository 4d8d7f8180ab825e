package expr

import (
	"errors"
	"fmt"
	"strings"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

// InTable asks whether a table has a row whose columns Cols equal Keys and that meets Where, an expression over the table's row
// alone (nil: all do). With Exists the answer is true or false; without, there is one key and it is x [NOT] IN (SELECT column):
// NULL when no row is equal and one is unknown, because the key or the column is NULL. Name and Schema are the table's.
type InTable struct {
	Table  uint64
	Name   string
	Schema types.Schema
	Keys   []Expr
	Cols   []int
	Where  Expr
	Exists bool
	Not    bool
}

var errNoTables = errors.New("no tables in this place")

// Type implements Expr.
func (e *InTable) Type() types.Type { return boolType }

// String implements Expr.
func (e *InTable) String() string {
	var conds []string
	if e.Exists {
		for i, k := range e.Keys {
			conds = append(conds, fmt.Sprintf("(%s = %s)", e.Schema.Cols[e.Cols[i]].Name, k))
		}
	}
	if e.Where != nil {
		conds = append(conds, e.Where.String())
	}
	where := ""
	if len(conds) > 0 {
		where = " WHERE " + strings.Join(conds, " AND ")
	}
	if e.Exists {
		return "(" + not(e.Not) + "EXISTS (SELECT FROM " + e.Name + where + "))"
	}
	return fmt.Sprintf("(%s %sIN (SELECT %s FROM %s%s))", e.Keys[0], not(e.Not), e.Schema.Cols[e.Cols[0]].Name, e.Name, where)
}

// tableNode is InTable: one lookup for all rows of a call, and at most two more to find out whether what was not found is unknown.
type tableNode struct {
	e     *InTable
	keys  []node
	where *Evaluator
	not   bool
	// want marks the columns that Where reads; rows takes them.
	want []bool
	rows *batch.Batch
	// probe looks the keys up; any, whether there is a row at all; nulls, whether there is one with NULL in the column.
	probe, any, nulls TableProbe
	vecs              []*batch.Vec
	enc               batch.Keys
	null              []bool
	found             []bool
	// hasAny and hasNull are the answers of any and nulls: 0 not asked in this call, 1 no, 2 yes.
	hasAny, hasNull uint8
	whereCtx        Ctx
	out             batch.Vec
	kept            []uint32
}

func compileTable(e *InTable, neg bool) (*tableNode, error) {
	keys, err := compileAll(e.Keys)
	if err != nil {
		return nil, err
	}
	n := &tableNode{e: e, keys: keys, not: e.Not != neg, want: make([]bool, len(e.Schema.Cols)), vecs: make([]*batch.Vec, len(keys))}
	if e.Where != nil {
		if n.where, err = Compile(e.Where); err != nil {
			return nil, err
		}
		Walk(e.Where, func(x Expr) bool {
			if c, ok := x.(*Column); ok {
				n.want[c.Index] = true
			}
			return true
		})
		n.rows = batch.New(&e.Schema, n.want)
	}
	first := e.Where == nil
	n.probe = TableProbe{Table: e.Table, Cols: e.Cols, First: first}
	n.any = TableProbe{Table: e.Table, N: 1, First: first}
	n.nulls = TableProbe{Table: e.Table, N: 1, First: first, Cols: e.Cols, Nulls: true}
	return n, nil
}

// look finds out which rows of sel have a row in the table.
func (n *tableNode) look(ev *env, sel []uint32) error {
	if len(sel) == 0 {
		return nil
	}
	if ev.ctx.Tables == nil {
		return errNoTables
	}
	for i, k := range n.keys {
		v, err := k.eval(ev, sel)
		if err != nil {
			return err
		}
		n.vecs[i] = v
	}
	n.enc.Build(n.vecs, len(sel))
	n.null, n.hasAny, n.hasNull = n.null[:0], 0, 0
	for i := range sel {
		null := false
		for _, v := range n.vecs {
			null = null || v.IsNull(i)
		}
		n.null = append(n.null, null)
	}
	n.probe.N, n.probe.Keys, n.probe.Null = len(sel), &n.enc, n.null
	if len(n.keys) == 0 { // the same for all rows
		n.probe.N = 1
	}
	if err := n.search(ev, &n.probe, sel); err != nil {
		return err
	}
	for i := 1; i < len(sel) && len(n.keys) == 0; i++ {
		n.found = append(n.found, n.found[0])
	}
	return nil
}

// search marks in found the probing rows that find a row which meets Where. A row for which Where fails is none, and the failure is
// that of the row that asks.
func (n *tableNode) search(ev *env, p *TableProbe, sel []uint32) error {
	n.found = n.found[:0]
	for range p.N {
		n.found = append(n.found, false)
	}
	p.More = false
	for {
		if n.where != nil {
			n.rows.Reset(n.want)
			p.Into = n.rows.Cols
		}
		if err := ev.ctx.Tables.Lookup(p); err != nil {
			return err
		}
		if n.where == nil {
			for _, i := range p.Rows {
				n.found[i] = true
			}
		} else if err := n.check(ev, p, sel); err != nil {
			return err
		}
		if !p.More || p.N == 1 && n.found[0] {
			p.More = false
			return nil
		}
	}
}

// check marks the probing rows of results that meet Where.
func (n *tableNode) check(ev *env, p *TableProbe, sel []uint32) error {
	n.rows.N = len(p.Rows)
	n.whereCtx = *ev.ctx
	var failed error
	n.whereCtx.RowError = func(row uint32, err error) {
		if err := ev.fail(sel[p.Rows[row]], err); err != nil && failed == nil {
			failed = err
		}
	}
	var err error
	n.kept, err = n.where.Filter(&n.whereCtx, n.rows, batch.All(n.rows.N), n.kept[:0])
	if err == nil {
		err = failed
	}
	for _, i := range n.kept {
		n.found[p.Rows[i]] = true
	}
	return err
}

// one asks a question that is the same for all rows, once a call.
func (n *tableNode) one(ev *env, answer *uint8, p *TableProbe, sel []uint32) (bool, error) {
	if *answer == 0 {
		found := n.found
		n.found = nil
		err := n.search(ev, p, sel)
		*answer = 1 + uint8(asInt(err == nil && n.found[0]))
		if n.found = found; err != nil {
			return false, err
		}
	}
	return *answer == 2, nil
}

// unknown tells whether a row that found nothing might have, were a NULL known.
func (n *tableNode) unknown(ev *env, i int, sel []uint32) (bool, error) {
	switch {
	case n.e.Exists:
		return false, nil
	case n.null[i]:
		return n.one(ev, &n.hasAny, &n.any, sel)
	case n.e.Schema.Cols[n.e.Cols[0]].NotNull:
		return false, nil
	}
	return n.one(ev, &n.hasNull, &n.nulls, sel)
}

func (n *tableNode) eval(ev *env, sel []uint32) (*batch.Vec, error) {
	n.out.Reset(boolType)
	if err := n.look(ev, sel); err != nil {
		return nil, err
	}
	for i := range sel {
		null := false
		if !n.found[i] {
			var err error
			if null, err = n.unknown(ev, i, sel); err != nil {
				return nil, err
			}
		}
		if null {
			n.out.AppendNull()
		} else {
			n.out.AppendInt(int64(asInt(n.found[i] != n.not)))
		}
	}
	return &n.out, nil
}

func (n *tableNode) filter(ev *env, sel, dst []uint32) ([]uint32, error) {
	if err := n.look(ev, sel); err != nil {
		return dst, err
	}
	for i, row := range sel {
		switch {
		case n.found[i] && !n.not:
			dst = append(dst, row)
		case !n.found[i] && n.not:
			null, err := n.unknown(ev, i, sel)
			if err != nil {
				return dst, err
			}
			if !null {
				dst = append(dst, row)
			}
		}
	}
	return dst, nil
}
