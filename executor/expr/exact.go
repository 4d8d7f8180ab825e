package expr

import (
	"fmt"
	"strings"
)

// Exact is a text that is equal only for expressions that give the same, and fail alike, for all rows of one schema: String tells neither of
// the types of constants, nor of how a cast came about, nor apart tables of several schemas that share a name.
func Exact(e Expr) string {
	var b strings.Builder
	b.WriteString(e.String())
	Walk(e, func(e Expr) bool {
		b.WriteByte(' ')
		b.WriteString(e.Type().String())
		switch e := e.(type) {
		case *Cast:
			if e.Explicit {
				b.WriteByte('!')
			}
		case *InTable:
			fmt.Fprintf(&b, "#%d", e.Table)
		case *TableQuery:
			fmt.Fprintf(&b, "#%d", e.Table)
		}
		return true
	})
	return b.String()
}
