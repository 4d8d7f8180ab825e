package session

import (
	"context"
	"slices"
	"strings"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/parse"
	"github.com/vigil-sql/vigil/server/pgwire"
)

// validation sees that rows keep a table's constraints.
type validation struct {
	c    *tableChange
	seen []map[string]bool
}

func newValidation(s *Session, next *catalog.Table) *validation {
	v := &validation{c: &tableChange{s: s, t: next}, seen: make([]map[string]bool, len(next.Keys))}
	for i := range v.seen {
		v.seen[i] = map[string]bool{}
	}
	return v
}

func (v *validation) row(row []types.Value) error {
	t := v.c.t
	for i, col := range t.Table.Schema.Cols {
		if col.NotNull && row[i].Null {
			return sqlerr.New(sqlerr.NotNullViolation, "column %q of relation %q contains null values", col.Name, t.Name)
		}
	}
	for i := range t.Checks {
		x, err := expr.EvalRow(v.c.context(), t.Checks[i].X, row)
		if err != nil {
			return err
		}
		if !x.Null && !x.Bool() {
			return sqlerr.New(sqlerr.CheckViolation, "check constraint %q of relation %q is violated by some row", t.Checks[i].Name, t.Name)
		}
	}
	for i := range t.Keys {
		k := &t.Keys[i]
		key, ok := v.c.keyOf(k, row)
		if !ok || !k.Unique {
			continue
		}
		if v.seen[i][string(key)] {
			return sqlerr.New(sqlerr.UniqueViolation, "could not create unique index %q", k.Name).
				WithDetail("Key (%s)=(%s) is duplicated.", keyColumns(t, k), v.c.text(row, k.Cols))
		}
		v.seen[i][string(key)] = true
	}
	return nil
}

// tableText is what the catalogue stores of a table: its statement, and those of its indexes.
func tableText(t *catalog.Table) string {
	parts := []string{t.SQL}
	for _, k := range t.Keys {
		if k.Index {
			parts = append(parts, k.SQL)
		}
	}
	return strings.Join(parts, ";\n")
}

// createIndex runs CREATE INDEX.
func (s *Session) createIndex(ctx context.Context, sc *scope, st *parse.CreateIndex, out pgwire.Output) error {
	t, err := sc.tableNamed(s, st.Table, false, out)
	if err != nil {
		return err
	}
	a, err := s.alterationOf(sc, t, out)
	if err != nil {
		return err
	}
	x := *st
	x.Table, x.IfNotExists = parse.Name{Schema: string(t.Namespace), Name: t.RelName()}, false
	taken := sc.cat.Snapshot().Taken(string(t.Namespace))
	if x.Name == "" {
		var cols []string
		for _, c := range st.Columns {
			cols = append(cols, c.Name)
		}
		x.Name = planner.IndexName(t.RelName(), cols, taken)
	} else if taken(x.Name) {
		if st.IfNotExists {
			out.Notice(notice(sqlerr.DuplicateTable, "relation %q already exists, skipping", x.Name))
			return nil
		}
		return sqlerr.New(sqlerr.DuplicateTable, "relation %q already exists", x.Name)
	}
	a.indexes = append(a.indexes, &x)
	return a.apply(ctx)
}

// indexNamed finds an index where search_path does.
func (s *Session) indexNamed(sc *scope, name parse.Name) (*catalog.Table, *catalog.Key) {
	path := []string{name.Schema}
	if name.Schema == "" {
		path = s.path()
	}
	for _, schema := range path {
		if t, k := sc.cat.Snapshot().Indexed(schema, name.Name); t != nil {
			return t, k
		}
	}
	return nil, nil
}

// dropIndex runs DROP INDEX.
func (s *Session) dropIndex(ctx context.Context, sc *scope, st *parse.Drop, out pgwire.Output) error {
	for _, name := range st.Names {
		t, k := s.indexNamed(sc, name)
		switch {
		case t == nil && s.relation(name) != nil:
			return sqlerr.New(sqlerr.WrongObjectType, "%q is not an index", name.Name).WithHint("Use DROP TABLE to remove a table.")
		case t == nil && st.IfExists:
			out.Notice(notice(sqlerr.UndefinedObject, "index %q does not exist, skipping", name.Name))
			continue
		case t == nil:
			return sqlerr.New(sqlerr.UndefinedObject, "index %q does not exist", name.Name)
		case !k.Index:
			return sqlerr.New(sqlerr.DependentObjectsExist, "cannot drop index %s because constraint %s on table %s requires it", k.Name, k.Name, t.Name).
				WithHint("You can drop constraint %s on table %s instead.", k.Name, t.Name)
		}
		a, err := s.alterationOf(sc, t, out)
		if err != nil {
			return err
		}
		a.indexes = slices.DeleteFunc(a.indexes, func(i *parse.CreateIndex) bool { return i.Name == name.Name })
		if err := a.apply(ctx); err != nil {
			return err
		}
	}
	return nil
}
