package types

import (
	"cmp"
	"strings"
)

func cmpOrdered[T cmp.Ordered](a, b T) int { return cmp.Compare(a, b) }

// compareFloat orders floats as Postgres does: NaN equals itself and is greatest; -0 equals 0.
func compareFloat(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	case a == b:
		return 0
	case a != a && b != b:
		return 0
	case a != a:
		return 1
	}
	return -1
}

// Compare orders two values of the same type, neither NULL, as Postgres' btree does; text bytewise.
func Compare(a, b Value) int {
	switch a.Type.Phys() {
	case PhysInt:
		return cmpOrdered(a.I, b.I)
	case PhysFloat:
		return compareFloat(a.F, b.F)
	}
	return CompareStored(a.Type, a.S, b.S)
}

// Equal reports whether two values of the same type, neither NULL, are equal.
func Equal(a, b Value) bool {
	switch a.Type.Phys() {
	case PhysInt:
		return a.I == b.I
	case PhysFloat:
		return compareFloat(a.F, b.F) == 0
	}
	return a.S == b.S || !EqualByBytes(a.Type) && CompareStored(a.Type, a.S, b.S) == 0
}

// EqualByBytes reports that values of a PhysBytes type are equal exactly when their stored bytes are.
func EqualByBytes(t Type) bool {
	switch t.Kind {
	case Numeric, BPChar, Interval, JSONB, Record, Array:
		return false
	}
	return true
}

// CompareStored orders two stored forms of a PhysBytes type.
func CompareStored(t Type, a, b string) int {
	switch t.Kind {
	case Numeric:
		return NumericCmp(a, b)
	case BPChar:
		return strings.Compare(strings.TrimRight(a, " "), strings.TrimRight(b, " "))
	case Interval:
		return compareInterval(a, b)
	case Inet, CIDR:
		return compareInet(a, b)
	case JSONB:
		return compareJSON(a, b)
	case Array:
		x, err1 := DecodeArray(t.Elem, a)
		y, err2 := DecodeArray(t.Elem, b)
		if err1 == nil && err2 == nil {
			return compareLists(x, y)
		}
	case Record:
		x, err1 := DecodeRecord(a)
		y, err2 := DecodeRecord(b)
		if err1 == nil && err2 == nil {
			return compareLists(x, y)
		}
	}
	return strings.Compare(a, b)
}

// compareLists compares element by element, then by length; NULL is greatest and equals NULL.
func compareLists(a, b []Value) int {
	for i := range a {
		if i >= len(b) {
			return 1
		}
		switch {
		case a[i].Null && b[i].Null:
			continue
		case a[i].Null:
			return 1
		case b[i].Null:
			return -1
		}
		if c := Compare(a[i], b[i]); c != 0 {
			return c
		}
	}
	return cmpOrdered(len(a), len(b))
}

func compareInterval(a, b string) int {
	x, err1 := DecodeInterval(a)
	y, err2 := DecodeInterval(b)
	if err1 != nil || err2 != nil {
		return strings.Compare(a, b)
	}
	d1, u1 := x.span()
	d2, u2 := y.span()
	if d1 != d2 {
		return cmpOrdered(d1, d2)
	}
	return cmpOrdered(u1, u2)
}

func compareJSON(a, b string) int {
	if a == b {
		return 0
	}
	x, err1 := ParseJSON(a)
	y, err2 := ParseJSON(b)
	if err1 != nil || err2 != nil {
		return strings.Compare(a, b)
	}
	return x.Compare(y)
}
