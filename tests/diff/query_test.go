package diff

import (
	"fmt"
	"math/rand"
	"strings"
	"testing"
)

// column of the tables that queries are made over.
type column struct{ name, kind string }

// joinTables are small tables with many equal values, so that joins and groups meet.
func joinTables() []string {
	out := []string{
		"CREATE TABLE p (id int, k int, g text, x numeric, ts timestamp, flag boolean)",
		"CREATE TABLE q (id int, k int, g text, y double precision, d date)",
		"CREATE TABLE r (k bigint, note text)",
	}
	rnd := rand.New(rand.NewSource(7))
	val := func(list ...string) string { return list[rnd.Intn(len(list))] }
	for i := range 14 {
		out = append(out, fmt.Sprintf("INSERT INTO p VALUES (%d, %s, %s, %s, %s, %s)", i, val("1", "2", "3", "NULL"), val("'a'", "'b'", "'c'", "NULL", "''"),
			val("1.5", "2.5", "-3.0", "0.0", "NULL", "10.0"), val("'2024-01-01 10:00'", "'2024-01-02'", "NULL"), val("true", "false", "NULL")))
		out = append(out, fmt.Sprintf("INSERT INTO q VALUES (%d, %s, %s, %s, %s)", i%9, val("1", "2", "4", "NULL"), val("'a'", "'b'", "'d'", "NULL"),
			val("1.5", "0", "-2.25", "NULL", "1e10"), val("'2024-01-01'", "'2024-01-02'", "NULL")))
	}
	for i := range 5 {
		out = append(out, fmt.Sprintf("INSERT INTO r VALUES (%s, %s)", val("1", "2", "5", "NULL"), val("'one'", "'two'", fmt.Sprintf("'n%d'", i), "NULL")))
	}
	return out
}

// queries makes random queries. A query is a list of clauses, of which each but SELECT and FROM can be left out.
type queries struct{ rnd *rand.Rand }

func (g *queries) one(list ...string) string { return list[g.rnd.Intn(len(list))] }

func (g *queries) chance(n int) bool { return g.rnd.Intn(n) == 0 }

// clauses is a query in parts, for shrinking.
type clauses struct {
	with, sel, from, where, group, having, order, limit string
	total                                               bool // order is total
}

func (c clauses) sql() string {
	s := c.with + "SELECT " + c.sel + " FROM " + c.from
	for _, part := range []string{c.where, c.group, c.having, c.order, c.limit} {
		if part != "" {
			s += " " + part
		}
	}
	return s
}

// scope is the columns that a query may use, by kind.
type scope map[string][]string

func (g *queries) col(s scope, kind string) string { return g.one(s[kind]...) }

var tableColumns = map[string][]column{
	"p": {{"id", "int"}, {"k", "int"}, {"g", "text"}, {"x", "num"}, {"ts", "time"}, {"flag", "bool"}},
	"q": {{"id", "int"}, {"k", "int"}, {"g", "text"}, {"y", "num"}, {"d", "time"}},
	"r": {{"k", "int"}, {"note", "text"}},
}

// from makes a FROM clause and its scope.
func (g *queries) from() (string, scope) {
	s := scope{"bool": {"true"}, "time": {"date '2024-01-01'"}}
	add := func(alias, table string) {
		for _, c := range tableColumns[table] {
			s[c.kind] = append(s[c.kind], alias+"."+c.name)
		}
	}
	add("a", "p")
	switch g.rnd.Intn(8) {
	case 0:
		return "p AS a", s
	case 1:
		add("b", "q")
		return "p AS a CROSS JOIN q AS b", s
	case 2:
		add("b", "q")
		return "p AS a, q AS b", s
	case 3:
		add("b", "q")
		return fmt.Sprintf("p AS a %s JOIN q AS b USING (%s)", g.one("", "LEFT", "RIGHT", "FULL"), g.one("k", "g", "id", "k, g")), s
	case 4:
		add("b", "q")
		add("c", "r")
		return fmt.Sprintf("p AS a %s JOIN q AS b ON a.k = b.k %s JOIN r AS c ON c.k = %s.k", g.one("", "LEFT", "RIGHT", "FULL"), g.one("", "LEFT", "RIGHT", "FULL"), g.one("a", "b")), s
	case 5:
		s = scope{"int": {"a.k", "a.n"}, "num": {"a.n"}, "text": {"a.g"}, "bool": {"a.g IS NULL"}, "time": {"date '2024-01-01'"}}
		return "(SELECT k, g, count(*) AS n FROM p GROUP BY k, g) AS a", s
	case 6:
		add("b", "q")
		return "p AS a LEFT JOIN LATERAL (SELECT * FROM q WHERE q.k = a.k ORDER BY q.id, q.y, q.g, q.d LIMIT 2) AS b ON true", s
	}
	add("b", "q")
	cond := g.one("a.k = b.k", "a.g = b.g", "a.k = b.k AND a.x > b.y", "a.k < b.k", "a.id = b.id OR a.g = b.g", "a.k = b.k AND a.flag", "a.x = b.y")
	return fmt.Sprintf("p AS a %s JOIN q AS b ON %s", g.one("", "INNER", "LEFT", "RIGHT"), cond), s
}

// value makes a scalar expression of a kind.
func (g *queries) value(s scope, kind string) string {
	if g.chance(2) {
		return g.col(s, kind)
	}
	switch kind {
	case "int":
		return g.one(g.col(s, "int")+" + 1", "coalesce("+g.col(s, "int")+", -1)", "length("+g.col(s, "text")+")", "abs("+g.col(s, "int")+" - 2)", "2")
	case "num":
		return g.one(g.col(s, "num")+" * 2", "coalesce("+g.col(s, "num")+", 0.0)", g.col(s, "num")+" + "+g.col(s, "int"), "round(("+g.col(s, "num")+")::numeric, 1)")
	case "text":
		return g.one("upper("+g.col(s, "text")+")", g.col(s, "text")+" || 'z'", "coalesce("+g.col(s, "text")+", '-')", g.col(s, "int")+"::text", "CASE WHEN "+g.cond(s, 0)+" THEN 'y' END")
	case "time":
		return g.one(g.col(s, "time")+" + interval '1 day'", "date_trunc('month', "+g.col(s, "time")+")", g.col(s, "time"))
	}
	return g.cond(s, 1)
}

// cond makes a condition.
func (g *queries) cond(s scope, depth int) string {
	if depth > 0 && g.chance(3) {
		return "(" + g.cond(s, depth-1) + g.one(" AND ", " OR ") + g.cond(s, depth-1) + ")"
	}
	if depth > 0 && g.chance(3) {
		return g.subCond(s)
	}
	i, t, n := g.col(s, "int"), g.col(s, "text"), g.col(s, "num")
	return g.one(i+g.one(" = ", " <> ", " < ", " >= ")+g.one("1", "2", "3"), t+" IS NULL", t+" IN ('a', 'b', NULL)", t+" LIKE 'a%'", n+" BETWEEN 0 AND 5", "NOT ("+i+" = 2)",
		n+" IS NOT NULL", i+" IS DISTINCT FROM 1", g.col(s, "bool"), i+" = ANY (ARRAY[1, 3])", t+" < "+g.col(s, "text"), n+" > "+i)
}

// subCond makes a condition with a subquery.
func (g *queries) subCond(s scope) string {
	i, t := g.col(s, "int"), g.col(s, "text")
	return g.one("EXISTS (SELECT 1 FROM r WHERE r.k = "+i+")", "NOT EXISTS (SELECT FROM q AS z WHERE z.g = "+t+" AND z.k > 1)", i+" IN (SELECT k FROM r)", i+" NOT IN (SELECT k FROM r WHERE k IS NOT NULL)",
		i+" NOT IN (SELECT k FROM r)", i+" < (SELECT max(k) FROM r)", t+" = ANY (SELECT z.g FROM q AS z)", i+" >= ALL (SELECT k FROM r WHERE k < 3)",
		"(SELECT count(*) FROM q AS z WHERE z.k = "+i+") > 1")
}

// aggregate makes an aggregate call.
func (g *queries) aggregate(s scope) string {
	i, n, t := g.value(s, "int"), g.value(s, "num"), g.value(s, "text")
	a := g.one("count(*)", "count("+t+")", "count(DISTINCT "+i+")", "sum("+i+")", "sum(("+n+")::numeric)", "avg(("+n+")::numeric)", "min("+t+")", "max("+n+")", "min("+g.value(s, "time")+")", "sum(DISTINCT "+i+")",
		"bool_or("+g.cond(s, 0)+")", "every("+g.cond(s, 0)+")", "string_agg("+t+", ',' ORDER BY "+t+")", "array_agg("+i+" ORDER BY "+i+" DESC NULLS LAST)", "array_agg(DISTINCT "+t+")",
		"round(stddev(("+n+")::numeric), 6)", "var_pop("+i+")", "bit_or("+i+")", "jsonb_agg("+t+" ORDER BY "+t+")", "max(DISTINCT "+t+")", "avg("+i+")", "mode() WITHIN GROUP (ORDER BY "+t+")",
		"percentile_disc(0.5) WITHIN GROUP (ORDER BY "+i+")")
	if g.chance(4) {
		a += " FILTER (WHERE " + g.cond(s, 0) + ")"
	}
	return a
}

// query makes a query.
func (g *queries) query() clauses {
	var c clauses
	var s scope
	c.from, s = g.from()
	if g.chance(2) {
		c.where = "WHERE " + g.cond(s, 2)
	}
	var items []string
	kinds := []string{"int", "num", "text", "time", "bool"}
	grouped := g.chance(2)
	n := 1 + g.rnd.Intn(3)
	for range n {
		items = append(items, g.value(s, g.one(kinds...)))
	}
	if grouped {
		c.group = "GROUP BY " + strings.Join(ordinals(n), ", ")
		if g.chance(4) {
			items, c.group = nil, ""
		}
		for range 1 + g.rnd.Intn(2) {
			items = append(items, g.aggregate(s))
		}
		if g.chance(3) {
			c.having = "HAVING " + g.one("count(*) > 1", "min("+g.col(s, "int")+") IS NOT NULL", g.aggregate(s)+" IS NOT NULL")
		}
	}
	g.finish(&c, items, grouped)
	return c
}

func ordinals(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = fmt.Sprint(i + 1)
	}
	return out
}

// finish adds DISTINCT, ORDER BY and LIMIT, a set operation or a WITH.
func (g *queries) finish(c *clauses, items []string, grouped bool) {
	for i := range items {
		items[i] += fmt.Sprintf(" AS c%d", i+1)
	}
	keys := ordinals(len(items))
	for i := range keys {
		keys[i] += g.one("", " DESC", " NULLS FIRST", " DESC NULLS LAST")
	}
	c.sel = strings.Join(items, ", ")
	c.order = "ORDER BY " + strings.Join(keys, ", ")
	c.total = true
	switch {
	case g.chance(4):
		c.sel = "DISTINCT " + c.sel
	case g.chance(8) && !grouped: // which row is the first depends on the order, which is total here only
		c.sel = "DISTINCT ON (" + strings.SplitN(keys[0], " ", 2)[0] + ") " + c.sel
		return
	}
	if g.chance(3) {
		c.limit = g.one("LIMIT 3", "LIMIT 5 OFFSET 1", "OFFSET 2", "LIMIT 0", "FETCH FIRST 2 ROWS ONLY")
	}
	switch g.rnd.Intn(8) {
	case 0:
		inner := *c
		inner.order, inner.limit = "", ""
		*c = clauses{with: "WITH w AS (" + inner.sql() + ") ", sel: "*", from: "w", order: c.order, limit: c.limit, total: true}
	case 1:
		inner := *c
		inner.order, inner.limit = "", ""
		*c = clauses{sel: "*", from: "((" + inner.sql() + ") " + g.one("UNION", "UNION ALL", "INTERSECT", "EXCEPT", "EXCEPT ALL", "INTERSECT ALL") + " (" + inner.sql() + ")) AS u",
			order: c.order, limit: c.limit, total: true}
	}
}

// shrinkQuery leaves clauses out while the difference stays.
func (p *pair) shrinkQuery(c clauses) clauses {
	for {
		smaller := []clauses{}
		for _, drop := range []func(*clauses){
			func(c *clauses) { c.limit = "" }, func(c *clauses) {
				if !strings.HasPrefix(c.sel, "DISTINCT ON") {
					c.order, c.limit, c.total = "", "", false
				}
			}, func(c *clauses) { c.having = "" }, func(c *clauses) { c.where = "" },
			func(c *clauses) { c.sel = strings.TrimPrefix(c.sel, "DISTINCT ") },
		} {
			d := c
			if drop(&d); d != c {
				smaller = append(smaller, d)
			}
		}
		found := false
		for _, d := range smaller {
			var f figures
			if !p.check(&f, d.sql(), d.total) {
				c, found = d, true
				break
			}
		}
		if !found {
			return c
		}
	}
}

func TestQueries(t *testing.T) {
	p := newPair(t)
	p.exec(joinTables()...)
	var f figures
	empty := 0
	for seed := *first; seed < *first+int64(*seeds)*500; seed++ {
		g := &queries{rand.New(rand.NewSource(seed))}
		c := g.query()
		before := f.rows
		if !p.check(&f, c.sql(), c.total) {
			f.different++
			c = p.shrinkQuery(c)
			t.Errorf("seed %d: %s\n  PostgreSQL: %s\n  vigil: %s", seed, c.sql(), p.ask(p.pg, c.sql()), p.ask(p.vigil, c.sql()))
		}
		if f.rows == before {
			empty++
		}
	}
	t.Logf("%d queries, %d rows, %d with NULL, %d without rows, %d errors (%d at run time), %d different; positions of errors: %d same, %d other",
		f.n, f.rows, f.nulls, empty, f.errors, f.runtime, f.different, p.positionsSame, p.positionsOther)
	if f.rows < 5*f.n || f.nulls < f.n || empty > f.n/2 || f.errors > f.n/2 {
		t.Error("too few rows or NULLs, or too many errors, to show anything")
	}
}
