package session

import (
	"context"
	"strconv"
	"strings"

	"github.com/vigil-sql/vigil/executor/fn"
	"github.com/vigil-sql/vigil/executor/job"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/parse"
	"github.com/vigil-sql/vigil/server/pgcatalog"
	"github.com/vigil-sql/vigil/server/pgwire"
)

// sequences are the sequences as a connection uses them.
type sequences struct{ s *Session }

var _ fn.Sequences = sequences{}

// given is what a connection got from sequences.
type given struct {
	by   map[uint64]int64
	last *int64
}

func (q sequences) find(oid int64) (*catalog.Sequence, error) {
	if oid >= pgcatalog.FirstObjectOID {
		if r := q.s.snapshot().ByID(uint64(oid - pgcatalog.FirstObjectOID)); r != nil {
			if s, ok := r.(*catalog.Sequence); ok {
				return s, nil
			}
			return nil, sqlerr.New(sqlerr.WrongObjectType, "%q is not a sequence", r.RelName())
		}
	}
	return nil, sqlerr.New(sqlerr.UndefinedTable, "could not open relation with OID %d", oid)
}

// NextVal implements fn.Sequences.
func (q sequences) NextVal(oid int64) (int64, error) {
	s, err := q.find(oid)
	if err != nil {
		return 0, err
	}
	if err := q.s.allowSequence(s); err != nil {
		return 0, err
	}
	if err := q.s.writable("execute nextval()"); err != nil {
		return 0, err
	}
	n, err := q.s.srv.eng.SequenceNext(&s.SequenceDef)
	if err != nil {
		return 0, err
	}
	if q.s.given.by == nil {
		q.s.given.by = map[uint64]int64{}
	}
	q.s.given.by[s.ID], q.s.given.last = n, &n
	return n, nil
}

// CurrVal implements fn.Sequences.
func (q sequences) CurrVal(oid int64) (int64, error) {
	s, err := q.find(oid)
	if err != nil {
		return 0, err
	}
	if err := q.s.allowSequence(s); err != nil {
		return 0, err
	}
	n, ok := q.s.given.by[s.ID]
	if !ok {
		return 0, sqlerr.New(sqlerr.ObjectNotInPrerequisite, "currval of sequence %q is not yet defined in this session", s.Name)
	}
	return n, nil
}

// LastVal implements fn.Sequences.
func (q sequences) LastVal() (int64, error) {
	if q.s.given.last == nil {
		return 0, sqlerr.New(sqlerr.ObjectNotInPrerequisite, "lastval is not yet defined in this session")
	}
	return *q.s.given.last, nil
}

// SetVal implements fn.Sequences.
func (q sequences) SetVal(oid, value int64, called bool) error {
	s, err := q.find(oid)
	if err != nil {
		return err
	}
	if err := q.s.allow(s, catalog.Update); err != nil {
		return err
	}
	if err := q.s.writable("execute setval()"); err != nil {
		return err
	}
	if value < s.Min || value > s.Max {
		return sqlerr.New(sqlerr.NumericValueOutOfRange, "setval: value %d is out of bounds for sequence %q (%d..%d)", value, s.Name, s.Min, s.Max)
	}
	if called {
		if q.s.given.by == nil {
			q.s.given.by = map[uint64]int64{}
		}
		q.s.given.by[s.ID] = value
	}
	return q.s.srv.eng.SequenceSet(&s.SequenceDef, value, called)
}

// SerialSequence implements fn.Sequences.
func (q sequences) SerialSequence(table, column string) (string, error) {
	oid, err := q.s.pg.RegLookup(types.RegClass, table)
	if err != nil {
		return "", err
	}
	t, ok := q.s.snapshot().ByID(uint64(oid - pgcatalog.FirstObjectOID)).(*catalog.Table)
	if !ok || t.Table.Schema.Index(column) < 0 {
		return "", sqlerr.New(sqlerr.UndefinedColumn, "column %q of relation %q does not exist", column, table)
	}
	for _, s := range q.s.snapshot().OwnedBy(t.ID) {
		if s.Column == column {
			return parse.QuoteIdent(s.RelNamespace()) + "." + parse.QuoteIdent(s.RelName()), nil
		}
	}
	return "", nil
}

// sequenceRow is the row of a sequence as a relation.
func (s *Session) sequenceRow(q *catalog.Sequence, add func([]types.Value) error) error {
	st, err := s.srv.eng.SequenceState(&q.SequenceDef)
	if err != nil {
		return err
	}
	return add([]types.Value{big(st.Last), big(0), types.NewBool(st.Called)})
}

// The properties of a sequence's object that tell whose it is.
const (
	propOwner    = "owner_table"
	propColumn   = "owner_column"
	propIdentity = "identity"
)

func ownerProps(c *catalog.Sequence) map[string]string {
	return map[string]string{propOwner: strconv.FormatUint(c.Owner, 10), propColumn: c.Column, propIdentity: strconv.FormatBool(c.Identity)}
}

func (s *Server) planSequence(st *parse.CreateSequence, id uint64, props map[string]string) (planned, error) {
	c, err := planner.Sequence(st, id)
	if err != nil {
		return planned{}, err
	}
	if props[propOwner] != "" {
		if c.Owner, err = strconv.ParseUint(props[propOwner], 10, 64); err != nil {
			return planned{}, err
		}
		c.Column, c.Identity = props[propColumn], props[propIdentity] == "true"
	}
	c.Name, c.Namespace = display(st.Name), catalog.NamespaceOf(st.Name.Schema)
	return s.relation(&c.SequenceDef, c), nil
}

// createSequence runs CREATE SEQUENCE.
func (sess *Session) createSequence(ctx context.Context, s *scope, st *parse.CreateSequence, out pgwire.Output) error {
	name, err := sess.place(st.Name)
	if err != nil {
		return err
	}
	owner, column, err := s.ownedBy(sess, st.Options.OwnedBy)
	if err != nil {
		return err
	}
	def := *st
	def.Name = name
	def.IfNotExists, def.Options.OwnedBy = false, nil
	if def.Options.Restarts {
		return sqlerr.New(sqlerr.SyntaxError, "RESTART is for ALTER SEQUENCE").At(st.Name.Pos)
	}
	props := map[string]string{}
	if owner != nil {
		props = ownerProps(&catalog.Sequence{Owner: owner.ID, Column: column})
	}
	return s.create(ctx, creation{kind: kindSequence, name: name, path: sess.path(), ifNotExists: st.IfNotExists, sql: parse.Print(&def), props: props,
		plan: func(_ *planner.Env, id uint64, _ types.EventTime) (planned, error) {
			return s.planSequence(&def, id, props)
		}}, out)
}

// ownedBy resolves OWNED BY; nil for none.
func (s *scope) ownedBy(sess *Session, o *parse.ColumnName) (*catalog.Table, string, error) {
	if o == nil || o.Table.Name == "" {
		return nil, "", nil
	}
	r := sess.relation(o.Table)
	t, ok := r.(*catalog.Table)
	switch {
	case r == nil:
		return nil, "", sqlerr.New(sqlerr.UndefinedTable, "relation %q does not exist", o.Table.Name).At(o.Table.Pos)
	case !ok:
		return nil, "", sqlerr.New(sqlerr.WrongObjectType, "sequence cannot be owned by relation %q", o.Table.Name).At(o.Table.Pos)
	case t.Table.Schema.Index(o.Column) < 0:
		return nil, "", sqlerr.New(sqlerr.UndefinedColumn, "column %q of relation %q does not exist", o.Column, t.Name).At(o.Table.Pos)
	}
	if err := s.own(kindTable, t.ID, t.Name); err != nil {
		return nil, "", err
	}
	return t, o.Column, nil
}

// alterSequence runs ALTER SEQUENCE.
func (s *scope) alterSequence(ctx context.Context, name parse.Name, st *parse.AlterSequence, sess *Session, out pgwire.Output) error {
	r := s.cat.Snapshot().Named(display(name))
	q, ok := r.(*catalog.Sequence)
	switch {
	case r == nil && st.IfExists:
		out.Notice(notice(sqlerr.UndefinedTable, "relation %q does not exist, skipping", st.Name.Name))
		return nil
	case r == nil:
		return sqlerr.New(sqlerr.UndefinedTable, "relation %q does not exist", st.Name.Name)
	case !ok:
		return sqlerr.New(sqlerr.WrongObjectType, "%q is not a sequence", st.Name.Name)
	}
	if err := s.own(kindSequence, q.ID, q.Name); err != nil {
		return err
	}
	d, err := planner.AlterSequence(&st.Options, &q.SequenceDef)
	if err != nil {
		return err
	}
	next := *q
	next.SequenceDef, next.SQL = *d, sequenceText(d, parse.Name{Schema: string(q.Namespace), Name: q.RelName()})
	if st.Options.OwnedBy != nil {
		if q.Identity {
			return sqlerr.NotSupported("OWNED BY of an identity column's sequence", "It goes with its column.")
		}
		t, column, err := s.ownedBy(sess, st.Options.OwnedBy)
		if err != nil {
			return err
		}
		next.Owner, next.Column = 0, ""
		if t != nil {
			next.Owner, next.Column = t.ID, column
		}
	}
	if st.Options.Restarts {
		value := d.Start
		if st.Options.Restart != nil {
			value = *st.Options.Restart
		}
		if value < d.Min {
			return sqlerr.New(sqlerr.InvalidParameterValue, "RESTART value (%d) cannot be less than MINVALUE (%d)", value, d.Min)
		}
		if value > d.Max {
			return sqlerr.New(sqlerr.InvalidParameterValue, "RESTART value (%d) cannot be greater than MAXVALUE (%d)", value, d.Max)
		}
		if err := s.eng.SequenceSet(d, value, false); err != nil { // as nextval: not undone by ROLLBACK
			return err
		}
	}
	return s.apply(ctx, step{change: job.Change{Alter: []job.Object{sequenceObject(&next)}}, publish: putting(&next)})
}

// sequenceObject is the object of a sequence with whose it is.
func sequenceObject(q *catalog.Sequence) job.Object {
	o := object(kindSequence, q.ID, q.Name, q.SQL, &q.SequenceDef)
	o.Meta.Props = ownerProps(q)
	return o
}

// putting publishes relations in the place of those with their ids.
func putting(list ...catalog.Relation) func(*catalog.Catalog) {
	return func(cat *catalog.Catalog) {
		for _, r := range list {
			_ = cat.Put(r) // that the name is free was looked at under the lock
		}
	}
}

// sequenceText is the statement that makes a sequence as it is.
func sequenceText(d *spec.SequenceDef, name parse.Name) string {
	t, err := parse.ParseType(d.Type.String())
	st := &parse.CreateSequence{Name: name, Options: parse.SequenceOptions{Start: &d.Start, Increment: &d.Increment,
		Min: &d.Min, Max: &d.Max, Cache: &d.Cache, Cycle: &d.Cycle}}
	if err == nil {
		st.Options.As = &t
	}
	return parse.Print(st)
}

// serialTypes are the types that stand for an integer with a sequence.
var serialTypes = map[string]string{"serial": "integer", "serial4": "integer", "bigserial": "bigint", "serial8": "bigint",
	"smallserial": "smallint", "serial2": "smallint"}

// withSequences writes out serial and identity columns: the statement then names sequences, which are returned, to be made with the
// table. have tells of columns whose sequences are there already.
func (s *scope) withSequences(st *parse.CreateStream, table uint64) (*parse.CreateStream, []*catalog.Sequence, error) {
	x := *st
	x.Columns = append([]parse.ColumnDef(nil), st.Columns...)
	var list []*catalog.Sequence
	inUse := s.cat.Snapshot().Taken(st.Name.Schema)
	taken := func(n string) bool {
		for _, q := range list {
			if q.RelName() == n {
				return true
			}
		}
		return n == st.Name.Name || inUse(n)
	}
	for i := range x.Columns {
		c := &x.Columns[i]
		base, serial := serialTypes[c.Type.Name]
		serial = serial && c.Type.Schema == "" && !c.Type.Array
		if !serial && (c.Identity == nil || c.Identity.Options.SequenceName != nil) {
			continue
		}
		q := &catalog.Sequence{Owner: table, Column: c.Name, Identity: !serial}
		var o parse.SequenceOptions
		if serial {
			if c.Default != nil || c.Identity != nil {
				return nil, nil, sqlerr.New(sqlerr.SyntaxError, "multiple default values specified for column %q of table %q", c.Name, st.Name.Name)
			}
			c.Type.Name = base
		} else {
			o = c.Identity.Options
		}
		if t := c.Type.Name; t != "integer" && t != "bigint" && t != "smallint" && t != "int4" && t != "int8" && t != "int2" {
			return nil, nil, sqlerr.New(sqlerr.InvalidParameterValue, "identity column type must be smallint, integer, or bigint")
		}
		if o.As == nil {
			o.As = &c.Type
		}
		name := parse.Name{Schema: st.Name.Schema, Name: planner.SequenceName(st.Name.Name, c.Name, taken)}
		def := &parse.CreateSequence{Name: name, Options: o}
		id, err := s.eng.NextID()
		if err != nil {
			return nil, nil, err
		}
		p, err := planner.Sequence(def, id)
		if err != nil {
			return nil, nil, err
		}
		q.SequenceDef, q.SQL, q.Namespace = p.SequenceDef, p.SQL, catalog.NamespaceOf(name.Schema)
		q.Name = display(name)
		list = append(list, q)
		if serial {
			c.NotNull, c.Default = true, planner.NextVal(name)
		} else {
			c.Identity = &parse.Identity{Always: c.Identity.Always, Options: parse.SequenceOptions{SequenceName: &name}}
		}
	}
	return &x, list, nil
}

// created makes the objects of new sequences.
func created(list []*catalog.Sequence, at types.EventTime) []job.Object {
	var out []job.Object
	for _, q := range list {
		o := sequenceObject(q)
		o.Meta.Props[propCreated] = strconv.FormatInt(int64(at), 10)
		out = append(out, o)
	}
	return out
}

// takesFrom finds a column of a table whose default takes values from a sequence.
func takesFrom(t *catalog.Table, q *catalog.Sequence) (column string, ok bool) {
	call := parse.PrintExpr(planner.NextVal(parse.Name{Schema: string(q.Namespace), Name: q.RelName()}))
	for i, text := range t.DefaultText {
		if t.Defaults[i] != nil && strings.Contains(text, call) {
			return t.Table.Schema.Cols[i].Name, true
		}
	}
	return "", false
}

// sequenceUsers refuses to drop a sequence that a column takes its values from.
func (s *scope) sequenceUsers(v *existing, going map[uint64]bool) error {
	if v.kind != kindSequence {
		return nil
	}
	q, ok := s.cat.Snapshot().ByID(v.object.Meta.ID).(*catalog.Sequence)
	if !ok {
		return nil
	}
	for _, t := range s.cat.Snapshot().Tables() {
		switch {
		case t.Temp:
		case q.Identity && q.Owner == t.ID && !going[t.ID]:
			return sqlerr.New(sqlerr.DependentObjectsExist, "cannot drop sequence %s because column %s of table %s requires it", q.Name, q.Column, t.Name).
				WithHint("You can drop column %s of table %s instead.", q.Column, t.Name)
		}
		if column, ok := takesFrom(t, q); ok && !going[t.ID] {
			return sqlerr.New(sqlerr.DependentObjectsExist, "cannot drop sequence %s because other objects depend on it", q.Name).
				WithDetail("default value for column %s of table %s depends on sequence %s", column, t.Name, q.Name).
				WithHint("ALTER TABLE .. ALTER COLUMN .. DROP DEFAULT first.")
		}
	}
	return nil
}
