package rules

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/tests/inproc"
)

// asker makes random questions to lists in all forms that there are. Outer is what the columns of the row that asks are called.
type asker struct {
	*rand.Rand
	usr, host, num string
}

// one picks one of a list.
func (g asker) one(list ...string) string { return list[g.IntN(len(list))] }

func (g asker) list() string { return g.one("loose", "loose", "keyed", "nothing") }

// where is the WHERE of a question to a list that is called l.
func (g asker) where(depth int) string {
	var conds []string
	for range g.IntN(3) {
		conds = append(conds, g.inner(depth))
	}
	if len(conds) == 0 {
		return ""
	}
	return " WHERE " + strings.Join(conds, g.one(" AND ", " AND ", " OR "))
}

func (g asker) inner(depth int) string {
	switch g.IntN(8) {
	case 0:
		return fmt.Sprintf("l.level > %d", g.IntN(4))
	case 1:
		return "l.host = 'h1'"
	case 2:
		return "l.level >= " + g.num
	case 3:
		return "l.host = " + g.host
	case 4:
		return "l.name <> " + g.usr
	case 5:
		return "l.level = " + g.num
	case 6:
		return "l.name = " + g.usr
	}
	if depth == 0 {
		return "l.name IS NOT NULL"
	}
	return g.one(
		"l.name IN (SELECT name FROM "+g.list()+")",
		"EXISTS (SELECT 1 FROM "+g.list()+" m WHERE m.name = l.name AND m.level > "+g.num+")",
		"l.level < (SELECT max(m.level) FROM "+g.list()+" m WHERE m.host = l.host)",
		"EXISTS (SELECT 1 FROM "+g.list()+" m WHERE l.level = 3)",
	)
}

// question is a condition.
func (g asker) question(depth int) string {
	from := " FROM " + g.list() + " l" + g.where(depth)
	not := g.one("", "NOT ")
	switch g.IntN(9) {
	case 0:
		return not + "EXISTS (SELECT 1" + from + g.one("", " LIMIT 1") + ")"
	case 1:
		return g.usr + " " + not + "IN (SELECT l.name" + from + ")"
	case 2:
		return "(" + g.usr + ", " + g.host + ") " + not + "IN (SELECT l.name, l.host" + from + ")"
	case 3:
		return "(" + g.num + ", " + g.usr + ") " + not + "IN (SELECT l.level, l.name" + from + ")"
	case 4:
		return g.num + " " + g.one("=", "<>", "<", "<=", ">", ">=") + " " + g.one("ANY", "ALL") + " (SELECT l.level" + from + ")"
	case 5:
		return g.usr + " " + not + "IN (SELECT upper(lower(l.name))" + from + ")"
	case 6:
		return g.usr + g.one(" = ANY", " <> ALL") + " (SELECT l.name" + from + ")"
	case 7:
		return "(" + g.usr + " IN (SELECT l.name" + from + ")) IS " + g.one("NULL", "NOT NULL", "TRUE", "NOT FALSE")
	}
	return g.num + " < " + g.value(depth)
}

// value is a number, and never an error.
func (g asker) value(depth int) string {
	if g.IntN(3) == 0 {
		return "(SELECT l.level + " + g.num + " FROM keyed l WHERE l.name = " + g.usr + g.one("", " AND l.level > 1") + ")"
	}
	if g.IntN(6) == 0 {
		order := g.one("l.level DESC, l.name, l.host", "l.level + "+g.num+", l.name DESC NULLS LAST, l.host NULLS FIRST, l.level", "1 NULLS FIRST, l.host")
		return "(SELECT l.level FROM " + g.list() + " l" + g.where(depth) + " ORDER BY " + order + " LIMIT 1)"
	}
	agg := g.one("max(l.level)", "min(l.level) + "+g.num, "count(*)", "count(DISTINCT l.host)", "sum(l.level) FILTER (WHERE l.level > "+g.num+")",
		"max(l.level) - min(l.level)", "count(l.level) * 2")
	return "(SELECT " + agg + " FROM " + g.list() + " l" + g.where(depth) + ")"
}

// condition is a condition of questions and others.
func (g asker) condition(depth int) string {
	a := g.question(2)
	if depth == 0 {
		return a
	}
	b := g.condition(depth - 1)
	switch g.IntN(5) {
	case 0:
		return "(" + a + " AND " + b + ")"
	case 1:
		return "(" + a + " OR " + b + ")"
	case 2:
		return "NOT (" + b + ")"
	case 3:
		return "(" + g.num + " > 1 AND " + a + ")"
	}
	return "CASE WHEN " + a + " THEN " + b + " ELSE " + g.num + " = 2 END"
}

// anyRule is a rule: the text of the query, with # for a condition on the events that count, which is left out of the rule and says which
// batch is meant in a SELECT. When tells at which version of the lists a batch is asked.
type anyRule struct {
	sql  string
	when int
	id   string // the column by which its rows belong to a batch: id, or window_start
}

const (
	atOnce  = iota // with the lists as they were when the batch came
	atClose        // with those of the next one, which closes the window
)

// rule makes a rule of any kind.
func (g asker) rule() anyRule {
	row := g
	row.usr, row.host, row.num = "ev.usr", "ev.host", "ev.num"
	pair := g
	pair.usr, pair.host, pair.num = "ev.usr", "o.host", "o.num"
	listed := pair
	listed.num = "o.level"
	const hour = "TUMBLE(ts, INTERVAL '1 hour')"
	const meet = "o.usr = ev.usr AND o.ts BETWEEN ev.ts - INTERVAL '10 minutes' AND ev.ts + INTERVAL '10 minutes' AND "
	switch g.IntN(10) {
	case 0, 1:
		return anyRule{sql: "SELECT ev.id, " + row.question(2) + " AS a, " + row.value(2) + " AS b, CASE WHEN " + row.question(1) + " THEN 1 ELSE " + row.value(1) + " END AS c FROM ev WHERE #", id: "id"}
	case 2:
		return anyRule{sql: "SELECT ev.id FROM ev WHERE # AND " + row.condition(g.IntN(3)), id: "id"}
	case 3:
		return anyRule{sql: "SELECT window_start, " + row.question(2) + " AS k, count(*) AS n, count(*) FILTER (WHERE " + row.question(2) + ") AS f, sum(" + row.value(2) +
			") AS s FROM ev WHERE # AND (" + row.question(1) + " OR num > 0) GROUP BY window_start, k, " + hour, id: "window_start"}
	case 4:
		group := g
		group.usr, group.host, group.num = "usr", "host", "num"
		return anyRule{sql: "SELECT window_start, usr, host, num, count(*) AS n, " + group.value(2) + " AS a, " + group.question(2) + " AS b FROM ev WHERE # GROUP BY usr, host, num, " + hour +
			" HAVING count(*) > 0 AND " + group.condition(g.IntN(2)), id: "window_start", when: atClose}
	case 5:
		return anyRule{sql: "SELECT ev.id, o.id AS oid FROM ev JOIN other o ON " + meet + pair.question(2) + " WHERE #", id: "id"}
	case 6:
		return anyRule{sql: "SELECT ev.id, o.id AS oid FROM ev LEFT JOIN other o ON " + meet + pair.question(2) + " WHERE #", id: "id"}
	case 7:
		return anyRule{sql: "SELECT ev.id, o.level FROM ev " + g.one("", "LEFT ") + "JOIN loose o ON o.level > ev.num AND " + listed.question(1) + " WHERE #", id: "id"}
	case 8:
		return anyRule{sql: "SELECT ev.id, o.level FROM ev, loose o WHERE # AND o.level > ev.num AND " + listed.question(1), id: "id"}
	}
	return anyRule{sql: "SELECT ev.id, o.level FROM ev " + g.one("", "LEFT ") + "JOIN loose o ON o.name = ev.usr AND (o.level > ev.num OR o.host = ev.host) AND " +
		listed.question(1) + " WHERE #", id: "id"}
}

// anywhere is a vigil with such rules, what has come in and what the rules must have found.
type anywhere struct {
	*crowd
	rng   *rand.Rand
	rules []anyRule
	want  [][][]string // by rule and batch
	hour  int
}

const anyBatch = 14 // events of a batch

func (w *anywhere) of(id string, batch int) string {
	if id == "id" {
		return fmt.Sprintf("%s BETWEEN %d AND %d", id, batch*anyBatch, (batch+1)*anyBatch-1)
	}
	return fmt.Sprintf("%s = '2026-01-01 %02d:00:00Z'", id, batch)
}

// expect asks the rules of a kind about a batch, with the lists as they are.
func (w *anywhere) expect(batch, when int) {
	w.t.Helper()
	for i, r := range w.rules {
		if r.when == when {
			w.want[i][batch] = w.rows(strings.Replace(r.sql, "#", "ev."+w.of("id", batch), 1))
		}
	}
}

func (w *anywhere) rows(sql string) []string {
	w.t.Helper()
	rows, err := w.db.Rows(sql)
	if err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
	out := make([]string, len(rows))
	for i := range rows {
		out[i] = strings.Join(rows[i], "|")
	}
	slices.Sort(out)
	return out
}

// change makes the lists others.
func (w *anywhere) change() {
	name := "'" + string(rune('a'+w.rng.IntN(5))) + "'"
	for range 1 + w.rng.IntN(3) {
		switch w.rng.IntN(6) {
		case 0:
			w.exec("INSERT INTO loose VALUES (" + name + ", 'h1', " + fmt.Sprint(w.rng.IntN(5)) + "), (NULL, 'h2', 2)")
		case 1:
			w.exec("INSERT INTO loose VALUES (" + name + ", NULL, 3), (" + name + ", 'h2', NULL)")
		case 2:
			w.exec("DELETE FROM loose WHERE name IS NULL OR name = " + name)
		case 3:
			w.exec("INSERT INTO keyed VALUES (" + name + ", 'h1', 1) ON CONFLICT (name) DO UPDATE SET level = keyed.level + 1")
		case 4:
			w.exec("DELETE FROM keyed WHERE name = " + name)
		case 5:
			w.exec("UPDATE loose SET level = level + 1 WHERE host = 'h1'")
		}
	}
}

// batch puts the next events in, an hour after those before.
func (w *anywhere) batch(n int) {
	w.t.Helper()
	var streams [2]strings.Builder
	for k := range streams {
		for i := range anyBatch {
			val := func(s string) string {
				if w.rng.IntN(8) == 0 {
					return "null"
				}
				return s
			}
			fmt.Fprintf(&streams[k], `{"ts":"2026-01-01T%02d:%02d:00Z","id":%d,"usr":%s,"host":%s,"num":%s}`+"\n", n, 10+i/2, n*anyBatch+i,
				val(fmt.Sprintf("%q", string(rune('a'+w.rng.IntN(6))))), val(fmt.Sprintf(`"h%d"`, 1+w.rng.IntN(3))), val(fmt.Sprint(w.rng.IntN(4))))
		}
	}
	for k, name := range []string{"ev", "other"} {
		if rejected, err := w.db.Append(name, []byte(streams[k].String())); err != nil || rejected > 0 {
			w.t.Fatal(rejected, err)
		}
	}
	if err := w.db.Settle(); err != nil {
		w.t.Fatal(err)
	}
}

var anySeed = flag.Uint64("any-seed", 17, "the seed of TestListsAnywhere")

// TestListsAnywhere: questions to lists in every place and form mean in continuous queries what they mean in a SELECT over the same events,
// with the lists as they were when the events came, or the window closed; also after crashes, when epochs run again.
func TestListsAnywhere(t *testing.T) {
	const rules, batches = 320, 8
	w := &anywhere{crowd: newCrowd(t), rng: rand.New(rand.NewPCG(5, *anySeed))}
	for _, s := range []string{"ev", "other"} {
		w.exec("CREATE STREAM " + s + " (ts TIMESTAMPTZ, id BIGINT, usr TEXT, host TEXT, num BIGINT, WATERMARK FOR ts AS ts)")
	}
	w.exec("CREATE TABLE loose (name TEXT, host TEXT, level BIGINT); CREATE TABLE keyed (name TEXT PRIMARY KEY, host TEXT NOT NULL, level BIGINT); CREATE TABLE nothing (name TEXT, host TEXT, level BIGINT)")
	w.exec("INSERT INTO loose VALUES ('a', 'h1', 1), ('b', 'h2', 3), ('a', 'h2', 2); INSERT INTO keyed VALUES ('a', 'h1', 2), ('c', 'h2', 3)")
	g := asker{Rand: w.rng}
	for i := range rules {
		r := g.rule()
		w.rules, w.want = append(w.rules, r), append(w.want, make([][]string, batches))
		w.exec(fmt.Sprintf("CREATE CONTINUOUS QUERY q%d AS %s", i, strings.Replace(r.sql, "#", "ev.id >= 0", 1)))
	}
	for n := range batches {
		w.batch(n)
		w.expect(n, atOnce)
		w.change()
		w.expect(n, atClose)
		if n%3 == 1 {
			w.disk = w.disk.Crash(inproc.Random(uint64(n)))
			w.close()
			w.open()
		}
	}
	w.batch(batches) // closes the last window
	if err := w.db.Pass(time.Hour); err != nil {
		t.Fatal(err)
	}
	w.compare()
	w.close()
}

// compare compares what the rules found with what they must have.
func (w *anywhere) compare() {
	w.t.Helper()
	found, turned, bad := 0, 0, 0
	for i, r := range w.rules {
		for n, want := range w.want[i] {
			got := w.rows(fmt.Sprintf("SELECT * FROM q%d WHERE %s", i, w.of(r.id, n)))
			if !slices.Equal(got, want) {
				if bad++; bad < 6 {
					w.t.Errorf("batch %d of %s finds\n%s\nwant\n%s", n, r.sql, strings.Join(got, "\n"), strings.Join(want, "\n"))
				}
			}
			found += len(want)
		}
		if slices.ContainsFunc(w.want[i], func(x []string) bool { return len(x) != len(w.want[i][0]) }) {
			turned++
		}
	}
	rejected := w.rows("SELECT count(*) FROM vigil.rejected")
	w.t.Logf("%d rows found, %d rules whose batches differ, %d wrong, %v rejected", found, turned, bad, rejected)
	if found < 20_000 || turned < len(w.rules)/4 || rejected[0] != "0" {
		w.t.Error("that proves too little")
	}
}
