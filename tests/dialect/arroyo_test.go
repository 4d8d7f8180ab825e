package dialect

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/tests/need"
)

// arroyoFunctions are functions that Arroyo's test suite writes in Rust.
var arroyoFunctions = []string{"double_negative", "my_median", "none_udf", "max_product"}

// arroyoCases reads the queries with their recorded outputs. A query file holds CREATE TABLE statements for sources and the
// sink, views, and INSERT INTO sink.
func arroyoCases(t *testing.T) []testCase {
	dir := need.Shared(t, "data/sql/arroyo")
	files, err := filepath.Glob(filepath.Join(dir, "queries", "*.sql"))
	if err != nil || len(files) == 0 {
		t.Fatal("no queries", err)
	}
	var out []testCase
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".sql")
		a := &arroyo{t: t, dir: dir, c: testCase{suite: "Arroyo", name: name, closes: true}, sinks: map[string]*stream{}}
		a.read(f)
		out = append(out, a.c)
	}
	return out
}

// arroyo is a query file under translation.
type arroyo struct {
	t     *testing.T
	dir   string
	c     testCase
	sinks map[string]*stream
	n     int // queries and derived tables so far, for their names
}

func (a *arroyo) skip(format string, args ...any) {
	if a.c.na == "" {
		a.c.na = fmt.Sprintf(format, args...)
	}
}

func (a *arroyo) read(file string) {
	data, err := os.ReadFile(file)
	if err != nil {
		a.t.Fatal(err)
	}
	sql := string(data)
	for _, statement := range split(lex(sql), ";") {
		if len(statement) < 3 {
			continue
		}
		switch {
		case statement[0].is("create") && statement[1].is("table"):
			a.table(statement)
		case statement[0].is("create") && statement[1].is("view"):
			body := statement[4:]
			if body[0].is("(") {
				body = body[1:closing(body, 0)]
			}
			a.view(statement[2].text, body)
		case statement[0].is("insert"):
			a.insert(statement)
		default:
			a.skip("statement %s", clip(text(statement)))
		}
	}
	for _, f := range arroyoFunctions {
		if strings.Contains(sql, f+"(") {
			a.skip("user functions in Rust")
		}
	}
	if strings.Contains(sql, "--fail=") {
		a.skip("a limit of Arroyo's planner")
	}
	a.golden()
}

// table translates a source or notes a sink.
func (a *arroyo) table(toks []tok) {
	s := stream{name: toks[2].text, delay: "1 second"}
	at := 3
	if toks[at].is("(") {
		end := closing(toks, at)
		for _, c := range split(toks[at+1:end], ",") {
			if c[0].is("watermark") {
				s.time = c[2].text
				continue
			}
			col := column{strings.Trim(c[0].text, `"`), columnType(c[1:])}
			if col.typ == "" {
				a.skip("column type %s", text(c[1:]))
			}
			s.cols = append(s.cols, col)
		}
		at = end + 1
	}
	options := map[string]string{}
	for i := at; i+2 < len(toks); i++ {
		if toks[i+1].is("=") && toks[i+2].kind == 's' {
			options[toks[i].text] = strings.Trim(toks[i+2].text, "'")
		}
	}
	if options["type"] == "sink" || options["connector"] == "" {
		a.sinks[s.name] = &s
		return
	}
	if options["format"] == "debezium_json" {
		a.skip("a source with updates and deletes (Debezium)")
	}
	if len(s.cols) > 0 && s.time == "" {
		s.time = timeColumn(s.cols)
	}
	data, err := os.ReadFile(strings.Replace(options["path"], "$input_dir", filepath.Join(a.dir, "inputs"), 1))
	if err != nil {
		a.t.Fatal(err)
	}
	a.c.streams = append(a.c.streams, s)
	a.c.feeds = append(a.c.feeds, feed{stream: s.name, data: data})
}

// view makes a continuous query of a view, which is a query that a query reads.
func (a *arroyo) view(name string, body []tok) {
	a.c.views = append(a.c.views, "CREATE CONTINUOUS QUERY "+name+" AS "+text(a.query(common(body))))
}

func (a *arroyo) insert(toks []tok) {
	sink := a.sinks[toks[2].text]
	if sink == nil {
		a.skip("INSERT INTO what is no sink")
		return
	}
	a.n++
	name := fmt.Sprintf("q%d", a.n)
	a.view(name, toks[3:])
	a.c.asks = append(a.c.asks, ask{sql: "SELECT * FROM " + name, last: len(sink.cols)})
}

// query rewrites a SELECT: windows from the select list into GROUP BY, structs "window" into their two columns.
func (a *arroyo) query(toks []tok) []tok {
	toks = a.derived(toks)
	if u := find(toks, 0, "union"); u >= 0 {
		return slices.Concat(a.query(toks[:u]), lex("UNION ALL"), loosen(a.query(toks[u+2:])))
	}
	c, ok := cutSelect(toks)
	if !ok {
		return toks
	}
	windows := map[string][]tok{} // what GROUP BY may name it by -> the call
	var items [][]tok
	for i, item := range c.items {
		if len(item) > 1 && item[0].is("tumble", "hop", "session") && item[1].is("(") {
			call := windowCall(item)
			windows[strconv.Itoa(i+1)], windows[text(item[:closing(item, 1)+1])] = call, call
			if as := find(item, 0, "as"); as >= 0 {
				windows[item[as+1].text] = call
			}
			items = append(items, lex("window_start"), lex("window_end"))
			continue
		}
		items = append(items, unstruct(item)...)
	}
	for i, g := range c.group {
		name := text(g)
		if call := windows[name]; call != nil {
			c.group[i] = call
		} else if n, err := strconv.Atoi(name); err == nil && n >= 1 && n <= len(c.items) {
			c.group[i] = unaliased(c.items[n-1])
		}
	}
	c.items = items
	return c.tokens()
}

// windowCall gives the window function its event time: TUMBLE(INTERVAL ..) becomes TUMBLE("timestamp", INTERVAL ..).
func windowCall(item []tok) []tok {
	end := closing(item, 1)
	return slices.Concat([]tok{item[0], punct("(")}, lex(`"timestamp" ,`), loosen(item[2:end]), []tok{punct(")")})
}

// unstruct rewrites window.start and x.window.
func unstruct(item []tok) [][]tok {
	for i := 0; i+2 < len(item); i++ {
		if item[i].is("window") && item[i+1].is(".") {
			out := slices.Clone(item)
			out[i] = tok{'w', "window_" + strings.ToLower(strings.Trim(item[i+2].text, `"`)), item[i].tight}
			return [][]tok{slices.Delete(out, i+1, i+3)}
		}
	}
	if len(item) >= 3 && item[1].is(".") && item[2].is("window") {
		q := item[0].text
		return [][]tok{lex(q + ".window_start AS window_start"), lex(q + ".window_end AS window_end")}
	}
	return [][]tok{item}
}

func unaliased(item []tok) []tok {
	if as := find(item, 0, "as"); as >= 0 {
		return item[:as]
	}
	return item
}

// derived rewrites the subqueries, gives those without a name one, and takes comparisons of windows apart.
func (a *arroyo) derived(toks []tok) []tok {
	var out []tok
	for i := 0; i < len(toks); i++ {
		t := toks[i]
		if i+6 < len(toks) && toks[i+1].is(".") && toks[i+2].is("window") && toks[i+3].is("=") {
			l, r := t.text, toks[i+4].text
			out = append(out, lex(fmt.Sprintf("%s.window_start = %s.window_start AND %s.window_end = %s.window_end", l, r, l, r))...)
			i += 6
			continue
		}
		if !t.is("(") || i+1 >= len(toks) || !toks[i+1].is("select") {
			out = append(out, t)
			continue
		}
		end := closing(toks, i)
		out = append(append(append(out, t), a.query(toks[i+1:end])...), punct(")"))
		named := end+1 < len(toks) && (toks[end+1].kind == 'w' && !toks[end+1].is("on", "where", "group", "union", "inner", "join"))
		if i > 0 && toks[i-1].is("from", "join") && !named {
			a.n++
			out = append(out, lex(fmt.Sprintf("AS d%d", a.n))...)
		}
		i = end
	}
	return out
}

// golden reads the recorded output: plain rows, or the final rows of a Debezium changelog.
func (a *arroyo) golden() {
	data, err := os.ReadFile(filepath.Join(a.dir, "golden_outputs", a.c.name+".json"))
	if err != nil {
		a.skip("no recorded output")
		return
	}
	var sink *stream
	for _, s := range a.sinks {
		if len(s.cols) > 0 && s.name != "memory" {
			sink = s
		}
	}
	if sink == nil || len(a.c.asks) == 0 {
		a.skip("no sink")
		return
	}
	var rows [][]string
	for line := range bytes.Lines(data) {
		var obj map[string]any
		d := json.NewDecoder(bytes.NewReader(line))
		d.UseNumber()
		if err := d.Decode(&obj); err != nil {
			a.t.Fatal(a.c.name, err)
		}
		if op, ok := obj["op"]; ok {
			if op != "c" {
				a.skip("a recorded changelog with updates")
			}
			obj, _ = obj["after"].(map[string]any)
		}
		row := make([]string, len(sink.cols))
		for i, c := range sink.cols {
			if row[i] = "NULL"; obj[c.name] != nil {
				row[i] = fmt.Sprint(obj[c.name])
			}
		}
		rows = append(rows, row)
	}
	union := a.c.asks[0]
	for _, more := range a.c.asks[1:] {
		union.sql += " UNION ALL " + more.sql
	}
	union.want = rows
	a.c.asks = []ask{union}
}
