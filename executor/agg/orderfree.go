package agg

// Orderless is a kernel that knows whether the order of rows, and how they are put together by Merge, never shows in its
// results.
type Orderless interface{ OrderFree() bool }

// OrderFree reports that neither the order in which rows were folded into a state of k, nor the order in which states were
// merged, shows in its results, not even in the last bit. It is false where that is not known.
func OrderFree(k Kernel) bool {
	switch k := k.(type) {
	case countRows, countValues, sumInt, sumNumeric, sumInterval, extremeInt, extremeBytes, boolFold, spreadExact,
		bitsFold, bitXor, countPairs, percentile, mode, hyperLogLog, sketch:
		return true
	case distinctRows:
		return true // results are computed over sorted values
	case Orderless:
		return k.OrderFree()
	}
	return false
}
