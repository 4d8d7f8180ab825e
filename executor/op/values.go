package op

import (
	"fmt"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
)

// Values emits literal rows.
type Values struct {
	spec *spec.Values
	ctx  *expr.Ctx
	out  *outBatch
}

var _ Source = (*Values)(nil)

// NewValues returns the source of a VALUES list with the given output schema.
func NewValues(s *spec.Values, schema *types.Schema) *Values {
	return &Values{spec: s, out: newOutBatch(schema)}
}

// Open implements Source.
func (v *Values) Open(ctx *expr.Ctx) error {
	v.ctx = ctx
	v.out.b.Reset(nil)
	return nil
}

// Run implements Source.
func (v *Values) Run(out Emitter) error {
	var row []types.Value
	for _, exprs := range v.spec.Rows {
		row = row[:0]
		for _, e := range exprs {
			x, err := expr.EvalConst(v.ctx, e)
			if err != nil {
				return err
			}
			row = append(row, x)
		}
		if err := v.out.row(row, out); err != nil {
			return err
		}
	}
	return v.out.flush(out)
}

// Close implements Source.
func (v *Values) Close() error { return nil }

// String implements Source.
func (v *Values) String() string { return fmt.Sprintf("Values (%d rows)", len(v.spec.Rows)) }
