package fn

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// CatalogReader is what catalogue functions ask of Session.Catalog; server/pgcatalog implements it. Where ok is returned, it
// is false for an oid that names nothing.
type CatalogReader interface {
	// TypeName is format_type: hasMod false means that no modifier was given.
	TypeName(oid int64, mod int32, hasMod bool) string
	// RoleName is pg_get_userbyid.
	RoleName(oid int64) string
	// Visible tells whether the object of a catalogue ("pg_class", "pg_type", "pg_proc", ...) is found without its schema.
	Visible(class string, oid int64) (visible, ok bool)
	// ViewText is the query of a materialized view.
	ViewText(oid int64) (text string, ok bool)
	// Comment is what COMMENT ON said of an object, or of its column (counted from 1).
	Comment(oid int64, column int) (text string, ok bool)
	// FunctionText describes a user's function.
	FunctionText(oid int64) (f FunctionText, ok bool)
	// RelationBytes is what a relation keeps on disk.
	RelationBytes(oid int64) (bytes int64, ok bool)
	// DatabaseBytes is what everything keeps on disk together.
	DatabaseBytes() int64
	// Started is when the server started.
	Started() types.EventTime
}

// FunctionText is a function as the pg_get_function family prints it.
type FunctionText struct {
	Definition, Arguments, Result string
}

var (
	tOID      = types.T(types.OID)
	tRegClass = types.T(types.RegClass)
	tChar     = types.T(types.Char)
	tVoid     = types.T(types.Void)
)

// catalog returns the connection's catalogue.
func (c *Ctx) catalog() (CatalogReader, error) {
	s, err := c.session()
	if err != nil {
		return nil, err
	}
	r, ok := s.Catalog.(CatalogReader)
	if !ok {
		return nil, sqlerr.NotSupported("a catalogue function on this connection", "")
	}
	return r, nil
}

// withCatalog makes an Eval of a function of the catalogue.
func withCatalog(f func(r CatalogReader, a values) (value, error)) eval {
	return func(ctx *Ctx, a values) (value, error) {
		r, err := ctx.catalog()
		if err != nil {
			return value{}, err
		}
		return f(r, a)
	}
}

// always makes an Eval of a constant.
func always(v value) eval { return func(*Ctx, values) (value, error) { return v, nil } }

// catalogDefs are the functions that catalogue queries of clients call.
func catalogDefs() []Def {
	return slices.Concat(typeNameDefs(), visibleDefs(), definitionDefs(), sizeDefs(), privilegeDefs(), serverDefs(), keyDefs(), sequenceDefs(), emptyDefs())
}

func typeNameDefs() []Def {
	toReg := func(name string, kind types.Kind) Def {
		t := types.T(kind)
		return def(name, args{tText}, t, func(ctx *Ctx, a values) (value, error) {
			s, err := ctx.session()
			if err != nil {
				return value{}, err
			}
			r, ok := s.Catalog.(interface {
				RegLookup(kind types.Kind, name string) (int64, error)
			})
			if !ok {
				return null(t)
			}
			oid, err := r.RegLookup(kind, a[0].S)
			if err != nil {
				return null(t)
			}
			return types.NewInt(kind, oid), nil
		}).stable().about("The object of that name, NULL when there is none.")
	}
	return []Def{
		def("format_type", args{tOID, tInt4}, tText, formatType).onNull().stable().
			about("The SQL name of a type, with its modifier if that is not NULL."),
		def("pg_get_userbyid", args{tOID}, tName, withCatalog(func(r CatalogReader, a values) (value, error) {
			return stored(types.Name, r.RoleName(a[0].I)), nil
		})).stable().about("The name of a role."),
		def("oidvectortypes", args{types.ArrayOf(types.OID)}, tText, oidVectorTypes).stable().about("The SQL names of a list of types."),
		toReg("to_regclass", types.RegClass), toReg("to_regtype", types.RegType), toReg("to_regproc", types.RegProc),
		toReg("to_regnamespace", types.RegNamespace),
		def("pg_encoding_to_char", args{tInt4}, tName, func(_ *Ctx, a values) (value, error) {
			return stored(types.Name, map[int64]string{0: "SQL_ASCII", 6: "UTF8"}[a[0].I]), nil
		}).about("The name of an encoding.", "pg_encoding_to_char(6)", "UTF8"),
		def("pg_char_to_encoding", args{tName}, tInt4, func(_ *Ctx, a values) (value, error) {
			if strings.EqualFold(a[0].S, "utf8") || strings.EqualFold(a[0].S, "utf-8") {
				return int4(6)
			}
			return int4(-1)
		}).about("The number of an encoding, -1 for one that vigil does not have.", "pg_char_to_encoding('UTF8')", "6"),
		def("getdatabaseencoding", nil, tName, always(stored(types.Name, "UTF8"))).stable().about("The database's encoding.",
			"getdatabaseencoding()", "UTF8"),
		def("pg_client_encoding", nil, tName, always(stored(types.Name, "UTF8"))).stable().about("The client's encoding.",
			"pg_client_encoding()", "UTF8"),
	}
}

func formatType(ctx *Ctx, a values) (value, error) {
	if a[0].Null {
		return null(tText)
	}
	r, err := ctx.catalog()
	if err != nil {
		return value{}, err
	}
	return text(r.TypeName(a[0].I, int32(a[1].I), !a[1].Null))
}

func oidVectorTypes(ctx *Ctx, a values) (value, error) {
	r, err := ctx.catalog()
	if err != nil {
		return value{}, err
	}
	elems, err := types.DecodeArray(types.OID, a[0].S)
	if err != nil {
		return value{}, err
	}
	names := make([]string, len(elems))
	for i, e := range elems {
		names[i] = r.TypeName(e.I, -1, false)
	}
	return text(strings.Join(names, ", "))
}

// visibleDefs are the pg_..._is_visible functions.
func visibleDefs() []Def {
	var out []Def
	for _, f := range []struct{ name, class string }{
		{"table", "pg_class"}, {"type", "pg_type"}, {"function", "pg_proc"}, {"operator", "pg_operator"}, {"opclass", "pg_opclass"},
		{"opfamily", "pg_opfamily"}, {"collation", "pg_collation"}, {"conversion", "pg_conversion"},
		{"ts_config", "pg_ts_config"}, {"ts_dict", "pg_ts_dict"}, {"ts_parser", "pg_ts_parser"}, {"ts_template", "pg_ts_template"},
		{"statistics_obj", "pg_statistic_ext"},
	} {
		out = append(out, def("pg_"+f.name+"_is_visible", args{tOID}, tBool, withCatalog(func(r CatalogReader, a values) (value, error) {
			visible, ok := r.Visible(f.class, a[0].I)
			if !ok {
				return null(tBool)
			}
			return boolean(visible)
		})).stable().about("Whether the object is found without naming its schema; NULL when there is none."))
	}
	return out
}

// definitionDefs print the text of objects.
func definitionDefs() []Def {
	view := withCatalog(func(r CatalogReader, a values) (value, error) {
		s, ok := r.ViewText(a[0].I)
		if !ok {
			return null(tText)
		}
		return text(s)
	})
	function := func(name, doc string, get func(FunctionText) string) Def {
		return def(name, args{tOID}, tText, withCatalog(func(r CatalogReader, a values) (value, error) {
			f, ok := r.FunctionText(a[0].I)
			if !ok {
				return null(tText)
			}
			return text(get(f))
		})).stable().about(doc)
	}
	const viewDoc = "The query of a continuous query."
	return []Def{
		def("pg_get_viewdef", args{tOID}, tText, view).stable().about(viewDoc),
		def("pg_get_viewdef", args{tOID, tBool}, tText, view).stable().about(viewDoc),
		def("pg_get_viewdef", args{tOID, tInt4}, tText, view).stable().about(viewDoc),
		function("pg_get_functiondef", "The CREATE FUNCTION statement of a user's function.", func(f FunctionText) string { return f.Definition }),
		function("pg_get_function_arguments", "The parameters of a user's function.", func(f FunctionText) string { return f.Arguments }),
		function("pg_get_function_identity_arguments", "The parameters that identify a user's function.",
			func(f FunctionText) string { return f.Arguments }),
		function("pg_get_function_result", "The result type of a user's function.", func(f FunctionText) string { return f.Result }),
		def("pg_get_expr", args{tText, tOID}, tText, firstText).stable().about("The text of a stored expression."),
		def("pg_get_expr", args{tText, tOID, tBool}, tText, firstText).stable().about("The text of a stored expression."),
	}
}

func firstText(_ *Ctx, a values) (value, error) { return text(a[0].S) }

// sizeDefs tell and print sizes.
func sizeDefs() []Def {
	size := withCatalog(func(r CatalogReader, a values) (value, error) {
		n, ok := r.RelationBytes(a[0].I)
		if !ok {
			return null(tInt8)
		}
		return int8(n)
	})
	database := withCatalog(func(r CatalogReader, _ values) (value, error) { return int8(r.DatabaseBytes()) })
	const doc = "The bytes that a relation keeps on disk."
	return []Def{
		def("pg_relation_size", args{tRegClass}, tInt8, size).volatile().about(doc),
		def("pg_relation_size", args{tRegClass, tText}, tInt8, size).volatile().about(doc),
		def("pg_table_size", args{tRegClass}, tInt8, size).volatile().about(doc),
		def("pg_total_relation_size", args{tRegClass}, tInt8, size).volatile().about(doc),
		def("pg_database_size", args{tName}, tInt8, database).volatile().about("The bytes that the database keeps on disk."),
		def("pg_tablespace_size", args{tName}, tInt8, database).volatile().about("The bytes that the tablespace, which is all of the database, keeps on disk."),
		def("pg_tablespace_size", args{tOID}, tInt8, database).volatile().about("The bytes that the tablespace, which is all of the database, keeps on disk."),
		def("pg_database_size", args{tOID}, tInt8, database).volatile().about("The bytes that the database keeps on disk."),
		def("pg_indexes_size", args{tRegClass}, tInt8, always(types.NewInt(types.Int8, 0))).volatile().about("0: relations have no indexes."),
		def("pg_size_pretty", args{tInt8}, tText, func(_ *Ctx, a values) (value, error) { return text(sizePretty(a[0].I)) }).
			about("A size in bytes for people.", "pg_size_pretty(10240::bigint)", "10 kB", "pg_size_pretty(10239::bigint)", "10239 bytes"),
		def("pg_size_pretty", args{tNumeric}, tText, func(_ *Ctx, a values) (value, error) {
			whole, err := types.NumericTrunc(a[0].S, 0)
			if err != nil {
				return value{}, err
			}
			n, ok := types.NumericToInt(whole)
			if !ok {
				return value{}, sqlerr.New(sqlerr.NumericValueOutOfRange, "bigint out of range")
			}
			return text(sizePretty(n))
		}).about("A size in bytes for people."),
	}
}

// sizePretty prints a size as Postgres does: a unit is used from ten of it on, and halves are rounded away from zero.
func sizePretty(n int64) string {
	const limit = 10 * 1024
	within := func(max int64) bool { return n < max && n > -max }
	if within(limit) {
		return fmt.Sprintf("%d bytes", n)
	}
	units := []string{"kB", "MB", "GB", "TB", "PB"}
	n /= 512 // of the unit's 10 bits one is kept for rounding
	unit := 0
	for ; unit < len(units)-1 && !within(2*limit-1); unit++ {
		n /= 1024
	}
	if n < 0 {
		n--
	} else {
		n++
	}
	return fmt.Sprintf("%d %s", n/2, units[unit])
}
