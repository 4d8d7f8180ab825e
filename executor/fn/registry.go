package fn

// Builtins returns every scalar function and operator that vigil has, one family after the other. The table is new with each
// call: keep it.
//
// Polymorphism, for whoever resolves calls: an argument of kind Unknown takes any type, an array of Unknown any array; Def.Poly
// says how such arguments go together. Comparisons, LIKE, IN, CASE, COALESCE and casts are expression nodes, not functions.
func Builtins() []Def {
	var all []Def
	for _, family := range []func() []Def{
		integerDefs, floatDefs, numericDefs, bitDefs, mathDefs, trigDefs, integerMathDefs, byteaDefs, textDefs, textSearchDefs, textBuildDefs, quoteDefs, regexDefs, hashDefs,
		intervalDefs, dateDefs, clockDefs, truncDefs, extractDefs, formatTimeDefs, makeTimeDefs, netDefs, netOpDefs, jsonDefs,
		jsonBuildDefs, jsonChangeDefs, jsonPathDefs,
		arrayDefs, arrayMoreDefs, sessionDefs, notifyDefs, backendDefs, anyDefs, catalogDefs,
	} {
		all = append(all, family()...)
	}
	return all
}

// ByName returns the table's signatures called name.
func ByName(defs []Def, name string) []Def {
	var out []Def
	for _, d := range defs {
		if d.Name == name {
			out = append(out, d)
		}
	}
	return out
}
