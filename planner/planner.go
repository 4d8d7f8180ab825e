// Package planner is the way from a parsed statement to something that can run: it binds, optimizes and lowers. One
// planner serves continuous queries, bounded ones, and the catalogue queries of BI tools.
//
// Errors are *sqlerr.Error with Postgres' SQLSTATE and the position in the statement.
package planner

import (
	"slices"
	"time"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/bind"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/logical"
	"github.com/vigil-sql/vigil/planner/lower"
	"github.com/vigil-sql/vigil/planner/parse"
	"github.com/vigil-sql/vigil/planner/rules"
)

// Env is what a statement is planned in.
type Env = bind.Env

// Permit decides on what a statement reads.
type Permit = bind.Permit

// Select plans a bounded query. Its output columns are Program.Root.Schema, its parameters Program.Params: the types in
// paramTypes where they are known, else inferred, else text.
func Select(env *Env, q *parse.Select, paramTypes []types.Type) (*spec.Program, error) {
	bound, err := bind.Select(env, q, paramTypes)
	if err != nil {
		return nil, err
	}
	origins := logical.Origins(bound.Root) // before the optimizer moves columns about
	p, err := finish(bound, env, env.TimeZone)
	if err != nil {
		return nil, err
	}
	p.Origins = make([]spec.Origin, len(origins))
	for i, o := range origins {
		v, virtual := o.Rel.(*catalog.Virtual)
		if hidden := virtual && slices.Contains(v.Hidden, o.Col); o.Rel != nil && !hidden {
			p.Origins[i] = spec.Origin{ID: o.Rel.RelID(), Virtual: virtual, Col: o.Col}
		}
	}
	return p, nil
}

// Change is a planned statement that changes rows.
type Change struct {
	// Rows gives the rows; Returning, nil without RETURNING, its results: see bind.Change.
	Rows, Returning *spec.Program
	Target          catalog.Relation
}

// ChangedSchema is the schema of the relation that Returning reads.
const ChangedSchema = bind.ChangedSchema

// Insert plans INSERT: the rows have all columns of the target, in its order and types. Columns that the statement does not
// name have their default.
func Insert(env *Env, ins *parse.Insert, paramTypes []types.Type) (*Change, error) {
	c, err := bind.Insert(env, ins, paramTypes)
	return finishChange(env, c, err)
}

// Update plans UPDATE: each row is the number of a row's version, the row that takes its place and, with RETURNING, the joined row
// that it came from: the old row, the number, and the columns of FROM.
func Update(env *Env, st *parse.Update, paramTypes []types.Type) (*Change, error) {
	c, err := bind.Update(env, st, paramTypes)
	return finishChange(env, c, err)
}

// Delete plans DELETE FROM a table: each row is the number of a row's version and, with RETURNING, the joined row.
func Delete(env *Env, st *parse.Delete, paramTypes []types.Type) (*Change, error) {
	c, err := bind.Delete(env, st, paramTypes)
	return finishChange(env, c, err)
}

func finishChange(env *Env, c *bind.Change, err error) (*Change, error) {
	if err != nil {
		return nil, err
	}
	out := &Change{Target: c.Target}
	if out.Rows, err = finish(c.Query, env, env.TimeZone); err != nil || c.Returning == nil {
		return out, err
	}
	plain := *env
	plain.Trace = nil // it is the rows that are explained
	out.Returning, err = finish(c.Returning, &plain, env.TimeZone)
	return out, err
}

// Conflict is what ON CONFLICT DO UPDATE does.
type Conflict = bind.Conflict

// OnConflict plans ON CONFLICT of an INSERT into a table.
func OnConflict(env *Env, ins *parse.Insert, t *catalog.Table) (*Conflict, error) {
	return bind.OnConflict(env, ins, t)
}

// IsTable tells CREATE TABLE of a table from that of a stream with a connector.
func IsTable(st *parse.CreateStream) bool { return bind.IsTable(st) }

// Table plans CREATE TABLE without connector, and the indexes made on the table since.
func Table(env *Env, st *parse.CreateStream, id uint64, indexes ...*parse.CreateIndex) (*catalog.Table, error) {
	t, err := bind.Table(env, st, id)
	for _, x := range indexes {
		if err != nil {
			return nil, err
		}
		var k catalog.Key
		if k, err = bind.Index(t, x); err == nil {
			t = bind.WithIndex(t, k)
		}
	}
	return t, err
}

// NameConstraints gives the constraints of a CREATE TABLE that have none names, IndexName and SequenceName make up a name.
func NameConstraints(st *parse.CreateStream, taken func(string) bool) {
	bind.NameConstraints(st, taken)
}

// IndexName makes up the name of an index.
func IndexName(table string, cols []string, taken func(string) bool) string {
	return bind.IndexName(table, cols, taken)
}

// SequenceName makes up the name of a column's sequence.
func SequenceName(table, column string, taken func(string) bool) string {
	return bind.SequenceName(table, column, taken)
}

// NextVal is the expression nextval('name'::regclass).
func NextVal(sequence parse.Name) parse.Expr { return bind.NextVal(sequence) }

// Sequence plans CREATE SEQUENCE.
func Sequence(st *parse.CreateSequence, id uint64) (*catalog.Sequence, error) {
	s, err := bind.SequenceDef(&st.Options, nil)
	if err != nil {
		return nil, err
	}
	s.ID, s.Name = id, st.Name.Name
	return &catalog.Sequence{SequenceDef: *s, SQL: parse.Print(st)}, nil
}

// AlterSequence plans ALTER SEQUENCE.
func AlterSequence(o *parse.SequenceOptions, was *spec.SequenceDef) (*spec.SequenceDef, error) {
	return bind.SequenceDef(o, was)
}

// Continuous plans a continuous query with the id it is to have; what it depends on is filled in.
func Continuous(env *Env, q *parse.CreateQuery, id uint64) (*catalog.Query, error) {
	opts, err := bind.Options(q.Options)
	if err != nil {
		return nil, err
	}
	bound, deps, err := bind.Continuous(env, q, id)
	if err != nil {
		return nil, err
	}
	p, err := finish(bound, env, time.UTC)
	if err != nil {
		return nil, err
	}
	return &catalog.Query{
		Query: spec.Query{ID: id, Name: q.Name.Name, Program: p, Stages: p.Stages, Retention: opts.Retention, RetentionBytes: opts.RetentionBytes, Created: env.Now,
			Updates: spec.Updates(p.Root), Limits: opts.Limits, Start: opts.Start, Calls: deps.Functions},
		Times:   logical.Times(bound.Root),
		Queries: deps.Queries,
		Schema:  p.Root.Schema,
		SQL:     parse.Print(q),
		Options: opts.All,
		Streams: deps.Streams, Lists: deps.Lists, Functions: deps.Functions, Tables: deps.Tables, Views: deps.Views,
		State: catalog.Running,
	}, nil
}

// LimitOptions are the options of a continuous query that bound what it costs; none of what it makes depends on them.
func LimitOptions() []string { return bind.LimitOptions() }

// View plans CREATE VIEW.
func View(env *Env, st *parse.CreateView, id uint64) (*catalog.View, error) {
	v, err := bind.View(env, st, id)
	if err == nil {
		v.SQL = parse.Print(st)
	}
	return v, err
}

// finish optimizes and lowers.
func finish(q *logical.Query, env *Env, zone *time.Location) (*spec.Program, error) {
	q.Root = rules.Optimize(q.Root, rules.Env{Now: env.Now, TimeZone: zone, Trace: env.Trace})
	return lower.Program(q)
}

// Stream plans CREATE STREAM: types, watermark, options.
func Stream(env *Env, st *parse.CreateStream, id uint64) (*catalog.Stream, error) {
	s, err := bind.Stream(env, st, id)
	if err != nil {
		return nil, err
	}
	return &catalog.Stream{Stream: *s, SQL: parse.Print(st)}, nil
}

// IOCList plans CREATE IOC LIST.
func IOCList(_ *Env, st *parse.CreateIOC, id uint64) (*catalog.IOCList, error) {
	l, opts, err := bind.IOCList(st, id)
	if err != nil {
		return nil, err
	}
	return &catalog.IOCList{IOCList: *l, SQL: parse.Print(st), Options: opts.All, Refresh: opts.Refresh, ExpireAfter: opts.ExpireAfter}, nil
}

// Function plans CREATE FUNCTION ... LANGUAGE javascript.
func Function(env *Env, st *parse.CreateFunction, id uint64) (*catalog.Function, error) {
	f, err := bind.Function(env, st, id)
	if err != nil {
		return nil, err
	}
	return &catalog.Function{Function: *f, SQL: parse.Print(st), State: catalog.Running}, nil
}

// ReadsMore tells which field of a row the next definition of a function reads that the one before does not; "" for none.
func ReadsMore(old, next *spec.Function) string { return bind.ReadsMore(old, next) }

// Exprs binds expressions without rows and converts them to the wanted types as INSERT does. INSERT itself is better
// served by Insert, whose errors name the column.
func Exprs(env *Env, list []parse.Expr, want []types.Type) ([]expr.Expr, error) {
	cols := make([]types.Column, len(want))
	for i, t := range want {
		cols[i].Type = t
	}
	out, _, err := bind.Exprs(env, list, cols)
	return out, err
}
