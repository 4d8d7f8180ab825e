package op

import (
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
)

// SortedOver computes window functions over an input that ends: it sorts once, and then goes through each partition row by
// row, with all its functions side by side.
type SortedOver struct {
	spec *spec.SortedOver
	mem  *Memory
	ctx  *expr.Ctx
	// sorts are the partition's keys, then the order's; keys computes them, sortKeys keeps them.
	sorts    []spec.SortKey
	keys     []*expr.Evaluator
	sortKeys *rowStore
	// args computes all that the functions read of a row, argRows keeps it.
	args    []*expr.Evaluator
	argRows *rowStore
	rows    *rowStore
	funcs   []sortedCalc
	out     *outBatch
}

// sortedCalc is one window function at run time. It is asked for each row of a partition in order.
type sortedCalc interface {
	// open computes what is constant in the query.
	open(ctx *expr.Ctx) error
	// begin starts a partition, next is the function's value for its current row.
	begin(p *partition) error
	next(p *partition) (types.Value, error)
	// close gives memory back.
	close()
}

var _ Operator = (*SortedOver)(nil)

// NewSortedOver compiles window functions; schema is the output schema.
func NewSortedOver(s *spec.SortedOver, schema *types.Schema, mem *Memory) (*SortedOver, error) {
	o := &SortedOver{spec: s, mem: mem, out: newOutBatch(schema)}
	for _, x := range s.Partition {
		o.sorts = append(o.sorts, spec.SortKey{X: x})
	}
	o.sorts = append(o.sorts, s.Order...)
	var err error
	if o.keys, err = compileSortKeys(o.sorts); err != nil {
		return nil, err
	}
	o.sortKeys = newRowStore(sortSchema(o.sorts), mem)
	width := len(schema.Cols) - len(s.Funcs)
	o.rows = newRowStore(&types.Schema{Cols: schema.Cols[:width:width]}, mem)
	var reads sortedReads
	for i := range s.Funcs {
		o.funcs = append(o.funcs, newSortedCalc(o, &s.Funcs[i], &reads))
	}
	if o.args, err = compileAll(reads.exprs); err != nil {
		return nil, err
	}
	o.argRows = newRowStore(&types.Schema{Cols: reads.cols}, mem)
	return o, nil
}

// sortedReads collects what functions read of a row.
type sortedReads struct {
	exprs []expr.Expr
	cols  []types.Column
}

// add returns the column of an expression, -1 for none.
func (r *sortedReads) add(e expr.Expr) int {
	if e == nil {
		return -1
	}
	r.exprs = append(r.exprs, e)
	r.cols = append(r.cols, types.Column{Name: "arg", Type: e.Type()})
	return len(r.cols) - 1
}

func newSortedCalc(o *SortedOver, f *spec.SortedFunc, reads *sortedReads) sortedCalc {
	at := sortedArgs{typ: f.Typ}
	for _, a := range f.Args {
		at.cols = append(at.cols, reads.add(a))
	}
	switch {
	case f.Kernel != nil:
		return newSortedAgg(o.mem, f, at, reads)
	case spec.Framed(f):
		return &sortedPick{name: f.Name, args: at, frame: newRowFrame(&f.Frame, reads)}
	}
	return &sortedRank{name: f.Name, args: at}
}

// Open implements Operator.
func (o *SortedOver) Open(ctx *expr.Ctx) error {
	o.ctx = ctx
	o.drop()
	o.out.b.Reset(nil)
	for _, f := range o.funcs {
		if err := f.open(ctx); err != nil {
			return err
		}
	}
	return nil
}

// drop forgets all rows.
func (o *SortedOver) drop() {
	o.rows.reset()
	o.sortKeys.reset()
	o.argRows.reset()
	for _, f := range o.funcs {
		f.close()
	}
}

// Process implements Operator.
func (o *SortedOver) Process(_ int, in Input, _ Emitter) error {
	vecs, err := evalAll(o.ctx, o.keys, in)
	if err != nil {
		return err
	}
	if err := o.sortKeys.addVecs(vecs, len(in.Sel)); err != nil {
		return err
	}
	if vecs, err = evalAll(o.ctx, o.args, in); err != nil {
		return err
	}
	if err := o.argRows.addVecs(vecs, len(in.Sel)); err != nil {
		return err
	}
	return o.rows.add(in)
}

// Advance implements Operator: the end of the input starts the output.
func (o *SortedOver) Advance(watermark types.EventTime, out Emitter) error {
	if watermark != types.MaxTime {
		return nil
	}
	order := make([]int32, o.rows.n)
	for i := range order {
		order[i] = int32(i)
	}
	sortRows(order, o.sortKeys, o.sorts)
	p := &partition{op: o}
	for len(order) > 0 {
		order = p.start(order)
		for _, f := range o.funcs {
			if err := f.begin(p); err != nil {
				return err
			}
		}
		if err := o.emit(p, out); err != nil {
			return err
		}
	}
	return o.out.flush(out)
}

// emit gives out the rows of a partition with their functions' values.
func (o *SortedOver) emit(p *partition, out Emitter) error {
	b, width := o.out.b, len(o.rows.schema.Cols)
	for p.i = 0; p.i < len(p.rows); p.i++ {
		if p.i == p.groupEnd(p.g) {
			p.g++
		}
		src, i := o.rows.at(int(p.rows[p.i]))
		for c := range width {
			if src.Cols[c].Absent {
				b.Cols[c].Absent = true
				continue
			}
			b.Cols[c].AppendFrom(&src.Cols[c], i)
		}
		for k, f := range o.funcs {
			v, err := f.next(p)
			if err != nil {
				return err
			}
			b.Cols[width+k].AppendValue(v)
		}
		if b.N++; b.N < batch.RowsMax {
			continue
		}
		if err := o.out.flush(out); err != nil {
			return err
		}
		if err := o.mem.poll(); err != nil {
			return err
		}
	}
	return nil
}

// Close implements Operator.
func (o *SortedOver) Close() error {
	o.drop()
	return nil
}

// String implements Operator.
func (o *SortedOver) String() string { return spec.Describe(&spec.Node{Op: o.spec}) }

// partition is the rows of one partition in order, and which of them is current.
type partition struct {
	op *SortedOver
	// rows are row numbers of the stores; groups tells where groups of peers begin.
	rows, groups []int32
	// i is the current row, g its group.
	i, g int
}

// start takes the rows of the first partition off order and returns the rest.
func (p *partition) start(order []int32) (rest []int32) {
	keys, n := p.op.sorts, len(p.op.spec.Partition)
	p.groups = append(p.groups[:0], 0)
	p.i, p.g = 0, 0
	end := 1
	for ; end < len(order); end++ {
		if !p.equal(order[end-1], order[end], keys[:n], 0) {
			break
		}
		if !p.equal(order[end-1], order[end], keys[n:], n) {
			p.groups = append(p.groups, int32(end))
		}
	}
	p.rows = order[:end]
	return order[end:]
}

// equal compares the keys of two rows, which begin at column from.
func (p *partition) equal(a, b int32, keys []spec.SortKey, from int) bool {
	ba, ia := p.op.sortKeys.at(int(a))
	bb, ib := p.op.sortKeys.at(int(b))
	for k := range keys {
		if compareKey(&ba.Cols[from+k], ia, &bb.Cols[from+k], ib, &keys[k]) != 0 {
			return false
		}
	}
	return true
}

// groupEnd is the end of group g.
func (p *partition) groupEnd(g int) int {
	if g+1 < len(p.groups) {
		return int(p.groups[g+1])
	}
	return len(p.rows)
}

// arg is column col, of those that functions read, of row i of the partition.
func (p *partition) arg(i, col int) types.Value {
	b, r := p.op.argRows.at(int(p.rows[i]))
	return b.Cols[col].Value(r)
}

// orderVec is where the first key of the order of row i is.
func (p *partition) orderVec(i int) (*batch.Vec, int) {
	b, r := p.op.sortKeys.at(int(p.rows[i]))
	return &b.Cols[len(p.op.spec.Partition)], r
}
