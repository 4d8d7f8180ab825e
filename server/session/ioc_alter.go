package session

import (
	"context"
	"slices"

	"github.com/vigil-sql/vigil/executor/job"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/planner"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/parse"
	"github.com/vigil-sql/vigil/server/pgwire"
	"github.com/vigil-sql/vigil/storage/meta"
)

// iocList is a list as its text says.
func iocList(env *planner.Env, st *parse.CreateIOC, id uint64) (*catalog.IOCList, error) {
	c, err := planner.IOCList(env, st, id)
	if err != nil {
		return nil, err
	}
	c.SQL = parse.Print(st)
	c.Name, c.Namespace = display(st.Name), catalog.NamespaceOf(st.Name.Schema)
	return c, nil
}

// alterIOCStatement is ALTER IOC LIST.
func (s *Session) alterIOCStatement(st *parse.AlterIOC) doFunc {
	if st.Set == nil && st.Reset == nil {
		return simple("ALTER IOC LIST", func(ctx context.Context, _ pgwire.Output) error { return s.alterIOC(ctx, st) })
	}
	return s.inScope("ALTER IOC LIST", func(ctx context.Context, sc *scope, _ pgwire.Output) error {
		return sc.alterIOCOptions(ctx, s.resolve(st.Name), st)
	})
}

// loadIOC is a stored list, and what is known of it.
func (s *Server) loadIOC(env *planner.Env, st *parse.CreateIOC, m meta.Object) (planned, error) {
	s.feeds.set(m.ID, loadRefreshed(m.Props))
	s.retros.load(m.ID, m.Props)
	return s.planIOC(env, st, m.ID)
}

// alterIOCOptions runs ALTER IOC LIST .. SET and RESET.
func (s *scope) alterIOCOptions(ctx context.Context, name parse.Name, st *parse.AlterIOC) error {
	l, ok := s.cat.Relation(cmpSchema(name.Schema), name.Name).(*catalog.IOCList)
	if !ok {
		return noIOCList(st.Name)
	}
	if err := s.own(kindIOC, l.ID, l.Name); err != nil {
		return err
	}
	list, err := parse.Parse(l.SQL)
	if err != nil {
		return err
	}
	def := list[0].Stmt.(*parse.CreateIOC) // planIOC printed it
	for i := range def.Options {
		def.Options[i].Pos = 0 // they stand in another statement
	}
	drop := func(key string) {
		def.Options = slices.DeleteFunc(def.Options, func(x parse.Option) bool { return x.Key == key })
	}
	for _, key := range st.Reset {
		if key == "match" {
			return fixedMatch(st.Name.Pos)
		}
		if l.Options[key] == "" {
			return sqlerr.New(sqlerr.UndefinedObject, "IOC list %q has no option %q that is set", l.RelName(), key).At(st.Name.Pos)
		}
		drop(key)
	}
	for _, o := range st.Set {
		if o.Key == "match" {
			return fixedMatch(o.Pos)
		}
		drop(o.Key)
		def.Options = append(def.Options, o)
	}
	if err := s.by.checkFeed(def.Options); err != nil {
		return err
	}
	next, err := iocList(s.env(), def, l.ID)
	if err != nil {
		return err
	}
	change := job.Change{Alter: []job.Object{object(kindIOC, l.ID, l.Name, next.SQL, &next.IOCList)}}
	anew := !sameFeed(l, next)
	if anew { // what is known is of another feed
		change.Props = []job.PropChange{{ID: l.ID, Set: refreshed{}.props()}}
	}
	return s.apply(ctx, step{change: change, publish: putting(next), done: func() {
		if anew {
			s.feeds.set(l.ID, refreshed{})
		}
	}})
}

// fixedMatch refuses to have queries find something else in a list than they did.
func fixedMatch(pos int) error {
	return sqlerr.NotSupported("option \"match\" in ALTER IOC LIST", "Make another list.").At(pos)
}

// sameFeed reports that two lists are filled from the same.
func sameFeed(a, b *catalog.IOCList) bool {
	return !slices.ContainsFunc([]string{"source", "format", "columns", "delimiter"}, func(o string) bool { return a.Options[o] != b.Options[o] })
}
