// Package bind gives names and types to a parsed statement: it looks names up in the catalogue, resolves operators and
// functions as Postgres does, and returns a typed logical tree. It decides what is an error of the user's and says so in
// Postgres' words, at the user's own character.
package bind

import (
	"time"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/logical"
	"github.com/vigil-sql/vigil/planner/parse"
)

// Env is what a statement is bound in.
type Env struct {
	Catalog                catalog.Reader
	User, Database, Schema string
	// SearchPath is where unqualified relations are looked for after pg_catalog; nil means public.
	SearchPath []string
	// Now is the statement's clock.
	Now types.EventTime
	// TimeZone is how literals without a zone are read; nil means UTC. Continuous queries always use UTC.
	TimeZone *time.Location
	// Trace takes down how the statement is optimized; nil: nobody asks.
	Trace *logical.Trace
	// Permit refuses what the statement's user has no privilege for; nil: everything is allowed. Inside of a view nothing is asked: who
	// may read it reads all that it reads.
	Permit Permit
	// Stored: the statement is that of an object that is there already. What it calls may be out of service, and its limits are brought
	// within FunctionMax.
	Stored bool
	// FunctionMax bounds the limits that functions may give themselves; zero fields: the usual maxima.
	FunctionMax spec.FunctionLimits
	// Aggregates computes users' aggregates when the plan runs; nil: it refuses them then.
	Aggregates agg.Runner
}

// Permit decides on what a statement reads. Its errors are SQLSTATE 42501.
type Permit interface {
	// Read allows to read a relation, Call to call a function.
	Read(r catalog.Relation) error
	Call(f *catalog.Function) error
}

// relationsMax bounds the relations of one statement, so that nested WITH queries cannot multiply without end.
const relationsMax = 4096

// nestingMax bounds how deep queries and expressions nest. The parser allows 500 levels of nesting; chains of operators and of set
// operations, each a level of the tree, are as long as it allows.
const nestingMax = 11_000

// paramsMax is how many parameters the protocol can carry.
const paramsMax = 65535

// source is where a bound reference was written, for errors that are found later.
type source struct {
	pos  int
	name string // as Postgres names it in messages: "a.username"
}

// binder binds one statement.
type binder struct {
	env        *Env
	format     *types.TextFormat
	continuous bool
	// defining is the name of the continuous query being bound.
	defining string
	// given are the parameter types that the client declared, params the types so far; Unknown: not determined yet.
	given  []types.Type
	params []types.Type
	// relations counts the relations bound, nesting how deep the binder is.
	relations, nesting int
	// asking is how many subqueries over tables lie around what is bound.
	asking int
	src    map[expr.Expr]source
	subPos map[any]int // where the subquery with a plan is written
	deps   Deps
	// tablePos is where tables are named, by id.
	tablePos map[uint64]int
	// ids numbers WITH queries; shared counts the readers of those that are bound once.
	ids    int
	shared map[int]int
	// recursions are the queries of WITH RECURSIVE being bound, and within the constructs being bound that a recursive query must not
	// be named in.
	recursions []*cteScope
	within     []string
	// near are the relations left of what is being bound, for errors.
	near []nearby
	// again: what is bound has been bound before, for another reader.
	again int
	// shapes are the row types of the statement; wholes are the relations whose whole rows are needed above an outer join.
	shapes []*rowShape
	wholes map[parse.TableExpr]bool
	// userAggs are the users' aggregates that were met.
	userAggs map[uint64]*agg.Def
	// table is the one that the statement changes.
	table *catalog.Table
}

// Deps is what a query uses of the catalogue.
type Deps struct {
	Streams   []uint64
	Queries   []uint64
	Lists     []string
	Functions []uint64
	Tables    []uint64
	Views     []uint64
}

func newBinder(env *Env, paramTypes []types.Type) *binder {
	return &binder{
		env:    env,
		format: &types.TextFormat{TimeZone: env.TimeZone},
		given:  paramTypes,
		params: append([]types.Type(nil), paramTypes...),
		src:    map[expr.Expr]source{},
		subPos: map[any]int{},

		tablePos: map[uint64]int{},
		shared:   map[int]int{},
		wholes:   map[parse.TableExpr]bool{},
	}
}

// Select binds a bounded query. Parameters of type Unknown in paramTypes, and those beyond it, are inferred.
func Select(env *Env, q *parse.Select, paramTypes []types.Type) (*logical.Query, error) {
	var r *logical.Node
	b, err := again(newBinder(env, paramTypes), func(b *binder) (err error) {
		r, err = b.query(q, nil, nil)
		return err
	})
	if err != nil {
		return nil, err
	}
	root, err := b.settleColumns(r)
	if err != nil {
		return nil, err
	}
	return b.finish(root), nil
}

// finish settles parameters that nothing determined: they are text.
func (b *binder) finish(root *logical.Node) *logical.Query {
	for i, t := range b.params {
		if t.Kind == types.Unknown {
			b.params[i] = types.T(types.Text)
		}
	}
	root = b.unshare(root)
	root = logical.Rewrite(func(e expr.Expr, _ int) (expr.Expr, bool) {
		if p, ok := e.(*expr.Param); ok && p.Typ != b.params[p.N-1] {
			return &expr.Param{N: p.N, Typ: b.params[p.N-1]}, true
		}
		return e, false
	}).Plan(root, 0)
	return &logical.Query{Root: root, Params: b.params, TablePos: b.tablePos}
}

// param binds $n.
func (b *binder) param(p *parse.Param) (expr.Expr, error) {
	if p.N < 1 || p.N > paramsMax {
		return nil, sqlerr.New(sqlerr.UndefinedParameter, "there is no parameter $%d", p.N).At(p.Pos)
	}
	for len(b.params) < p.N {
		b.params = append(b.params, types.Type{})
	}
	e := &expr.Param{N: p.N, Typ: b.params[p.N-1]}
	b.src[e] = source{pos: p.Pos}
	return e, nil
}

// enter counts one level of nesting; the caller calls leave when it returns nil.
func (b *binder) enter(pos int) error {
	if b.nesting++; b.nesting > nestingMax {
		return sqlerr.New(sqlerr.StatementTooComplex, "statement is nested too deeply").At(pos).
			WithHint("At most %d levels are allowed.", nestingMax)
	}
	return nil
}

func (b *binder) leave() { b.nesting-- }

// at places an error; an error without SQLSTATE becomes an internal one.
func at(err error, pos int) error {
	if err == nil {
		return nil
	}
	return sqlerr.As(err).At(pos)
}

// unsupported is sqlerr.NotSupported with a place.
func unsupported(pos int, what, hint string) error { return sqlerr.NotSupported(what, hint).At(pos) }

func addOnce[T comparable](list []T, x T) []T {
	for _, y := range list {
		if x == y {
			return list
		}
	}
	return append(list, x)
}
