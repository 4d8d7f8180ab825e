package session

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/vigil-sql/vigil/executor/ioc"
	"github.com/vigil-sql/vigil/executor/job"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/parse"
	"github.com/vigil-sql/vigil/server/pgwire"
)

// propRetro begins the properties of a list that say how far it was compared with a history: by role, stream and column.
const propRetro = "retro."

// retroSlack is for how long an entry counts as new whose added_at is older than the RETRO that did not see it: as long as a statement that adds may take.
const retroSlack = int64(time.Hour / time.Microsecond)

// retros knows how far lists were compared with histories: the properties, by list.
type retros struct {
	mu   sync.Mutex
	done map[uint64]map[string]string
}

func (r *retros) load(list uint64, props map[string]string) {
	for k, v := range props {
		if strings.HasPrefix(k, propRetro) {
			r.set(list, k, v)
		}
	}
}

func (r *retros) set(list uint64, key, value string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.done == nil {
		r.done = map[uint64]map[string]string{}
	}
	if r.done[list] == nil {
		r.done[list] = map[string]string{}
	}
	r.done[list][key] = value
}

func (r *retros) of(list uint64, key string) (seq uint64, at int64, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n, _ := fmt.Sscanf(r.done[list][key], "%d %d", &seq, &at) // none of it: never
	return seq, at, n == 2
}

// retro is a RETRO IOC LIST: the rows of a stream's history that hit entries which the last one did not see.
type retro struct {
	s   *Session
	l   *catalog.IOCList
	st  *parse.Retro
	p   *spec.Program
	key string
}

// planRetro plans RETRO IOC LIST as the SELECT that it is.
func (s *Session) planRetro(st *parse.Retro) (*statement, error) {
	l, ok := s.relation(st.List).(*catalog.IOCList)
	if !ok {
		return nil, noIOCList(st.List)
	}
	stream, ok := s.relation(st.Stream).(*catalog.Stream)
	switch {
	case !ok:
		return nil, sqlerr.New(sqlerr.UndefinedTable, "stream %q does not exist", st.Stream.Name).At(st.Stream.Pos).WithHint("SHOW STREAMS lists the streams.")
	case stream.Connector != "":
		return nil, sqlerr.NotSupported("RETRO over a stream with a connector", "A continuous query WITH (start = 'earliest') reads what its source keeps.").At(st.Stream.Pos)
	case s.changes() != nil:
		return nil, sqlerr.New(sqlerr.ActiveTransaction, "RETRO IOC LIST cannot run inside a transaction block")
	}
	if err := s.allow(l, catalog.Select); err != nil {
		return nil, err
	}
	q, err := s.retroQuery(st, stream)
	if err != nil {
		return nil, err
	}
	p, err := planner.Select(s.env(), q, nil)
	if err != nil {
		return nil, err
	}
	r := &retro{s: s, l: l, st: st, p: p, key: fmt.Sprintf("%s%d.%d.%s", propRetro, s.actor().Number(), stream.ID, st.Column.Parts[0])}
	return &statement{s: s, cols: &p.Root.Schema, origins: origins(p), program: p, action: "Retro on " + stream.RelName(),
		tag: func(n int64) string { return fmt.Sprintf("RETRO %d", n) }, rows: r.run}, nil
}

// retroQuery is SELECT *, ioc_match(list, column) AS ioc_entry, ioc_info(list, column) AS ioc_info FROM stream WHERE column IN IOC list AND time >= since.
func (s *Session) retroQuery(st *parse.Retro, stream *catalog.Stream) (*parse.Select, error) {
	x := &st.Column
	of := func(name string) parse.SelectItem {
		list := st.List.Name
		if st.List.Schema != "" {
			list = st.List.Schema + "." + list
		}
		return parse.SelectItem{Alias: strings.Replace(name, "ioc_match", "ioc_entry", 1), Expr: &parse.FuncCall{At: x.At, Name: parse.Name{Name: name, Pos: x.Pos},
			Args: []parse.Expr{&parse.String{At: parse.At{Pos: st.List.Pos}, V: list}, x}}}
	}
	var where parse.Expr = &parse.InIOC{At: x.At, X: x, Lists: []parse.Name{st.List}}
	if st.Since != nil {
		span, err := spanOf(st.Since)
		if err != nil {
			return nil, err
		}
		if stream.TimeCol < 0 {
			return nil, sqlerr.New(sqlerr.ObjectNotInPrerequisite, "stream %q has no time to look back by", stream.RelName()).At(st.Stream.Pos).
				WithHint("Leave SINCE out, or create the stream with WATERMARK FOR.")
		}
		from := types.NewTime(s.srv.clock() - types.EventTime(span)).Text()
		where = &parse.Binary{At: x.At, Op: "AND", L: where, R: &parse.Binary{At: x.At, Op: ">=",
			L: &parse.Ident{At: x.At, Parts: []string{stream.Schema.Cols[stream.TimeCol].Name}}, R: &parse.String{At: x.At, V: from}}}
	}
	return &parse.Select{Core: &parse.SelectCore{From: []parse.TableExpr{&parse.TableRef{Name: st.Stream}}, Where: where,
		Items: []parse.SelectItem{{Star: true}, of("ioc_match"), of("ioc_info")}}}, nil
}

// run gives the rows. When all are given, what they were compared with is old.
func (r *retro) run(ctx context.Context, _ []types.Value, emit func([]types.Value) error, out pgwire.Output) error {
	srv := r.s.srv
	if err := srv.eng.Loaded(ctx); err != nil {
		return err
	}
	if err := srv.eng.Settle(ctx); err != nil {
		return err
	}
	now := srv.clock()
	all := srv.eng.IOCDone()
	lists, n, since, err := r.fresh(all)
	if err != nil {
		return err
	}
	entries, are := "entries", "are"
	if n == 1 {
		entries, are = "entry", "is"
	}
	out.Notice(notice(sqlerr.SuccessfulCompletion, "%d %s of IOC list %q%s %s compared with the history of stream %q", n, entries, r.l.RelName(), since, are, r.st.Stream.Name))
	if err := out.Flush(); err != nil {
		return err
	}
	if n > 0 {
		if err := r.s.run(context.WithValue(ctx, listsKey{}, lists), r.p, emit); err != nil {
			return err
		}
	}
	return r.note(ctx, all.Seq(), int64(now))
}

// fresh are the lists with the new entries alone, how many they are, and since when they are new.
func (r *retro) fresh(all *ioc.Set) (lists *ioc.Set, n int, since string, err error) {
	seq, at, ok := r.s.srv.retros.of(r.l.ID, r.key)
	if !ok || r.st.All {
		return all, all.Len(r.l.Name), "", nil
	}
	held := r.s.newHolding()
	add := ioc.Change{List: r.l.Name, ID: r.l.ID}
	err = all.EntriesSince(r.l.ID, seq, func(value string, stored []byte) error {
		info, err := ioc.DecodeInfo(stored)
		if err != nil || info.AddedAt < at-retroSlack { // only what is known of it is new
			return err
		}
		add.Add, add.Info = append(add.Add, strings.Clone(value)), append(add.Info, append([]byte(nil), stored...))
		return held.add([]types.Value{types.NewText(value), types.NewText(string(stored))})
	})
	lists = all.With(ioc.Change{List: r.l.Name, Remove: true}, ioc.Change{List: r.l.Name, ID: r.l.ID, Create: true, Kind: r.l.Type, Mode: r.l.Match}, add)
	return lists, len(add.Add), " added since " + types.NewTime(types.EventTime(at)).Text(), err
}

// note keeps how far the list was compared.
func (r *retro) note(ctx context.Context, seq uint64, at int64) error {
	srv := r.s.srv
	srv.ddl.Lock()
	defer srv.ddl.Unlock()
	if srv.cat.Snapshot().ByID(r.l.ID) == nil {
		return nil // it was dropped meanwhile
	}
	value := fmt.Sprintf("%d %d", seq, at)
	if err := srv.eng.Apply(ctx, job.Change{Props: []job.PropChange{{ID: r.l.ID, Set: map[string]string{r.key: value}}}}); err != nil {
		return err
	}
	srv.retros.set(r.l.ID, r.key, value)
	return nil
}

// listsKey is the key of the IOC lists that a statement sees in place of those that there are.
type listsKey struct{}

// listsIn are the lists for a statement.
func (s *Session) listsIn(ctx context.Context) *ioc.Set {
	if set, ok := ctx.Value(listsKey{}).(*ioc.Set); ok {
		return set
	}
	return s.lists()
}
