package rules

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// listConditions makes random conditions that ask lists in any place.
type listConditions struct{ *rand.Rand }

func (g listConditions) any(depth int) string {
	if depth == 0 {
		return g.leaf()
	}
	a, b := g.any(g.IntN(depth)), g.any(depth-1)
	switch g.IntN(6) {
	case 0:
		return "(" + a + " AND " + b + ")"
	case 1, 2:
		return "(" + a + " OR " + b + ")"
	case 3:
		return "NOT (" + b + ")"
	case 4:
		return "CASE WHEN " + a + " THEN " + b + " ELSE " + g.leaf() + " END"
	}
	return "((" + b + ") IS " + []string{"NULL", "NOT NULL", "TRUE", "NOT FALSE"}[g.IntN(4)] + ")"
}

func (g listConditions) leaf() string {
	list := []string{"whole", "holed", "nothing"}[g.IntN(3)]
	not := []string{"", "NOT "}[g.IntN(2)]
	where := []string{"", "", " WHERE level > 1", " WHERE team = 'red' AND level < 3", " WHERE level > 9"}[g.IntN(5)]
	switch g.IntN(6) {
	case 0:
		return fmt.Sprintf("num = %d", g.IntN(4))
	case 1:
		return fmt.Sprintf("%sEXISTS (SELECT 1 FROM %s l WHERE l.name = ev.usr AND l.level >= %d)", not, list, g.IntN(4))
	case 2:
		return fmt.Sprintf("%sEXISTS (SELECT 1 FROM %s%s)", not, list, where)
	}
	return fmt.Sprintf("usr %sIN (SELECT name FROM %s%s)", not, list, where)
}

// TestListsInConditions: a question to a list means the same in a continuous query as in a SELECT over the same rows, wherever it stands
// in WHERE: with NULLs on both sides, in lists without rows too.
func TestListsInConditions(t *testing.T) {
	c := newCrowd(t)
	defer c.close()
	c.exec("CREATE STREAM ev (ts TIMESTAMPTZ, id BIGINT, usr TEXT, num BIGINT, WATERMARK FOR ts AS ts)")
	for _, name := range []string{"whole", "holed", "nothing"} {
		c.exec("CREATE TABLE " + name + " (name TEXT, team TEXT, level BIGINT)")
	}
	c.exec(`INSERT INTO whole VALUES ('a', 'red', 1), ('b', 'red', 2), ('c', 'blue', 3), ('a', 'blue', 3);
		INSERT INTO holed VALUES ('a', 'red', 1), (NULL, 'blue', 2), ('d', NULL, 3), ('e', 'red', NULL)`)
	g := listConditions{rand.New(rand.NewPCG(21, 4))}
	const rules = 600
	conds := make([]string, rules)
	for i := range conds {
		conds[i] = g.any(g.IntN(4))
		c.exec(fmt.Sprintf("CREATE CONTINUOUS QUERY r%d AS SELECT id FROM ev WHERE %s", i, conds[i]))
	}
	var lines strings.Builder
	events := 0
	for _, usr := range []string{"a", "b", "c", "d", "e", "f", ""} {
		for num := range 4 {
			e := &happening{id: events, usr: &usr, number: num}
			if usr == "" {
				e.usr = nil
			}
			lines.WriteString(strings.Replace(e.json("2026-01-01T00:00:00Z"), `,"one":1`, "", 1))
			events++
		}
	}
	if rejected, err := c.db.Append("ev", []byte(lines.String())); err != nil || rejected > 0 {
		t.Fatal(rejected, err)
	}
	if err := c.db.Settle(); err != nil {
		t.Fatal(err)
	}
	some := 0
	for i, cond := range conds {
		got, want := c.ids(fmt.Sprintf("SELECT id FROM r%d ORDER BY id", i)), c.ids("SELECT id FROM ev WHERE "+cond+" ORDER BY id")
		if !slices.Equal(got, want) {
			t.Errorf("%s finds %v, want %v", cond, got, want)
		}
		if len(want) > 0 && len(want) < events {
			some++
		}
	}
	if some < rules/3 {
		t.Errorf("only %d of %d conditions tell events apart", some, rules)
	}
	for _, name := range []string{"whole", "holed", "nothing"} {
		if err := c.db.Exec("DROP TABLE " + name); err == nil {
			t.Errorf("%s was dropped while rules read it", name)
		}
	}
}

// ids are the values of a query's only column.
func (c *crowd) ids(sql string) []string {
	c.t.Helper()
	rows, err := c.db.Rows(sql)
	if err != nil {
		c.t.Fatalf("%s: %v", sql, err)
	}
	out := make([]string, len(rows))
	for i := range rows {
		out[i] = rows[i][0]
	}
	return out
}
