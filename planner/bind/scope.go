package bind

import (
	"strings"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/logical"
	"github.com/vigil-sql/vigil/planner/parse"
)

// relCol is a column of a relation in FROM. Value reads the frame's row (a Column), or is a pseudo column.
type relCol struct {
	name   string
	value  expr.Expr
	hidden bool // exists, but is not part of *
}

// rel is a relation in FROM under its alias.
type rel struct {
	schema, alias string // schema is "" for aliased and derived ones
	table         string // the catalogue name behind the alias, "" for derived ones
	cols          []relCol
	// te is what was written.
	te parse.TableExpr
	// self: a recursive query's own name; single: a function of one value, whose row is the value.
	self, single bool
	// nullable: an outer join may make the row up; whole is then the column of the whole row, where it is needed.
	nullable bool
	whole    *expr.Column
}

// mergedCol is a column that JOIN USING made of two.
type mergedCol struct {
	name  string
	value expr.Expr
	// hides are the values that the bare name no longer means.
	hides []expr.Expr
}

// frame is the relations of one query level (or of the left side of a lateral join): one row at run time.
type frame struct {
	parent *frame
	rels   []*rel
	merged []mergedCol
	// blocked frames cannot be named from below, but their row is still there when depth is counted.
	blocked bool
	// aggs takes the aggregates of subqueries that belong to this level, while a clause is bound that may hold some; clause is
	// its name.
	aggs   *[]logical.AggCall
	clause string
	// near are relations that exist and cannot be named, for errors.
	near []*rel
}

// shifted is the relation with its columns moved to the right in the row.
func (r *rel) shifted(by int) *rel {
	out := *r
	if r.whole != nil {
		out.whole = shift(r.whole, by).(*expr.Column)
	}
	out.cols = make([]relCol, len(r.cols))
	for i, c := range r.cols {
		c.value = shift(c.value, by)
		out.cols[i] = c
	}
	return &out
}

func shift(e expr.Expr, by int) expr.Expr {
	switch e := e.(type) {
	case *expr.Column:
		return &expr.Column{Index: e.Index + by, Name: e.Name, Typ: e.Typ}
	case *expr.Coalesce:
		args := make([]expr.Expr, len(e.Args))
		for i, a := range e.Args {
			args[i] = shift(a, by)
		}
		return &expr.Coalesce{Args: args, Typ: e.Typ}
	case *expr.Cast:
		return &expr.Cast{X: shift(e.X, by), Typ: e.Typ, Explicit: e.Explicit}
	}
	return e
}

// sameValue tells whether two scope values are the same column of the row.
func sameValue(a, b expr.Expr) bool {
	x, ok := a.(*expr.Column)
	y, ok2 := b.(*expr.Column)
	if ok && ok2 {
		return x.Index == y.Index
	}
	return a == b
}

// found is a name's meaning within one frame.
type found struct {
	value expr.Expr
	rel   *rel
}

// bare finds an unqualified column in one frame.
func (f *frame) bare(name string) []found {
	var out []found
	for _, m := range f.merged {
		if m.name == name {
			out = append(out, found{value: m.value})
		}
	}
	for _, r := range f.rels {
		for _, c := range r.cols {
			if c.name == name && !f.isMerged(c.value) {
				out = append(out, found{c.value, r})
			}
		}
	}
	return visibleFirst(out, f, name)
}

// visibleFirst drops system and pseudo columns when an ordinary column has the name.
func visibleFirst(list []found, f *frame, name string) []found {
	if len(list) < 2 {
		return list
	}
	var out []found
	for _, c := range list {
		if c.rel == nil || !c.rel.isHidden(name, c.value) {
			out = append(out, c)
		}
	}
	if len(out) == 0 {
		return list
	}
	return out
}

func (r *rel) isHidden(name string, v expr.Expr) bool {
	for _, c := range r.cols {
		if c.name == name && c.value == v {
			return c.hidden
		}
	}
	return false
}

func (f *frame) isMerged(v expr.Expr) bool {
	for _, m := range f.merged {
		for _, h := range m.hides {
			if sameValue(h, v) {
				return true
			}
		}
	}
	return false
}

// table finds relations by alias in one frame.
func (f *frame) table(schema, alias string) []*rel {
	var out []*rel
	for _, r := range f.rels {
		if r.alias == alias && (schema == "" || r.schema == schema) {
			out = append(out, r)
		}
	}
	return out
}

// column resolves an identifier from the innermost frame outwards.
func (b *binder) column(f *frame, id *parse.Ident) (expr.Expr, error) {
	parts := id.Parts
	if len(parts) == 4 { // database.schema.table.column
		parts = parts[1:]
	}
	if len(parts) > 3 {
		return nil, sqlerr.New(sqlerr.SyntaxError, "improper qualified name (too many dotted names): %s", strings.Join(id.Parts, ".")).At(id.Pos)
	}
	name := parts[len(parts)-1]
	depth := 0
	for fr := f; fr != nil; fr, depth = fr.parent, depth+1 {
		if fr.blocked {
			continue
		}
		var list []found
		if len(parts) == 1 {
			list = fr.bare(name)
		} else {
			var done bool
			var err error
			if list, done, err = b.qualified(fr, f, parts, id.Pos); err != nil {
				return nil, err
			} else if !done {
				continue
			}
		}
		if len(list) > 1 {
			return nil, sqlerr.New(sqlerr.AmbiguousColumn, "column reference %q is ambiguous", name).At(id.Pos)
		}
		if len(list) == 1 {
			return b.reference(list[0], name, depth, id.Pos), nil
		}
	}
	if len(parts) < 3 {
		schema := ""
		if len(parts) == 2 {
			schema = parts[0]
		}
		if e, ok, err := b.wholeRow(f, schema, name, id.Pos); ok {
			return e, err
		}
	}
	return nil, b.missing(f, parts, id.Pos)
}

// qualified finds t.c in a frame; done says that the frame has the table.
func (b *binder) qualified(fr, inner *frame, parts []string, pos int) (list []found, done bool, err error) {
	schema, table, name := "", parts[0], parts[len(parts)-1]
	if len(parts) == 3 {
		schema, table = parts[0], parts[1]
	}
	rels := fr.table(schema, table)
	if len(rels) == 0 {
		return nil, false, nil
	}
	if len(rels) > 1 {
		return nil, true, sqlerr.New("42P09", "table reference %q is ambiguous", table).At(pos)
	}
	for _, c := range rels[0].cols {
		if c.name == name {
			list = append(list, found{c.value, rels[0]})
		}
	}
	if len(list) == 0 {
		return nil, true, withColumnHint(sqlerr.New(sqlerr.UndefinedColumn, "column %s.%s does not exist", table, name), inner, table, name).At(pos)
	}
	return list, true, nil
}

// reference makes the expression node of a resolved name.
func (b *binder) reference(c found, name string, depth, pos int) expr.Expr {
	label := name
	if c.rel != nil && c.rel.alias != "" {
		label = c.rel.alias + "." + name
	}
	var e expr.Expr
	switch v := c.value.(type) {
	case *expr.Column:
		if depth == 0 {
			e = &expr.Column{Index: v.Index, Name: v.Name, Typ: v.Typ}
		} else {
			e = &expr.Outer{Depth: depth, Index: v.Index, Name: label, Typ: v.Typ}
		}
	case *windowBound:
		e = &windowBound{end: v.end}
	default: // a merged column of a full join
		e = outward(v, depth)
	}
	b.src[e] = source{pos: pos, name: label}
	return e
}

// outward lifts a merged column's expression to depth.
func outward(e expr.Expr, depth int) expr.Expr {
	if depth == 0 {
		return shift(e, 0)
	}
	switch e := e.(type) {
	case *expr.Column:
		return &expr.Outer{Depth: depth, Index: e.Index, Name: e.Name, Typ: e.Typ}
	case *expr.Coalesce:
		args := make([]expr.Expr, len(e.Args))
		for i, a := range e.Args {
			args[i] = outward(a, depth)
		}
		return &expr.Coalesce{Args: args, Typ: e.Typ}
	case *expr.Cast:
		return &expr.Cast{X: outward(e.X, depth), Typ: e.Typ, Explicit: e.Explicit}
	}
	return e
}

// missing is the error for a name that no frame has.
func (b *binder) missing(f *frame, parts []string, pos int) error {
	name := parts[len(parts)-1]
	if len(parts) == 1 {
		return withColumnHint(sqlerr.New(sqlerr.UndefinedColumn, "column %q does not exist", name), f, "", name).At(pos)
	}
	table := parts[len(parts)-2]
	if err := b.outOfReach(f, table, pos); err != nil {
		return err
	}
	for fr := f; fr != nil; fr = fr.parent {
		for _, r := range fr.rels {
			if !fr.blocked && r.table == table && r.alias != table {
				return sqlerr.New(sqlerr.UndefinedTable, "invalid reference to FROM-clause entry for table %q", table).At(pos).
					WithHint("Perhaps you meant to reference the table alias %q.", r.alias)
			}
		}
	}
	return sqlerr.New(sqlerr.UndefinedTable, "missing FROM-clause entry for table %q", table).At(pos)
}

// fuzzyMax is the distance up to which a name is taken for a misspelling, as in Postgres.
const fuzzyMax = 3

// withColumnHint adds Postgres' guess at what column was meant; table is the qualifier as written, or "".
func withColumnHint(err *sqlerr.Error, f *frame, table, name string) *sqlerr.Error {
	best := fuzzyMax + 1
	var guesses []string
	for fr := f; fr != nil; fr = fr.parent {
		for _, r := range fr.rels {
			penalty := 0
			if table != "" {
				penalty = levenshtein(table, r.alias)
			}
			for _, c := range r.cols {
				d := levenshtein(name, c.name)
				if c.hidden || d > len(name)/2 || d+penalty > best || r.alias == "" {
					continue
				}
				if d+penalty < best {
					best, guesses = d+penalty, nil
				}
				guesses = append(guesses, r.alias+"."+c.name)
			}
		}
	}
	switch {
	case best > fuzzyMax || len(guesses) == 0 || len(guesses) > 2:
		return err
	case len(guesses) == 1:
		return err.WithHint("Perhaps you meant to reference the column %q.", guesses[0])
	}
	return err.WithHint("Perhaps you meant to reference the column %q or the column %q.", guesses[0], guesses[1])
}

// nameMax bounds the names compared: an identifier has at most 63 bytes in Postgres, ours may be longer.
const nameMax = 128

// levenshtein is the edit distance of two names.
func levenshtein(a, b string) int {
	if len(a) > nameMax || len(b) > nameMax {
		return nameMax
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diag := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := diag
			if a[i-1] != b[j-1] {
				cost++
			}
			diag = row[j]
			row[j] = min(cost, row[j]+1, row[j-1]+1)
		}
	}
	return row[len(b)]
}

// windowBound is window_start or window_end before grouping gives it a column.
type windowBound struct{ end bool }

// Type implements expr.Expr.
func (w *windowBound) Type() types.Type { return types.T(types.TimestampTZ) }

// String implements expr.Expr.
func (w *windowBound) String() string {
	if w.end {
		return "window_end"
	}
	return "window_start"
}
