package bind

import (
	"strings"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/parse"
)

// typeOf resolves a type as written.
func typeOf(n parse.TypeName) (types.Type, error) {
	k, ok := types.KindByName(n.Name)
	if !ok || n.Schema != "" && n.Schema != "pg_catalog" {
		if n.Schema != "" {
			return types.Type{}, sqlerr.New(sqlerr.UndefinedObject, "type \"%s.%s\" does not exist", n.Schema, n.Name).At(n.Pos)
		}
		if alias, ok := catalogTypes[n.Name]; ok {
			return arrayed(alias, n)
		}
		if hint := missingTypes[n.Name]; hint != "" {
			return types.Type{}, unsupported(n.Pos, "type "+n.Name, hint)
		}
		return types.Type{}, sqlerr.New(sqlerr.UndefinedObject, "type %q does not exist", n.Name).At(n.Pos)
	}
	if n.Schema == "pg_catalog" && n.Name == "char" { // the type "char", not character(1)
		k = types.Char
	}
	t := types.T(k)
	mod, err := typeMod(k, n)
	if err != nil {
		return t, err
	}
	t.Mod = mod
	return arrayed(t, n)
}

// catalogTypes are types that only casts of catalogue queries name; vigil keeps their values as these.
var catalogTypes = map[string]types.Type{
	"cstring": types.T(types.Text), "pg_node_tree": types.T(types.Text), "aclitem": types.T(types.Text), "xid": types.T(types.OID),
	"int2vector": types.ArrayOf(types.Int2), "oidvector": types.ArrayOf(types.OID), "regprocedure": types.T(types.RegProc),
	"regoper": types.T(types.Text), "regoperator": types.T(types.Text), "regrole": types.T(types.Text),
	"information_schema.sql_identifier": types.T(types.Name), "regcollation": types.T(types.Text), "jsonpath": types.T(types.Text),
}

// missingTypes are types of Postgres that vigil does not have, with what to use.
var missingTypes = map[string]string{
	"time": "Use TEXT, or INTERVAL.", "time without time zone": "Use TEXT, or INTERVAL.", "timetz": "Use TEXT.",
	"time with time zone": "Use TEXT.", "money": "Use NUMERIC.", "bit": "Use TEXT or BIGINT.", "bit varying": "Use TEXT or BIGINT.",
	"varbit": "Use TEXT or BIGINT.", "macaddr": "Use TEXT.", "macaddr8": "Use TEXT.", "xml": "Use TEXT.", "serial": "Use BIGINT.",
	"bigserial": "Use BIGINT.", "hstore": "Use JSONB.", "citext": "Use TEXT, and ILIKE or lower().",
}

func arrayed(t types.Type, n parse.TypeName) (types.Type, error) {
	if !n.Array {
		return t, nil
	}
	if t.Kind == types.Array {
		return t, sqlerr.NotSupported("an array of "+n.Name, "").At(n.Pos)
	}
	return types.Type{Kind: types.Array, Elem: t.Kind, Mod: t.Mod}, nil
}

// precisionMax is the largest precision of numeric, lengthMax the longest varchar.
const (
	precisionMax = 1000
	lengthMax    = 10485760
)

func typeMod(k types.Kind, n parse.TypeName) (int32, error) {
	mods := n.Mods
	switch k {
	case types.Varchar, types.BPChar:
		if len(mods) == 0 {
			if k == types.BPChar && n.Name != "bpchar" && n.Schema == "" {
				return types.VarcharMod(1), nil
			}
			return 0, nil
		}
		if len(mods) > 1 || mods[0] < 1 || mods[0] > lengthMax {
			return 0, sqlerr.New(sqlerr.InvalidParameterValue, "length for type %s must be between 1 and %d", shortName(k), lengthMax).At(n.Pos)
		}
		return types.VarcharMod(int32(mods[0])), nil
	case types.Numeric:
		if len(mods) == 0 {
			return 0, nil
		}
		scale := 0
		if len(mods) > 1 {
			scale = mods[1]
		}
		if mods[0] < 1 || mods[0] > precisionMax {
			return 0, sqlerr.New(sqlerr.InvalidParameterValue, "NUMERIC precision %d must be between 1 and %d", mods[0], precisionMax).At(n.Pos)
		}
		if scale < -precisionMax || scale > precisionMax {
			return 0, sqlerr.New(sqlerr.InvalidParameterValue, "NUMERIC scale %d must be between -1000 and 1000", scale).At(n.Pos)
		}
		return types.NumericMod(int32(mods[0]), int32(scale)), nil
	case types.Float8: // float(p)
		return 0, nil
	case types.Timestamp, types.TimestampTZ:
		if len(mods) == 1 && mods[0] >= 0 {
			return types.TimestampMod(int32(mods[0])), nil
		}
	case types.Interval:
		return intervalMod(n)
	}
	if len(mods) > 0 {
		return 0, sqlerr.New(sqlerr.SyntaxError, "type modifier is not allowed for type %q", n.Name).At(n.Pos)
	}
	return 0, nil
}

// intervalMod is the modifier of interval [fields] [(precision)].
func intervalMod(n parse.TypeName) (int32, error) {
	precision := int32(-1)
	if len(n.Mods) == 1 && n.Mods[0] >= 0 {
		precision = int32(min(n.Mods[0], 6))
	}
	fields, p, ok := strings.Cut(strings.TrimSuffix(n.Fields, ")"), "(")
	if ok && len(p) == 1 {
		precision = int32(p[0] - '0')
	}
	mod, ok := types.IntervalMod(fields, precision)
	if !ok {
		return 0, sqlerr.New(sqlerr.SyntaxError, "%s are no fields of an interval", fields).At(n.Pos).
			WithHint("Write the larger unit first, for example DAY TO SECOND.")
	}
	return mod, nil
}

// shortName is pg_type.typname, which columns made by casts are called after.
func shortName(k types.Kind) string {
	switch k {
	case types.Bool:
		return "bool"
	case types.Int2:
		return "int2"
	case types.Int4:
		return "int4"
	case types.Int8:
		return "int8"
	case types.Float4:
		return "float4"
	case types.Float8:
		return "float8"
	case types.Varchar:
		return "varchar"
	case types.BPChar:
		return "bpchar"
	case types.Char:
		return "char"
	case types.Timestamp:
		return "timestamp"
	case types.TimestampTZ:
		return "timestamptz"
	}
	return strings.Trim(types.T(k).String(), `"`)
}
