package bind

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/parse"
)

// TakesRow reports that a function has a parameter that is a whole row.
func TakesRow(f *spec.Function) bool {
	return slices.ContainsFunc(f.Params, func(c types.Column) bool { return c.Type.Kind == types.Record })
}

// RowFields finds which fields of a row a function's body reads: those that stand behind the parameter's name, or all when that name
// stands anywhere else. A name in a comment or a string counts, too: one field too many costs a little, one too few would be wrong.
func RowFields(body, param string) (names []string, all bool) {
	if strings.Contains(body, `\u`) {
		return nil, true // names can be written with escapes
	}
	for i := 0; i < len(body); {
		if !nameByte(body[i]) {
			i++
			continue
		}
		end := i
		for end < len(body) && nameByte(body[end]) {
			end++
		}
		if body[i:end] != param {
			i = end
			continue
		}
		if before := strings.TrimRight(body[:i], " \t\r\n"); strings.HasSuffix(before, ".") && !strings.HasSuffix(before, "...") {
			i = end // a field of something else
			continue
		}
		name, ok := fieldBehind(body[end:])
		if !ok {
			return nil, true
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
		i = end
	}
	return names, false
}

// fieldBehind reads .name, ?.name or ['name'].
func fieldBehind(s string) (name string, ok bool) {
	s = strings.TrimLeft(s, " \t\r\n")
	s = strings.TrimPrefix(s, "?")
	switch {
	case strings.HasPrefix(s, ".") && !strings.HasPrefix(s, ".["):
		s = strings.TrimLeft(s[1:], " \t\r\n")
		end := 0
		for end < len(s) && nameByte(s[end]) {
			end++
		}
		return s[:end], end > 0
	case strings.HasPrefix(s, "["), strings.HasPrefix(s, ".["):
		s = strings.TrimLeft(strings.TrimPrefix(s, "."), "[ ")
		if s == "" || s[0] != '\'' && s[0] != '"' {
			return "", false
		}
		end := strings.IndexByte(s[1:], s[0])
		if end < 0 || strings.ContainsAny(s[1:end+1], "\\\n") || !strings.HasPrefix(strings.TrimLeft(s[end+2:], " "), "]") {
			return "", false
		}
		return s[1 : end+1], true
	}
	return "", false
}

func nameByte(c byte) bool {
	return c == '_' || c == '$' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c >= utf8.RuneSelf
}

// fieldsRead is RowFields for a function and the definitions before it that may still run.
func fieldsRead(f *spec.Function, param int) (names []string, all bool) {
	for _, x := range append([]spec.FunctionBefore{{Function: f}}, f.Before...) {
		if param >= len(x.Function.Params) {
			continue
		}
		list, every := RowFields(x.Function.Body, x.Function.Params[param].Name)
		if every {
			return nil, true
		}
		names = append(names, list...)
	}
	return names, false
}

// ReadsMore tells which field of a row the next definition of a function reads that the one before does not, "" for none: the queries that
// call it do not hand it over.
func ReadsMore(old, next *spec.Function) string {
	for i, c := range next.Params {
		if c.Type.Kind != types.Record || i >= len(old.Params) {
			continue
		}
		have, haveAll := fieldsRead(old, i)
		want, all := RowFields(next.Body, c.Name)
		switch {
		case haveAll:
		case all:
			return "all columns of " + c.Name
		default:
			for _, name := range want {
				if !slices.Contains(have, name) {
					return c.Name + "." + name
				}
			}
		}
	}
	return ""
}

// rowParams checks what a function with rows for parameters may be.
func rowParams(f *spec.Function, pos int) error {
	for _, c := range f.Params {
		if c.Type.Kind == types.Array && c.Type.Elem == types.Record {
			return unsupported(pos, "a parameter of type record[]", "Take arrays of single columns, as array_agg makes them.")
		}
	}
	if f.Ret.Kind == types.Record || f.Ret.Elem == types.Record {
		return unsupported(pos, "RETURNS RECORD", "RETURNS JSONB: return an object, and take its fields with ->>.")
	}
	if !TakesRow(f) {
		return nil
	}
	if f.Aggregate {
		return unsupported(pos, "a parameter of type record of an aggregate", "Take the columns that it needs.")
	}
	for i := 0; i < len(f.Body); i++ {
		if strings.HasPrefix(f.Body[i:], "arguments") && (i == 0 || !nameByte(f.Body[i-1]) && f.Body[i-1] != '.') &&
			(i+9 == len(f.Body) || !nameByte(f.Body[i+9])) {
			return sqlerr.New(sqlerr.InvalidFunctionDefinition, "a function with a parameter of type record cannot use \"arguments\"").At(pos).
				WithHint("Name the parameters.")
		}
	}
	return nil
}

// rowCall binds a call of a function that takes whole rows, f(alias): of each row the columns that its body reads are arguments. done is
// false for other calls.
func (s *scalar) rowCall(f *parse.FuncCall) (e expr.Expr, done bool, err error) {
	if f.Name.Schema != "" && f.Name.Schema != catalog.Public {
		return nil, false, nil
	}
	u := s.env.Catalog.Function(f.Name.Name)
	if u == nil || !TakesRow(&u.Function) || len(f.Args) != len(u.Params) {
		return nil, false, nil
	}
	shape := &expr.RowShape{Fields: make([][]string, len(u.Params))}
	call := &expr.UDF{Name: u.Name, ID: u.ID, Typ: u.Ret, Shape: shape}
	for i, p := range u.Params {
		if p.Type.Kind == types.Record {
			fields, err := s.rowArg(f, u, i)
			if err != nil {
				return nil, true, err
			}
			shape.Fields[i] = []string{}
			for _, x := range fields {
				shape.Fields[i], call.Args = append(shape.Fields[i], x.name), append(call.Args, x.e)
			}
			continue
		}
		args, err := s.list(f.Args[i : i+1])
		if err != nil {
			return nil, true, err
		}
		x, ok, err := s.coerce(args[0], p.Type, expr.Implicit)
		if err != nil {
			return nil, true, err
		}
		if !ok {
			return nil, true, noFunction(f, args)
		}
		call.Args = append(call.Args, x)
	}
	if err := s.mayCall(u, f.Pos); err != nil {
		return nil, true, err
	}
	if p := s.env.Permit; p != nil {
		if err := p.Call(u); err != nil {
			return nil, true, err
		}
	}
	s.src[call] = source{pos: f.Pos, name: u.Name}
	return call, true, nil
}

// rowField is a column that is handed over.
type rowField struct {
	name string
	e    expr.Expr
}

// rowArg finds the columns of the relation that argument i names.
func (s *scalar) rowArg(f *parse.FuncCall, u *catalog.Function, i int) ([]rowField, error) {
	schema, alias := "", ""
	switch a := f.Args[i].(type) {
	case *parse.Ident:
		if len(a.Parts) > 2 {
			break
		}
		if alias = a.Parts[len(a.Parts)-1]; len(a.Parts) == 2 {
			schema = a.Parts[0]
		}
	case *parse.WholeRow:
		alias = a.Table
	}
	pos := f.Args[i].Position()
	depth := 0
	for fr := s.f; fr != nil && alias != ""; fr, depth = fr.parent, depth+1 {
		if fr.blocked {
			continue
		}
		rels := fr.table(schema, alias)
		if len(rels) > 1 {
			return nil, sqlerr.New("42P09", "table reference %q is ambiguous", alias).At(pos)
		}
		if len(rels) == 1 {
			return s.rowFields(rels[0], depth, u, i, pos)
		}
	}
	return nil, sqlerr.New(sqlerr.UndefinedTable, "parameter %q of function %s takes a row: the name of a relation of FROM", u.Params[i].Name, u.Name).At(pos).
		WithHint("SELECT .. FROM events e WHERE %s(e).", u.Name)
}

func (s *scalar) rowFields(r *rel, depth int, u *catalog.Function, i, pos int) ([]rowField, error) {
	names, all := fieldsRead(&u.Function, i)
	var out []rowField
	for _, c := range r.cols {
		if c.hidden || !all && !slices.Contains(names, c.name) || slices.ContainsFunc(out, func(x rowField) bool { return x.name == c.name }) {
			continue
		}
		e := s.reference(found{c.value, r}, c.name, depth, pos)
		if !scriptType(e.Type()) {
			x, ok, err := s.coerce(term{e: e, pos: pos}, textType, expr.Explicit)
			if err != nil {
				return nil, err
			}
			if !ok {
				return nil, unsupported(pos, "column "+c.name+" of type "+e.Type().String()+" in a JavaScript function", "Give the function the columns that it needs.")
			}
			e = x
		}
		out = append(out, rowField{c.name, e})
	}
	return out, nil
}

// scriptType reports that values of a type reach JavaScript as what they are; others do as text.
func scriptType(t types.Type) bool {
	switch t.Kind {
	case types.Bool, types.Int2, types.Int4, types.Int8, types.OID, types.Float4, types.Float8, types.Numeric, types.Text, types.Varchar, types.BPChar,
		types.Name, types.Bytea, types.Date, types.Timestamp, types.TimestampTZ, types.Interval, types.Inet, types.CIDR, types.UUID, types.JSON, types.JSONB:
		return true
	case types.Array:
		return t.Elem != types.Array && scriptType(types.T(t.Elem))
	}
	return false
}

// mayCall refuses a call of a function that is out of service, or gives something else each time where that must not be.
func (b *binder) mayCall(u *catalog.Function, pos int) error {
	if u.State == catalog.Deactivated && !b.env.Stored {
		return sqlerr.New(sqlerr.ObjectNotInPrerequisite, "function %q is deactivated: %s", u.Name, u.Reason).At(pos).
			WithHint("Mend it with CREATE OR REPLACE FUNCTION, or ALTER FUNCTION %s ACTIVATE.", u.Name)
	}
	if b.continuous && u.Volatility == "VOLATILE" {
		return unsupported(pos, "the volatile function "+u.Name+" in a continuous query", "Declare the function IMMUTABLE.")
	}
	b.deps.Functions = addOnce(b.deps.Functions, u.ID)
	return nil
}
