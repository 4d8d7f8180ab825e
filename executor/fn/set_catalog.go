package fn

import (
	"strings"

	"github.com/vigil-sql/vigil/executor/types"
)

// catalogSets are the table functions of pg_catalog that clients call. Those about things that vigil has none of give
// no rows.
func catalogSets() []SetDef {
	return []SetDef{
		{Name: "pg_options_to_table", Args: args{tTextArray}, Eval: optionsToTable,
			Cols:     cols(col("option_name", tText), col("option_value", tText)),
			Doc:      "The options of a list 'name=value' as rows.",
			Examples: []SetExample{{"pg_options_to_table(ARRAY['a=1', 'b'])", []string{"a|1", "b|NULL"}}}},
		keywordSet(),
		none("pg_available_extensions", "The extensions that could be installed: none.", nil,
			col("name", tName), col("default_version", tText), col("comment", tText)),
		none("pg_available_extension_versions", "The versions of extensions that could be installed: none.", nil,
			col("name", tName), col("version", tText), col("superuser", tBool), col("trusted", tBool),
			col("relocatable", tBool), col("schema", tName), col("requires", types.ArrayOf(types.Name)), col("comment", tText)),
		none("pg_timezone_names", "The time zones of the system: not listed.", nil,
			col("name", tText), col("abbrev", tText), col("utc_offset", tInterval), col("is_dst", tBool)),
		{Name: "pg_listening_channels", Cols: cols(col("pg_listening_channels", tText)), Eval: listeningChannels,
			Doc: "The channels that the connection listens to."},
		none("pg_get_publication_tables", "The tables of a publication: none.", args{tText},
			col("relid", types.T(types.OID)), col("attrs", types.ArrayOf(types.Int2)), col("qual", tText)),
		none("pg_partition_ancestors", "The ancestors of a partition: none.", args{types.T(types.RegClass)},
			col("relid", types.T(types.RegClass))),
		none("pg_partition_tree", "The partitions of a table: none.", args{types.T(types.RegClass)},
			col("relid", types.T(types.RegClass)), col("parentrelid", types.T(types.RegClass)), col("isleaf", tBool), col("level", tInt4)),
		aclExplode(),
	}
}

// none is a table function without rows.
func none(name, doc string, in args, out ...types.Column) SetDef {
	return SetDef{Name: name, Args: in, Cols: cols(out...), Doc: doc,
		Eval: func(*Ctx, values, func(values) error) error { return nil }}
}

func optionsToTable(_ *Ctx, a values, emit func(values) error) error {
	elems, err := types.DecodeArray(types.Text, a[0].S)
	if err != nil {
		return err
	}
	for _, e := range elems {
		name, val, ok := strings.Cut(e.S, "=")
		row := values{types.NewText(name), types.NewText(val)}
		row[1].Null = !ok
		if err := emit(row); err != nil {
			return err
		}
	}
	return nil
}
