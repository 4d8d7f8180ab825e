package expr

import (
	"github.com/vigil-sql/vigil/executor/types"
)

// CastLevel says in which context a cast happens by itself.
type CastLevel uint8

// The levels, as pg_cast.castcontext: Implicit casts apply anywhere, Assignment ones in INSERT too, Explicit ones only when
// written.
const (
	Implicit CastLevel = iota
	Assignment
	Explicit
)

// castRule is the levels of the casts from one kind.
type castRule struct {
	implicit, assignment, explicit []types.Kind
}

var regKinds = []types.Kind{types.RegClass, types.RegType, types.RegProc, types.RegNamespace}

// castRules is pg_cast without the casts through text, which CanCast adds.
var castRules = map[types.Kind]castRule{
	types.Bool: {explicit: []types.Kind{types.Int4}},
	types.Int2: {implicit: append([]types.Kind{types.Int4, types.Int8, types.Float4, types.Float8, types.Numeric, types.OID}, regKinds...)},
	types.Int4: {implicit: append([]types.Kind{types.Int8, types.Float4, types.Float8, types.Numeric, types.OID}, regKinds...),
		assignment: []types.Kind{types.Int2}, explicit: []types.Kind{types.Bool, types.Char}},
	types.Int8: {implicit: append([]types.Kind{types.Float4, types.Float8, types.Numeric, types.OID}, regKinds...),
		assignment: []types.Kind{types.Int2, types.Int4}},
	types.Float4:  {implicit: []types.Kind{types.Float8}, assignment: []types.Kind{types.Int2, types.Int4, types.Int8, types.Numeric}},
	types.Float8:  {assignment: []types.Kind{types.Int2, types.Int4, types.Int8, types.Float4, types.Numeric}},
	types.Numeric: {implicit: []types.Kind{types.Float4, types.Float8}, assignment: []types.Kind{types.Int2, types.Int4, types.Int8}},
	types.Text: {implicit: []types.Kind{types.Varchar, types.BPChar, types.Name, types.RegClass},
		assignment: []types.Kind{types.Char}},
	types.Varchar: {implicit: []types.Kind{types.Text, types.BPChar, types.Name, types.RegClass}, assignment: []types.Kind{types.Char}},
	types.BPChar:  {implicit: []types.Kind{types.Text, types.Varchar, types.Name}, assignment: []types.Kind{types.Char}},
	types.Char:    {implicit: []types.Kind{types.Text}, assignment: []types.Kind{types.Varchar, types.BPChar}, explicit: []types.Kind{types.Int4}},
	types.Name:    {implicit: []types.Kind{types.Text}, assignment: []types.Kind{types.Varchar, types.BPChar}},
	types.Date:    {implicit: []types.Kind{types.Timestamp, types.TimestampTZ}},
	types.Timestamp: {implicit: []types.Kind{types.TimestampTZ},
		assignment: []types.Kind{types.Date}},
	types.TimestampTZ: {assignment: []types.Kind{types.Timestamp, types.Date}},
	types.Inet:        {assignment: []types.Kind{types.CIDR}},
	types.CIDR:        {implicit: []types.Kind{types.Inet}},
	types.JSON:        {assignment: []types.Kind{types.JSONB}},
	types.JSONB: {assignment: []types.Kind{types.JSON},
		explicit: []types.Kind{types.Bool, types.Numeric, types.Int2, types.Int4, types.Int8, types.Float4, types.Float8}},
	types.OID:          {implicit: regKinds, assignment: []types.Kind{types.Int4, types.Int8}},
	types.RegClass:     {implicit: []types.Kind{types.OID}, assignment: []types.Kind{types.Int4, types.Int8}},
	types.RegType:      {implicit: []types.Kind{types.OID}, assignment: []types.Kind{types.Int4, types.Int8}},
	types.RegProc:      {implicit: []types.Kind{types.OID}, assignment: []types.Kind{types.Int4, types.Int8}},
	types.RegNamespace: {implicit: []types.Kind{types.OID}, assignment: []types.Kind{types.Int4, types.Int8}},
}

func hasKind(list []types.Kind, k types.Kind) bool {
	for _, x := range list {
		if x == k {
			return true
		}
	}
	return false
}

// isString reports the kinds that take part in casts through text.
func isString(k types.Kind) bool {
	return k == types.Text || k == types.Varchar || k == types.BPChar || k == types.Char || k == types.Name
}

// CanCast reports whether Postgres converts from one type to another in a context of that level. Modifiers do not count.
// Literals of unknown type convert to everything.
func CanCast(from, to types.Type, level CastLevel) bool {
	if from.Kind == to.Kind && from.Elem == to.Elem || from.Kind == types.Unknown {
		return true
	}
	if from.Kind == types.Void || to.Kind == types.Void || to.Kind == types.Unknown {
		return false
	}
	if from.Kind == types.Array && to.Kind == types.Array {
		return from.Elem == types.Unknown || CanCast(types.T(from.Elem), types.T(to.Elem), level)
	}
	r := castRules[from.Kind]
	switch {
	case hasKind(r.implicit, to.Kind):
		return true
	case hasKind(r.assignment, to.Kind):
		return level >= Assignment
	case hasKind(r.explicit, to.Kind):
		return level >= Explicit
	case isString(to.Kind): // every type prints
		return level >= Assignment
	case isString(from.Kind) && to.Kind != types.Record: // and reads
		return level >= Explicit
	}
	return false
}
