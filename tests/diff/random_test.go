package diff

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"testing"
)

var (
	seeds   = flag.Int("seeds", 2, "how many rounds of random expressions and queries; each round makes every production once")
	rewrite = flag.Bool("rewrite", false, "write docs/functions-coverage.md anew")
	first   = flag.Int64("seed", 1, "the first seed")
)

// figures count what a run of random statements met.
type figures struct{ n, rows, nulls, errors, runtime, both, different int }

// check asks both sides and reports a difference that nobody listed.
func (p *pair) check(f *figures, sql string, ordered bool) bool {
	pg, vigil := p.both(sql)
	f.n++
	for _, r := range pg.rows {
		f.rows++
		if slices.Contains(r, null) {
			f.nulls++
		}
	}
	if pg.err != nil {
		f.errors++
		if pg.failed("22") {
			f.runtime++
		}
	}
	// Which of several errors comes first depends on the order of evaluation, which nobody promises.
	late := pg.err != nil && vigil.err != nil && strings.Count(sql, "(") > 1
	return same(pg, vigil, ordered) || late || listed(sql, pg, vigil) != ""
}

// shrink looks for the smallest part of an expression that differs.
func (p *pair) shrink(n *node, where string) *node {
	var f figures
	for _, k := range n.kids {
		if !p.check(&f, "SELECT "+k.sql()+" AS c FROM v "+where, true) {
			return p.shrink(k, where)
		}
	}
	return n
}

func TestExpressions(t *testing.T) {
	p := newPair(t)
	p.exec(valuesTable()...)
	g := newGenerator(postgresHas(t, p))
	var f figures
	worked := map[string]bool{}
	for round := range int64(*seeds) {
		g.seed(*first + round)
		for i := range g.prods {
			n := g.apply(&g.prods[i], int(round%3))
			where := fmt.Sprintf("WHERE id = %d", g.rnd.Intn(valuesRows))
			if g.rnd.Intn(4) == 0 {
				where = "ORDER BY id"
			}
			before := f.errors
			if !p.check(&f, "SELECT "+n.sql()+" AS c FROM v "+where, true) {
				f.different++
				n = p.shrink(n, where)
				sql := "SELECT " + n.sql() + " AS c FROM v " + where
				t.Errorf("seed %d: %s\n  PostgreSQL: %s\n  vigil: %s", *first+round, sql, p.ask(p.pg, sql), p.ask(p.vigil, sql))
			}
			if f.errors == before {
				worked[g.prods[i].name] = true
			}
		}
	}
	var never []string
	for _, pr := range g.prods {
		if !worked[pr.name] && !slices.Contains(never, pr.name) {
			never = append(never, pr.name)
		}
	}
	t.Logf("%d expressions, %d rows, %d with NULL, %d errors (%d at run time), %d different; positions of errors: %d same, %d other; never without error: %s",
		f.n, f.rows, f.nulls, f.errors, f.runtime, f.different, p.positionsSame, p.positionsOther, strings.Join(never, " "))
	if f.rows < f.n/4 || f.nulls < f.n/20 || f.errors < f.n/20 || f.runtime < f.n/100 {
		t.Error("too few rows, NULLs or errors to show anything")
	}
}
