package types

import "math"

// EventTime is microseconds since 1970-01-01 00:00:00 UTC.
type EventTime int64

// The ends of event time; they print as -infinity and infinity.
const (
	MinTime EventTime = math.MinInt64
	MaxTime EventTime = math.MaxInt64
)

// Value is one scalar. Which of I, F, S counts is told by Type.Phys. Values are small, immutable and safe to copy.
type Value struct {
	Type Type
	Null bool
	I    int64
	F    float64
	S    string
}

// Null returns the NULL of a type.
func Null(t Type) Value { return Value{Type: t, Null: true} }

// NewBool returns a boolean.
func NewBool(b bool) Value {
	v := Value{Type: T(Bool)}
	if b {
		v.I = 1
	}
	return v
}

// NewInt returns an integer-like value (PhysInt) of kind k; the caller has checked its range.
func NewInt(k Kind, i int64) Value { return Value{Type: T(k), I: i} }

// NewFloat returns a double precision value.
func NewFloat(f float64) Value { return Value{Type: T(Float8), F: f} }

// NewText returns a text value.
func NewText(s string) Value { return Value{Type: T(Text), S: s} }

// NewBytes returns a PhysBytes value of kind k from its stored form.
func NewBytes(k Kind, s string) Value { return Value{Type: T(k), S: s} }

// NewTime returns a timestamptz.
func NewTime(t EventTime) Value { return Value{Type: T(TimestampTZ), I: int64(t)} }

// Bool reports whether the value is boolean true; NULL is not.
func (v Value) Bool() bool { return !v.Null && v.I != 0 }

// Column is a named, typed field of rows.
type Column struct {
	Name string
	Type Type
	// NotNull: a row without a value is refused at decode.
	NotNull bool
}

// Schema is the ordered columns of rows. It is shared and must not be changed once in use.
type Schema struct {
	Cols []Column
}

// Index returns the position of the column called name, -1 if there is none.
func (s *Schema) Index(name string) int {
	for i := range s.Cols {
		if s.Cols[i].Name == name {
			return i
		}
	}
	return -1
}

// Text returns the value as Postgres prints it (UTC, ISO), without quotes; "NULL" for NULL. For messages and plans;
// results go through AppendText.
func (v Value) Text() string {
	if v.Null {
		return "NULL"
	}
	return string(AppendText(nil, v, nil))
}
