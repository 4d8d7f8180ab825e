package op

import (
	"math/bits"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
)

// Owner returns which of n workers owns a key with this hash (batch.HashKey). Ownership holds within a process only.
func Owner(hash uint64, n int) int {
	hi, _ := bits.Mul64(hash, uint64(n))
	return int(hi)
}

// Part is what one worker gets of a batch: the rows whose keys it owns, ascending, with those keys. Its memory belongs to
// whoever passes it to Route, so that it can travel to another goroutine.
type Part struct {
	Sel  []uint32
	Keys batch.Keys
}

// Input returns the part as an operator's input over the batch that it was routed from.
func (p *Part) Input(b *batch.Batch) Input { return Input{B: b, Sel: p.Sel, Keys: &p.Keys} }

// Router computes the keys of rows and tells which worker owns each. One goroutine uses it.
type Router struct {
	list   exprList
	failed rowFailures
	evalFn func(*batch.Batch, []uint32) error // the method eval, bound once
	ctx    *expr.Ctx
	keys   batch.Keys // of all rows, when there are several workers
}

// NewRouter compiles the key expressions.
func NewRouter(s *spec.Exchange) (*Router, error) {
	list, err := newExprList(s.Keys)
	r := &Router{list: list}
	r.evalFn = r.eval
	return r, err
}

// Open gives the router its context, which it uses until the next Open.
func (r *Router) Open(ctx *expr.Ctx) { r.ctx = ctx }

func (r *Router) eval(b *batch.Batch, sel []uint32) error { return r.list.eval(r.ctx, b, sel) }

// Route splits the rows of in among len(parts) workers, replacing what the parts held. A part may end up empty. Rows whose
// key cannot be computed are reported through the context and go nowhere.
func (r *Router) Route(in Input, parts []Part) error {
	for i := range parts {
		p := &parts[i]
		p.Sel, p.Keys.Buf, p.Keys.Hash = p.Sel[:0], p.Keys.Buf[:0], p.Keys.Hash[:0]
		p.Keys.Off = append(p.Keys.Off[:0], 0)
	}
	sel, err := r.failed.run(r.ctx, in.B, in.Sel, r.evalFn)
	if err != nil || len(sel) == 0 {
		return err
	}
	if len(parts) == 1 {
		parts[0].Sel = append(parts[0].Sel, sel...)
		parts[0].Keys.Build(r.list.vecs, len(sel))
		return nil
	}
	r.keys.Build(r.list.vecs, len(sel))
	for i, row := range sel {
		h := r.keys.Hash[i]
		p := &parts[Owner(h, len(parts))]
		p.Sel = append(p.Sel, row)
		p.Keys.Hash = append(p.Keys.Hash, h)
		p.Keys.Buf = append(p.Keys.Buf, r.keys.Key(i)...)
		p.Keys.Off = append(p.Keys.Off, uint32(len(p.Keys.Buf)))
	}
	return nil
}
