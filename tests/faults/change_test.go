package faults

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"time"
)

// kinds are one of each kind of query.
func kinds(rng *rand.Rand) []shape {
	size := 5 * (1 + rng.IntN(12))
	return []shape{filter(rng.IntN(100)), windows(size, size), windows(size*2, size), sessions(2 + rng.IntN(20)), slides(size, true), slides(size, false), counts(2+rng.IntN(4), 1+rng.IntN(2)),
		firsts(size * 4), overs(size), patterns(size), pairs(rng.IntN(10), rng.IntN(10), false), pairs(rng.IntN(10), rng.IntN(10), true), lookups(), layers(size, size*(1+rng.IntN(3))),
		above(), joined(), inTable(), listed()}
}

// create makes a query; history: from the first event on, carried: with a sink.
func (s *sim) create(name string, x shape, history, carried bool) {
	q := &live{name: name, shape: x, spans: []span{{len(s.events), -1}}, plus: []alteration{{0, 7}}, history: history}
	options := "retention = '36500 days'"
	if history {
		q.spans[0].from, options = 0, options+", start = 'earliest'"
		s.seen["history"]++
	}
	s.do(step{sql: fmt.Sprintf("CREATE CONTINUOUS QUERY IF NOT EXISTS %s WITH (%s) AS %s", name, options, x.body(7))})
	if carried {
		s.files++
		q.sink = filepath.Join(s.dir, fmt.Sprintf("%s-%d.json", name, s.files))
		s.do(step{sql: fmt.Sprintf("CREATE SINK IF NOT EXISTS of_%s FROM %s WITH (connector = 'file', path = '%s', batch = %d)", name, name, q.sink, 1+s.rng.IntN(100))})
	}
	s.queries[name] = q
	s.seen["create"]++
}

// joined waits until a query has read its history: until then PAUSE and ALTER have it miss some, or begin anew.
func (s *sim) joined(q *live) {
	if !q.history {
		return
	}
	s.w.steady(func() error {
		for ; ; <-time.After(time.Millisecond) {
			rows, err := s.w.db.Rows("SELECT state FROM vigil.queries WHERE name = '" + q.name + "'")
			if err != nil || rows[0][0] != "backfilling" {
				return err
			}
		}
	})
	q.history = false
}

// change makes a random change.
func (s *sim) change() {
	name := fmt.Sprint("q", s.rng.IntN(14))
	q := s.queries[name]
	if q == nil || q.shape.layered {
		s.settle()
	}
	switch kind := s.rng.IntN(14); {
	case kind >= 6:
		s.changeData(kind)
	case q == nil:
		list := kinds(s.rng)
		x := list[s.rng.IntN(len(list))]
		s.create(name, x, x.timeless && s.rng.IntN(3) == 0, !x.updating && s.rng.IntN(3) == 0)
	case kind == 0:
		s.do(step{sql: "DROP CONTINUOUS QUERY IF EXISTS " + name + " CASCADE"})
		delete(s.queries, name)
		s.seen["drop"]++
	case q.paused:
		s.do(step{sql: "RESUME CONTINUOUS QUERY " + name, done: "running"})
		q.paused, q.spans = false, append(q.spans, span{len(s.events), -1})
		s.seen["resume"]++
	case kind == 1:
		s.joined(q)
		s.do(step{sql: "PAUSE CONTINUOUS QUERY " + name, done: "paused"})
		q.paused, q.spans[len(q.spans)-1].to = true, len(s.events)
		s.seen["pause"]++
	case kind == 2:
		s.do(step{sql: fmt.Sprintf("ALTER CONTINUOUS QUERY %s SET (max_rows_per_min = %d)", name, 1_000_000+s.rng.IntN(9))})
		s.seen["limits"]++
	case !q.shape.updating:
		s.alter(q)
	}
}

// alter changes the text of a query that goes on.
func (s *sim) alter(q *live) {
	s.joined(q)
	plus := s.rng.IntN(1000)
	s.do(step{sql: fmt.Sprintf("ALTER CONTINUOUS QUERY %s AS %s", q.name, q.shape.body(plus))})
	q.plus = append(q.plus, alteration{len(s.events), plus})
	s.seen["alter"]++
}

// changeData changes the table, the list, or the server.
func (s *sim) changeData(kind int) {
	host := fmt.Sprint("10.0.0.", s.rng.IntN(8))
	switch {
	case kind < 9:
		owner := fmt.Sprint("o", s.rng.IntN(100))
		s.do(step{sql: fmt.Sprintf("INSERT INTO hosts VALUES ('%s', '%s') ON CONFLICT (ip) DO UPDATE SET owner = EXCLUDED.owner", host, owner)})
		s.hosts[host] = owner
		s.seen["upsert"]++
	case kind == 9:
		s.do(step{sql: fmt.Sprintf("DELETE FROM hosts WHERE ip = '%s'", host)})
		delete(s.hosts, host)
		s.seen["delete"]++
	case kind == 10:
		s.do(step{sql: fmt.Sprintf("INSERT INTO bad VALUES ('%s')", host)})
		s.bad[host] = true
		s.seen["list"]++
	case kind == 11:
		s.do(step{sql: fmt.Sprintf("DELETE FROM bad WHERE value = '%s'", host)})
		delete(s.bad, host)
		s.seen["unlist"]++
	case kind == 12 && s.rng.IntN(4) == 0:
		s.do(step{restart: true})
		s.seen["restart"]++
	}
}

// without are the elements of a that b has not, each as often.
func without(a, b []string) (out []string) {
	count := map[string]int{}
	for _, x := range b {
		count[x]++
	}
	for _, x := range a {
		if count[x]--; count[x] < 0 {
			out = append(out, x)
		}
	}
	slices.Sort(out)
	return out
}
