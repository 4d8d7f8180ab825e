package dialect

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/tests/need"
)

// record is a record of a sqllogictest file.
type record struct {
	line int
	kind []string // the first line's words: statement ok, query II rowsort, ...
	sql  string
	want []string
}

func readRecords(t *testing.T, file string) []record {
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var out []record
	lines := strings.Split(string(data), "\n")
	for i := 0; i < len(lines); i++ {
		words := strings.Fields(lines[i])
		if len(words) == 0 || words[0] != "statement" && words[0] != "query" {
			continue
		}
		r := record{line: i + 1, kind: words}
		var sql []string
		for i++; i < len(lines) && strings.TrimSpace(lines[i]) != "" && strings.TrimSpace(lines[i]) != "----"; i++ {
			if !strings.HasPrefix(strings.TrimSpace(lines[i]), "#") {
				sql = append(sql, lines[i])
			}
		}
		r.sql = strings.TrimSuffix(strings.TrimSpace(strings.Join(sql, "\n")), ";")
		if i < len(lines) && strings.TrimSpace(lines[i]) == "----" {
			for i++; i < len(lines) && strings.TrimSpace(lines[i]) != ""; i++ {
				r.want = append(r.want, lines[i])
			}
		}
		out = append(out, r)
	}
	return out
}

// risingwaveCases makes a case of every query with an answer and of every view that must be refused. A case gets a vigil of
// its own: the tables it needs as streams, the views as continuous queries, then the rows that had been inserted by then.
func risingwaveCases(t *testing.T) []testCase {
	dir := need.Shared(t, "data/sql/risingwave")
	var out []testCase
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, p)
		if err != nil || d.IsDir() || strings.HasPrefix(rel, "nexmark") || strings.Contains(rel, "nexmark/views") {
			return err
		}
		w := &world{t: t, file: filepath.ToSlash(rel), objects: map[string]*object{}}
		if strings.Contains(rel, "nexmark") {
			name := filepath.Base(rel)
			for _, f := range []string{"nexmark/create_tables.slt.part", "streaming/nexmark/views/" + name, "nexmark/insert_person.slt.part",
				"nexmark/insert_auction.slt.part", "nexmark/insert_bid.slt.part"} {
				w.play(readRecords(t, filepath.Join(dir, f)))
			}
		}
		w.play(readRecords(t, p))
		out = append(out, w.cases...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// world is a file under translation: what exists after the records so far.
type world struct {
	t       *testing.T
	file    string
	objects map[string]*object
	order   []string
	feeds   []rwFeed
	cases   []testCase
}

// object is a table, a view, or what vigil does not have.
type object struct {
	table *stream
	body  []tok    // of a view
	uses  []string // the objects that its text names
	na    string
}

type rwFeed struct{ table, sql string }

func (w *world) play(records []record) {
	for _, r := range records {
		toks := lex(r.sql)
		if len(toks) < 2 {
			continue
		}
		refusal := r.kind[0] == "statement" && r.kind[1] == "error"
		switch {
		case refusal:
			w.refusal(r, toks)
		case toks[0].is("create"):
			w.create(toks)
		case toks[0].is("drop"):
			w.drop(toks)
		case toks[0].is("insert"):
			w.feeds = append(w.feeds, rwFeed{toks[2].text, text(common(toks))})
		case toks[0].is("update", "delete"):
			name := toks[1].text
			if toks[0].is("delete") {
				name = toks[2].text
			}
			if o := w.objects[strings.ToLower(name)]; o != nil {
				o.na = "changes or deletes rows of a table"
			}
		case toks[0].is("select", "with", "values") && r.kind[0] == "query":
			w.query(r, toks)
		}
	}
}

func (w *world) put(name string, o *object) {
	name = strings.ToLower(name)
	w.objects[name] = o
	w.order = append(slices.DeleteFunc(w.order, func(s string) bool { return s == name }), name)
}

func (w *world) drop(toks []tok) {
	for i := 2; i < len(toks); i++ {
		name := strings.ToLower(toks[i].text)
		if w.objects[name] != nil {
			delete(w.objects, name)
			w.feeds = slices.DeleteFunc(w.feeds, func(f rwFeed) bool { return strings.EqualFold(f.table, name) })
		}
	}
}

func (w *world) create(toks []tok) {
	switch {
	case toks[1].is("table") && len(toks) > 3 && toks[3].is("("):
		w.put(toks[2].text, rwTable(toks))
	case toks[1].is("view"), toks[1].is("materialized") && toks[2].is("view"):
		name := find(toks, 0, "view") + 1
		if toks[name].is("if") {
			name += 3 // IF NOT EXISTS
		}
		as := find(toks, name, "as")
		if as < 0 {
			return
		}
		o := &object{body: common(toks[as+1:])}
		o.uses = w.named(o.body)
		if as > name+1 {
			o.na = "column names of a view"
		}
		for i, t := range o.body {
			if t.is("aggregate") && i+1 < len(o.body) && o.body[i+1].is(":") {
				o.na = "array functions as aggregates"
			}
		}
		w.put(toks[name].text, o)
	default:
		w.put(toks[min(2, len(toks)-1)].text, &object{na: "CREATE " + strings.ToUpper(toks[1].text)})
	}
}

// rwTable translates CREATE TABLE.
func rwTable(toks []tok) *object {
	s := &stream{name: toks[2].text, delay: "1000 days"}
	o := &object{table: s}
	end := closing(toks, 3)
	for _, c := range split(toks[4:end], ",") {
		switch {
		case c[0].is("primary"):
			continue
		case c[0].is("watermark"):
			s.time, s.delay = c[2].text, "0 seconds"
			if minus := find(c, 0, "-"); minus >= 0 {
				s.delay = strings.Trim(common(c[minus+1:])[1].text, "'")
			}
			continue
		}
		col := column{strings.ToLower(strings.Trim(c[0].text, `"`)), columnType(c[1:])}
		if c[0].kind == 'q' {
			col.name = strings.Trim(c[0].text, `"`)
		}
		if find(c, 1, "as") > 0 {
			o.na = "a generated column"
		}
		if col.typ == "" {
			o.na = "column type " + text(c[1:])
		}
		s.cols = append(s.cols, col)
	}
	if s.time == "" {
		s.time = timeColumn(s.cols)
	}
	return o
}

// named lists the known objects in a text.
func (w *world) named(toks []tok) []string {
	var out []string
	for _, t := range toks {
		name := strings.ToLower(strings.Trim(t.text, `"`))
		if w.objects[name] != nil && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// build makes a case with all that a text needs.
func (w *world) build(line int, toks []tok) testCase {
	c := testCase{suite: "RisingWave", name: fmt.Sprintf("%s:%d", w.file, line)}
	needed := map[string]bool{}
	var mark func(names []string)
	mark = func(names []string) {
		for _, n := range names {
			if o := w.objects[n]; o != nil && !needed[n] {
				needed[n] = true
				mark(o.uses)
			}
		}
	}
	mark(w.named(toks))
	for _, n := range w.order {
		o := w.objects[n]
		switch {
		case o == nil || !needed[n]:
		case o.na != "":
			c.na = o.na
		case o.table != nil:
			c.streams = append(c.streams, *o.table)
		default:
			c.views = append(c.views, "CREATE CONTINUOUS QUERY "+n+" AS "+text(rwView(o.body)))
		}
	}
	for _, body := range append(w.bodies(needed), toks) {
		for _, t := range body {
			switch {
			case t.is("approx_percentile"):
				c.na = "answers of RisingWave's own approximation"
			case t.is("_row_id"):
				c.na = "the hidden column _row_id"
			}
		}
	}
	// RisingWave shows what there is so far; where nothing waits for a window's end, that is what there is when all have closed.
	c.closes = !slices.ContainsFunc(w.bodies(needed), func(body []tok) bool { return find(body, 0, "emit") >= 0 })
	for _, f := range w.feeds {
		if needed[strings.ToLower(f.table)] {
			c.feeds = append(c.feeds, feed{sql: f.sql})
		}
	}
	return c
}

// bodies are the texts of the needed views.
func (w *world) bodies(needed map[string]bool) [][]tok {
	var out [][]tok
	for _, n := range w.order {
		if o := w.objects[n]; o != nil && needed[n] {
			out = append(out, o.body)
		}
	}
	return out
}

// rwView makes the moment of results explicit: RisingWave's default is at once.
func rwView(body []tok) []tok {
	if find(body, 0, "emit") >= 0 || find(body, 0, "group") < 0 {
		return body
	}
	return append(slices.Clone(body), lex(" EMIT ON UPDATE")...)
}

func (w *world) query(r record, toks []tok) {
	toks = common(toks)
	c := w.build(r.line, toks)
	if c.na == "" && find(toks, 0, "now") >= 0 {
		c.na = "depends on the time of the run"
	}
	a := ask{sql: text(toks), ordered: find(toks, 0, "order") >= 0 && !slices.Contains(r.kind, "rowsort")}
	for _, line := range r.want {
		a.want = append(a.want, strings.Fields(line))
	}
	// vigil may put window_start and window_end in front of SELECT *.
	if toks[0].is("select") && toks[1].is("*") && len(toks) > 3 {
		a.last = w.columns(toks[3].text)
	}
	c.asks = []ask{a}
	w.cases = append(w.cases, c)
}

// columns is how many columns a view has; 0: it does not say.
func (w *world) columns(view string) int {
	o := w.objects[strings.ToLower(view)]
	if o == nil {
		return 0
	}
	c, ok := cutSelect(o.body)
	if !ok || slices.ContainsFunc(c.items, func(item []tok) bool { return item[len(item)-1].is("*") }) {
		return 0
	}
	return len(c.items)
}

// refusal is a view or query that must be refused.
func (w *world) refusal(r record, toks []tok) {
	c := w.build(r.line, toks)
	if c.na == "" && toks[0].is("create") && toks[1].is("table") {
		o := rwTable(toks)
		if c.na = o.na; c.na == "" {
			c.na = "CREATE TABLE with an expression that vigil's watermarks do not have"
		}
	}
	a := ask{errors: true, sql: text(common(toks))}
	if as := find(toks, 0, "as"); toks[0].is("create") && as >= 0 {
		if c.na == "" && toks[as-1].is(")") {
			c.na = "column names of a view"
		}
		a.sql = "CREATE CONTINUOUS QUERY refused AS " + text(common(toks[as+1:]))
	} else if !toks[0].is("select") && c.na == "" {
		c.na = "statement " + strings.ToUpper(toks[0].text)
	}
	c.asks = []ask{a}
	w.cases = append(w.cases, c)
}
