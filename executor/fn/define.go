package fn

import (
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

// The types, by short names for the tables.
var (
	tAny         = types.T(types.Unknown)
	tBool        = types.T(types.Bool)
	tInt2        = types.T(types.Int2)
	tInt4        = types.T(types.Int4)
	tInt8        = types.T(types.Int8)
	tFloat4      = types.T(types.Float4)
	tFloat8      = types.T(types.Float8)
	tNumeric     = types.T(types.Numeric)
	tText        = types.T(types.Text)
	tName        = types.T(types.Name)
	tBytea       = types.T(types.Bytea)
	tDate        = types.T(types.Date)
	tTimestamp   = types.T(types.Timestamp)
	tTimestampTZ = types.T(types.TimestampTZ)
	tInterval    = types.T(types.Interval)
	tInet        = types.T(types.Inet)
	tCIDR        = types.T(types.CIDR)
	tUUID        = types.T(types.UUID)
	tJSON        = types.T(types.JSON)
	tJSONB       = types.T(types.JSONB)
	tRegType     = types.T(types.RegType)
	tAnyArray    = types.ArrayOf(types.Unknown)
	tTextArray   = types.ArrayOf(types.Text)
)

type (
	args   = []types.Type
	value  = types.Value
	values = []types.Value
	eval   = func(ctx *Ctx, a []types.Value) (types.Value, error)
)

// def begins a table entry; the methods below complete it.
func def(name string, in args, ret types.Type, f eval) Def {
	return Def{Name: name, Args: in, Ret: ret, Eval: f}
}

// about sets what the reference says: a sentence, then pairs of SQL and result.
func (d Def) about(doc string, examples ...string) Def {
	d.Doc = doc
	for i := 0; i+1 < len(examples); i += 2 {
		d.Examples = append(d.Examples, Example{examples[i], examples[i+1]})
	}
	return d
}

func (d Def) stable() Def   { d.Volatility = Stable; return d }
func (d Def) volatile() Def { d.Volatility = Volatile; return d }
func (d Def) variadic() Def { d.Variadic = true; return d }
func (d Def) onNull() Def   { d.CalledOnNull = true; return d }

func (d Def) nonArray() Def   { d.Poly = NonArray; return d }
func (d Def) alike() Def      { d.Poly = Alike; return d }
func (d Def) compatible() Def { d.Poly = Compatible; return d }

func (d Def) retOf(f func(in []types.Type) types.Type) Def { d.RetOf = f; return d }

func (d Def) vector(f func(ctx *Ctx, in []*batch.Vec, n int, out *batch.Vec) error) Def {
	d.Vector = f
	return d
}

// firstArg is the result type of functions that return what they are given.
func firstArg(in []types.Type) types.Type {
	for _, t := range in {
		if t.Kind != types.Unknown {
			return types.Type{Kind: t.Kind, Elem: t.Elem}
		}
	}
	return tText
}

func text(s string) (value, error)        { return types.NewText(s), nil }
func boolean(b bool) (value, error)       { return types.NewBool(b), nil }
func int4(i int64) (value, error)         { return types.NewInt(types.Int4, i), nil }
func int8(i int64) (value, error)         { return types.NewInt(types.Int8, i), nil }
func float(f float64) (value, error)      { return types.NewFloat(f), nil }
func null(t types.Type) (value, error)    { return types.Null(t), nil }
func stored(k types.Kind, s string) value { return types.NewBytes(k, s) }

// text1 makes an Eval of a function from text to text.
func text1(f func(string) string) eval {
	return func(_ *Ctx, a values) (value, error) { return text(f(a[0].S)) }
}

// numeric makes a numeric result.
func numeric(s string, err error) (value, error) { return stored(types.Numeric, s), err }

// textOf prints any value as its output function does, in the connection's time zone.
func textOf(ctx *Ctx, v value) string {
	if v.Type.Kind.IsText() || v.Type.Kind == types.JSON || v.Type.Kind == types.JSONB || v.Type.Kind == types.Numeric {
		return v.S
	}
	return string(types.AppendText(nil, v, ctx.format()))
}

func (c *Ctx) format() *types.TextFormat {
	return &types.TextFormat{TimeZone: c.TimeZone, Now: c.Now}
}

// mergeNulls marks the rows of out that are NULL in an argument; their values become zero.
func mergeNulls(in []*batch.Vec, n int, out *batch.Vec) {
	for _, v := range in {
		if len(v.Nulls) == 0 {
			continue
		}
		for i := 0; i < n; i++ {
			if v.IsNull(i) {
				out.SetNull(i)
				if out.I64 != nil && i < len(out.I64) {
					out.I64[i] = 0
				}
				if out.F64 != nil && i < len(out.F64) {
					out.F64[i] = 0
				}
			}
		}
	}
}
