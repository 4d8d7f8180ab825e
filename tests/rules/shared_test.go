package rules

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/executor/task"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/tests/inproc"
)

// stateOf is what the engine says that a query's operators hold.
func (c *crowd) stateOf(query string) (bytes, keys int64) {
	c.t.Helper()
	q, ok := c.db.Catalog().Relation("", query).(*catalog.Query)
	if !ok {
		c.t.Fatal("there is no query", query)
	}
	x, err := c.db.Engine().Inspect(context.Background(), q.ID)
	if err != nil {
		c.t.Fatal(err)
	}
	var sum task.Counts
	for _, n := range x.Parts[0].Counts {
		sum.Add(n)
	}
	return sum.Bytes, sum.Keys
}

// crowdWindow is the kind of window that rules have: its table function, how far time goes on from batch to batch, what HAVING compares
// with which threshold in the first rule, and EMIT.
type crowdWindow struct {
	name, from string
	step       time.Duration
	least      int
	agg, emit  string
	// column is one that tells of the window, by what groups by that: "" for the column.
	column, by string
}

func crowdWindows() []crowdWindow {
	return []crowdWindow{
		{"tumble", "TUMBLE(s, ts, INTERVAL '1 hour')", 0, 0, "count(*)", "", "window_end", ""},
		{"hop", "HOP(s, ts, INTERVAL '1 minute', INTERVAL '5 minutes')", 10 * time.Second, 5, "count(*)", "", "window_end", ""},
		{"first", "TUMBLE(s, ts, INTERVAL '1 hour')", 0, 5, "count(*)", " EMIT FIRST", "window_end", ""},
		{"update", "TUMBLE(s, ts, INTERVAL '1 hour')", 0, 0, "count(*)", " EMIT ON UPDATE", "window_end", ""},
		{name: "session", from: "s", agg: "count(*)", column: "window_end", by: "SESSION(ts, INTERVAL '1 hour')"},
		{name: "slide", from: "s", agg: "count(*)", column: "window_end", by: "SLIDE(ts, INTERVAL '1 hour')"},
		{name: "count", from: "s", agg: "count(*)", column: "window_end", by: "COUNT_WINDOW(7)"},
		{"endless", "s", 0, 0, "count(*)", "", "cmd", ""},
	}
}

// threshold creates rules that differ in their thresholds only.
func (c *crowd) threshold(win crowdWindow, rules int) {
	by := win.by
	if by == "" {
		by = win.column
	}
	for i := range rules {
		c.exec(fmt.Sprintf(`CREATE CONTINUOUS QUERY rule%d AS SELECT %s, host, count(*) AS hits, sum(n) AS total FROM %s
			WHERE cmd = 'logon' GROUP BY %s, host HAVING %s > %d%s`, i, win.column, win.from, by, win.agg, win.least+i, win.emit))
	}
}

// logons is a batch of events.
func (c *crowd) logons(win crowdWindow, b, hosts int) {
	c.t.Helper()
	c.clock.Step(win.step)
	at := time.UnixMicro(int64(c.clock.Now())).UTC().Format(time.RFC3339)
	var data []byte
	for i := range 1000 {
		data = fmt.Appendf(data, `{"ts":%q,"host":"h%d","cmd":"logon","n":%d}`+"\n", at, (b*1000+i*7)%hosts, i)
	}
	c.append(data)
	if err := c.db.Settle(); err != nil {
		c.t.Fatal(err)
	}
}

// thresholds runs rules that differ in their thresholds only, over events of many hosts. It returns the state of all, before windows close
// and after, and what the events cost.
func thresholds(t *testing.T, win crowdWindow, rules int, alone bool) (state, closed int64, cost time.Duration) {
	t.Helper()
	const hosts, batches = 4000, 25
	c := newCrowdWith(t, func(o *inproc.Options) { o.Alone = alone })
	defer c.close()
	c.threshold(win, rules)
	began := time.Duration(0)
	for b := range batches {
		if b == 1 {
			began = cpu() // what the first events make is there
		}
		c.logons(win, b, hosts)
	}
	cost = (cpu() - began) / ((batches - 1) * 1000)
	for i, first := 0, int64(0); i < rules; i++ {
		bytes, keys := c.stateOf(fmt.Sprint("rule", i))
		if i == 0 {
			first = keys
		}
		if state += bytes; keys != first || keys < hosts {
			t.Fatalf("rule%d says that it has %d keys, the first one %d", i, keys, first)
		}
		if i == 0 && alone {
			return bytes * int64(rules), 0, cost // the others are no different
		}
	}
	if err := c.db.Pass(2 * time.Hour); err != nil {
		t.Fatal(err)
	}
	for i := range rules {
		bytes, _ := c.stateOf(fmt.Sprint("rule", i))
		closed += bytes
		log, err := c.db.Changelog(fmt.Sprint("rule", i))
		if most := 6 - win.least; err != nil || (len(log) > 0) != (i <= most) && i != most {
			t.Errorf("rule%d gave %d rows, %v", i, len(log), err)
		}
	}
	return state, closed, cost
}

// TestSharedState: rules that differ in their thresholds only hold little more than one of them, and fold each event once.
func TestSharedState(t *testing.T) {
	const rules = 300
	for _, win := range crowdWindows() {
		t.Run(win.name, func(t *testing.T) {
			one, oneClosed, little := thresholds(t, win, 1, false)
			all, allClosed, shared := thresholds(t, win, rules, false)
			each, _, apart := thresholds(t, win, rules, true)
			t.Logf("one rule holds %d bytes, %d that share %d, and %d alone; an event costs %v, %v and %v", one, rules, all, each, little, shared, apart)
			if allClosed > 2*oneClosed {
				t.Errorf("%d rules that share hold %d bytes after windows have closed, one holds %d", rules, allClosed, oneClosed)
			}
			if all > 2*one {
				t.Errorf("%d rules that share hold %d bytes, one holds %d", rules, all, one)
			}
			if each < rules/2*one {
				t.Errorf("%d rules that share nothing hold %d bytes, one holds %d: there is nothing to share", rules, each, one)
			}
			if shared > apart*3/4 {
				t.Errorf("an event costs %v where rules share, %v where they do not", shared, apart)
			}
		})
	}
}

// afterRestart runs rules over events, and starts anew. It returns how large the checkpoint is between, and the state after it.
func afterRestart(t *testing.T, win crowdWindow, rules int) (stored, state int64) {
	t.Helper()
	const hosts = 4000
	c := newCrowdWith(t, func(*inproc.Options) {})
	c.threshold(win, rules)
	for b := range 6 {
		c.logons(win, b, hosts)
	}
	c.close()
	err := c.disk.KV.Scan([]byte{0x30, 0x01}, []byte{0x30, 0x02}, func(_, value []byte) (bool, error) {
		stored += int64(len(value))
		return true, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	c.open()
	defer c.close()
	sum := func() (state int64) {
		for i, first := 0, int64(0); i < rules; i++ {
			bytes, keys := c.stateOf(fmt.Sprint("rule", i))
			if i == 0 {
				first = keys
			}
			if state += bytes; keys != first || keys < hosts {
				t.Fatalf("rule%d says that it has %d keys, the first one %d", i, keys, first)
			}
		}
		return state
	}
	before := sum()
	for b := range 3 {
		c.logons(win, b, hosts)
	}
	return stored, max(before, sum())
}

// TestSharedAfterRestart: of rules that share state a checkpoint has it once, and so has the server that starts from it, at once and
// when events go on.
func TestSharedAfterRestart(t *testing.T) {
	const rules = 300
	for _, win := range crowdWindows() {
		t.Run(win.name, func(t *testing.T) {
			small, one := afterRestart(t, win, 1)
			large, all := afterRestart(t, win, rules)
			t.Logf("the checkpoint of one rule has %d bytes, that of %d %d; they hold %d and %d after a restart", small, rules, large, one, all)
			if large > 2*small || all > 2*one {
				t.Errorf("the checkpoint of one rule has %d bytes, that of %d %d; they hold %d and %d after a restart", small, rules, large, one, all)
			}
		})
	}
}
