package op

import (
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
)

// joinPairs collects joined rows of an IntervalJoin, checks them against its condition in bulk, and sends what passes.
type joinPairs struct {
	j *IntervalJoin
	// b holds the concatenated rows; left is its left half as a batch, for the kinds that have no other output.
	b, left batch.Batch
	schema  types.Schema
	width   int // of the left half
	halves  [2]halfPairs
	// rows are the rows of the input batch, made the rows without partner among b's.
	rows, made []uint32
	sel, kept  []uint32
	port       int
	in         *batch.Batch
	rowError   func(pair uint32, err error) // the method pairError, bound once
	next       func(row uint32, err error)
}

// halfPairs is one side of the pairs: kept rows, 0 where the row is not kept.
type halfPairs struct{ refs []rowRef }

func (p *joinPairs) init(j *IntervalJoin, left, right *types.Schema) {
	p.j, p.width = j, len(left.Cols)
	p.schema.Cols = append(append(p.schema.Cols, left.Cols...), right.Cols...)
	p.b = *batch.New(&p.schema, nil)
	p.left.Schema = left
	p.rowError = p.pairError
}

// start begins a call; in is the batch that rows of the port come from.
func (p *joinPairs) start(port int, in *batch.Batch) {
	p.port, p.in = port, in
	p.reset()
}

func (p *joinPairs) reset() {
	p.b.Reset(nil)
	for side := range p.halves {
		p.halves[side].refs = p.halves[side].refs[:0]
		cols := p.cols(side)
		for i, absent := range p.j.rows.codecs[side].absent {
			cols[i].Absent = absent
		}
	}
	p.rows, p.made = p.rows[:0], p.made[:0]
}

// cols are the columns of a side.
func (p *joinPairs) cols(side int) []batch.Vec {
	if side == 0 {
		return p.b.Cols[:p.width]
	}
	return p.b.Cols[p.width:]
}

// leftOnly: the output has no right half.
func (p *joinPairs) leftOnly() bool { return p.j.spec.Kind == spec.Semi || p.j.spec.Kind == spec.Anti }

// add appends the pair of a row of the input, kept as ref, and a kept row of the other side.
func (p *joinPairs) add(row uint32, ref, other rowRef, out Emitter) error {
	leftOnly := p.leftOnly() && p.j.cond == nil
	if leftOnly && p.j.spec.Kind == spec.Anti {
		p.answered(p.leftOf(ref, other))
		return nil
	}
	for side := range 2 {
		switch {
		case leftOnly && side == 1: // nobody reads it
		case side == p.port:
			p.copyRow(side, int(row))
		default:
			p.j.rows.codecs[side].decode(p.j.rows.bytesOf(other), p.cols(side))
		}
	}
	p.halves[p.port].refs = append(p.halves[p.port].refs, ref)
	p.halves[1-p.port].refs = append(p.halves[1-p.port].refs, other)
	p.rows = append(p.rows, row)
	p.b.N++
	if leftOnly { // one is enough
		p.answered(p.leftOf(ref, other))
		p.made = append(p.made, uint32(p.b.N-1))
	}
	return p.flushIfFull(out)
}

func (p *joinPairs) leftOf(ref, other rowRef) rowRef {
	if p.port == 0 {
		return ref
	}
	return other
}

// answered marks a left row of a semi or anti join, and takes it from those that right rows meet.
func (p *joinPairs) answered(ref rowRef) bool {
	rows := &p.j.rows
	if !rows.answer(ref) {
		return false
	}
	if !rows.isOpen(ref) { // an open bucket orders its rows by their keys
		if key, empty := rows.unlink(ref, 0); empty {
			p.j.loose = append(p.j.loose, key)
		}
	}
	return true
}

func (p *joinPairs) copyRow(side, row int) {
	cols := p.cols(side)
	for _, at := range p.j.rows.codecs[side].present {
		if src := &p.in.Cols[at]; src.Absent {
			cols[at].AppendNull()
		} else {
			cols[at].AppendFrom(src, row)
		}
	}
}

func (p *joinPairs) nulls(side int) {
	cols := p.cols(side)
	for _, at := range p.j.rows.codecs[side].present {
		cols[at].AppendNull()
	}
}

// single appends a row of the input that finds no partner.
func (p *joinPairs) single(side int, row uint32, out Emitter) error {
	p.copyRow(side, int(row))
	return p.unmatched(side, row, out)
}

// fromState appends a kept row that found no partner.
func (p *joinPairs) fromState(ref rowRef, side int, out Emitter) error {
	p.j.rows.codecs[side].decode(p.j.rows.bytesOf(ref), p.cols(side))
	return p.unmatched(side, 0, out)
}

func (p *joinPairs) unmatched(side int, row uint32, out Emitter) error {
	if !p.leftOnly() || p.j.cond != nil {
		p.nulls(1 - side)
	}
	for i := range p.halves {
		p.halves[i].refs = append(p.halves[i].refs, 0)
	}
	p.rows = append(p.rows, row)
	p.made = append(p.made, uint32(p.b.N))
	p.b.N++
	return p.flushIfFull(out)
}

func (p *joinPairs) flushIfFull(out Emitter) error {
	if p.b.N < batch.RowsMax {
		return nil
	}
	return p.flush(out)
}

// flush checks the pairs and sends those that pass, with the rows without partner in their places.
func (p *joinPairs) flush(out Emitter) error {
	if p.b.N == 0 {
		return nil
	}
	pass, err := p.pass()
	if err != nil {
		return err
	}
	p.sel = p.sel[:0]
	made := p.made
	for _, i := range pass {
		for len(made) > 0 && made[0] < i {
			p.sel, made = append(p.sel, made[0]), made[1:]
		}
		if p.mark(i) {
			p.sel = append(p.sel, i)
		}
	}
	p.sel = append(p.sel, made...)
	if len(p.sel) > 0 {
		err = out.Emit(Input{B: p.output(), Sel: p.sel})
	}
	p.reset()
	return err
}

// output is the batch to send.
func (p *joinPairs) output() *batch.Batch {
	if !p.leftOnly() {
		return &p.b
	}
	p.left.Cols, p.left.N = p.b.Cols[:p.width], p.b.N
	return &p.left
}

// pass returns the pairs for which the condition is true.
func (p *joinPairs) pass() ([]uint32, error) {
	if len(p.made) == p.b.N {
		return nil, nil
	}
	all := batch.All(p.b.N)
	if len(p.made) > 0 {
		p.sel = p.sel[:0]
		made := p.made
		for _, i := range all {
			if len(made) > 0 && made[0] == i {
				made = made[1:]
				continue
			}
			p.sel = append(p.sel, i)
		}
		all = p.sel
	}
	if p.j.cond == nil {
		if len(p.made) > 0 {
			p.kept = append(p.kept[:0], all...)
			return p.kept, nil
		}
		return all, nil
	}
	ctx := p.j.ctx
	if ctx.RowError == nil {
		var err error
		p.kept, err = p.j.cond.Filter(ctx, &p.b, all, p.kept[:0])
		return p.kept, err
	}
	p.next, ctx.RowError = ctx.RowError, p.rowError
	var err error
	p.kept, err = p.j.cond.Filter(ctx, &p.b, all, p.kept[:0])
	ctx.RowError, p.next = p.next, nil
	return p.kept, err
}

// pairError reports a failure of the condition for the row of the input that is in the pair.
func (p *joinPairs) pairError(pair uint32, err error) { p.next(p.rows[pair], err) }

// mark notes that the rows of a pair found a partner, and tells whether the pair is output.
func (p *joinPairs) mark(i uint32) bool {
	j := p.j
	switch j.spec.Kind {
	case spec.Semi:
		return p.answered(p.halves[0].refs[i])
	case spec.Anti:
		p.answered(p.halves[0].refs[i])
		return false
	}
	for side := range p.halves {
		if ref := p.halves[side].refs[i]; ref != 0 && j.track[side] {
			j.rows.answer(ref)
		}
	}
	return true
}
