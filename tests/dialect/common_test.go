package dialect

import (
	"slices"
	"strconv"
	"strings"
)

// common rewrites what all dialects share: intervals of any spelling, "==", "5s" durations, names that Postgres reserves.
func common(toks []tok) []tok {
	var out []tok
	for i := 0; i < len(toks); i++ {
		t := toks[i]
		next := func(n int) tok {
			if i+n < len(toks) {
				return toks[i+n]
			}
			return tok{}
		}
		switch {
		case t.is("interval") && (next(1).kind == 's' || next(1).kind == 'n'):
			amount := strings.Trim(next(1).text, "'")
			i++
			if u, ok := unit(next(1)); ok {
				amount += " " + u
				i++
			}
			out = append(out, word("INTERVAL"), tok{kind: 's', text: "'" + amount + "'"})
		case t.kind == 'n' && next(1).kind == 'w' && next(1).tight && shortUnits[next(1).text] != "":
			out = append(out, tok{'w', "INTERVAL", t.tight}, tok{kind: 's', text: "'" + t.text + " " + shortUnits[next(1).text] + "'"})
			i++
		case t.is("double") && i > 0 && toks[i-1].is("::", "as") && !next(1).is("precision"):
			out = append(out, tok{'w', "double precision", t.tight})
		case t.is("=="):
			out = append(out, tok{'p', "=", t.tight})
		case t.is("end", "rows") && i > 0 && toks[i-1].is(".", "as"), t.is("timestamp", "time") && next(1).kind != 's' && !next(1).is("("):
			out = append(out, tok{'q', `"` + strings.ToLower(t.text) + `"`, t.tight})
		default:
			out = append(out, t)
		}
	}
	return out
}

var shortUnits = map[string]string{"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "ms": "milliseconds"}

func unit(t tok) (string, bool) {
	u := strings.ToLower(t.text)
	s := strings.TrimSuffix(u, "s")
	return u, t.kind == 'w' && slices.Contains([]string{"second", "minute", "hour", "day", "week", "month", "year", "millisecond"}, s)
}

// columnType is Postgres' name for a type of another engine; "" when there is none.
func columnType(toks []tok) string {
	if len(toks) == 0 {
		return ""
	}
	var words []string
	array := ""
	for i := 0; i < len(toks); i++ {
		if toks[i].is("primary", "not", "default", "null") {
			break
		}
		if toks[i].is("(") {
			i = closing(toks, i)
			continue
		}
		if toks[i].is("[") {
			array, i = array+"[]", closing(toks, i)
			continue
		}
		words = append(words, strings.ToLower(toks[i].text))
	}
	name := strings.Join(words, " ")
	known := map[string]string{
		"timestamp": "TIMESTAMPTZ", "timestamptz": "TIMESTAMPTZ", "timestamp with time zone": "TIMESTAMPTZ", "datetime": "TIMESTAMPTZ", "datetime64": "TIMESTAMPTZ",
		"bigint": "BIGINT", "int8": "BIGINT", "int64": "BIGINT", "bigint unsigned": "BIGINT", "int": "INT", "int4": "INT", "int32": "INT", "integer": "INT",
		"smallint": "SMALLINT", "int2": "SMALLINT", "double": "DOUBLE PRECISION", "double precision": "DOUBLE PRECISION", "float8": "DOUBLE PRECISION",
		"float64": "DOUBLE PRECISION", "float": "DOUBLE PRECISION", "float4": "REAL", "float32": "REAL", "real": "REAL",
		"decimal": "NUMERIC", "numeric": "NUMERIC", "text": "TEXT", "varchar": "TEXT", "character varying": "TEXT", "string": "TEXT",
		"bool": "BOOLEAN", "boolean": "BOOLEAN", "date": "DATE", "time": "TIME", "interval": "INTERVAL", "jsonb": "JSONB", "json": "JSONB", "bytea": "BYTEA"}
	if known[name] == "" {
		return ""
	}
	return known[name] + array
}

// column is a column of a stream.
type column struct{ name, typ string }

// stream is a stream that a case needs.
type stream struct {
	name string
	cols []column
	// time is the event time's column, "" for none; delay is the watermark's.
	time, delay string
}

// ddl is the CREATE STREAM.
func (s *stream) ddl() string {
	var list []string
	for _, c := range s.cols {
		list = append(list, strconv.Quote(c.name)+" "+c.typ)
	}
	if s.time != "" {
		q := strconv.Quote(s.time)
		list = append(list, "WATERMARK FOR "+q+" AS "+q+" - INTERVAL '"+s.delay+"' MAX AHEAD INTERVAL '10000000 days'")
	}
	return "CREATE STREAM " + s.name + " (" + strings.Join(list, ", ") + ")"
}

// timeColumn is the first column that may be an event time.
func timeColumn(cols []column) string {
	for _, c := range cols {
		if c.typ == "TIMESTAMPTZ" {
			return c.name
		}
	}
	return ""
}

// canonical prints a value so that engines agree: numbers without superfluous zeros, times without fraction zeros and zone.
func canonical(v string) string {
	v = strings.TrimSpace(v)
	if f, err := strconv.ParseFloat(v, 64); err == nil && strings.IndexFunc(v, func(r rune) bool { return r >= 'A' }) < 0 {
		if !strings.ContainsAny(v, ".eE") {
			return v
		}
		return strconv.FormatFloat(f, 'g', 12, 64)
	}
	if len(v) >= 19 && v[4] == '-' && v[7] == '-' && (v[10] == ' ' || v[10] == 'T') && v[13] == ':' {
		v = v[:10] + " " + v[11:]
		for _, zone := range []string{"+00:00", "+00", "Z"} {
			v = strings.TrimSuffix(v, zone)
		}
		if strings.Contains(v, ".") {
			v = strings.TrimRight(strings.TrimRight(v, "0"), ".")
		}
		return v
	}
	switch v {
	case "true":
		return "t"
	case "false":
		return "f"
	case "null":
		return "NULL"
	}
	return v
}

func canonicalRow(row []string) string {
	out := make([]string, len(row))
	for i, v := range row {
		out[i] = canonical(v)
	}
	return strings.Join(out, " ")
}
