package agg

import (
	"unicode/utf8"

	"github.com/vigil-sql/vigil/executor/types"
)

// checkStored refuses bytes that are not a stored form of a PhysBytes type, so that a damaged state cannot upset the
// functions that take stored values on trust.
func CheckStored(t types.Type, b []byte) error { return checkStored(t, b) }

func checkStored(t types.Type, b []byte) error {
	ok := true
	switch t.Kind {
	case types.Numeric:
		v, err := types.ParseText(t, string(b), nil)
		ok = err == nil && v.S == string(b)
	case types.Interval:
		_, err := types.DecodeInterval(string(b))
		ok = err == nil
	case types.Inet, types.CIDR:
		ok = len(b) == 5 && b[0] <= 32 || len(b) == 17 && b[0] <= 128
	case types.UUID:
		ok = len(b) == 16
	case types.JSON, types.JSONB:
		_, err := types.ParseText(t, string(b), nil)
		ok = err == nil
	case types.Array:
		elems, err := types.DecodeArray(t.Elem, string(b))
		ok = err == nil
		for i := range elems {
			if ok && !elems[i].Null && elems[i].Type.Phys() == types.PhysBytes {
				ok = checkStored(elems[i].Type, []byte(elems[i].S)) == nil
			}
		}
	case types.Record:
		_, err := types.DecodeRecord(string(b))
		ok = err == nil
	case types.Bytea:
	default:
		ok = utf8.Valid(b)
	}
	if !ok {
		return errState("bad " + t.String())
	}
	return nil
}
