package job

import (
	"slices"
	"strings"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/codec"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/fn"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
)

// generatedDecoder fills in the generated columns of what another decoder decodes. Its user tells it the payload's arrival
// and the clock before each call.
type generatedDecoder struct {
	inner   codec.Decoder
	cols    []spec.Generated
	evs     []*expr.Evaluator // nil for arrival and clock
	ctx     expr.Ctx
	arrival types.EventTime
	wanted  []bool // scratch: which of cols are not absent
}

// withGenerated wraps a stream's decoder where the stream has generated columns.
func withGenerated(d *spec.Stream, inner codec.Decoder) (codec.Decoder, error) {
	if len(d.Generated) == 0 {
		return inner, nil
	}
	g := &generatedDecoder{inner: inner, cols: d.Generated, wanted: make([]bool, len(d.Generated))}
	g.ctx.RowError = func(uint32, error) {} // the value is NULL then
	for _, c := range d.Generated {
		var ev *expr.Evaluator
		if c.Kind == spec.GeneratedExpr {
			var err error
			if ev, err = expr.Compile(c.X); err != nil {
				return nil, err
			}
		}
		g.evs = append(g.evs, ev)
	}
	return g, nil
}

// innerOptions are the options of the decoder below: generated columns are not in the payload.
func innerOptions(d *spec.Stream, name string, o codec.Options) codec.Options {
	if len(d.Generated) == 0 {
		return o
	}
	schema := &types.Schema{Cols: slices.Clone(d.Schema.Cols)}
	for _, c := range d.Generated {
		schema.Cols[c.Col].NotNull = false
		if c.Col == o.TimeCol {
			o.TimeCol = -1
		}
	}
	if o.Columns == nil && strings.HasPrefix(name, "CSV") {
		for i := range schema.Cols {
			if !slices.ContainsFunc(d.Generated, func(c spec.Generated) bool { return c.Col == i }) {
				o.Columns = append(o.Columns, i)
			}
		}
	}
	o.Schema = schema
	return o
}

// At implements timedDecoder.
func (g *generatedDecoder) At(arrival, clock types.EventTime) {
	g.arrival, g.ctx.Ctx = arrival, fn.Ctx{Now: clock}
	if t, ok := g.inner.(codec.Timed); ok {
		t.At(arrival, clock)
	}
}

// Decode implements codec.Decoder.
func (g *generatedDecoder) Decode(payload []byte, b *batch.Batch, most int, rej *[]codec.Reject) int {
	first := b.N
	for i, c := range g.cols {
		g.wanted[i] = !b.Cols[c.Col].Absent
		b.Cols[c.Col].Absent = true
	}
	n := g.inner.Decode(payload, b, most, rej)
	for i, c := range g.cols {
		if !g.wanted[i] {
			continue
		}
		v := &b.Cols[c.Col]
		v.Absent = false
		g.fill(i, b, v, first)
	}
	return n
}

// fill computes a column for the rows from first on.
func (g *generatedDecoder) fill(i int, b *batch.Batch, v *batch.Vec, first int) {
	switch g.cols[i].Kind {
	case spec.GeneratedArrival, spec.GeneratedClock:
		at := g.arrival
		if g.cols[i].Kind == spec.GeneratedClock {
			at = g.ctx.Now
		}
		for range b.N - first {
			v.AppendInt(int64(at))
		}
		return
	}
	if first == b.N {
		return
	}
	got, err := g.evs[i].Eval(&g.ctx, b, batch.All(b.N)[first:])
	for row := range b.N - first {
		if err != nil {
			v.AppendNull()
			continue
		}
		v.AppendFrom(got, row)
	}
}
