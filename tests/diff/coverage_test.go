package diff

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/fn"
	"github.com/vigil-sql/vigil/tests/harness"
	"github.com/vigil-sql/vigil/tests/need"
)

// family is a part of PostgreSQL's functions: those over some types, or of some names.
type family struct {
	name string
	// where selects from pg_proc p; the first family that takes a function has it.
	where string
	// floor is the least percentage of names that vigil has.
	floor int
}

// over selects functions with an argument of one of some types.
func over(types string) string {
	return "EXISTS (SELECT FROM unnest(p.proargtypes) a WHERE a = ANY ('{" + types + "}'::regtype[]::oid[]))"
}

var families = []family{
	{"regular expressions", "p.proname ~ '^(regexp_|textregex|similar)'", 60},
	{"jsonpath", "p.proname ~ 'jsonb_path'", 50},
	{"json and jsonb", over("json,jsonb") + " OR p.proname ~ '^jsonb?_|json'", 75},
	{"network", over("inet,cidr"), 85},
	{"hashes and encodings", "p.proname ~ '^(md5|sha|encode|decode|convert|crc|to_hex|to_ascii)'", 85},
	{"formatting", "p.proname IN ('to_char', 'to_number', 'to_date', 'to_timestamp', 'format', 'quote_ident', 'quote_literal', 'quote_nullable')", 75},
	{"dates and times", over("date,timestamp,timestamptz,interval") + " OR p.proname ~ '^(make_|clock|now|statement_t|timeofday|transaction_t|isfinite|date_|localtime|current_)'", 85},
	{"arrays", over("anyarray,anycompatiblearray") + " OR p.proname ~ '^array_|string_to_array'", 85},
	{"bytea", over("bytea"), 85},
	{"text", over("text") + " OR p.proname ~ '^(concat|chr$)'", 80},
	{"mathematics", over("int2,int4,int8,float4,float8,numeric"), 85},
	{"uuid", over("uuid") + " OR p.proname ~ 'uuid'", 100},
}

// ourTypes are the types that vigil has, as regtypes; functions over others are not counted.
const ourTypes = "bool,int2,int4,int8,float4,float8,numeric,text,varchar,bpchar,bytea,date,timestamp,timestamptz,interval,inet,cidr,uuid,json,jsonb,jsonpath," +
	"_bool,_int2,_int4,_int8,_float4,_float8,_numeric,_text,_timestamptz,_inet,anyelement,anyarray,anycompatible,anycompatiblearray,anynonarray,\\\"any\\\",record,void"

// userFunctions selects the functions that people call by name: none that implements an operator, a type, an index, an
// aggregate or a cast, or concerns the server, text search, large objects, sequences or XML.
const userFunctions = `SELECT DISTINCT p.proname::text FROM pg_proc p
 WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind IN ('f', 'a') AND p.oid < 16384
 AND p.prorettype = ANY ('{` + ourTypes + `}'::regtype[]::oid[])
 AND NOT EXISTS (SELECT FROM unnest(p.proargtypes) a WHERE a <> ALL ('{` + ourTypes + `}'::regtype[]::oid[]))
 AND NOT EXISTS (SELECT FROM pg_operator o WHERE p.oid IN (o.oprcode, o.oprrest, o.oprjoin))
 AND NOT EXISTS (SELECT FROM pg_type t WHERE p.oid IN (t.typinput, t.typoutput, t.typreceive, t.typsend, t.typmodin, t.typmodout, t.typanalyze, t.typsubscript))
 AND NOT EXISTS (SELECT FROM pg_aggregate a WHERE p.oid IN (a.aggtransfn, a.aggfinalfn, a.aggcombinefn, a.aggserialfn, a.aggdeserialfn, a.aggmtransfn, a.aggminvtransfn, a.aggmfinalfn))
 AND NOT EXISTS (SELECT FROM pg_cast c WHERE p.oid = c.castfunc) AND NOT EXISTS (SELECT FROM pg_amproc m WHERE p.oid = m.amproc)
 AND NOT EXISTS (SELECT FROM pg_proc q WHERE p.oid = q.prosupport) AND NOT EXISTS (SELECT FROM pg_conversion v WHERE p.oid = v.conproc)
 AND p.proname !~ '^(pg_|has_|txid_|ts_|tsvector|.*tsvector|plainto|phraseto|websearch|lo_|lo(read|write|creat|import|export|_)|binary_upgrade|currtid|gin_|brin_|in_range|col_desc|obj_|shobj|set_config|current_(set|query|data|sche)|(query|table|schema|database|cursor)_to|xml|xpath|inet_(client|server)|inet_(gist|spg|same_fam)|suppress|nextval|currval|setval|lastval|row_sec|version|icu_|mxid|to_reg|_pg|getpgusername|make_xml|like_escape|gtsv|numnode|querytree|record_|hash|dexp$|dlog|dround$|dtrunc$|dsqrt$|numeric_|.*range_subdiff|like$|notlike$|similar_escape$|textlen$|setseed$|bool(le|lt|gt|ge|eq|ne)|.*_tsv|.*_hash(_extended)?$|.*_larger$|.*_smaller$|.*_support$|json_populate|jsonb_populate|json_to_rec|jsonb_to_rec|.*_sortsupport|int[248]|float[48]|date_(ne|eq|cmp)|.*_accum(_inv)?$|.*_cmp$|generate_series_int|.*(eq|ne|lt|le|gt|ge)joinsel|.*sel$|(text|bpchar|interval|time|date|nd_|network|numeric|bytea|uuid|jsonb|array|network)_?(scale|eq|ne|lt|le|gt|ge|recv|send|out|in|pl|mi|um|div|mul|transform)$)'`

// TestCoverage counts the names of PostgreSQL's functions that vigil has, and keeps docs/functions-coverage.md.
func TestCoverage(t *testing.T) {
	pg := harness.StartPostgres(t).Connect(t)
	have := map[string]bool{}
	for _, d := range fn.Builtins() {
		have[d.Name] = true
	}
	for _, d := range fn.SetBuiltins() {
		have[d.Name] = true
	}
	for _, d := range agg.Builtins() {
		have[d.Name] = true
	}
	seen := map[string]bool{}
	var page strings.Builder
	page.WriteString(coverageHead)
	for _, f := range families {
		var missing []string
		n := 0
		for _, name := range harness.Rows(t, pg, userFunctions+" AND ("+f.where+") ORDER BY 1") {
			if seen[name] {
				continue
			}
			seen[name] = true
			n++
			if !have[name] {
				missing = append(missing, name)
			}
		}
		if n == 0 {
			t.Fatalf("no functions of %s", f.name)
		}
		share := 100 * (n - len(missing)) / n
		fmt.Fprintf(&page, "| %s | %d of %d | %d %% | %s |\n", f.name, n-len(missing), n, share, strings.Join(missing, " "))
		if share < f.floor {
			t.Errorf("%s: %d %% of %d functions, want %d %%; missing: %s", f.name, share, n, f.floor, strings.Join(missing, " "))
		}
	}
	path := filepath.Join(need.Root(), "docs", "functions-coverage.md")
	if *rewrite {
		if err := os.WriteFile(path, []byte(page.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != page.String() {
		t.Errorf("docs/functions-coverage.md is not this (run with -rewrite):\n%s", page.String())
	}
	if !slices.Contains(harness.Rows(t, pg, userFunctions), "lower") {
		t.Error("the list lacks lower()")
	}
}

const coverageHead = `# PostgreSQL's functions in vigil

Names of functions and aggregates that people call, as PostgreSQL 15 lists them in pg_proc, over types that vigil has. Functions
that implement operators, types, indexes and text search, or manage the server, are not counted. What is named as missing
answers 42883, "function does not exist". The table is written by tests/diff.

| family | present | share | missing |
|---|---|---|---|
`
