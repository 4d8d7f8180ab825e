package dialect

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/tests/need"
)

// protonCase is a line of proton_cases.jsonl.
type protonCase struct {
	Source, Name string
	ID           int
	Windows      []string
	Schemas      []struct {
		Name      string
		Columns   [][]string
		EventTime string `json:"event_time"`
	}
	Setup []protonInput `json:"setup_inputs"`
	Steps []struct {
		Statement *protonStatement
		Input     *protonInput
	}
	Expected map[string]any
}

type protonStatement struct {
	ID    string `json:"query_id"`
	Type  string `json:"query_type"`
	Query string
}

type protonInput struct {
	Table   string
	Columns []string
	Rows    [][]any
}

func protonCases(t *testing.T) []testCase {
	data, err := os.ReadFile(need.Shared(t, "data/sql/proton/proton_cases.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var out []testCase
	for line := range bytes.Lines(data) {
		var p protonCase
		d := json.NewDecoder(bytes.NewReader(line))
		d.UseNumber()
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		if len(p.Windows) > 0 {
			out = append(out, p.translate())
		}
	}
	return out
}

func (p *protonCase) translate() testCase {
	suite := strings.TrimSuffix(p.Source[strings.LastIndex(p.Source, "/")+1:], ".json")
	c := testCase{suite: "Proton", name: fmt.Sprintf("%s %d: %s", suite, p.ID, strings.Join(strings.Fields(p.Name), " "))}
	skip := func(why string) {
		if c.na == "" && why != "" {
			c.na = why
		}
	}
	for _, s := range p.Schemas {
		st := stream{name: s.Name, delay: "0 seconds"}
		for _, col := range s.Columns {
			st.cols = append(st.cols, column{col[0], columnType(lex(col[1]))})
		}
		st.time = timeColumn(st.cols)
		c.streams = append(c.streams, st)
	}
	for _, in := range p.Setup {
		c.feeds = append(c.feeds, in.feed())
	}
	for _, s := range p.Steps {
		if s.Input != nil {
			c.feeds = append(c.feeds, s.Input.feed())
			continue
		}
		if s.Statement.ID == "" {
			if toks := lex(s.Statement.Query); toks[0].is("create", "insert") {
				skip("streams made by the case's own statements")
			}
			continue
		}
		skip(p.statement(&c, s.Statement))
	}
	if len(c.asks) == 0 {
		skip("no query with an answer")
	}
	return c
}

func (in *protonInput) feed() feed {
	var b strings.Builder
	b.WriteString("INSERT INTO " + in.Table)
	if len(in.Columns) > 0 {
		b.WriteString(" (" + strings.Join(in.Columns, ", ") + ")")
	}
	b.WriteString(" VALUES ")
	for i, row := range in.Rows {
		if i > 0 {
			b.WriteString(", ")
		}
		parts := make([]string, len(row))
		for j, v := range row {
			switch x := v.(type) {
			case string:
				parts[j] = "'" + strings.ReplaceAll(x, "'", "''") + "'"
			case nil:
				parts[j] = "NULL"
			default:
				parts[j] = fmt.Sprint(x)
			}
		}
		b.WriteString("(" + strings.Join(parts, ", ") + ")")
	}
	return feed{sql: b.String()}
}

// statement translates a streaming query; it returns why it cannot.
func (p *protonCase) statement(c *testCase, s *protonStatement) string {
	want, answered := p.Expected[s.ID]
	q := &protonQuery{c: c}
	toks, why := q.rewrite(common(lex(s.Query)))
	if why != "" || !answered {
		return why
	}
	name := fmt.Sprintf("q%d", len(c.asks)+1)
	a := ask{sql: "SELECT * FROM " + name, last: q.columns}
	switch x := want.(type) {
	case string: // "error_code:215"
		a = ask{errors: true}
	case []any:
		for _, r := range x {
			list, ok := r.([]any)
			if !ok {
				return "an answer of another form"
			}
			row := make([]string, len(list))
			for i, v := range list {
				row[i] = fmt.Sprint(v)
			}
			if q.version >= 0 && q.version < len(row) {
				row = slices.Delete(row, q.version, q.version+1)
			}
			a.want = append(a.want, row)
		}
	}
	c.views = append(c.views, q.before...)
	c.views = append(c.views, "CREATE CONTINUOUS QUERY "+name+" AS "+text(toks))
	c.asks = append(c.asks, a)
	return ""
}

// protonQuery is a query under translation.
type protonQuery struct {
	c       *testCase
	before  []string // continuous queries made of WITH
	columns int
	version int // index of emit_version(), -1: none
}

// rewrite translates a query: WITH into queries of their own, windows from FROM into GROUP BY, delays into the stream's watermark.
func (q *protonQuery) rewrite(toks []tok) ([]tok, string) {
	q.version = -1
	if toks[0].is("with") {
		name := toks[1].text
		end := closing(toks, 3)
		inner, why := (&protonQuery{c: q.c}).rewrite(toks[4:end])
		if why != "" {
			return nil, why
		}
		q.before = append(q.before, "CREATE CONTINUOUS QUERY "+name+" AS "+text(inner))
		toks = toks[end+1:]
	}
	c, ok := cutSelect(toks)
	if !ok {
		return nil, "not a SELECT"
	}
	if why := protonLacks(toks, &c); why != "" {
		return nil, why
	}
	var items [][]tok
	for i, item := range c.items {
		if item[0].is("emit_version") {
			q.version = i
			continue
		}
		items = append(items, protonNamed(protonCalls(item), len(items)))
	}
	c.items, q.columns = items, len(items)
	if why := q.emit(&c); why != "" {
		return nil, why
	}
	if len(c.from) > 1 && c.from[0].is("tumble", "hop", "session") {
		if why := q.window(&c); why != "" {
			return nil, why
		}
	}
	return c.tokens(), ""
}

// protonLacks names what the adapter does not translate.
func protonLacks(toks []tok, c *clauses) string {
	for i, t := range toks {
		switch {
		case t.is("table") && i > 0 && toks[i-1].is("join"):
			return "a join with a table's snapshot, table()"
		case t.is("over"):
			return "OVER with windows of its own (substreams)"
		case t.is("limit"):
			return "LIMIT of a stream"
		case t.is("min_k", "max_k", "xirr", "date_diff"):
			return "function " + t.text
		case t.is("json_extract_string", "to_start_of_interval"):
			return "event time from an expression"
		}
	}
	if len(c.from) > 0 && c.from[0].is("session") {
		args := split(c.from[2:closing(c.from, 1)], ",")
		for _, a := range args {
			if find(a, 0, "=", "<>", "<=", "[") >= 0 || a[0].is("(") {
				return "a session window bounded by predicates"
			}
		}
	}
	return ""
}

// protonCalls rewrites functions.
func protonCalls(item []tok) []tok {
	var out []tok
	for i := 0; i < len(item); i++ {
		switch {
		case item[i].is("to_string"):
			continue
		case item[i].is("count") && i+2 < len(item) && item[i+1].is("(") && item[i+2].is(")"):
			out = append(out, item[i], item[i+1], punct("*"))
			i++
		default:
			out = append(out, item[i])
		}
	}
	return out
}

// protonNamed gives a column a name, since two may not have the same.
func protonNamed(item []tok, i int) []tok {
	if len(item) == 1 || find(item, 0, "as") >= 0 {
		return item
	}
	return append(slices.Clone(item), lex(fmt.Sprintf(" AS c%d", i))...)
}

// emit turns EMIT's delay into the watermark's.
func (q *protonQuery) emit(c *clauses) string {
	tail := c.tail
	c.tail = nil
	for i, t := range tail {
		switch {
		case t.is("delay") && i+2 < len(tail) && tail[i+1].is("interval"):
			for j := range q.c.streams {
				q.c.streams[j].delay = strings.Trim(tail[i+2].text, "'")
			}
		case t.is("periodic", "timeout", "last", "changelog"):
			return "EMIT " + strings.ToUpper(t.text)
		}
	}
	return ""
}

// window moves a window from FROM into GROUP BY.
func (q *protonQuery) window(c *clauses) string {
	kind, end := c.from[0], closing(c.from, 1)
	args := split(c.from[2:end], ",")
	rest := c.from[end+1:]
	if len(args) < 2 {
		return "a window without a size"
	}
	source := args[0]
	args = args[1:]
	if args[0][0].is("interval") {
		args = append([][]tok{lex(`"timestamp"`)}, args...)
	}
	var group [][]tok
	if len(c.parts) > 0 {
		group = append(group, split(c.parts, ",")...)
	}
	windowed := false
	for _, g := range c.group {
		if len(g) == 1 && g[0].is("window_start", "window_end") {
			windowed = true
			continue
		}
		group = append(group, g)
	}
	if !windowed && len(c.group) > 0 {
		return "" // an error: the window is not grouped by
	}
	call := slices.Concat([]tok{word(strings.ToUpper(kind.text)), punct("(")}, join(args, ","), []tok{punct(")")})
	c.group = append(group, call)
	c.from = append(slices.Clone(source), rest...)
	return ""
}
