// Package types owns the SQL types, their scalar values, and event time. It knows text and binary forms of values
// (text.go, binary.go) but not rows in bulk (batch) and not expressions (expr).
package types

import (
	"strings"
)

// Kind names an SQL type, without modifier.
type Kind uint8

// The kinds. Unknown is the type of NULL and of a string literal that has not met its context yet.
const (
	Unknown Kind = iota
	Bool
	Int2
	Int4
	Int8
	Float4
	Float8
	Numeric
	Text
	Varchar
	BPChar
	Char // Postgres' one-byte "char"
	Name
	Bytea
	Date
	Timestamp
	TimestampTZ
	Interval
	Inet
	CIDR
	UUID
	JSON
	JSONB
	OID
	RegClass
	RegType
	RegProc
	RegNamespace
	Array
	Record
	Void
	kindCount
)

// Type is a kind with its modifier. It is comparable; the zero Type is Unknown.
type Type struct {
	Kind Kind
	Elem Kind  // element kind when Kind is Array
	Mod  int32 // Postgres' typmod (varchar(10) -> 14, numeric(p,s), interval fields), timestamp(p) -> p+1; 0 means none
}

// T returns the unmodified type of a kind.
func T(k Kind) Type { return Type{Kind: k} }

// ArrayOf returns the type of arrays of k.
func ArrayOf(k Kind) Type { return Type{Kind: Array, Elem: k} }

// VectorMod is the modifier that makes an array of Int2 or OID the catalogue's int2vector or oidvector: an array whose
// subscripts begin at 0 and whose text has spaces between its elements.
const VectorMod = -1

// Vector returns int2vector or oidvector, by the kind of its elements.
func Vector(k Kind) Type { return Type{Kind: Array, Elem: k, Mod: VectorMod} }

// IsVector reports int2vector and oidvector.
func (t Type) IsVector() bool {
	return t.Kind == Array && t.Mod == VectorMod && vectors[t.Elem].oid != 0
}

var vectors = map[Kind]kindInfo{Int2: {"int2vector", 22, 1006, -1}, OID: {"oidvector", 30, 1013, -1}}

// LowerBound is the first subscript of an array's values.
func (t Type) LowerBound() int64 {
	if t.IsVector() {
		return 0
	}
	return 1
}

// Phys is how values of a type are laid out in a vector and in a Value.
type Phys uint8

// The three layouts.
const (
	// PhysInt: Value.I / Vec.I64. Bool (0/1), integers, oid and reg*, Date (days since 1970-01-01),
	// Timestamp and TimestampTZ (microseconds since 1970-01-01 UTC).
	PhysInt Phys = iota
	// PhysFloat: Value.F / Vec.F64. Float4 (rounded to float32) and Float8.
	PhysFloat
	// PhysBytes: Value.S / Vec.Off+Buf. Text kinds: UTF-8. Bytea: the octets. Numeric: decimal text as Postgres
	// prints it ("1.50", "NaN"). Interval: 16 bytes, see AppendIntervalBytes. Inet/CIDR: prefix length byte, then 4 or 16
	// address bytes. UUID: 16 bytes. JSON/JSONB: JSON text. Array/Record: see AppendArrayBytes.
	PhysBytes
)

// Phys returns the layout of the type.
func (t Type) Phys() Phys {
	switch t.Kind {
	case Bool, Int2, Int4, Int8, Date, Timestamp, TimestampTZ, OID, RegClass, RegType, RegProc, RegNamespace:
		return PhysInt
	case Float4, Float8:
		return PhysFloat
	}
	return PhysBytes
}

// kindInfo is what the outside knows of a kind.
type kindInfo struct {
	name     string // as format_type prints it
	oid      uint32 // pg_type.oid
	arrayOID uint32 // oid of its array type
	size     int16  // pg_type.typlen
}

var kinds = [kindCount]kindInfo{
	Unknown:      {"unknown", 705, 0, -2},
	Bool:         {"boolean", 16, 1000, 1},
	Int2:         {"smallint", 21, 1005, 2},
	Int4:         {"integer", 23, 1007, 4},
	Int8:         {"bigint", 20, 1016, 8},
	Float4:       {"real", 700, 1021, 4},
	Float8:       {"double precision", 701, 1022, 8},
	Numeric:      {"numeric", 1700, 1231, -1},
	Text:         {"text", 25, 1009, -1},
	Varchar:      {"character varying", 1043, 1015, -1},
	BPChar:       {"character", 1042, 1014, -1},
	Char:         {"\"char\"", 18, 1002, 1},
	Name:         {"name", 19, 1003, 64},
	Bytea:        {"bytea", 17, 1001, -1},
	Date:         {"date", 1082, 1182, 4},
	Timestamp:    {"timestamp without time zone", 1114, 1115, 8},
	TimestampTZ:  {"timestamp with time zone", 1184, 1185, 8},
	Interval:     {"interval", 1186, 1187, 16},
	Inet:         {"inet", 869, 1041, -1},
	CIDR:         {"cidr", 650, 651, -1},
	UUID:         {"uuid", 2950, 2951, 16},
	JSON:         {"json", 114, 199, -1},
	JSONB:        {"jsonb", 3802, 3807, -1},
	OID:          {"oid", 26, 1028, 4},
	RegClass:     {"regclass", 2205, 2210, 4},
	RegType:      {"regtype", 2206, 2211, 4},
	RegProc:      {"regproc", 24, 1008, 4},
	RegNamespace: {"regnamespace", 4089, 4090, 4},
	Array:        {"anyarray", 2277, 0, -1},
	Record:       {"record", 2249, 2287, -1},
	Void:         {"void", 2278, 0, 4},
}

// OID returns the Postgres type oid that clients know the type by.
func (t Type) OID() uint32 {
	if t.IsVector() {
		return vectors[t.Elem].oid
	}
	if t.Kind == Array {
		return kinds[t.Elem].arrayOID
	}
	return kinds[t.Kind].oid
}

// Size returns pg_type.typlen: bytes, -1 for variable length.
func (t Type) Size() int16 { return kinds[t.Kind].size }

// WireMod returns the type modifier as the protocol carries it: -1 for none.
func (t Type) WireMod() int32 {
	if t.Mod == 0 || t.Kind == Record || t.Elem == Record {
		return -1
	}
	if k := t.Kind; k == Timestamp || k == TimestampTZ || k == Array && (t.Elem == Timestamp || t.Elem == TimestampTZ) {
		return t.Mod - 1
	}
	return t.Mod
}

// FromOID returns the type with a pg_type.oid, ok false when vigil has no such type.
func FromOID(oid uint32) (Type, bool) {
	for k := range kinds {
		if kinds[k].oid == oid && oid != 0 {
			return T(Kind(k)), true
		}
		if kinds[k].arrayOID == oid && oid != 0 {
			return ArrayOf(Kind(k)), true
		}
	}
	for k, v := range vectors {
		if v.oid == oid {
			return Vector(k), true
		}
	}
	return Type{}, false
}

// String returns the name that format_type prints, without modifier.
func (t Type) String() string {
	if t.IsVector() {
		return vectors[t.Elem].name
	}
	if t.Kind == Array && t.Elem != Unknown {
		return kinds[t.Elem].name + "[]"
	}
	return kinds[t.Kind].name
}

// typeNames maps every spelling a person may write to the kind.
var typeNames = map[string]Kind{
	"boolean": Bool, "bool": Bool, "smallint": Int2, "int2": Int2, "integer": Int4, "int": Int4, "int4": Int4,
	"bigint": Int8, "int8": Int8, "real": Float4, "float4": Float4, "double precision": Float8, "float8": Float8,
	"float": Float8, "double": Float8, "numeric": Numeric, "decimal": Numeric, "text": Text, "string": Text, "varchar": Varchar,
	"character varying": Varchar, "bpchar": BPChar, "char": BPChar, "character": BPChar, "\"char\"": Char, "name": Name,
	"bytea": Bytea, "date": Date, "timestamp": Timestamp, "timestamp without time zone": Timestamp,
	"timestamptz": TimestampTZ, "timestamp with time zone": TimestampTZ, "interval": Interval, "inet": Inet,
	"cidr": CIDR, "uuid": UUID, "json": JSON, "jsonb": JSONB, "oid": OID, "regclass": RegClass, "regtype": RegType,
	"regproc": RegProc, "regnamespace": RegNamespace, "void": Void, "record": Record, "unknown": Unknown,
}

// KindByName resolves a type name as written in SQL (lower case, single spaces, no modifier, no "[]").
func KindByName(name string) (Kind, bool) {
	k, ok := typeNames[strings.TrimPrefix(name, "pg_catalog.")]
	return k, ok
}

// IsText reports whether values are strings to every operator.
func (k Kind) IsText() bool {
	return k == Text || k == Varchar || k == BPChar || k == Name || k == Char || k == Unknown
}

// IsInteger reports smallint, integer, bigint and oid.
func (k Kind) IsInteger() bool { return k == Int2 || k == Int4 || k == Int8 || k == OID }

// IsNumber reports whether + - * / are arithmetic on the kind.
func (k Kind) IsNumber() bool {
	return k == Int2 || k == Int4 || k == Int8 || k == Float4 || k == Float8 || k == Numeric
}
