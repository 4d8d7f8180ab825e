package session

import (
	"context"
	"fmt"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/parse"
	"github.com/vigil-sql/vigil/server/pgwire"
)

// createRelation is CREATE STREAM, SOURCE and TABLE.
func (s *Session) createRelation(st *parse.CreateStream) (doFunc, error) {
	if len(st.Like) > 0 {
		x, err := s.withoutLike(st)
		if err != nil {
			return nil, err
		}
		st = x
	}
	if st.Temp {
		if !planner.IsTable(st) {
			return nil, sqlerr.NotSupported("a temporary stream", "Leave TEMP out.").At(st.Name.Pos)
		}
		return simple("CREATE TABLE", func(_ context.Context, out pgwire.Output) error { return s.createTemp(st, out) }), nil
	}
	if st.OnCommit != "" {
		return nil, sqlerr.New(sqlerr.InvalidTableDefinition, "ON COMMIT can only be used on temporary tables").At(st.Name.Pos)
	}
	if planner.IsTable(st) {
		return s.createDo("CREATE TABLE", st.Name, func(n parse.Name) creation {
			x := *st
			x.Name = n
			return creation{kind: kindTable, ifNotExists: st.IfNotExists, sql: parse.Print(&x),
				planIn: func(sc *scope, env *planner.Env, id uint64, at types.EventTime) (planned, error) {
					return sc.newTable(env, &x, id, at)
				}}
		})
	}
	if err := s.mayConnect(st); err != nil {
		return nil, err
	}
	if err := notSealed(st.Options); err != nil {
		return nil, err
	}
	return s.createDo("CREATE STREAM", st.Name, func(n parse.Name) creation {
		x := *st
		x.Name = n
		return creation{kind: kindStream, ifNotExists: st.IfNotExists, sql: parse.Print(&x),
			plan: func(env *planner.Env, id uint64, at types.EventTime) (planned, error) {
				return s.srv.planStream(env, &x, id, at)
			}}
	})
}

// createObject is CREATE CONTINUOUS QUERY, IOC LIST and FUNCTION.
func (s *Session) createObject(stmt parse.Statement) (doFunc, error) {
	srv := s.srv
	switch st := stmt.(type) {
	case *parse.CreateQuery:
		return s.createDo("CREATE CONTINUOUS QUERY", st.Name, func(n parse.Name) creation {
			x := *st
			x.Name = n
			return creation{kind: kindQuery, ifNotExists: st.IfNotExists, replace: st.OrReplace, sql: parse.Print(&x),
				plan: func(env *planner.Env, id uint64, at types.EventTime) (planned, error) {
					return srv.planQuery(env, &x, id, at)
				}}
		})
	case *parse.CreateIOC:
		if err := s.checkFeed(st.Options); err != nil {
			return nil, err
		}
		return s.createDo("CREATE IOC LIST", st.Name, func(n parse.Name) creation {
			x := *st
			x.Name = n
			return creation{kind: kindIOC, ifNotExists: st.IfNotExists, sql: parse.Print(&x),
				plan: func(env *planner.Env, id uint64, _ types.EventTime) (planned, error) { return srv.planIOC(env, &x, id) }}
		})
	case *parse.CreateFunction:
		if st.Name.Schema != "" && st.Name.Schema != catalog.Public && s.snapshot().Schema(st.Name.Schema) != nil {
			return nil, sqlerr.NotSupported("a function in a schema other than public", "Leave the schema out.").At(st.Name.Pos)
		}
		return s.createDo("CREATE "+map[bool]string{true: "AGGREGATE", false: "FUNCTION"}[st.Aggregate], st.Name, func(n parse.Name) creation {
			x := *st
			x.Name = parse.Name{Name: n.Name, Pos: n.Pos}
			return creation{kind: kindFunction, replace: st.OrReplace, sql: parse.Print(&x),
				plan: func(env *planner.Env, id uint64, _ types.EventTime) (planned, error) {
					return srv.planFunction(env, &x, id)
				}}
		})
	}
	return nil, sqlerr.NotSupported("this statement", "")
}

// createDo places the name in its schema and wraps a creation.
func (s *Session) createDo(tag string, name parse.Name, build func(parse.Name) creation) (doFunc, error) {
	if _, err := s.place(name); err != nil {
		return nil, err
	}
	return simple(tag, func(ctx context.Context, out pgwire.Output) error {
		n, err := s.place(name)
		if err != nil {
			return err
		}
		c := build(n)
		c.name, c.path = n, s.path()
		return s.scope(func(sc *scope) error { return sc.create(ctx, c, out) })
	}), nil
}

// createView is CREATE VIEW.
func (s *Session) createView(st *parse.CreateView) (doFunc, error) {
	if _, err := planner.View(s.env(), st, 0); err != nil {
		return nil, err
	}
	return s.createDo("CREATE VIEW", st.Name, func(n parse.Name) creation {
		x := *st
		x.Name = n
		return creation{kind: kindView, replace: st.OrReplace, sql: parse.Print(&x),
			plan: func(env *planner.Env, id uint64, _ types.EventTime) (planned, error) {
				return s.srv.planView(env, &x, id)
			}}
	})
}

// newTable plans a table that comes with the sequences of its columns.
func (s *scope) newTable(env *planner.Env, st *parse.CreateStream, id uint64, at types.EventTime) (planned, error) {
	def, sequences, err := s.withSequences(st, id)
	if err != nil {
		return planned{}, err
	}
	def.IfNotExists = false
	planner.NameConstraints(def, s.cat.Snapshot().Taken(st.Name.Schema))
	p, err := s.planTable(env, def, id)
	if err != nil {
		return p, err
	}
	p.sql, p.also = parse.Print(def), created(sequences, at)
	table := p.publish
	p.publish = func(cat *catalog.Catalog) {
		for _, q := range sequences {
			putting(q)(cat)
		}
		table(cat)
	}
	return p, nil
}

// withoutLike writes out the columns that LIKE stands for, as they are now.
func (s *Session) withoutLike(st *parse.CreateStream) (*parse.CreateStream, error) {
	x := *st
	x.Columns, x.Like = nil, nil
	at := 0
	for _, l := range st.Like {
		x.Columns = append(x.Columns, st.Columns[at:l.At]...)
		at = l.At
		rel := s.relation(l.Name)
		if rel == nil {
			return nil, sqlerr.New(sqlerr.UndefinedTable, "relation %q does not exist", l.Name.Name).At(l.Name.Pos)
		}
		if err := s.allow(rel, catalog.Select); err != nil {
			return nil, err
		}
		cols, err := s.definitions(rel.RelSchema())
		if err != nil {
			return nil, err
		}
		if t, ok := rel.(*catalog.Table); ok {
			copyTable(cols, t, l)
		}
		x.Columns = append(x.Columns, cols...)
	}
	x.Columns = append(x.Columns, st.Columns[at:]...)
	return &x, nil
}

// copyTable adds what LIKE includes of a table besides its columns.
func copyTable(cols []parse.ColumnDef, t *catalog.Table, l parse.LikeClause) {
	if list, err := parse.Parse(t.SQL); l.Defaults && err == nil {
		if def, ok := list[0].Stmt.(*parse.CreateStream); ok && len(def.Columns) == len(cols) {
			for i := range cols {
				cols[i].Default = def.Columns[i].Default
			}
		}
	}
	if l.Keys {
		for _, k := range t.Key {
			cols[k].Primary = true
		}
	}
}

// definitions are columns of these names and types.
func (s *Session) definitions(schema *types.Schema) ([]parse.ColumnDef, error) {
	out := make([]parse.ColumnDef, len(schema.Cols))
	for i, c := range schema.Cols {
		t := c.Type
		if t.Kind == types.Unknown {
			t = types.T(types.Text)
		}
		name, err := parse.ParseType(s.pg.TypeName(int64(t.OID()), t.WireMod(), true))
		if err != nil {
			return nil, err
		}
		out[i] = parse.ColumnDef{Name: c.Name, Type: name, NotNull: c.NotNull}
	}
	return out, nil
}

// createTableAs is CREATE TABLE .. AS: the table, and then the rows.
func (s *Session) createTableAs(st *parse.CreateTableAs) (doFunc, error) {
	p, err := planner.Select(s.env(), st.Query, nil)
	if err != nil {
		return nil, err
	}
	if len(st.Columns) > len(p.Root.Schema.Cols) {
		return nil, sqlerr.New(sqlerr.SyntaxError, "too many column names were specified").At(st.Name.Pos)
	}
	def := &parse.CreateStream{Table: true, Temp: st.Temp, Name: st.Name, IfNotExists: st.IfNotExists, OnCommit: st.OnCommit}
	schema := p.Root.Schema
	schema.Cols = append([]types.Column(nil), schema.Cols...)
	for i := range schema.Cols {
		schema.Cols[i].NotNull = false
		if i < len(st.Columns) {
			schema.Cols[i].Name = st.Columns[i]
		}
	}
	if def.Columns, err = s.definitions(&schema); err != nil {
		return nil, err
	}
	create, err := s.createRelation(def)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context, params []types.Value, out pgwire.Output) (string, error) {
		if st.IfNotExists && s.relation(st.Name) != nil {
			return create(ctx, params, out)
		}
		return s.fillNew(ctx, st, create, out)
	}, nil
}

// fillNew creates the table of CREATE TABLE AS and fills it, both or neither.
func (s *Session) fillNew(ctx context.Context, st *parse.CreateTableAs, create doFunc, out pgwire.Output) (string, error) {
	alone := s.changes() == nil
	if alone {
		s.grouped = true
		defer func() { s.grouped = false }()
	}
	n, err := s.createAndFill(ctx, st, create, out)
	if !alone {
		return fmt.Sprintf("SELECT %d", n), err
	}
	if err != nil {
		s.rollback()
		return "", err
	}
	return fmt.Sprintf("SELECT %d", n), s.end(ctx)
}

func (s *Session) createAndFill(ctx context.Context, st *parse.CreateTableAs, create doFunc, out pgwire.Output) (int, error) {
	var rows [][]types.Value
	if !st.WithNoData {
		p, err := planner.Select(s.env(), st.Query, nil) // before the table is there: it may hide what the query reads
		if err != nil {
			return 0, err
		}
		err = s.run(ctx, p, func(row []types.Value) error {
			rows = append(rows, append([]types.Value(nil), row...))
			return nil
		})
		if err != nil {
			return 0, err
		}
	}
	if _, err := create(ctx, nil, out); err != nil {
		return 0, err
	}
	t, ok := s.relation(st.Name).(*catalog.Table)
	if !ok {
		return 0, sqlerr.New(sqlerr.UndefinedTable, "relation %q does not exist", st.Name.Name)
	}
	for _, row := range rows {
		for i := range row {
			row[i].Type = t.Table.Schema.Cols[i].Type
		}
	}
	return s.insertTable(ctx, t, rows, nil, nil)
}
