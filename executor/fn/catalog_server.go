package fn

import (
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// serverDefs tell about the server and change the connection's settings.
func serverDefs() []Def {
	started := withCatalog(func(r CatalogReader, _ values) (value, error) { return types.NewTime(r.Started()), nil })
	no := always(types.NewBool(false))
	return []Def{
		def("pg_postmaster_start_time", nil, tTimestampTZ, started).stable().about("When the server started."),
		def("pg_conf_load_time", nil, tTimestampTZ, started).stable().about("When the configuration was read: at the start."),
		def("pg_is_in_recovery", nil, tBool, no).volatile().about("Always false: there are no standby servers.", "pg_is_in_recovery()", "f"),
		def("pg_is_wal_replay_paused", nil, tBool, no).volatile().about("Always false."),
		def("txid_current", nil, tInt8, func(ctx *Ctx, _ values) (value, error) { return int8(int64(ctx.Now)) }).stable().
			about("A number for the statement that grows with time."),
		def("set_config", args{tText, tText, tBool}, tText, setConfig).volatile().onNull().
			about("Changes a setting of the connection and returns its new value."),
		def("pg_my_temp_schema", nil, tOID, always(types.NewInt(types.OID, 0))).stable().about("0: there are no temporary tables.",
			"pg_my_temp_schema()", "0"),
		def("pg_is_other_temp_schema", args{tOID}, tBool, no).stable().about("Always false: there are no temporary tables."),
		def("pg_tablespace_location", args{tOID}, tText, always(types.NewText(""))).stable().about("Empty: tablespaces have no place of their own."),
		def("pg_blocking_pids", args{tInt4}, types.ArrayOf(types.Int4), always(types.NewArray(types.Int4, nil))).volatile().
			about("Empty: statements do not wait for each other's locks."),
		def("pg_advisory_unlock_all", nil, tVoid, always(value{Type: tVoid})).volatile().about("Does nothing: there are no advisory locks."),
	}
}

func setConfig(ctx *Ctx, a values) (value, error) {
	s, err := ctx.session()
	if err != nil {
		return value{}, err
	}
	if s.SetConfig == nil {
		return value{}, sqlerr.NotSupported("set_config in this place", "Use SET.")
	}
	if a[0].Null {
		return value{}, sqlerr.New(sqlerr.NullValueNotAllowed, "SET requires parameter name")
	}
	v, err := s.SetConfig(a[0].S, a[1], !a[2].Null && a[2].Bool())
	if err != nil {
		return value{}, err
	}
	return text(v)
}

// comment is obj_description and col_description.
func comment(ctx *Ctx, a values) (value, error) {
	r, err := ctx.catalog()
	if err != nil {
		return value{}, err
	}
	column := 0
	if len(a) == 2 && a[1].Type.Kind == types.Int4 {
		if column = int(a[1].I); column <= 0 {
			return types.Null(tText), nil
		}
	}
	s, ok := r.Comment(a[0].I, column)
	if !ok {
		return types.Null(tText), nil
	}
	return text(s)
}

// emptyDefs are about things that vigil has none of: triggers, rules, sequences, partitions.
// For an object that does not exist Postgres answers NULL, and so do they.
func emptyDefs() []Def {
	var out []Def
	for _, f := range []struct {
		name string
		ret  types.Type
		in   []args
	}{
		{"shobj_description", tText, []args{{tOID, tName}}},
		{"pg_get_triggerdef", tText, []args{{tOID}, {tOID, tBool}}},
		{"pg_get_ruledef", tText, []args{{tOID}, {tOID, tBool}}},
		{"pg_get_partkeydef", tText, []args{{tOID}}},
		{"pg_get_partition_constraintdef", tText, []args{{tOID}}},
		{"pg_get_statisticsobjdef", tText, []args{{tOID}}},
		{"pg_get_statisticsobjdef_columns", tText, []args{{tOID}}},
		{"pg_get_function_sqlbody", tText, []args{{tOID}}},
		{"pg_get_function_arg_default", tText, []args{{tOID, tInt4}}},
		{"pg_describe_object", tText, []args{{tOID, tOID, tInt4}}},
		{"pg_index_column_has_property", tBool, []args{{tRegClass, tInt4, tText}}},
		{"pg_indexam_has_property", tBool, []args{{tOID, tText}}},
		{"inet_server_addr", tInet, []args{nil}},
		{"inet_server_port", tInt4, []args{nil}},
		{"inet_client_addr", tInet, []args{nil}},
		{"inet_client_port", tInt4, []args{nil}},
	} {
		for _, in := range f.in {
			out = append(out, def(f.name, in, f.ret, always(types.Null(f.ret))).stable().
				about("NULL: vigil keeps nothing that it could tell."))
		}
	}
	return append(out,
		def("obj_description", args{tOID}, tText, comment).stable().about("What COMMENT ON said of an object."),
		def("obj_description", args{tOID, tName}, tText, comment).stable().about("What COMMENT ON said of an object of a catalogue."),
		def("col_description", args{tOID, tInt4}, tText, comment).stable().about("What COMMENT ON said of a column."),
		def("pg_relation_is_publishable", args{tRegClass}, tBool, always(types.NewBool(false))).stable().
			about("Always false: there is no logical replication."),
		def("pg_stat_get_numscans", args{tOID}, tInt8, always(types.NewInt(types.Int8, 0))).stable().about("0: scans are not counted."),
	)
}
