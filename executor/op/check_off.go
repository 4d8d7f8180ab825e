//go:build !invariants

package op

// poisonDefault: see Check.
const poisonDefault = false
