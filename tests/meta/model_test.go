package meta

import (
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
)

// The slow model says what queries mean, with plain loops over all rows. It shares no code with executor/op, executor/agg,
// executor/window or storage/state.

// query is a continuous query with what the model says of it.
type query struct {
	name, feature, body string
	// eval gives the rows that are current in the end, sorted, and how many input rows were late.
	eval func(rows []row) verdict
}

func (q *query) create() string {
	return "CREATE CONTINUOUS QUERY " + q.name + " WITH (retention = '36500 days') AS " + q.body
}

// verdict is the model's answer, with how often the interesting cases came up.
type verdict struct {
	rows []string
	late []string // ids of the rows that were late, in order of arrival
	// anyLate: which rows are late is not told.
	anyLate bool
	hits    hits
}

// hits counts interesting cases by name.
type hits map[string]int

func (h hits) add(o hits) {
	for k, n := range o {
		h[k] += n
	}
}

// text prints a column as the server does; nil is NULL.
func text[T any](p *T) string {
	if p == nil {
		return "NULL"
	}
	switch x := any(*p).(type) {
	case float64:
		return floatText(x)
	default:
		return fmt.Sprint(x)
	}
}

func floatText(x float64) string { return strconv.FormatFloat(x, 'f', -1, 64) }

// stamp prints a time as Postgres does.
func stamp(at int64) string {
	s := time.UnixMicro(at).UTC().Format("2006-01-02 15:04:05.999999")
	return s + "+00"
}

// unstamp reads what stamp prints.
func unstamp(s string) int64 {
	at, err := time.Parse("2006-01-02 15:04:05.999999+00", s)
	if err != nil {
		panic(err)
	}
	return at.UnixMicro()
}

// column reads a column by name.
func (r *row) column(name string) string {
	switch name {
	case "k":
		return text(r.k)
	case "v":
		return text(r.v)
	case "n":
		return text(r.n)
	case "x":
		return text(r.x)
	case "id":
		return fmt.Sprint(r.id)
	case "ts":
		return stamp(r.at)
	}
	panic(name)
}

// keyOf joins key columns.
func keyOf(r *row, cols []string) string {
	parts := make([]string, len(cols))
	for i, c := range cols {
		parts[i] = r.column(c)
	}
	return strings.Join(parts, "|")
}

// aggregate is an aggregate call: its SQL and its meaning.
type aggregate struct {
	sql string
	of  func(rows []*row) string
}

// aggregates are those that queries choose from. Sums of x are exact in any order.
var aggregates = []aggregate{
	{"count(*)", func(rows []*row) string { return fmt.Sprint(len(rows)) }},
	{"count(n)", func(rows []*row) string { return fmt.Sprint(len(ints(rows))) }},
	{"sum(n)", func(rows []*row) string {
		list := ints(rows)
		if len(list) == 0 {
			return "NULL"
		}
		sum := int64(0)
		for _, n := range list {
			sum += n
		}
		return fmt.Sprint(sum)
	}},
	{"min(n)", func(rows []*row) string {
		if list := ints(rows); len(list) > 0 {
			return fmt.Sprint(slices.Min(list))
		}
		return "NULL"
	}},
	{"max(v)", func(rows []*row) string {
		most := "NULL"
		for _, r := range rows {
			if r.v != nil && (most == "NULL" || *r.v > most) {
				most = *r.v
			}
		}
		return most
	}},
	{"sum(x)", func(rows []*row) string {
		sum, n := sumX(rows)
		if n == 0 {
			return "NULL"
		}
		return floatText(sum)
	}},
	{"avg(x)", func(rows []*row) string {
		sum, n := sumX(rows)
		if n == 0 {
			return "NULL"
		}
		return floatText(sum / float64(n))
	}},
	{"count(DISTINCT v)", func(rows []*row) string {
		seen := map[string]bool{}
		for _, r := range rows {
			if r.v != nil {
				seen[*r.v] = true
			}
		}
		return fmt.Sprint(len(seen))
	}},
	{"count(*) FILTER (WHERE n >= 2)", func(rows []*row) string {
		n := 0
		for _, r := range rows {
			if r.n != nil && *r.n >= 2 {
				n++
			}
		}
		return fmt.Sprint(n)
	}},
	{"max(ts)", func(rows []*row) string {
		most := rows[0].at
		for _, r := range rows {
			most = max(most, r.at)
		}
		return stamp(most)
	}},
}

func ints(rows []*row) []int64 {
	var out []int64
	for _, r := range rows {
		if r.n != nil {
			out = append(out, *r.n)
		}
	}
	return out
}

func sumX(rows []*row) (sum float64, n int) {
	for _, r := range rows {
		if r.x != nil {
			sum, n = sum+*r.x, n+1
		}
	}
	return sum, n
}

// grouping is a grouped query over stream a (index 0).
type grouping struct {
	keys []string
	aggs []aggregate
	// having is the least count, 0: none; where is the least n, nil: none.
	having int
	where  *int64
	// window.
	kind               string // "tumble", ...
	size, slide, shift int64
	lateness           int64
	emit               string // EMIT clause
}

// call is the window in GROUP BY.
func (g *grouping) call() string {
	iv := func(micros int64) string { return fmt.Sprintf("INTERVAL '%d microseconds'", micros) }
	switch g.kind {
	case "tumble":
		if g.shift != 0 {
			return "TUMBLE(ts, " + iv(g.size) + ", " + iv(g.shift) + ")"
		}
		return "TUMBLE(ts, " + iv(g.size) + ")"
	case "hop":
		return "HOP(ts, " + iv(g.slide) + ", " + iv(g.size) + ")"
	case "cumulate":
		return "CUMULATE(ts, " + iv(g.slide) + ", " + iv(g.size) + ")"
	case "session":
		return "SESSION(ts, " + iv(g.size) + ")"
	case "slide":
		return "SLIDE(ts, " + iv(g.size) + ")"
	case "count":
		return fmt.Sprintf("COUNT_WINDOW(%d, %d)", g.size, g.slide)
	}
	panic(g.kind)
}

func (g *grouping) body() string {
	items := append([]string{"window_start", "window_end"}, g.keys...)
	for i, a := range g.aggs {
		items = append(items, fmt.Sprintf("%s AS a%d", a.sql, i))
	}
	sql := "SELECT " + strings.Join(items, ", ") + " FROM a"
	if g.where != nil {
		sql += fmt.Sprintf(" WHERE n >= %d", *g.where)
	}
	sql += " GROUP BY " + strings.Join(append(slices.Clone(g.keys), g.call()), ", ")
	if g.having > 0 {
		sql += fmt.Sprintf(" HAVING count(*) >= %d", g.having)
	}
	return sql + " " + g.emit
}

// passes tells whether a row takes part at all.
func (g *grouping) passes(r *row) bool {
	return r.stream == 0 && (g.where == nil || r.n != nil && *r.n >= *g.where)
}

// span is a window.
type span struct{ start, end int64 }

// floor rounds down to a multiple of step.
func floor(at, step int64) int64 {
	r := at % step
	if r < 0 {
		r += step
	}
	return at - r
}

// windows lists the fixed windows that hold a time.
func (g *grouping) windows(at int64) []span {
	switch g.kind {
	case "tumble":
		s := floor(at-g.shift, g.size) + g.shift
		return []span{{s, s + g.size}}
	case "hop":
		var out []span
		for s := floor(at, g.slide); s+g.size > at; s -= g.slide {
			out = append(out, span{s, s + g.size})
		}
		return out
	case "cumulate":
		var out []span
		s := floor(at, g.size)
		for end := s + g.slide; end <= s+g.size; end += g.slide {
			if end > at {
				out = append(out, span{s, end})
			}
		}
		return out
	}
	panic(g.kind)
}

// group is the rows of a key in a window.
type group struct {
	span
	key  string
	rows []*row
	// told are the result rows of EMIT FIRST: the one at the moment when HAVING became true, and for a session those of the parts
	// that it was united of.
	told []string
}

func (g *grouping) result(x *group) string {
	parts := []string{stamp(x.start), stamp(x.end)}
	if len(g.keys) > 0 {
		parts = append(parts, x.key)
	}
	for _, a := range g.aggs {
		parts = append(parts, a.of(x.rows))
	}
	return strings.Join(parts, "|")
}

// open tells whether a window takes a row at a watermark.
func (g *grouping) open(end, watermark int64) bool {
	return watermark == never || end > watermark-g.lateness
}

func (g *grouping) eval(rows []row) verdict {
	v := verdict{hits: hits{}}
	var groups []*group
	for i := range rows {
		r := &rows[i]
		if !g.passes(r) {
			continue
		}
		wm := r.before[0]
		if wm != never && r.at < wm {
			v.hits["behind"]++
		}
		if g.kind == "session" {
			groups = g.session(r, wm, groups, &v)
		} else {
			groups = g.fixed(r, wm, groups, &v)
		}
		for _, k := range g.keys {
			if r.column(k) == "NULL" {
				v.hits["null keys"]++
			}
		}
	}
	for _, x := range groups {
		if len(x.rows) < g.having {
			continue
		}
		if g.emit == "EMIT FIRST" {
			v.rows = append(v.rows, x.told...)
			continue
		}
		v.rows = append(v.rows, g.result(x))
	}
	sort.Strings(v.rows)
	return v
}

// take puts a row into a group.
func (g *grouping) take(x *group, r *row, v *verdict) {
	x.rows = append(x.rows, r)
	if len(x.told) == 0 && len(x.rows) >= g.having {
		x.told = []string{g.result(x)}
	}
	if r.at == x.start || r.at == x.end-1 {
		v.hits["boundaries"]++
	}
	if r.before[0] != never && x.end <= r.before[0] {
		v.hits["corrections"]++
	}
}

// fixed puts a row into its windows of fixed size.
func (g *grouping) fixed(r *row, wm int64, groups []*group, v *verdict) []*group {
	key, taken := keyOf(r, g.keys), false
	for _, s := range g.windows(r.at) {
		if !g.open(s.end, wm) {
			continue
		}
		taken = true
		i := slices.IndexFunc(groups, func(x *group) bool { return x.span == s && x.key == key })
		if i < 0 {
			i, groups = len(groups), append(groups, &group{span: s, key: key})
		}
		g.take(groups[i], r, v)
	}
	if !taken {
		v.late = append(v.late, fmt.Sprint(r.id))
	}
	return groups
}

// session unites a row with the open sessions of its key that it meets.
func (g *grouping) session(r *row, wm int64, groups []*group, v *verdict) []*group {
	x := &group{span: span{r.at, r.at + g.size}, key: keyOf(r, g.keys)}
	var met, rest []*group
	for _, o := range groups {
		if o.key == x.key && g.open(o.end, wm) && o.start < x.end && x.start < o.end {
			met = append(met, o)
		} else {
			rest = append(rest, o)
		}
	}
	for _, o := range met {
		x.start, x.end = min(x.start, o.start), max(x.end, o.end)
		x.rows, x.told = append(x.rows, o.rows...), append(x.told, o.told...)
	}
	if !g.open(x.end, wm) {
		v.late = append(v.late, fmt.Sprint(r.id))
		return groups
	}
	if len(met) > 1 {
		v.hits["merged sessions"]++
	}
	g.take(x, r, v)
	return append(rest, x)
}
