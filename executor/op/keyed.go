package op

import (
	"fmt"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/types"
)

// keyedRows gives an operator the encoded keys of its input rows: those of an Exchange, or its own.
type keyedRows struct {
	list   exprList
	failed rowFailures
	evalFn func(*batch.Batch, []uint32) error // the method eval, bound once
	// more, when set, evaluates what else the operator needs of the same rows.
	more func(*batch.Batch, []uint32) error
	ctx  *expr.Ctx
	own  bool // keys of the batch in work are computed here
	// built are the keys of the rows that did not fail.
	built  batch.Keys
	places []uint32
	types  []types.Type
}

func (k *keyedRows) init(keys []expr.Expr) (err error) {
	k.evalFn = k.eval
	k.list, err = newExprList(keys)
	for _, e := range keys {
		k.types = append(k.types, e.Type())
	}
	return err
}

func (k *keyedRows) eval(b *batch.Batch, rows []uint32) error {
	if k.own {
		if err := k.list.eval(k.ctx, b, rows); err != nil {
			return err
		}
	}
	if k.more != nil {
		return k.more(b, rows)
	}
	return nil
}

// of returns the rows of in whose expressions did not fail, and for each its place in keys. All are valid until the next
// call, and while in is.
func (k *keyedRows) of(in Input) (rows, places []uint32, keys *batch.Keys, err error) {
	if in.Keys != nil && len(in.Keys.Hash) != len(in.Sel) {
		return nil, nil, nil, fmt.Errorf("%d keys for %d rows", len(in.Keys.Hash), len(in.Sel))
	}
	if len(in.B.Ops) > 0 {
		return nil, nil, nil, fmt.Errorf("rows that correct others cannot be taken here")
	}
	k.own = in.Keys == nil
	rows = in.Sel
	if k.own || k.more != nil {
		if rows, err = k.failed.run(k.ctx, in.B, in.Sel, k.evalFn); err != nil || len(rows) == 0 {
			return nil, nil, nil, err
		}
	}
	if k.own {
		k.built.Build(k.list.vecs, len(rows))
		return rows, batch.All(len(rows)), &k.built, nil
	}
	if places = batch.All(len(rows)); len(rows) != len(in.Sel) {
		k.places = pick(k.places[:0], batch.All(len(in.Sel)), in.Sel, rows)
		places = k.places
	}
	return rows, places, in.Keys, nil
}

// marks walks the marks of a batch's rows that were behind the watermark, row by ascending row.
type marks struct {
	in     *Input
	behind []batch.Behind
}

func newMarks(in *Input) marks { return marks{in, in.B.Behind} }

// closed is the watermark that had passed before the row, as far as the row is behind it; MinTime when it is not.
func (m *marks) closed(row uint32) types.EventTime {
	for len(m.behind) > 0 && m.behind[0].Row < row {
		m.behind = m.behind[1:]
	}
	if len(m.behind) > 0 && m.behind[0].Row == row {
		return m.in.Closed(m.behind[0])
	}
	return types.MinTime
}

// addTime is a + b that stays within the times there are.
func addTime(a, b int64) int64 {
	s := a + b
	switch {
	case b > 0 && s < a:
		return int64(types.MaxTime)
	case b < 0 && s > a:
		return int64(types.MinTime)
	}
	return s
}

// floorTo is the largest multiple of width that is not above t, or MinTime where there is none.
func floorTo(t, width int64) int64 {
	r := t % width
	if r < 0 {
		r += width
	}
	return addTime(t, -r)
}
