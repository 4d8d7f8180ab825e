package predindex

import (
	"math"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/types"
)

// Estimates tells how many rows pass an atom: by its kind, and by a sample of rows where there is one. What it found out it keeps,
// so that one is used for all indexes of a stream. One goroutine uses it at a time.
type Estimates struct {
	sample *batch.Batch
	known  map[string]float64
}

// NewEstimates makes estimates by a sample, which it takes over; nil: by kind alone.
func NewEstimates(sample *batch.Batch) *Estimates {
	return &Estimates{sample: sample, known: map[string]float64{}}
}

// SampleMax is how many rows a sample should have at most.
const SampleMax = 256

// trust is how many rows of a sample the estimate by kind weighs as much as.
const trust = 8

// of is the part of all rows that passes, in (0, 1].
func (e *Estimates) of(a *atom) float64 {
	if p, ok := e.known[a.key]; ok {
		return p
	}
	p := a.prior()
	if s := e.sample; s != nil && s.N > 0 && a.x.col >= 0 && a.x.col < len(s.Cols) && !s.Cols[a.x.col].Absent {
		p = (trust*p + float64(e.count(a))) / float64(trust+s.N)
	}
	e.known[a.key] = p
	return p
}

// count is how many rows of the sample pass.
func (e *Estimates) count(a *atom) int {
	v := &e.sample.Cols[a.x.col]
	n := 0
	var low []byte
	for row := range e.sample.N {
		null := v.IsNull(row)
		switch {
		case a.kind == atomNull:
			if null != a.not {
				n++
			}
		case null || a.kind == atomNever:
		case v.Type.Phys() == types.PhysBytes:
			b := v.Bytes(row)
			if a.folds() {
				low = expr.AppendLower(low[:0], b)
			}
			if holdsBytes(a, b, low) {
				n++
			}
		case holdsInt(a, intAt(v, row)):
			n++
		}
	}
	return n
}

// intAt is the integer by which a value of a fixed-size type is compared.
func intAt(v *batch.Vec, row int) int64 {
	if v.Type.Phys() == types.PhysFloat {
		return expr.FloatOrder(v.F64[row])
	}
	return v.I64[row]
}

// prior is the estimate by kind.
func (a *atom) prior() float64 {
	if a.not {
		return 0.9
	}
	switch a.kind {
	case atomEqual:
		return 0.01
	case atomOneOf:
		return min(0.01*float64(len(a.texts)), 0.5)
	case atomInts:
		return min(0.01*float64(len(a.ints)), 0.5)
	case atomMember:
		if a.every {
			return 0.01
		}
		return min(0.02*float64(len(a.members)), 0.5)
	case atomRange:
		if a.lo == a.hi {
			return 0.01
		}
		return 0.3
	case atomNet:
		return math.Pow(0.7, float64(a.net[0]))
	case atomNull:
		return 0.3
	case atomNever:
		return 1e-6
	}
	if len(a.lits) == 0 {
		return 0.3
	}
	sum := 0.0
	for i := range a.lits {
		sum += a.lits[i].rarity()
	}
	return min(sum, 0.5)
}
