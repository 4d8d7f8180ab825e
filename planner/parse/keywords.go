package parse

import "strings"

// keywordClass says where Postgres 15 accepts a keyword as a name.
type keywordClass uint8

const (
	// kwColName may name a column or table, not a function ("between", "interval").
	kwColName keywordClass = iota + 1
	// kwTypeFunc may name a function or type, not a column ("left").
	kwTypeFunc
	// kwReserved is only a label after AS.
	kwReserved
)

// keywordClasses holds the keywords that are not plain names everywhere (Appendix C of the Postgres manual).
var keywordClasses = buildKeywords()

func buildKeywords() map[string]keywordClass {
	m := make(map[string]keywordClass, 200)
	add := func(class keywordClass, words string) {
		for w := range strings.FieldsSeq(words) {
			m[w] = class
		}
	}
	add(kwColName, `between bigint bit boolean char character coalesce dec decimal exists extract float greatest grouping
		inout int integer interval least national nchar none normalize nullif numeric out overlay position precision real row
		setof smallint substring time timestamp treat trim values varchar xmlattributes xmlconcat xmlelement xmlexists
		xmlforest xmlnamespaces xmlparse xmlpi xmlroot xmlserialize xmltable`)
	add(kwTypeFunc, `authorization binary collation concurrently cross current_schema freeze full ilike inner is isnull join
		left like natural notnull outer overlaps right similar tablesample verbose`)
	add(kwReserved, `all analyse analyze and any array as asc asymmetric both case cast check collate column constraint
		create current_catalog current_date current_role current_time current_timestamp current_user default deferrable
		desc distinct do else end except false fetch for foreign from grant group having in initially intersect into
		lateral leading limit localtime localtimestamp not null offset on only or order placing primary references
		returning select session_user some symmetric table then to trailing true union unique user using variadic when
		where window with`)
	return m
}

// notBareLabel holds the words that may not be a column label without AS.
var notBareLabel = wordSet(`array as char character create day except fetch filter for from grant group having hour
	intersect into isnull limit minute month notnull offset on order over overlaps precision returning second to union
	varying where window with within without year`)

// bareCalls are functions that SQL writes without parentheses.
var bareCalls = wordSet(`current_catalog current_date current_role current_schema current_time current_timestamp current_user
	localtime localtimestamp session_user user`)

// plainCalls are keywords that are printed bare before "(" because they are functions there.
var plainCalls = wordSet(`coalesce greatest least nullif grouping substring overlay trim left right
	collation current_schema`)

// windowKinds are the window functions of GROUP BY and FROM.
var windowKinds = wordSet("tumble hop session cumulate slide count_window")

func wordSet(words string) map[string]bool {
	m := map[string]bool{}
	for w := range strings.FieldsSeq(words) {
		m[w] = true
	}
	return m
}

// QuoteIdent writes a name so that it reads back as itself: bare where Postgres allows it, else in double quotes.
func QuoteIdent(s string) string {
	if isPlainIdent(s) && keywordClasses[s] == 0 {
		return s
	}
	return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
}

func isPlainIdent(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z' || c == '_':
		case i > 0 && (c >= '0' && c <= '9' || c == '$'):
		default:
			return false
		}
	}
	return s != ""
}

// quoteString writes a string literal.
func quoteString(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }
