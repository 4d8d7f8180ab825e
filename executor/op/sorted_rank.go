package op

import (
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// sortedArgs is where a function's arguments are among those of all, and the type of its result.
type sortedArgs struct {
	cols []int
	typ  types.Type
}

// sortedRank is a function of the place of a row in its partition, or of another row at a distance.
type sortedRank struct {
	name string
	args sortedArgs
	// buckets is the argument of ntile, which the partition's first row tells; none: it is NULL.
	buckets int64
	none    bool
}

func (o *sortedRank) open(*expr.Ctx) error { return nil }
func (o *sortedRank) close()               {}

func (o *sortedRank) begin(p *partition) error {
	if o.name != "ntile" {
		return nil
	}
	n := p.arg(0, o.args.cols[0])
	if o.none = n.Null; o.none {
		return nil
	}
	if o.buckets = n.I; o.buckets <= 0 {
		return sqlerr.New(sqlerr.InvalidNtile, "argument of ntile must be greater than zero")
	}
	return nil
}

func (o *sortedRank) next(p *partition) (types.Value, error) {
	n := int64(len(p.rows))
	rank := int64(p.groups[p.g]) + 1
	switch o.name {
	case "row_number":
		return types.NewInt(types.Int8, int64(p.i)+1), nil
	case "rank":
		return types.NewInt(types.Int8, rank), nil
	case "dense_rank":
		return types.NewInt(types.Int8, int64(p.g)+1), nil
	case "percent_rank":
		if n == 1 {
			return types.NewFloat(0), nil
		}
		return types.NewFloat(float64(rank-1) / float64(n-1)), nil
	case "cume_dist":
		return types.NewFloat(float64(p.groupEnd(p.g)) / float64(n)), nil
	case "ntile":
		if o.none {
			return types.Null(o.args.typ), nil
		}
		return types.NewInt(types.Int4, bucket(int64(p.i), n, o.buckets)), nil
	case "lag":
		return o.distant(p, -1), nil
	}
	return o.distant(p, 1), nil // lead
}

// bucket is the number of the bucket of row i, when n rows are dealt out evenly and the first buckets take what is left over.
func bucket(i, n, buckets int64) int64 {
	size, more := n/buckets, n%buckets
	if large := more * (size + 1); i >= large {
		return more + (i-large)/size + 1
	}
	return i/(size+1) + 1
}

// distant is lag (direction -1) or lead.
func (o *sortedRank) distant(p *partition, direction int64) types.Value {
	by := int64(1)
	if len(o.args.cols) > 1 {
		v := p.arg(p.i, o.args.cols[1])
		if v.Null {
			return types.Null(o.args.typ)
		}
		by = v.I
	}
	at := int64(p.i) + direction*by
	switch {
	case at >= 0 && at < int64(len(p.rows)):
		return p.arg(int(at), o.args.cols[0])
	case len(o.args.cols) > 2:
		return p.arg(p.i, o.args.cols[2])
	}
	return types.Null(o.args.typ)
}

// sortedPick is first_value, last_value or nth_value.
type sortedPick struct {
	name  string
	args  sortedArgs
	frame rowFrame
}

func (o *sortedPick) open(ctx *expr.Ctx) error { return o.frame.open(ctx) }
func (o *sortedPick) close()                   {}

func (o *sortedPick) begin(p *partition) error { return o.frame.begin(p) }

func (o *sortedPick) next(p *partition) (types.Value, error) {
	n := int64(1)
	if o.name == "nth_value" {
		v := p.arg(p.i, o.args.cols[1])
		if v.Null {
			return types.Null(o.args.typ), nil
		}
		if n = v.I; n <= 0 {
			return v, sqlerr.New(sqlerr.InvalidNthValue, "argument of nth_value must be greater than zero")
		}
	}
	spans, err := o.frame.of(p)
	if err != nil || len(spans) == 0 {
		return types.Null(o.args.typ), err
	}
	if o.name == "last_value" {
		return p.arg(spans[len(spans)-1].hi-1, o.args.cols[0]), nil
	}
	for _, s := range spans {
		if size := int64(s.hi - s.lo); n > size {
			n -= size
			continue
		}
		return p.arg(s.lo+int(n)-1, o.args.cols[0]), nil
	}
	return types.Null(o.args.typ), nil
}
