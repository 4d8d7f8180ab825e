package session

import (
	"context"
	"maps"
	"slices"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/job"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/table"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/storage/eventlog"
)

// block is what the statements of an open transaction changed: nobody else sees it before COMMIT, which makes all of it take
// effect in one epoch. Rows for streams follow that epoch: see docs/design/0003.
type block struct {
	// base is the catalogue that the block's own one, cat, began with; nil before its first change.
	base *catalog.Snapshot
	cat  *catalog.Catalog
	// steps are the changes of the catalogue and of IOC lists, in order.
	steps []step
	// appends are the rows for streams.
	appends []Ingest
	// undo takes back what has taken effect already, on the connection itself; the last one first.
	undo []func()
	// levels are the savepoints; the first one is the block itself. Each holds the changes of tables since it was set.
	levels []level
}

// step is one change of the catalogue.
type step struct {
	change job.Change
	// publish makes it visible in a catalogue; done runs once it is in effect. Either may be nil.
	publish func(*catalog.Catalog)
	done    func()
	// unchanged are tables, with the numbers of their rows, that must be the same at COMMIT.
	unchanged map[uint64][]uint64
}

// level is the state of a block at a savepoint, and the changes of tables since.
type level struct {
	name                 string
	cat                  *catalog.Snapshot // nil: the block had no catalogue of its own
	steps, appends, undo int
	draft                *table.Draft
}

// tempLevel is the level of the drafts that hold a connection's temporary tables; those of blocks lie above it.
const tempLevel = 1

func newBlock() *block {
	b := &block{}
	b.push("")
	return b
}

// push sets a savepoint.
func (b *block) push(name string) {
	l := level{name: name, steps: len(b.steps), appends: len(b.appends), undo: len(b.undo), draft: table.NewDraft(tempLevel + 1 + len(b.levels))}
	if b.cat != nil {
		l.cat = b.cat.Snapshot()
	}
	b.levels = append(b.levels, l)
}

// find is the place of the newest savepoint of a name, -1 when there is none.
func (b *block) find(name string) int {
	for i := len(b.levels) - 1; i > 0; i-- {
		if b.levels[i].name == name {
			return i
		}
	}
	return -1
}

// release forgets the savepoints from i on; their changes stay.
func (b *block) release(i int, s *Session) error {
	for k := len(b.levels) - 1; k >= i; k-- {
		if err := b.merge(b.levels[k].draft, b.levels[k-1].draft, s); err != nil {
			return err
		}
	}
	b.levels = b.levels[:i]
	return nil
}

// merge moves changes of tables into the draft below.
func (b *block) merge(from, to *table.Draft, s *Session) error {
	snap := s.snapshot()
	return from.Changes(func(id uint64, c table.Change) error {
		t, ok := snap.ByID(id).(*catalog.Table)
		if !ok {
			return nil // it was dropped
		}
		return to.Apply(id, &t.Table.Schema, t.Key, c)
	})
}

// rewind undoes what came after savepoint i, which stays.
func (b *block) rewind(i int) {
	l := &b.levels[i]
	b.steps, b.appends = b.steps[:l.steps], b.appends[:l.appends]
	for len(b.undo) > l.undo {
		last := len(b.undo) - 1
		b.undo[last]()
		b.undo = b.undo[:last]
	}
	switch {
	case b.cat == nil:
	case l.cat == nil:
		b.cat, b.base = nil, nil
	default:
		b.cat.Restore(l.cat)
	}
	b.levels = b.levels[:i+1]
	l.draft = table.NewDraft(tempLevel + 1 + i)
}

func (b *block) top() *table.Draft { return b.levels[len(b.levels)-1].draft }

// fork makes sure that the block has a catalogue of its own.
func (b *block) fork(current *catalog.Snapshot) *catalog.Catalog {
	if b.cat == nil {
		b.base, b.cat = current, catalog.Fork(current)
	}
	return b.cat
}

// fold puts the steps together: what was created and dropped again in the block was never there.
func (b *block) fold() job.Change {
	var out job.Change
	for _, st := range b.steps {
		for _, o := range st.change.Drop {
			at := slices.IndexFunc(out.Create, func(c job.Object) bool { return sameObject(c, o) })
			if at < 0 {
				out.Drop = append(out.Drop, o)
				continue
			}
			out.Create = slices.Delete(out.Create, at, at+1)
		}
		for _, o := range st.change.Create {
			at := slices.IndexFunc(out.Create, func(c job.Object) bool { return sameObject(c, o) })
			if at >= 0 { // a function that was replaced keeps its number
				out.Create[at] = o
				continue
			}
			out.Create = append(out.Create, o)
		}
		out.Resume = append(out.Resume, st.change.Resume...)
		out.Pause = append(out.Pause, st.change.Pause...)
		out.Alter = append(out.Alter, st.change.Alter...)
		out.Rejected = append(out.Rejected, st.change.Rejected...)
		out.Events = append(out.Events, st.change.Events...)
	}
	for _, st := range b.steps {
		for _, x := range st.change.Props {
			b.foldProps(&out, x)
		}
	}
	out.IOC = b.foldIOC(out.Drop)
	foldAltered(&out)
	return out
}

// foldProps puts a change of properties where it belongs: to the object if the block creates it, and nowhere if it drops it.
func (b *block) foldProps(out *job.Change, x job.PropChange) {
	is := func(o job.Object) bool { return o.Meta.ID == x.ID }
	if slices.ContainsFunc(out.Drop, is) {
		return
	}
	at := slices.IndexFunc(out.Create, is)
	if at < 0 {
		out.Props = append(out.Props, x)
		return
	}
	m := &out.Create[at].Meta
	m.Props = maps.Clone(m.Props)
	for k, v := range x.Set {
		if m.Props[k] = v; v == "" {
			delete(m.Props, k)
		}
	}
}

// foldAltered keeps the last state of what was altered: with what creates it, if that is the block's own.
func foldAltered(out *job.Change) {
	alter := out.Alter
	out.Alter = nil
	for _, o := range alter {
		same := func(c job.Object) bool { return sameObject(c, o) }
		if at := slices.IndexFunc(out.Create, same); at >= 0 {
			props := maps.Clone(out.Create[at].Meta.Props)
			maps.Copy(props, o.Meta.Props)
			out.Create[at] = o
			out.Create[at].Meta.Props = props
			continue
		}
		if slices.ContainsFunc(out.Drop, same) {
			continue
		}
		if at := slices.IndexFunc(out.Alter, same); at >= 0 {
			out.Alter[at] = o
			continue
		}
		out.Alter = append(out.Alter, o)
	}
}

func sameObject(a, b job.Object) bool { return a.Meta.Kind == b.Meta.Kind && a.Meta.ID == b.Meta.ID }

// foldIOC gives the net change of each list that is still there.
func (b *block) foldIOC(dropped []job.Object) []job.IOCChange {
	type effect struct {
		entry job.IOCEntry
		add   bool
	}
	var order []uint64
	names := map[uint64]string{}
	lists := map[uint64]map[string]effect{}
	for _, st := range b.steps {
		for _, x := range st.change.IOC {
			if lists[x.ListID] == nil {
				order = append(order, x.ListID)
				lists[x.ListID], names[x.ListID] = map[string]effect{}, x.List
			}
			for _, v := range x.Drop {
				lists[x.ListID][v] = effect{}
			}
			for _, e := range x.Add {
				lists[x.ListID][e.Value] = effect{e, true}
			}
		}
		for _, o := range st.change.Drop {
			delete(lists, o.Meta.ID)
		}
	}
	var out []job.IOCChange
	for _, id := range order {
		effects, ok := lists[id]
		if !ok || slices.ContainsFunc(dropped, func(o job.Object) bool { return o.Meta.ID == id }) {
			continue
		}
		x := job.IOCChange{ListID: id, List: names[id]}
		for v, e := range effects {
			if e.add {
				x.Add = append(x.Add, e.entry)
			} else {
				x.Drop = append(x.Drop, v)
			}
		}
		out = append(out, x)
	}
	return out
}

// conflict finds what others changed that the block builds on. The caller holds the DDL lock.
func (b *block) conflict(ch *job.Change, cur *catalog.Snapshot) error {
	if b.base == nil || cur == b.base {
		return nil
	}
	changed := func(o job.Object) error {
		return sqlerr.New(sqlerr.SerializationFailure, "could not serialize access: %s %q was changed by another transaction", kindWords[o.Meta.Kind], o.Meta.Name).
			WithHint("Run the transaction again.")
	}
	going, coming := map[uint64]bool{}, map[uint64]bool{}
	for _, o := range ch.Drop {
		if !present(cur, o) {
			return changed(o)
		}
		going[o.Meta.ID] = true
	}
	for _, o := range slices.Concat(ch.Alter, ch.Pause, ch.Resume) {
		if cur.ByID(o.Meta.ID) != b.base.ByID(o.Meta.ID) {
			return changed(o)
		}
	}
	for _, o := range ch.Create {
		coming[o.Meta.ID] = true
	}
	for _, o := range ch.Create {
		if id, ok := named(cur, o); ok && !going[id] && id != o.Meta.ID {
			return changed(o)
		}
		if !readable(b.cat.Snapshot().ByID(o.Meta.ID), cur, going, coming) {
			return changed(o)
		}
	}
	dropped := slices.DeleteFunc(slices.Clone(ch.Drop), func(o job.Object) bool { return !read(cur, o) })
	if len(dropped) == 0 {
		return nil
	}
	for _, q := range cur.Relations() {
		for _, o := range dropped {
			if mine := b.cat.Snapshot().ByID(q.RelID()); mine != nil && !reads(mine, o.Meta.Kind, o.Meta.ID, o.Meta.Name) {
				continue // a sink that goes on with what replaces it
			}
			if !going[q.RelID()] && reads(q, o.Meta.Kind, o.Meta.ID, o.Meta.Name) {
				return changed(o)
			}
		}
	}
	return nil
}

// present tells whether an object is in a catalogue.
func present(s *catalog.Snapshot, o job.Object) bool {
	if o.Meta.Kind == kindFunction {
		f := s.Function(o.Meta.Name)
		return f != nil && f.ID == o.Meta.ID
	}
	if o.Meta.Kind == kindSchema {
		x := s.Schema(o.Meta.Name)
		return x != nil && x.ID == o.Meta.ID
	}
	if o.Meta.Kind == kindRole {
		x := s.Role(o.Meta.Name)
		return x != nil && x.ID == o.Meta.ID
	}
	return s.ByID(o.Meta.ID) != nil
}

// named is the number of the object that has o's name in a catalogue.
func named(s *catalog.Snapshot, o job.Object) (uint64, bool) {
	if o.Meta.Kind == kindFunction {
		if f := s.Function(o.Meta.Name); f != nil {
			return f.ID, true
		}
		return 0, false
	}
	if o.Meta.Kind == kindSchema {
		if x := s.Schema(o.Meta.Name); x != nil {
			return x.ID, true
		}
		return 0, false
	}
	if o.Meta.Kind == kindRole {
		if x := s.Role(o.Meta.Name); x != nil {
			return x.ID, x.ID != 0
		}
		return 0, false
	}
	if r := s.Named(o.Meta.Name); r != nil {
		return r.RelID(), true
	}
	return 0, false
}

// readable tells whether all that a query or view reads will be there.
func readable(r catalog.Relation, cur *catalog.Snapshot, going, coming map[uint64]bool) bool {
	d, ok := usesOf(r)
	if !ok {
		return true
	}
	for _, ids := range [][]uint64{d.streams, d.queries, d.tables, d.views} {
		for _, id := range ids {
			if !coming[id] && (cur.ByID(id) == nil || going[id]) {
				return false
			}
		}
	}
	for _, id := range d.functions {
		if !coming[id] && (going[id] || !slices.ContainsFunc(cur.Functions(), func(f *catalog.Function) bool { return f.ID == id })) {
			return false
		}
	}
	return true
}

// commit makes the block take effect: first what it did to the catalogue, tables and lists, in one epoch, then the rows for
// streams.
func (s *Session) commit(ctx context.Context, b *block) error {
	if err := b.release(1, s); err != nil {
		return err
	}
	if err := s.commitChange(ctx, b); err != nil {
		return err
	}
	if len(b.appends) == 0 {
		return nil
	}
	for _, in := range b.appends {
		if _, err := s.srv.Append(ctx, in); err != nil {
			return err
		}
	}
	return s.srv.eng.Settle(ctx)
}

// unchanged sees that the tables whose definition the block changes have the rows that it saw.
func (b *block) unchanged(srv *Server) error {
	view := srv.eng.Tables()
	for _, st := range b.steps {
		for id, want := range st.unchanged {
			t, ok := srv.cat.Snapshot().ByID(id).(*catalog.Table)
			if !ok {
				continue // the block's own
			}
			got, err := rowNumbers(view, id)
			if err != nil {
				return err
			}
			alive := func(n uint64) bool { return !slices.Contains(want, n) }
			if len(got) < len(want) || len(got) > len(want) || len(got) < 1000 && slices.ContainsFunc(got, alive) || len(got) > 0 && got[len(got)-1] != want[len(want)-1] {
				return sqlerr.New(sqlerr.SerializationFailure, "could not serialize access due to concurrent update of table %q", t.Name).
					WithHint("Run the transaction again.")
			}
		}
	}
	return nil
}

func (s *Session) commitChange(ctx context.Context, b *block) error {
	srv := s.srv
	if len(b.steps) > 0 || !b.levels[0].draft.Empty() {
		if err := srv.eng.Loaded(ctx); err != nil {
			return err
		}
	}
	srv.ddl.Lock()
	defer srv.ddl.Unlock()
	ch := b.fold()
	temp, err := s.tableChanges(b, &ch)
	if err != nil {
		return err
	}
	if err := b.conflict(&ch, srv.cat.Snapshot()); err != nil {
		return err
	}
	if err := b.unchanged(srv); err != nil {
		return err
	}
	if len(ch.Create)+len(ch.Drop)+len(ch.IOC)+len(ch.Tables)+len(ch.Resume)+len(ch.Rejected)+len(ch.Alter)+len(ch.Pause)+len(ch.Props) > 0 {
		if err := srv.eng.Apply(ctx, ch); err != nil {
			return err
		}
	}
	for _, st := range b.steps {
		if st.publish != nil {
			st.publish(srv.cat)
		}
		if st.done != nil {
			st.done()
		}
	}
	srv.syncSinks()
	srv.syncIntakes()
	srv.syncReceivers()
	for id, c := range temp {
		t := s.temp.table(id)
		if err := s.temp.draft.Apply(id, &t.Table.Schema, t.Key, c); err != nil {
			return err
		}
	}
	return s.temp.committed()
}

// tableChanges adds the block's changes of tables to a change, after seeing that nobody else changed the same rows; those of
// temporary tables are given back.
func (s *Session) tableChanges(b *block, ch *job.Change) (map[uint64]table.Change, error) {
	view := s.srv.eng.Tables()
	temp := map[uint64]table.Change{}
	created := map[uint64]bool{}
	for _, o := range ch.Create {
		created[o.Meta.ID] = true
	}
	snap := s.snapshot()
	err := b.levels[0].draft.Changes(func(id uint64, c table.Change) error {
		t, ok := snap.ByID(id).(*catalog.Table)
		switch {
		case !ok: // it was dropped in the block
			return nil
		case t.Temp:
			temp[id] = c
			return nil
		case !created[id]:
			if err := rowConflict(view, t, &c); err != nil {
				return err
			}
		}
		ch.Tables = append(ch.Tables, job.TableChange{TableID: id, Change: c})
		return nil
	})
	return temp, err
}

// rowConflict compares a change with what a table has become since.
func rowConflict(view *table.View, t *catalog.Table, c *table.Change) error {
	again := func() error {
		return sqlerr.New(sqlerr.SerializationFailure, "could not serialize access due to concurrent update of table %q", t.Name).
			WithHint("Run the transaction again.")
	}
	gone := map[uint64]bool{}
	for _, n := range c.Drop {
		if !view.Alive(t.ID, n) {
			return again()
		}
		gone[n] = true
	}
	var key []byte
	for i := range t.Keys {
		k, ok := &t.Keys[i], false
		for _, r := range c.Add {
			if key, ok = appendKey(key[:0], k, r.Values); !ok || !k.Unique {
				continue
			}
			if _, n, ok := view.Find(t.ID, k.Cols, key); ok && !gone[n] {
				return again()
			}
		}
	}
	return nil
}

// pending gives the rows that the open block has for a stream.
func (s *Session) pending(st *spec.Stream, emit func(*batch.Batch) error) error {
	if s.block == nil {
		return nil
	}
	for _, in := range s.block.appends {
		if in.Stream != st.ID {
			continue
		}
		e := eventlog.Entry{Codec: in.Codec, Columns: in.Columns, Payload: in.Data, Arrival: int64(s.srv.clock())}
		if _, err := s.srv.eng.Decode(st, e, emit); err != nil {
			return err
		}
	}
	return nil
}
