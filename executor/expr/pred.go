package expr

import (
	"bytes"
	"math"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

// strictPred is the part of predicates that are NULL for NULL.
type strictPred struct{}

func (strictPred) null() int8 { return -1 }

// neverPred matches nothing: comparisons with NULL. Computed, it is NULL for every row, which compile leaves to rowNode.
type neverPred struct{ strictPred }

func (neverPred) match(_ *batch.Vec, _, dst []uint32) []uint32 { return dst }

// comparePred picks the loop for a comparison with a constant.
func comparePred(op CmpOp, c types.Value, t types.Type) pred {
	if c.Null {
		return neverPred{}
	}
	switch t.Phys() {
	case types.PhysInt:
		return newIntRange(op, c.I)
	case types.PhysFloat:
		r := newIntRange(op, FloatOrder(c.F))
		return &floatRange{intRange: *r}
	}
	if types.EqualByBytes(t) && (op == EQ || op == NE) {
		return &bytesEqual{c: c.S, not: op == NE}
	}
	return &bytesCompare{op: op, c: c.S, cb: []byte(c.S), t: t}
}

// intRange matches lo <= x <= hi, or the rest when not. All six comparisons are such a range.
type intRange struct {
	strictPred
	lo    int64
	width uint64 // hi - lo
	not   bool
	empty bool
}

func newIntRange(op CmpOp, c int64) *intRange {
	lo, hi := int64(math.MinInt64), int64(math.MaxInt64)
	r := &intRange{}
	switch op {
	case EQ, NE:
		lo, hi, r.not = c, c, op == NE
	case LT, GE: // x >= c is not x < c
		if r.not = op == GE; c == lo {
			r.empty = true
		} else {
			hi = c - 1
		}
	default:
		if r.not = op == LE; c == hi {
			r.empty = true
		} else {
			lo = c + 1
		}
	}
	r.lo, r.width = lo, uint64(hi)-uint64(lo)
	return r
}

func (p *intRange) holds(x int64) bool {
	return (!p.empty && uint64(x)-uint64(p.lo) <= p.width) != p.not
}

func (p *intRange) match(v *batch.Vec, idx, dst []uint32) []uint32 {
	if p.empty || len(v.Nulls) > 0 {
		for _, i := range idx {
			if p.holds(v.I64[i]) && !v.IsNull(int(i)) {
				dst = append(dst, i)
			}
		}
		return dst
	}
	lo, width, not, vals := uint64(p.lo), p.width, p.not, v.I64
	for _, i := range idx {
		if (uint64(vals[i])-lo <= width) != not {
			dst = append(dst, i)
		}
	}
	return dst
}

// FloatOrder maps floats to integers of the same order: -0 equals 0, NaN equals NaN and is greatest.
func FloatOrder(f float64) int64 {
	if f != f {
		return math.MaxInt64
	}
	b := int64(math.Float64bits(f))
	if b < 0 {
		return math.MinInt64 - b
	}
	return b
}

// floatRange is intRange over FloatOrder.
type floatRange struct{ intRange }

func (p *floatRange) match(v *batch.Vec, idx, dst []uint32) []uint32 {
	for _, i := range idx {
		if p.holds(FloatOrder(v.F64[i])) && !v.IsNull(int(i)) {
			dst = append(dst, i)
		}
	}
	return dst
}

// bytesEqual compares bytes for equality.
type bytesEqual struct {
	strictPred
	c   string
	not bool
}

func (p *bytesEqual) match(v *batch.Vec, idx, dst []uint32) []uint32 {
	off, buf, c := v.Off, v.Buf, p.c
	if p.not || c == "" { // NULL rows hold the empty string
		for _, i := range idx {
			if (string(buf[off[i]:off[i+1]]) == c) != p.not && !v.IsNull(int(i)) {
				dst = append(dst, i)
			}
		}
		return dst
	}
	n, first := uint32(len(c)), c[0]
	for _, i := range idx {
		a, z := off[i], off[i+1]
		if z-a == n && buf[a] == first && string(buf[a:z]) == c {
			dst = append(dst, i)
		}
	}
	return dst
}

// bytesCompare orders stored forms.
type bytesCompare struct {
	strictPred
	op CmpOp
	c  string
	cb []byte
	t  types.Type
}

func (p *bytesCompare) match(v *batch.Vec, idx, dst []uint32) []uint32 {
	for _, i := range idx {
		if !v.IsNull(int(i)) && p.op.holds(compareBytes(p.t, v.Bytes(int(i)), p.cb)) {
			dst = append(dst, i)
		}
	}
	return dst
}

// compareBytes orders two stored forms without allocating for text and addresses.
func compareBytes(t types.Type, a, b []byte) int {
	switch t.Kind {
	case types.Text, types.Varchar, types.Name, types.Bytea, types.UUID:
		return bytes.Compare(a, b)
	}
	return types.CompareStored(t, string(a), string(b))
}

// nullPred is IS [NOT] NULL.
type nullPred struct{ not bool }

func (p *nullPred) null() int8 { return asInt(!p.not) }

func (p *nullPred) match(v *batch.Vec, idx, dst []uint32) []uint32 {
	if len(v.Nulls) == 0 {
		if p.not {
			dst = append(dst, idx...)
		}
		return dst
	}
	for _, i := range idx {
		if v.IsNull(int(i)) != p.not {
			dst = append(dst, i)
		}
	}
	return dst
}

// likePred is [NOT] [I]LIKE with a constant pattern.
type likePred struct {
	strictPred
	m   *LikeMatcher
	not bool
}

func (p *likePred) match(v *batch.Vec, idx, dst []uint32) []uint32 {
	for _, i := range idx {
		if p.m.match(v.Bytes(int(i))) != p.not && !v.IsNull(int(i)) {
			dst = append(dst, i)
		}
	}
	return dst
}

// shortList is up to how many members a list is searched one by one.
const shortList = 4

// inPred picks the search for a list of constants; nil when the list needs another way (NULL members, odd types).
func inPred(t types.Type, vals []types.Value, not bool) pred {
	for _, v := range vals {
		if v.Null {
			return nil
		}
	}
	switch t.Phys() {
	case types.PhysInt, types.PhysFloat:
		p := &intSet{not: not, float: t.Phys() == types.PhysFloat, set: make(map[int64]struct{}, len(vals))}
		for _, v := range vals {
			x := v.I
			if p.float {
				x = FloatOrder(v.F)
			}
			p.set[x] = struct{}{}
			p.list = append(p.list, x)
		}
		return p
	}
	if !types.EqualByBytes(t) {
		return nil
	}
	p := &bytesSet{not: not, set: make(map[string]struct{}, len(vals))}
	for _, v := range vals {
		p.set[v.S] = struct{}{}
		p.list = append(p.list, v.S)
		p.lenMax = max(p.lenMax, len(v.S))
	}
	return p
}

// intSet is IN over integers, or over floats in FloatOrder.
type intSet struct {
	strictPred
	set        map[int64]struct{}
	list       []int64
	not, float bool
}

func (p *intSet) has(x int64) bool {
	if len(p.list) > shortList {
		_, ok := p.set[x]
		return ok
	}
	for _, y := range p.list {
		if x == y {
			return true
		}
	}
	return false
}

func (p *intSet) match(v *batch.Vec, idx, dst []uint32) []uint32 {
	for _, i := range idx {
		var x int64
		if p.float {
			x = FloatOrder(v.F64[i])
		} else {
			x = v.I64[i]
		}
		if p.has(x) != p.not && !v.IsNull(int(i)) {
			dst = append(dst, i)
		}
	}
	return dst
}

// bytesSet is IN over bytes.
type bytesSet struct {
	strictPred
	set    map[string]struct{}
	list   []string
	lenMax int
	not    bool
}

func (p *bytesSet) has(b []byte) bool {
	if len(b) > p.lenMax {
		return false
	}
	if len(p.list) > shortList {
		_, ok := p.set[string(b)]
		return ok
	}
	for _, s := range p.list {
		if string(b) == s {
			return true
		}
	}
	return false
}

func (p *bytesSet) match(v *batch.Vec, idx, dst []uint32) []uint32 {
	for _, i := range idx {
		if p.has(v.Bytes(int(i))) != p.not && !v.IsNull(int(i)) {
			dst = append(dst, i)
		}
	}
	return dst
}
