package expr

import (
	"strconv"
	"strings"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// RegResolver turns names into oids and back for regclass, regtype, regproc and regnamespace. Session.Catalog may implement it.
type RegResolver interface {
	RegLookup(kind types.Kind, name string) (int64, error)
	RegName(kind types.Kind, oid int64) string
}

func isReg(k types.Kind) bool {
	return k == types.RegClass || k == types.RegType || k == types.RegProc || k == types.RegNamespace
}

// textFormat is how the connection reads and prints values.
func (c *Ctx) textFormat() *types.TextFormat {
	return &types.TextFormat{TimeZone: c.TimeZone, Now: c.Now}
}

// castInCtx is CastValue with the connection's time zone, clock and catalogue.
func castInCtx(ctx *Ctx, v types.Value, to types.Type, explicit bool) (types.Value, error) {
	if v.Null {
		return types.Null(to), nil
	}
	switch {
	case isReg(to.Kind) && v.Type.Kind.IsText():
		return nameToReg(ctx, v.S, to)
	case isReg(v.Type.Kind) && isString(to.Kind):
		s := regName(ctx, v)
		return CastValue(types.NewText(s), to, explicit, nil)
	}
	if !needsFormat(v.Type) && !needsFormat(to) {
		return CastValue(v, to, explicit, nil)
	}
	return CastValue(v, to, explicit, ctx.textFormat())
}

func needsFormat(t types.Type) bool {
	switch t.Kind {
	case types.Date, types.Timestamp, types.TimestampTZ, types.Array, types.Record:
		return true
	}
	return false
}

func regName(ctx *Ctx, v types.Value) string {
	if v.I == 0 {
		return "-"
	}
	if ctx.Session != nil {
		if r, ok := ctx.Session.Catalog.(RegResolver); ok {
			if s := r.RegName(v.Type.Kind, v.I); s != "" {
				return s
			}
		}
	}
	if t, ok := types.FromOID(uint32(v.I)); ok && v.Type.Kind == types.RegType {
		return t.String()
	}
	return strconv.FormatInt(v.I, 10)
}

func nameToReg(ctx *Ctx, name string, to types.Type) (types.Value, error) {
	v := types.Value{Type: to}
	n := strings.TrimSpace(name)
	if n == "-" {
		return v, nil
	}
	if i, err := strconv.ParseUint(n, 10, 32); err == nil {
		v.I = int64(i)
		return v, nil
	}
	if ctx.Session != nil {
		if r, ok := ctx.Session.Catalog.(RegResolver); ok {
			i, err := r.RegLookup(to.Kind, n)
			v.I = i
			return v, err
		}
	}
	if to.Kind == types.RegType {
		if k, ok := types.KindByName(strings.ToLower(n)); ok {
			v.I = int64(types.T(k).OID())
			return v, nil
		}
		return v, sqlerr.New(sqlerr.UndefinedObject, "type \"%s\" does not exist", n)
	}
	return v, sqlerr.NotSupported("a cast to "+to.String()+" in this place", "Catalogue names are known to bounded queries only.")
}
