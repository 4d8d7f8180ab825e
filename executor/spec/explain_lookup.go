package spec

import "fmt"

func describeLookup(op *LookupJoin) string {
	s := fmt.Sprintf("LookupJoin %s %s", [...]string{Inner: "inner", Left: "left", Semi: "semi", Anti: "anti"}[op.Kind], op.Name)
	for i, k := range op.Keys {
		sep := " and "
		if i == 0 {
			sep = " on "
		}
		s += fmt.Sprintf("%s%s = %s", sep, op.TableSchema.Cols[op.Cols[i]].Name, k)
	}
	if op.NullAware {
		s += " or null"
	}
	if op.AsOf != nil {
		s += " as of " + op.AsOf.String()
	}
	if op.Cond != nil {
		s += " where " + parens(op.Cond.String())
	}
	if read := wanted(&op.TableSchema, op.Want); (op.Kind == Inner || op.Kind == Left) && op.Want != nil {
		s += " (columns: " + read + ")"
	}
	return s
}
