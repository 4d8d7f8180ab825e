// Package fn owns the registry of scalar functions and operators: one file per family, one table in registry.go.
// It does not know expressions; package expr calls it.
package fn

import (
	"context"
	"time"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// Volatility says what a function may depend on besides its arguments.
type Volatility uint8

// As in Postgres: immutable calls with constant arguments are folded; stable ones read Ctx; volatile ones differ per row.
const (
	Immutable Volatility = iota
	Stable
	Volatile
)

// Session is what functions may ask of the connection or of the query's owner. Catalogue functions (pg_get_expr,
// format_type, ...) find their data through Catalog, an interface that server/pgcatalog implements and fn asserts.
type Session struct {
	User, Database, Schema string
	// SessionUser is who logged in, where SET ROLE made User another; "": the same.
	SessionUser string
	// SearchPath is the schemas that names are looked up in; nil: Schema only.
	SearchPath []string
	BackendPID int32
	Settings   func(name string) (value string, ok bool)
	Catalog    any
	// Sequences are what nextval and its like use; nil where there are none.
	Sequences Sequences
	// Notify sends a notification when the transaction commits, Channels lists what the connection listens to; nil where
	// there is no connection.
	Notify   func(channel, payload string) error
	Channels func() []string
	// Context ends with the statement; nil where nothing may wait.
	Context context.Context
	// Backends are the server's connections; nil where there are none.
	Backends Backends
	// Warn tells the client of something when the statement ends; nil: nobody is told.
	Warn func(err *sqlerr.Error)
	// SetConfig changes a setting - NULL: to its default - and returns its new value; nil where settings cannot be changed.
	SetConfig func(name string, value types.Value, local bool) (string, error)
}

// Ctx is what an evaluation may read besides rows. One goroutine uses it at a time.
type Ctx struct {
	// Now is the epoch's clock for continuous queries, the statement's start for bounded ones: all that now() sees.
	Now types.EventTime
	// TimeZone renders and reads timestamptz; nil means UTC. Continuous queries always use UTC.
	TimeZone *time.Location
	Session  *Session // nil in continuous queries
	patterns patterns // compiled regular expressions
	zones    map[string]*time.Location
}

// Poly says how the arguments of any type (and of any array) of one signature go together.
type Poly uint8

// The ways, of which a signature has one.
const (
	// Each argument has a type of its own: Postgres' "any".
	Each Poly = iota
	// NonArray is Each without arrays: anynonarray.
	NonArray
	// Alike arguments have one type, which must be known: anyelement and anyarray.
	Alike
	// Compatible arguments are converted to a common type, text when none is known: anycompatible, anycompatiblearray.
	Compatible
)

// Def is one function or operator signature. Operators are Defs whose Name is the operator ("+", "||", "->>").
type Def struct {
	Name string
	Args []types.Type // Kind Unknown accepts any type; Array with Elem Unknown accepts any array
	// Poly is the rule for arguments of any type.
	Poly Poly
	// Variadic: the last argument type repeats zero or more times.
	Variadic bool
	Ret      types.Type
	// RetOf computes the result type where it depends on the arguments; nil: Ret.
	RetOf func(args []types.Type) types.Type
	// CalledOnNull: Eval sees NULL arguments; otherwise any NULL argument gives NULL.
	CalledOnNull bool
	Volatility   Volatility
	// Check, when set, refuses values of argument i that are constants, before anything runs.
	Check func(i int, v types.Value) error
	// Eval computes one row. Values own their bytes. Errors are *sqlerr.Error.
	Eval func(ctx *Ctx, args []types.Value) (types.Value, error)
	// Vector computes n rows at once, appending to out (already Reset to the result type); optional. NULLs are its own
	// business. An error concerns the whole batch: the caller then falls back to Eval, row by row.
	Vector func(ctx *Ctx, args []*batch.Vec, n int, out *batch.Vec) error
	Doc    string
	// Examples are run by the tests and printed in the reference: SQL expression -> text of the result.
	Examples []Example
}

// Example is one documented call: SQL is an expression, Want its text form ("NULL" for NULL).
type Example struct{ SQL, Want string }
