package fn

import "github.com/vigil-sql/vigil/executor/types"

// SetDef is one signature of a set-returning function: what spec.FuncScan names, in FROM and in the SELECT list.
type SetDef struct {
	Name string
	// Args are the argument types as in Def: Kind Unknown accepts any type, Array with Elem Unknown any array.
	Args []types.Type
	// Variadic: the last argument type repeats.
	Variadic bool
	// Cols gives the output columns for argument types. A function of one column names it after itself.
	Cols func(args []types.Type) []types.Column
	// EvalRecord, of a function of any row (Cols is then nil), produces rows with the columns that the query defines.
	EvalRecord func(ctx *Ctx, args []types.Value, cols []types.Column, emit func(row []types.Value) error) error
	// CalledOnNull: Eval sees NULL arguments; otherwise any NULL argument gives no rows.
	CalledOnNull bool
	// Eval produces the rows. An error of emit ends it and is returned as it is. emit does not retain row.
	Eval func(ctx *Ctx, args []types.Value, emit func(row []types.Value) error) error
	Doc  string
	// Examples are rows as text, one string a row with columns separated by '|'.
	Examples []SetExample
}

// SetExample is one documented call: SQL is the call, Want its rows.
type SetExample struct {
	SQL  string
	Want []string
}

// SetsByName returns the signatures called name, nil when there is no such set-returning function.
func SetsByName(name string) []SetDef {
	var out []SetDef
	for _, d := range SetBuiltins() {
		if d.Name == name {
			out = append(out, d)
		}
	}
	return out
}

// Accepts reports whether arguments of exactly these types fit the signature; coercion is the planner's work.
func (d *SetDef) Accepts(args []types.Type) bool {
	if len(args) < len(d.Args) || len(args) > len(d.Args) && !d.Variadic {
		return false
	}
	for i, a := range args {
		want := d.Args[min(i, len(d.Args)-1)]
		switch {
		case want.Kind == types.Unknown:
		case want.Kind == types.Array && want.Elem == types.Unknown:
			if a.Kind != types.Array {
				return false
			}
		case want.Kind != a.Kind || want.Elem != a.Elem:
			return false
		}
	}
	return true
}
