package bind

import (
	"math"

	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/parse"
)

// sequenceTypes are the ranges of a sequence's types.
var sequenceTypes = map[types.Kind][2]int64{
	types.Int2: {math.MinInt16, math.MaxInt16},
	types.Int4: {math.MinInt32, math.MaxInt32},
	types.Int8: {math.MinInt64, math.MaxInt64},
}

// SequenceDef binds the options of CREATE SEQUENCE, and of ALTER SEQUENCE over what the sequence was.
func SequenceDef(o *parse.SequenceOptions, was *spec.SequenceDef) (*spec.SequenceDef, error) {
	s := &spec.SequenceDef{Type: types.T(types.Int8), Increment: 1, Cache: 1}
	if was != nil {
		*s = *was
	}
	if o.As != nil {
		t, err := typeOf(*o.As)
		if err != nil {
			return nil, err
		}
		if !IsSerial(t) {
			return nil, sqlerr.New(sqlerr.InvalidParameterValue, "sequence type must be smallint, integer, or bigint")
		}
		s.Type = t
	}
	if o.Increment != nil {
		s.Increment = *o.Increment
	}
	if s.Increment == 0 {
		return nil, sqlerr.New(sqlerr.InvalidParameterValue, "INCREMENT must not be zero")
	}
	if o.Cycle != nil {
		s.Cycle = *o.Cycle
	}
	if err := sequenceBounds(s, o, was); err != nil {
		return nil, err
	}
	if o.Start != nil {
		s.Start = *o.Start
	} else if was == nil {
		s.Start = s.Min
		if s.Increment < 0 {
			s.Start = s.Max
		}
	}
	if o.Cache != nil {
		s.Cache = *o.Cache
	}
	switch {
	case s.Start < s.Min:
		return nil, sqlerr.New(sqlerr.InvalidParameterValue, "START value (%d) cannot be less than MINVALUE (%d)", s.Start, s.Min)
	case s.Start > s.Max:
		return nil, sqlerr.New(sqlerr.InvalidParameterValue, "START value (%d) cannot be greater than MAXVALUE (%d)", s.Start, s.Max)
	case s.Cache <= 0:
		return nil, sqlerr.New(sqlerr.InvalidParameterValue, "CACHE (%d) must be greater than zero", s.Cache)
	}
	return s, nil
}

// sequenceBounds settles MINVALUE and MAXVALUE. A bound that was the type's own follows a new type.
func sequenceBounds(s *spec.SequenceDef, o *parse.SequenceOptions, was *spec.SequenceDef) error {
	r := sequenceTypes[s.Type.Kind]
	low, high := int64(1), r[1]
	if s.Increment < 0 {
		low, high = r[0], -1
	}
	var old [2]int64
	if was != nil {
		old = sequenceTypes[was.Type.Kind]
	}
	switch {
	case o.Max != nil:
		s.Max = *o.Max
	case was == nil || o.NoMax || o.As != nil && was.Max == old[1]:
		s.Max = high
	}
	switch {
	case o.Min != nil:
		s.Min = *o.Min
	case was == nil || o.NoMin || o.As != nil && was.Min == old[0]:
		s.Min = low
	}
	switch {
	case s.Max < r[0] || s.Max > r[1]:
		return sqlerr.New(sqlerr.InvalidParameterValue, "MAXVALUE (%d) is out of range for sequence data type %s", s.Max, s.Type)
	case s.Min < r[0] || s.Min > r[1]:
		return sqlerr.New(sqlerr.InvalidParameterValue, "MINVALUE (%d) is out of range for sequence data type %s", s.Min, s.Type)
	case s.Min >= s.Max:
		return sqlerr.New(sqlerr.InvalidParameterValue, "MINVALUE (%d) must be less than MAXVALUE (%d)", s.Min, s.Max)
	}
	return nil
}
