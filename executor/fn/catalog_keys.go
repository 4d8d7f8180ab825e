package fn

import "strings"

// KeyReader is implemented by catalogues that know of primary keys. An index and the constraint that it is for have oids of
// their own.
type KeyReader interface {
	// IndexText is the CREATE INDEX statement of an index, or only its column when column (1-based) is not 0.
	IndexText(oid int64, column int) (string, bool)
	// ConstraintText is a constraint as a table definition has it.
	ConstraintText(oid int64) (string, bool)
}

// keyDefs tell of primary keys.
func keyDefs() []Def {
	read := func(get func(k KeyReader, a values) (string, bool)) eval {
		return withCatalog(func(r CatalogReader, a values) (value, error) {
			k, ok := r.(KeyReader)
			if !ok {
				return null(tText)
			}
			s, ok := get(k, a)
			if !ok {
				return null(tText)
			}
			return text(s)
		})
	}
	index := read(func(k KeyReader, a values) (string, bool) {
		if len(a) > 1 {
			return k.IndexText(a[0].I, int(a[1].I))
		}
		return k.IndexText(a[0].I, 0)
	})
	constraint := read(func(k KeyReader, a values) (string, bool) {
		s, ok := k.ConstraintText(a[0].I)
		if inner, check := strings.CutPrefix(s, "CHECK (("); check && len(a) > 1 && a[1].Bool() {
			s = "CHECK (" + strings.TrimSuffix(inner, ")") // the short form
		}
		return s, ok
	})
	const indexDoc, constraintDoc = "The definition of an index.", "A constraint as the definition of its table has it."
	return []Def{
		def("pg_get_indexdef", args{tOID}, tText, index).stable().about(indexDoc),
		def("pg_get_indexdef", args{tOID, tInt4, tBool}, tText, index).stable().about(indexDoc),
		def("pg_get_constraintdef", args{tOID}, tText, constraint).stable().about(constraintDoc),
		def("pg_get_constraintdef", args{tOID, tBool}, tText, constraint).stable().about(constraintDoc),
	}
}
