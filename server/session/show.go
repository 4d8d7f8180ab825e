package session

import (
	"context"
	"strings"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/parse"
	"github.com/vigil-sql/vigil/server/pgwire"
)

// listings are SHOW STREAMS and the like: a query over the system relations each.
var listings = map[string]string{
	"STREAMS":            "SELECT name, connector, format, rows, rejected, watermark, status FROM vigil.streams ORDER BY name",
	"CONTINUOUS QUERIES": "SELECT name, state, reason, rows_out, created_at FROM vigil.queries ORDER BY name",
	"IOC LISTS":          "SELECT name, type, entries, version FROM vigil.ioc_lists ORDER BY name",
	"FUNCTIONS":          "SELECT name, arguments, returns, language, state FROM vigil.functions ORDER BY name",
	"SINKS":              "SELECT name, query, connector, target, state, lag_rows, rows, last_error FROM vigil.sinks ORDER BY name",
	"TABLES":             "SELECT name, 'stream' AS kind FROM vigil.streams UNION ALL SELECT name, 'continuous query' FROM vigil.queries UNION ALL SELECT name, 'IOC list' FROM vigil.ioc_lists UNION ALL SELECT name, 'table' FROM vigil.tables ORDER BY 1",
}

// planShow plans SHOW: listings, definitions, settings.
func (s *Session) planShow(st *parse.Show) (*statement, error) {
	switch {
	case st.Create != "":
		sql, err := s.definition(st)
		if err != nil {
			return nil, err
		}
		return s.textRows("definition", "SHOW", []string{sql}), nil
	case st.What != "":
		sql, ok := listings[st.What]
		if !ok {
			return nil, sqlerr.NotSupported("SHOW "+st.What, "SHOW STREAMS, CONTINUOUS QUERIES, IOC LISTS, SINKS, FUNCTIONS or TABLES.")
		}
		list, err := parse.Parse(sql)
		if err != nil {
			return nil, err
		}
		plan, err := s.planSelect(list[0].Stmt.(*parse.SelectStmt).Query, nil)
		if plan != nil {
			plan.tag = func(int64) string { return "SHOW" }
		}
		return plan, err
	case st.Name == "all":
		return s.showAll(), nil
	}
	value, ok := s.settings.get(st.Name)
	if !ok {
		return nil, sqlerr.New(sqlerr.UndefinedObject, "unrecognized configuration parameter %q", st.Name)
	}
	column := st.Name
	for _, r := range reportedSettings {
		if strings.EqualFold(r, column) {
			column = r // Postgres shows these in their own spelling
		}
	}
	plan := s.textRows(column, "SHOW", nil)
	plan.rows = func(_ context.Context, _ []types.Value, emit func([]types.Value) error, _ pgwire.Output) error {
		value, _ = s.settings.get(st.Name)
		return emit([]types.Value{types.NewText(value)})
	}
	return plan, nil
}

func (s *Session) showAll() *statement {
	t := types.T(types.Text)
	return &statement{s: s, tag: func(int64) string { return "SHOW" },
		cols: &types.Schema{Cols: []types.Column{{Name: "name", Type: t}, {Name: "setting", Type: t}, {Name: "description", Type: t}}},
		rows: func(_ context.Context, _ []types.Value, emit func([]types.Value) error, _ pgwire.Output) error {
			for _, name := range s.settings.names() {
				value, _ := s.settings.get(name)
				if err := emit([]types.Value{types.NewText(name), types.NewText(value), types.NewText("")}); err != nil {
					return err
				}
			}
			return nil
		}}
}

// definition is the text of SHOW CREATE.
func (s *Session) definition(st *parse.Show) (string, error) {
	missing := func() error {
		return sqlerr.New(sqlerr.UndefinedObject, "%s %q does not exist", strings.ToLower(st.Create), st.Object.Name).At(st.Object.Pos)
	}
	if st.Create == "FUNCTION" {
		if f := s.snapshot().Function(st.Object.Name); f != nil {
			return f.SQL, nil
		}
		return "", missing()
	}
	rel := s.relation(st.Object)
	if rel != nil {
		if err := s.allow(rel, catalog.Select); err != nil {
			return "", err
		}
	}
	switch r := rel.(type) {
	case *catalog.Sink:
		if !s.snapshot().Owns(s.actor(), r.ID) {
			return "", denied("must be owner of sink %s", r.RelName())
		}
		if st.Create == "SINK" {
			return s.srv.sinkText(r), nil
		}
	case *catalog.Stream:
		if r.Connector != "" && !s.snapshot().Owns(s.actor(), r.ID) { // its options may hold a password
			return "", denied("must be owner of stream %s", r.RelName())
		}
		if st.Create == "STREAM" {
			return s.srv.streamText(r), nil
		}
	case *catalog.Table:
		if st.Create == "STREAM" { // SHOW CREATE TABLE reads the same
			return r.SQL, nil
		}
	case *catalog.View:
		if st.Create == "VIEW" {
			return r.SQL, nil
		}
	case *catalog.Query:
		if st.Create == "CONTINUOUS QUERY" {
			return r.SQL, nil
		}
	case *catalog.IOCList:
		if st.Create == "IOC LIST" {
			return r.SQL, nil
		}
	}
	return "", missing()
}
