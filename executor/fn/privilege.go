package fn

import (
	"slices"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// PrivilegeReader is implemented by catalogues that know who may do what.
type PrivilegeReader interface {
	// Holds tells whether a user holds a privilege of an object of a class ("pg_class", "pg_namespace", "pg_database", "pg_proc"). user and
	// object are a name or an oid each; a zero user is the connection's. known is false for an oid that names nothing.
	Holds(class string, user, object types.Value, privilege string) (holds, known bool, err error)
	// HasRole tells whether a user may act as a role: privilege is MEMBER or USAGE.
	HasRole(user, role types.Value, privilege string) (holds, known bool, err error)
}

// privilegeDefs are the has_..._privilege functions.
func privilegeDefs() []Def {
	const doc = "Whether a user has a privilege; NULL when there is no such object."
	var out []Def
	for _, p := range []struct{ name, class string }{
		{"has_table_privilege", "pg_class"}, {"has_any_column_privilege", "pg_class"}, {"has_sequence_privilege", "pg_class"},
		{"has_schema_privilege", "pg_namespace"}, {"has_database_privilege", "pg_database"}, {"has_function_privilege", "pg_proc"},
		{"has_type_privilege", "pg_type"}, {"has_language_privilege", "pg_language"}, {"has_tablespace_privilege", "pg_tablespace"},
	} {
		for _, object := range []types.Type{tText, tOID} {
			for _, user := range []args{nil, {tName}, {tOID}} {
				in := slices.Concat(user, args{object, tText})
				out = append(out, def(p.name, in, tBool, mayUse(p.class, len(user))).stable().about(doc))
			}
		}
	}
	out = append(out, def("acldefault", args{tChar, tOID}, tTextArray, aclDefault).stable().
		about("The access list of an object of a kind and an owner on which nothing was granted yet."))
	for _, role := range []types.Type{tName, tOID} {
		for _, user := range []args{nil, {tName}, {tOID}} {
			in := slices.Concat(user, args{role, tText})
			out = append(out, def("pg_has_role", in, tBool, mayAct(len(user))).stable().about("Whether a user may act as a role."))
		}
	}
	for _, table := range []types.Type{tText, tOID} {
		for _, column := range []types.Type{tText, tInt2} {
			out = append(out, def("has_column_privilege", args{table, column, tText}, tBool, mayUse("pg_class", 0)).stable().about(doc))
		}
	}
	return out
}

// mayUse asks for a privilege; at is the argument that says which object, before it comes the user if there is one. Types, languages and
// tablespaces are for all.
func mayUse(class string, at int) eval {
	return func(ctx *Ctx, a values) (value, error) {
		if class == "pg_type" || class == "pg_language" || class == "pg_tablespace" {
			return boolean(true)
		}
		return asked(ctx, func(p PrivilegeReader) (bool, bool, error) {
			return p.Holds(class, user(a[:at]), a[at], a[len(a)-1].S)
		})
	}
}

func mayAct(at int) eval {
	return func(ctx *Ctx, a values) (value, error) {
		return asked(ctx, func(p PrivilegeReader) (bool, bool, error) { return p.HasRole(user(a[:at]), a[at], a[at+1].S) })
	}
}

func user(a values) value {
	if len(a) == 0 {
		return value{}
	}
	return a[0]
}

func asked(ctx *Ctx, ask func(PrivilegeReader) (holds, known bool, err error)) (value, error) {
	r, err := ctx.catalog()
	if err != nil {
		return value{}, err
	}
	p, ok := r.(PrivilegeReader)
	if !ok {
		return value{}, sqlerr.NotSupported("a function of privileges on this connection", "")
	}
	holds, known, err := ask(p)
	if err != nil || !known {
		return types.Null(tBool), err
	}
	return boolean(holds)
}
