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

// FuncScan emits the rows of a set-returning function whose arguments read no input row.
type FuncScan struct {
	spec *spec.FuncScan
	def  *fn.SetDef
	ctx  *expr.Ctx
	out  *outBatch
}

var _ Source = (*FuncScan)(nil)

// NewFuncScan finds the function for the (already coerced) argument types.
func NewFuncScan(s *spec.FuncScan, schema *types.Schema) (*FuncScan, error) {
	def, err := findSet(s)
	if err != nil {
		return nil, err
	}
	return &FuncScan{spec: s, def: def, out: newOutBatch(schema)}, nil
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
	args := make([]types.Value, len(f.spec.Args))
	for i, a := range f.spec.Args {
		v, err := expr.EvalConst(f.ctx, a)
		if err != nil {
			return err
		}
		args[i] = v
	}
	var ordinal int64
	var wide []types.Value
	err := callSet(f.ctx, f.def, args, func(row []types.Value) error {
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
