package session

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/vigil-sql/vigil/executor/job"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/planner"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/parse"
)

// renamed is what a relation's new name changes besides itself: the texts of the queries that read it. They go on running; the
// text is what they are planned from at the next start.
func (s *scope) renamed(kind string, was catalog.Relation, name string, r catalog.Relation) (step, error) {
	var st step
	id, old := was.RelID(), was.RelName()
	if s.cat.Snapshot().Taken(was.RelNamespace())(name) {
		return st, sqlerr.New(sqlerr.DuplicateTable, "relation %q already exists", name)
	}
	after := catalog.Fork(s.cat.Snapshot())
	if err := after.Put(r); err != nil {
		return st, err
	}
	list := []catalog.Relation{r}
	for _, v := range s.cat.Snapshot().Relations() {
		if _, view := v.(*catalog.View); view && reads(v, kind, id, old) {
			return st, sqlerr.New(sqlerr.DependentObjectsExist, "cannot rename %s because view %s depends on it", old, v.RelName()).
				WithHint("Drop the view first, and create it again with the new name.")
		}
	}
	queries := s.cat.Snapshot().Queries()
	slices.SortFunc(queries, func(a, b *catalog.Query) int { return cmp.Compare(a.ID, b.ID) }) // each after what it reads
	for _, q := range queries {
		if !reads(q, kind, id, old) || q.ID == id {
			continue
		}
		next, err := s.rewritten(q, after, old, name)
		if err != nil {
			return st, sqlerr.New(sqlerr.DependentObjectsExist, "cannot rename %s because the text of continuous query %s cannot follow", old, q.Name).
				WithDetail("%v", err).WithHint("Drop the query first, and create it again with the new name.")
		}
		if err := after.Put(next); err != nil {
			return st, err
		}
		list = append(list, next)
		st.change.Alter = append(st.change.Alter, object(kindQuery, q.ID, q.Name, next.SQL, &next.Query))
	}
	if kind == kindQuery {
		sinks, err := s.renamedSinks(id, name, &st)
		if err != nil {
			return st, err
		}
		list = append(list, sinks...)
	}
	st.publish = putting(list...)
	return st, nil
}

// rewritten is a query with a new name for something it reads. What its expressions call by the old name keeps that as an alias.
func (s *scope) rewritten(q *catalog.Query, after *catalog.Catalog, old, name string) (*catalog.Query, error) {
	list, err := parse.Parse(q.SQL)
	if err != nil {
		return nil, err
	}
	st, ok := list[0].Stmt.(*parse.CreateQuery)
	if !ok {
		return nil, fmt.Errorf("its text is a %T", list[0].Stmt)
	}
	parse.Walk(st.Query, func(n any) {
		switch n := n.(type) {
		case *parse.CTE:
			if n.Name == old {
				err = fmt.Errorf("it has a WITH query of the same name")
			}
		case *parse.TableRef:
			if n.Name.Name == old {
				n.Name.Name = name
				if n.Alias == "" {
					n.Alias = old
				}
			}
		case *parse.SequenceStep:
			if n.Source.Name == old {
				n.Source.Name = name
			}
		}
	})
	if err != nil {
		return nil, err
	}
	env := s.env()
	env.Catalog = after
	p, err := planner.Continuous(env, st, q.ID)
	if err != nil {
		return nil, err
	}
	for _, ids := range [][2][]uint64{{p.Streams, q.Streams}, {p.Queries, q.Queries}, {p.Tables, q.Tables}} {
		if fmt.Sprint(ids[0]) != fmt.Sprint(ids[1]) {
			return nil, fmt.Errorf("it would read something else")
		}
	}
	next := *q
	next.SQL = p.SQL
	return &next, nil
}

// renameQuery runs ALTER CONTINUOUS QUERY .. RENAME TO.
func (s *scope) renameQuery(q *catalog.Query, name string) (step, error) {
	list, err := parse.Parse(q.SQL)
	if err != nil {
		return step{}, err
	}
	def, ok := list[0].Stmt.(*parse.CreateQuery)
	if !ok {
		return step{}, fmt.Errorf("the text of query %s is a %T", q.Name, list[0].Stmt)
	}
	def.Name = parse.Name{Schema: string(q.Namespace), Name: name}
	next := *q
	next.Query.Name, next.SQL = display(def.Name), parse.Print(def)
	st, err := s.renamed(kindQuery, q, name, &next)
	st.change.Alter = append([]job.Object{object(kindQuery, q.ID, next.Name, next.SQL, &next.Query)}, st.change.Alter...)
	return st, err
}
