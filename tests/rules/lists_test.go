package rules

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/executor/job"
	"github.com/vigil-sql/vigil/tests/inproc"
)

const (
	listRuleCount = 3000
	listNames     = 40
	listNumbers   = 6 // events' numbers; rules look for more of them
)

// listWorld is a vigil whose rules read lists, the model of it, and what went in.
type listWorld struct {
	t     *testing.T
	rng   *rand.Rand
	disk  *inproc.Disk
	clock *inproc.Clock
	db    *inproc.DB
	kinds []listRule
	// versions are the lists by version; table turn tells the version to rule turns, in the same transaction as the change.
	versions []*listing
	events   []*happening
	changes  map[string]int
}

func newListWorld(t *testing.T) *listWorld {
	w := &listWorld{t: t, rng: rand.New(rand.NewPCG(7, 11)), disk: inproc.NewDisk(), kinds: listRules(), versions: []*listing{newListing()},
		clock: inproc.NewClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)), changes: map[string]int{}}
	w.open()
	w.exec("CREATE STREAM ev (ts TIMESTAMPTZ, id BIGINT, usr TEXT, num BIGINT, one BIGINT, WATERMARK FOR ts AS ts)")
	w.exec("CREATE TABLE turn (one BIGINT PRIMARY KEY, version BIGINT); INSERT INTO turn VALUES (1, 0)")
	w.exec("CREATE TABLE watch (name TEXT PRIMARY KEY, team TEXT, level BIGINT); CREATE TABLE loose (name TEXT, team TEXT, level BIGINT)")
	for i := range smallLists {
		w.exec(fmt.Sprintf("CREATE TABLE small_%d (name TEXT PRIMARY KEY)", i))
	}
	w.exec("CREATE CONTINUOUS QUERY turns AS SELECT id, version FROM ev JOIN turn ON turn.one = ev.one")
	for from := 0; from < listRuleCount; from += 100 {
		var list []string
		for i := from; i < from+100; i++ {
			list = append(list, fmt.Sprintf("CREATE CONTINUOUS QUERY r%d AS %s", i, w.kinds[i%len(w.kinds)].sql(i/len(w.kinds))))
		}
		w.exec(strings.Join(list, ";"))
	}
	return w
}

func (w *listWorld) open() {
	w.t.Helper()
	db, err := inproc.Open(inproc.Options{Disk: w.disk, Clock: w.clock, Workers: 2, EpochMin: time.Millisecond})
	if err != nil {
		w.t.Fatal(err)
	}
	w.db = db
}

func (w *listWorld) exec(sql string) {
	w.t.Helper()
	if err := w.db.Exec(sql); err != nil {
		w.t.Fatalf("%s: %v", sql, err)
	}
}

func (w *listWorld) name() string { return fmt.Sprintf("u%d", w.rng.IntN(listNames)) }

// change makes the next version of the lists, in one transaction.
func (w *listWorld) change() {
	w.t.Helper()
	l := w.versions[len(w.versions)-1].clone()
	w.exec("BEGIN")
	for range 1 + w.rng.IntN(3) {
		w.step(l)
	}
	w.exec("UPDATE turn SET version = version + 1; COMMIT")
	w.versions = append(w.versions, l)
}

// step changes one list.
func (w *listWorld) step(l *listing) {
	w.t.Helper()
	name, team, lev := w.name(), []string{"red", "blue"}[w.rng.IntN(2)], w.rng.IntN(4)
	kind := []string{"insert", "update", "delete", "copy", "insert loose", "delete loose", "insert null", "delete null", "small", "empty"}[w.rng.IntN(10)]
	small := w.rng.IntN(smallLists)
	switch kind {
	case "insert":
		if _, ok := l.watch[name]; ok {
			return
		}
		w.exec(fmt.Sprintf("INSERT INTO watch VALUES ('%s', '%s', %d)", name, team, lev))
		l.watch[name] = member{&name, team, lev}
	case "update":
		m, ok := l.watch[name]
		if !ok {
			return
		}
		w.exec(fmt.Sprintf("UPDATE watch SET team = '%s', level = NULL WHERE name = '%s'", team, name))
		m.team, m.level = team, -1
		l.watch[name] = m
	case "delete":
		if _, ok := l.watch[name]; !ok {
			return
		}
		w.exec(fmt.Sprintf("DELETE FROM watch WHERE name = '%s'", name))
		delete(l.watch, name)
	case "copy":
		var lines strings.Builder
		for range 3 {
			one := w.name()
			fmt.Fprintf(&lines, "%s\t%s\t%d\n", one, team, lev)
			l.loose = append(l.loose, member{&one, team, lev})
		}
		if err := w.db.Copy("COPY loose (name, team, level) FROM STDIN", strings.NewReader(lines.String())); err != nil {
			w.t.Fatal(err)
		}
	case "insert loose":
		w.exec(fmt.Sprintf("INSERT INTO loose VALUES ('%s', '%s', %d), ('%s', 'red', NULL)", name, team, lev, name))
		l.loose = append(l.loose, member{&name, team, lev}, member{&name, "red", -1})
	case "delete loose":
		w.exec("DELETE FROM loose WHERE level = " + strconv.Itoa(lev))
		l.loose = slices.DeleteFunc(l.loose, func(m member) bool { return m.level == lev })
	case "insert null":
		w.exec(fmt.Sprintf("INSERT INTO loose VALUES (NULL, '%s', %d)", team, lev))
		l.loose = append(l.loose, member{nil, team, lev})
	case "delete null":
		w.exec("DELETE FROM loose WHERE name IS NULL")
		l.loose = slices.DeleteFunc(l.loose, func(m member) bool { return m.name == nil })
	case "small":
		w.exec(fmt.Sprintf("INSERT INTO small_%d VALUES ('%s') ON CONFLICT DO NOTHING", small, name))
		l.small[small][name] = true
	case "empty":
		w.exec(fmt.Sprintf("DELETE FROM small_%d", small))
		clear(l.small[small])
	}
	w.changes[kind]++
}

// batch makes n events.
func (w *listWorld) batch(n int) string {
	var lines strings.Builder
	for range n {
		e := &happening{id: len(w.events), number: w.rng.IntN(listNumbers)}
		if name := w.name(); w.rng.IntN(10) > 0 {
			e.usr = &name
		}
		w.events = append(w.events, e)
		w.clock.Step(time.Second)
		lines.WriteString(e.json(time.UnixMicro(int64(w.clock.Now())).UTC().Format(time.RFC3339)))
	}
	return lines.String()
}

func (w *listWorld) append(lines string) {
	if rejected, err := w.db.Append("ev", []byte(lines)); err != nil || rejected > 0 {
		w.t.Error(rejected, err)
	}
}

// together changes the lists while events come in: some with each change, before it or after it.
func (w *listWorld) together(rounds int) {
	w.t.Helper()
	batches, done := make(chan string, 1), make(chan bool)
	go func() {
		defer close(done)
		for lines := range batches {
			w.append(lines)
		}
	}()
	for range rounds {
		batches <- w.batch(2)
		w.change()
	}
	close(batches)
	<-done
}

// found reads what a rule found, by event, each event's rows sorted.
func (w *listWorld) found(query string) map[int][]string {
	w.t.Helper()
	list, err := w.db.Changelog(query)
	if err != nil {
		w.t.Fatal(err)
	}
	out := map[int][]string{}
	for _, c := range list {
		id, _, _ := strings.Cut(c.Text, "|")
		n, err := strconv.Atoi(id)
		if err != nil || c.Op != job.OpInsert {
			w.t.Fatalf("%s has %q, %v", query, c.Op, c.Text)
		}
		out[n] = append(out[n], c.Text)
	}
	for _, rows := range out {
		slices.Sort(rows)
	}
	return out
}

// seen is the version of the lists that each event met, by rule turns.
func (w *listWorld) seen() []int {
	w.t.Helper()
	rows := w.found("turns")
	out := make([]int, len(w.events))
	for i := range out {
		if len(rows[i]) != 1 {
			w.t.Fatalf("event %d met %v", i, rows[i])
		}
		_, v, _ := strings.Cut(rows[i][0], "|")
		n, err := strconv.Atoi(v)
		if err != nil || n >= len(w.versions) {
			w.t.Fatalf("event %d met version %q", i, v)
		}
		out[i] = n
	}
	if !slices.IsSorted(out) {
		w.t.Fatalf("the lists went back: %v", out)
	}
	return out
}

// check compares what all rules found with the model; turned counts the answers that are others than those of the version before.
func (w *listWorld) check() (matches, turned int) {
	w.t.Helper()
	seen, kinds := w.seen(), make([]int, len(w.kinds))
	for i := range listRuleCount {
		kind, k := i%len(w.kinds), i/len(w.kinds)
		got := w.found(fmt.Sprintf("r%d", i))
		for id, e := range w.events {
			want := w.kinds[kind].find(w.versions[seen[id]], e, k)
			slices.Sort(want)
			if !slices.Equal(got[id], want) {
				w.t.Fatalf("%s finds %q for %s at version %d, want %q", w.kinds[kind].sql(k), got[id], e.json(""), seen[id], want)
			}
			matches, kinds[kind] = matches+len(want), kinds[kind]+len(want)
			if seen[id] > 0 && len(w.kinds[kind].find(w.versions[seen[id]-1], e, k)) != len(want) {
				turned++
			}
		}
	}
	for kind, n := range kinds {
		if n < 20 {
			w.t.Errorf("%s: only %d matches", w.kinds[kind].sql(0), n)
		}
	}
	return matches, turned
}

// TestListsOfManyRules: thousands of rules read lists that change between events and while they flow. Each finds what the model
// finds with the lists as they were at the event, the same version of all lists for all rules, also beyond restarts.
func TestListsOfManyRules(t *testing.T) {
	w := newListWorld(t)
	var exact [][2]int // events from one on, and the version that they must have met
	alternate := func(rounds int) {
		for range rounds {
			w.change()
			exact = append(exact, [2]int{len(w.events), len(w.versions) - 1})
			w.append(w.batch(4))
		}
	}
	alternate(60)
	w.together(60)
	w.disk = w.disk.Crash(inproc.Random(3)) // everything was acknowledged
	if err := w.db.Close(); err != nil {
		t.Fatal(err)
	}
	w.open()
	alternate(30)
	if err := w.db.Close(); err != nil {
		t.Fatal(err)
	}
	w.open()
	defer func() {
		if err := w.db.Close(); err != nil {
			t.Fatal(err)
		}
	}()
	w.together(60)
	alternate(30)
	if err := w.db.Settle(); err != nil {
		t.Fatal(err)
	}
	seen := w.seen()
	for _, x := range exact {
		if seen[x[0]] != x[1] {
			t.Fatalf("event %d came after version %d and met %d", x[0], x[1], seen[x[0]])
		}
	}
	matches, turned := w.check()
	met := len(slices.Compact(slices.Clone(seen)))
	t.Logf("%d events, %d versions of which %d were met, %d matches, %d because of the last change, changes %v",
		len(w.events), len(w.versions), met, matches, turned, w.changes)
	if met < 140 || matches < 10_000 || turned < 1000 || len(w.changes) != 10 {
		t.Error("that proves too little")
	}
}
