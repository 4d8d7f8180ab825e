package expr

import (
	"fmt"
	"strings"

	"github.com/vigil-sql/vigil/executor/types"
)

var boolType = types.T(types.Bool)

// Type methods: the static type of each node.
func (e *Column) Type() types.Type    { return e.Typ }
func (e *Outer) Type() types.Type     { return e.Typ }
func (e *Const) Type() types.Type     { return e.Val.Type }
func (e *Param) Type() types.Type     { return e.Typ }
func (e *And) Type() types.Type       { return boolType }
func (e *Or) Type() types.Type        { return boolType }
func (e *Not) Type() types.Type       { return boolType }
func (e *IsNull) Type() types.Type    { return boolType }
func (e *IsBool) Type() types.Type    { return boolType }
func (e *Compare) Type() types.Type   { return boolType }
func (e *Distinct) Type() types.Type  { return boolType }
func (e *In) Type() types.Type        { return boolType }
func (e *InIOC) Type() types.Type     { return boolType }
func (e *Like) Type() types.Type      { return boolType }
func (e *AnyArray) Type() types.Type  { return boolType }
func (e *Call) Type() types.Type      { return e.Typ }
func (e *UDF) Type() types.Type       { return e.Typ }
func (e *Cast) Type() types.Type      { return e.Typ }
func (e *Case) Type() types.Type      { return e.Typ }
func (e *Coalesce) Type() types.Type  { return e.Typ }
func (e *ArrayCtor) Type() types.Type { return e.Typ }
func (e *Subscript) Type() types.Type { return e.Typ }
func (e *Subquery) Type() types.Type  { return e.Typ }

var cmpNames = [...]string{EQ: "=", NE: "<>", LT: "<", LE: "<=", GT: ">", GE: ">="}

// String is the SQL spelling of the operator.
func (o CmpOp) String() string { return cmpNames[o] }

func join(list []Expr, sep string) string {
	parts := make([]string, len(list))
	for i, e := range list {
		parts[i] = e.String()
	}
	return strings.Join(parts, sep)
}

func not(b bool) string {
	if b {
		return "NOT "
	}
	return ""
}

// String methods: SQL-like text, parenthesised so that equal text means equal trees.
func (e *Column) String() string { return e.Name }
func (e *Outer) String() string  { return fmt.Sprintf("outer%d.%s", e.Depth, e.Name) }
func (e *Const) String() string {
	v := e.Val
	switch {
	case v.Null:
		return "NULL"
	case v.Type.Kind == types.Bool:
		return fmt.Sprint(v.I != 0)
	case v.Type.Kind.IsText() && v.Type.Kind != types.Unknown:
		return "'" + strings.ReplaceAll(v.S, "'", "''") + "'"
	case v.Type.Kind.IsNumber() && v.Type.Phys() == types.PhysInt:
		return fmt.Sprint(v.I)
	}
	return "'" + v.Text() + "'::" + v.Type.String()
}
func (e *Param) String() string { return fmt.Sprintf("$%d", e.N) }
func (e *And) String() string   { return "(" + join(e.Args, " AND ") + ")" }
func (e *Or) String() string    { return "(" + join(e.Args, " OR ") + ")" }
func (e *Not) String() string   { return "NOT " + e.X.String() }
func (e *IsNull) String() string {
	return "(" + e.X.String() + " IS " + not(e.Not) + "NULL)"
}
func (e *IsBool) String() string {
	return fmt.Sprintf("(%s IS %s%v)", e.X, not(e.Not), e.Want)
}
func (e *Compare) String() string { return fmt.Sprintf("(%s %s %s)", e.L, e.Op, e.R) }
func (e *Distinct) String() string {
	return fmt.Sprintf("(%s IS %sDISTINCT FROM %s)", e.L, not(e.Not), e.R)
}
func (e *In) String() string {
	return fmt.Sprintf("(%s %sIN (%s))", e.X, not(e.Not), join(e.List, ", "))
}
func (e *InIOC) String() string {
	return fmt.Sprintf("(%s %sIN IOC (%s))", e.X, not(e.Not), strings.Join(e.Lists, ", "))
}
func (e *Like) String() string {
	op := "LIKE"
	if e.Insensitive {
		op = "ILIKE"
	}
	s := fmt.Sprintf("%s %s%s %s", e.X, not(e.Not), op, e.Pattern)
	if e.Escape != '\\' {
		s += fmt.Sprintf(" ESCAPE %q", string(e.Escape))
	}
	return "(" + s + ")"
}
func (e *Call) String() string {
	if c := e.Def.Name[0]; !(c >= 'a' && c <= 'z') && c != '_' {
		if len(e.Args) == 1 {
			return "(" + e.Def.Name + e.Args[0].String() + ")"
		}
		return "(" + join(e.Args, " "+e.Def.Name+" ") + ")"
	}
	return e.Def.Name + "(" + join(e.Args, ", ") + ")"
}
func (e *Cast) String() string { return fmt.Sprintf("%s::%s", e.X, e.Typ) }
func (e *Case) String() string {
	var b strings.Builder
	b.WriteString("CASE")
	for _, w := range e.Whens {
		fmt.Fprintf(&b, " WHEN %s THEN %s", w.Cond, w.Then)
	}
	if e.Else != nil {
		fmt.Fprintf(&b, " ELSE %s", e.Else)
	}
	return b.String() + " END"
}
func (e *Coalesce) String() string { return "COALESCE(" + join(e.Args, ", ") + ")" }
func (e *AnyArray) String() string {
	q := "ANY"
	if e.All {
		q = "ALL"
	}
	op := e.Op.String()
	switch {
	case e.Like != nil:
		op = not(e.Like.Not) + "LIKE"
		if e.Like.Insensitive {
			op = not(e.Like.Not) + "ILIKE"
		}
	case e.Regex != nil:
		op = e.Regex.Name
	}
	return fmt.Sprintf("(%s %s %s(%s))", e.L, op, q, e.Array)
}
func (e *ArrayCtor) String() string { return "ARRAY[" + join(e.Elems, ", ") + "]" }
func (e *Subscript) String() string { return fmt.Sprintf("%s[%s]", e.X, e.Index) }
func (e *Subquery) String() string {
	switch e.Kind {
	case Exists:
		return not(e.Not) + "EXISTS (subquery)"
	case InSub:
		return fmt.Sprintf("(%s %sIN (subquery))", e.X, not(e.Not))
	case ArraySub:
		return "ARRAY(subquery)"
	}
	return "(subquery)"
}
