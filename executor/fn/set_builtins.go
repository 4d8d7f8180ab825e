package fn

import (
	"github.com/vigil-sql/vigil/executor/types"
)

// SetBuiltins returns every set-returning function that vigil has. The table is new with each call: keep it.
func SetBuiltins() []SetDef {
	var all []SetDef
	for _, family := range []func() []SetDef{seriesSets, arraySets, textSets, regexSets, jsonSets, jsonPathSets, recordSets, catalogSets} {
		all = append(all, family()...)
	}
	return all
}

// oneCol is the Cols of a function with one output column of a fixed type.
func oneCol(name string, t types.Type) func([]types.Type) []types.Column {
	return func([]types.Type) []types.Column { return []types.Column{{Name: name, Type: t}} }
}

// cols is the Cols of a function with fixed output columns: name, kind, name, kind ...
func cols(list ...types.Column) func([]types.Type) []types.Column {
	return func([]types.Type) []types.Column { return list }
}

func col(name string, t types.Type) types.Column { return types.Column{Name: name, Type: t} }
