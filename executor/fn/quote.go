package fn

import (
	"strings"
)

func quoteDefs() []Def {
	return []Def{
		def("quote_ident", args{tText}, tText, text1(quoteIdent)).about("The text as an SQL identifier, quoted where needed.", `quote_ident('Foo bar')`, `"Foo bar"`),
		def("quote_literal", args{tText}, tText, text1(quoteLiteral)).about("The text as an SQL literal.", `quote_literal('O''Reilly')`, `'O''Reilly'`),
		def("quote_literal", args{tAny}, tText, func(ctx *Ctx, a values) (value, error) { return text(quoteLiteral(textOfCat(ctx, a[0]))) }).
			stable().about("Any value as an SQL literal.", "quote_literal(42.5)", "'42.5'"),
		def("quote_nullable", args{tText}, tText, quoteNullable).alike().onNull().about("As quote_literal; NULL becomes the word.", "quote_nullable(NULL)", "NULL"),
		def("quote_nullable", args{tAny}, tText, quoteNullable).alike().onNull().stable().about("As quote_literal; NULL becomes the word.", "quote_nullable(42.5)", "'42.5'"),
	}
}

func quoteNullable(ctx *Ctx, a values) (value, error) {
	if a[0].Null {
		return text("NULL")
	}
	return text(quoteLiteral(textOfCat(ctx, a[0])))
}

// reserved are the words that must be quoted to be names, Postgres' reserved and type or function name keywords.
var reserved = func() map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(`all analyse analyze and any array as asc asymmetric authorization between binary bigint bit
		boolean both case cast char character check coalesce collate collation column concurrently constraint create cross current_catalog current_date
		current_role current_schema current_time current_timestamp current_user dec decimal default deferrable desc distinct do else end except
		exists extract false fetch float for foreign freeze from full grant greatest group grouping having ilike in initially inner
		inout int integer intersect interval into is isnull join lateral leading least left like limit localtime localtimestamp
		national natural nchar none normalize not notnull null nullif numeric offset on only or order out outer overlaps
		overlay placing position precision primary real references returning right row select session_user setof similar
		smallint some substring symmetric table tablesample then time timestamp to trailing treat trim true union unique user using values varchar
		variadic verbose when where window with xmlattributes xmlconcat xmlelement xmlexists xmlforest xmlnamespaces
		xmlparse xmlpi xmlroot xmlserialize xmltable`) {
		m[w] = true
	}
	return m
}()

func quoteIdent(s string) string {
	plain := s != "" && !reserved[s] && !(s[0] >= '0' && s[0] <= '9')
	for i := 0; i < len(s) && plain; i++ {
		c := s[i]
		plain = c >= 'a' && c <= 'z' || c == '_' || c >= '0' && c <= '9'
	}
	if plain {
		return s
	}
	return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
}

func quoteLiteral(s string) string {
	q := "'" + strings.ReplaceAll(s, "'", "''") + "'"
	if strings.Contains(q, `\`) {
		return "E" + strings.ReplaceAll(q, `\`, `\\`)
	}
	return q
}
