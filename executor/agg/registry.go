package agg

import (
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

// Builtins returns every aggregate, one line each.
func Builtins() []Def {
	return append([]Def{
		countDef(),
		sumDef(),
		avgDef(),
		minDef(),
		maxDef(),
		boolAndDef(),
		boolOrDef(),
		everyDef(),
		stddevDef("stddev", true, true, "Sample standard deviation; the same as stddev_samp."),
		stddevDef("stddev_samp", true, true, "Sample standard deviation; NULL for fewer than two values."),
		stddevDef("stddev_pop", false, true, "Population standard deviation."),
		stddevDef("variance", true, false, "Sample variance; the same as var_samp."),
		stddevDef("var_samp", true, false, "Sample variance; NULL for fewer than two values."),
		stddevDef("var_pop", false, false, "Population variance."),
		stringAggDef(),
		arrayAggDef(),
		jsonAggDef(),
		jsonbAggDef(),
		jsonObjectAggDef(),
		jsonbObjectAggDef(),
		bitAndDef(),
		bitOrDef(),
		bitXorDef(),
		firstDef(),
		lastDef(),
		argMinDef("arg_min"),
		argMinDef("min_by"),
		argMaxDef("arg_max"),
		argMaxDef("max_by"),
		anyValueDef(),
		percentileContDef(),
		percentileDiscDef(),
		modeDef(),
		approxPercentileDef(),
		approxCountDistinctDef(),
		approxTopKDef(),
	}, regrDefs()...)
}

// Find returns the aggregate called name.
func Find(name string) (Def, bool) {
	for _, d := range Builtins() {
		if d.Name == name {
			return d, true
		}
	}
	return Def{}, false
}

// BulkResult is a kernel that can give the results of many groups at once, when none of them is an error.
type BulkResult interface {
	// Results appends the results of gids to dst, which has the kernel's type. It returns false, having appended nothing,
	// when some group needs Result.
	Results(dst *batch.Vec, s *Slab, off int, gids []uint32) bool
}

// null is the result of a group without values.
func null(t types.Type) (types.Value, error) { return types.Null(t), nil }
