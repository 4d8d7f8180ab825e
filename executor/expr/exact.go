package expr

import "strings"

// Exact is a text that is equal only for expressions that give the same, and fail alike, for all rows of one schema: String tells neither of
// the types of constants nor of how a cast came about.
func Exact(e Expr) string {
	var b strings.Builder
	b.WriteString(e.String())
	Walk(e, func(e Expr) bool {
		b.WriteByte(' ')
		b.WriteString(e.Type().String())
		if c, ok := e.(*Cast); ok && c.Explicit {
			b.WriteByte('!')
		}
		return true
	})
	return b.String()
}
