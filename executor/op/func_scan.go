package op

import (
	"fmt"
	"strings"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/fn"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// FuncScan emits the rows of a set-returning function whose arguments read no input row, or of several side by side.
type FuncScan struct {
	spec  *spec.FuncScan
	calls []*setCall
	ctx   *expr.Ctx
	out   *outBatch
}

// setCall is one function of a FuncScan; without a definition it is one row of values.
type setCall struct {
	spec *spec.FuncScan
	def  *fn.SetDef
	// width is how many columns it gives.
	width int
}

var _ Source = (*FuncScan)(nil)

// NewFuncScan finds the functions for the (already coerced) argument types.
func NewFuncScan(s *spec.FuncScan, schema *types.Schema) (*FuncScan, error) {
	f := &FuncScan{spec: s, out: newOutBatch(schema)}
	for _, one := range append([]*spec.FuncScan{s}, s.With...) {
		c := &setCall{spec: one, width: len(one.Args)}
		if one.Name != "" {
			var err error
			if c.def, err = findSet(one); err != nil {
				return nil, err
			}
			c.width = len(columnNames(c.def, one)) + len(one.Record)
		}
		f.calls = append(f.calls, c)
	}
	return f, nil
}

// findSet resolves a set-returning call by its exact argument types.
func findSet(s *spec.FuncScan) (*fn.SetDef, error) {
	args := make([]types.Type, len(s.Args))
	for i, a := range s.Args {
		args[i] = a.Type()
	}
	for _, d := range fn.SetsByName(s.Name) {
		if d.Accepts(args) {
			return &d, nil
		}
	}
	names := make([]string, len(args))
	for i, t := range args {
		names[i] = t.String()
	}
	return nil, sqlerr.New(sqlerr.UndefinedFunction, "function %s(%s) does not exist", s.Name, strings.Join(names, ", "))
}

// Open implements Source.
func (f *FuncScan) Open(ctx *expr.Ctx) error {
	f.ctx = ctx
	f.out.b.Reset(nil)
	return nil
}

// Run implements Source.
func (f *FuncScan) Run(out Emitter) error {
	if len(f.calls) > 1 {
		return f.zip(out)
	}
	var ordinal int64
	var wide []types.Value
	err := f.calls[0].rows(f.ctx, func(row []types.Value) error {
		if f.spec.Ordinality {
			ordinal++
			wide = append(append(wide[:0], row...), types.NewInt(types.Int8, ordinal))
			row = wide
		}
		return f.out.row(row, out)
	})
	if err != nil {
		return err
	}
	return f.out.flush(out)
}

// rows gives the rows of one function to emit.
func (c *setCall) rows(ctx *expr.Ctx, emit func([]types.Value) error) error {
	args := make([]types.Value, len(c.spec.Args))
	for i, a := range c.spec.Args {
		v, err := expr.EvalConst(ctx, a)
		if err != nil {
			return err
		}
		args[i] = v
	}
	switch {
	case c.def == nil:
		return emit(args)
	case c.def.EvalRecord != nil:
		for _, a := range args {
			if a.Null && !c.def.CalledOnNull {
				return nil
			}
		}
		return c.def.EvalRecord(&ctx.Ctx, args, c.spec.Record, emit)
	}
	return callSet(ctx, c.def, args, emit)
}

// zip puts the rows of several functions side by side; sets that are shorter than the longest are filled up with NULL.
func (f *FuncScan) zip(out Emitter) error {
	sets := make([][][]types.Value, len(f.calls))
	longest := 0
	for i, c := range f.calls {
		err := c.rows(f.ctx, func(row []types.Value) error {
			sets[i] = append(sets[i], append([]types.Value(nil), row...))
			if len(sets[i]) > zipRowsMax {
				return sqlerr.New(sqlerr.ProgramLimitExceeded, "a function in ROWS FROM gives more than %d rows", zipRowsMax)
			}
			return nil
		})
		if err != nil {
			return err
		}
		longest = max(longest, len(sets[i]))
	}
	wide := make([]types.Value, 0, len(f.out.b.Cols))
	for k := range longest {
		wide = wide[:0]
		for i, c := range f.calls {
			if k < len(sets[i]) {
				wide = append(wide, sets[i][k]...)
				continue
			}
			for range c.width {
				wide = append(wide, types.Null(f.out.b.Cols[len(wide)].Type))
			}
		}
		if f.spec.Ordinality {
			wide = append(wide, types.NewInt(types.Int8, int64(k+1)))
		}
		if err := f.out.row(wide, out); err != nil {
			return err
		}
	}
	return f.out.flush(out)
}

// zipRowsMax bounds the rows of each function in ROWS FROM, which are kept until the longest set has ended.
const zipRowsMax = 1_000_000

// callSet calls a set-returning function under its NULL rule.
func callSet(ctx *expr.Ctx, def *fn.SetDef, args []types.Value, emit func([]types.Value) error) error {
	if !def.CalledOnNull {
		for _, a := range args {
			if a.Null {
				return nil
			}
		}
	}
	return def.Eval(&ctx.Ctx, args, emit)
}

// Close implements Source.
func (f *FuncScan) Close() error { return nil }

// String implements Source.
func (f *FuncScan) String() string { return fmt.Sprintf("FuncScan %s", f.spec.Name) }
