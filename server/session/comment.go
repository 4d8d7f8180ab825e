package session

import (
	"context"
	"maps"
	"strconv"
	"strings"

	"github.com/vigil-sql/vigil/executor/job"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/parse"
	"github.com/vigil-sql/vigil/storage/meta"
)

// propComment begins the properties that keep comments: of the object itself, and with ".N" of its column N, counted from 1.
const propComment = "comment"

func commentKey(column int) string {
	if column == 0 {
		return propComment
	}
	return propComment + "." + strconv.Itoa(column)
}

// comment runs COMMENT ON.
func (s *scope) comment(ctx context.Context, name parse.Name, st *parse.Comment) error {
	id, column, err := s.commented(name, st)
	if err != nil {
		return err
	}
	if err := s.own(dropKinds[map[bool]string{true: "TABLE", false: st.Kind}[st.Kind == "COLUMN"]], id, st.Name.Name); err != nil {
		return err
	}
	text := ""
	if st.Text != nil {
		text = *st.Text
	}
	return s.apply(ctx, step{change: job.Change{Props: []job.PropChange{{ID: id, Set: map[string]string{commentKey(column): text}}}},
		publish: func(cat *catalog.Catalog) { cat.SetComment(id, column, text) }})
}

// commented finds what a comment is for.
func (s *scope) commented(name parse.Name, st *parse.Comment) (id uint64, column int, err error) {
	switch st.Kind {
	case "SCHEMA":
		if x := s.cat.Snapshot().Schema(name.Name); x != nil {
			return x.ID, 0, nil
		}
		if s.cat.HasSchema(name.Name) {
			return 0, 0, sqlerr.NotSupported("a comment on a schema of the system", "").At(st.Name.Pos)
		}
		return 0, 0, sqlerr.New(sqlerr.InvalidSchemaName, "schema %q does not exist", name.Name).At(st.Name.Pos)
	case "FUNCTION":
		if f := s.cat.Function(name.Name); f != nil {
			return f.ID, 0, nil
		}
		return 0, 0, sqlerr.New(sqlerr.UndefinedFunction, "function %q does not exist", name.Name).At(st.Name.Pos)
	}
	r := s.cat.Relation(name.Schema, name.Name)
	e := s.existing(r)
	if e == nil {
		return 0, 0, sqlerr.New(sqlerr.UndefinedTable, "relation %q does not exist", st.Name.Name).At(st.Name.Pos)
	}
	if st.Kind != "COLUMN" {
		// Streams and lists show up as tables, so COMMENT ON TABLE is for them, too.
		if kind := dropKinds[st.Kind]; kind != e.kind && !(kind == kindTable && (e.kind == kindStream || e.kind == kindIOC)) {
			return 0, 0, sqlerr.New(sqlerr.WrongObjectType, "%q is not a %s", st.Name.Name, kindWords[kind]).At(st.Name.Pos).
				WithHint("Use COMMENT ON %s.", strings.ToUpper(kindWords[e.kind]))
		}
		return r.RelID(), 0, nil
	}
	i := r.RelSchema().Index(st.Column)
	if i < 0 {
		return 0, 0, sqlerr.New(sqlerr.UndefinedColumn, "column %q of relation %q does not exist", st.Column, st.Name.Name).At(st.Name.Pos)
	}
	return r.RelID(), i + 1, nil
}

// loadComments publishes the comments of an object that was stored.
func (s *Server) loadComments(m meta.Object) {
	for k, text := range m.Props {
		if k == propComment {
			s.cat.SetComment(m.ID, 0, text)
		}
		if n, ok := strings.CutPrefix(k, propComment+"."); ok {
			if column, err := strconv.Atoi(n); err == nil {
				s.cat.SetComment(m.ID, column, text)
			}
		}
	}
}

// keepComments gives what takes an object's place its comments. It returns what publishes them.
func (s *scope) keepComments(o *job.Object, old *existing) func(*catalog.Catalog) {
	comments := s.cat.Snapshot().Comments(old.object.Meta.ID)
	o.Meta.Props = maps.Clone(o.Meta.Props)
	for column, text := range comments {
		o.Meta.Props[commentKey(column)] = text
	}
	id := o.Meta.ID
	return func(cat *catalog.Catalog) {
		for column, text := range comments {
			cat.SetComment(id, column, text)
		}
	}
}
