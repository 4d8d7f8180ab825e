package bench

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/vigil-sql/vigil/storage/pebblekv"
	"github.com/vigil-sql/vigil/tests/inproc"
)

// workload is many rules over one stream and the events that they look at.
type workload struct {
	stream  string                         // CREATE STREAM of ev
	rules   int                            // rule i is the query r<i>
	columns string                         // what rules of the thesis' shape select
	rule    func(i int) string             // its SELECT
	events  func(dst []byte, n int) []byte // appends the next n events as JSON lines
	found   []int                          // rule -> how many of the events so far it matches, by whoever made them
}

// rulesDay is when the events begin, and what the clock shows.
var rulesDay = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// alertColumns is what an alert tells of its event; wholeEvent is all of it.
const (
	alertColumns = `ts, "groupName", "integer", tag`
	wholeEvent   = "*"
)

// groups is how many groups the rules of the thesis are spread over: rule i belongs to group i%groups and looks for number i/groups.
const groups = 6

// thesisRules are rules of the thesis' shape, over events of about 250 bytes. Each groups of them match one event in 50, or less
// where there are more than 300, and no event matches two. The IOC list id_list holds
// the first indicators tags, see diskWith.
func thesisRules(rules, indicators int) *workload {
	w := &workload{rules: rules, found: make([]int, rules), columns: alertColumns}
	w.stream = `CREATE STREAM ev (ts TIMESTAMPTZ, a TEXT, b TEXT, c TEXT, d TEXT, tag TEXT, "integer" BIGINT, "groupName" TEXT,
		"groupTag" TEXT, WATERMARK FOR ts AS ts) WITH (connector = 'generator') FORMAT JSON`
	w.rule = func(i int) string {
		return "SELECT " + w.columns + fmt.Sprintf(` FROM ev WHERE "groupName" = 'Group%d' AND "groupTag" ~ '([A-Za-z]+) V[0-9]*' AND "integer" = %d AND tag = 'id_tag_%d'
			AND tag IN IOC id_list`, i%groups, i/groups, i/groups)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	numbers := max(50, rules/groups)
	at := rulesDay
	w.events = func(out []byte, n int) []byte {
		out = slices.Grow(out, n*260)
		for range n {
			at = at.Add(100 * time.Microsecond)
			x, group := rng.IntN(numbers), rng.IntN(groups)
			out = fmt.Appendf(out, `{"ts":"%s","a":"%016x%016x","b":"%016x%016x","c":"%016x%016x","d":"%016x%016x","tag":"id_tag_%d","integer":%d,`+
				`"groupName":"Group%d","groupTag":"Demo V%02d"}`+"\n", at.Format("2006-01-02T15:04:05.000Z"), rng.Uint64(), rng.Uint64(), rng.Uint64(),
				rng.Uint64(), rng.Uint64(), rng.Uint64(), rng.Uint64(), rng.Uint64(), x, x, group, rng.IntN(20))
			if i := x*groups + group; i < rules && x < indicators {
				w.found[i]++
			}
		}
		return out
	}
	return w
}

// storeWith is a store in dir in which a vigil has the IOC list of the first indicators tags.
func storeWith(dir string, indicators int) (*pebblekv.Store, error) {
	store, err := pebblekv.Open(dir, pebblekv.Options{})
	if err != nil || indicators == 0 {
		return store, err
	}
	db, err := inproc.Open(inproc.Options{Disk: inproc.NewDisk(), Store: store, Clock: inproc.NewClock(rulesDay)})
	if err != nil {
		return nil, err
	}
	if err := db.Exec("CREATE IOC LIST id_list TYPE text"); err != nil {
		return nil, err
	}
	var tags strings.Builder
	for i := range indicators {
		fmt.Fprintf(&tags, "id_tag_%d\n", i)
	}
	if err := db.Copy("COPY id_list (value) FROM STDIN", strings.NewReader(tags.String())); err != nil {
		return nil, err
	}
	if err := db.Close(); err != nil {
		return nil, err
	}
	return store, store.Compact()
}

// words are what messages are made of besides needles, which are longer.
var words = strings.Fields(`error user from denied access file failed the for process started host connection closed port service policy 4624
	session opened Logon kernel audit root admin query 10.0.0.1 timeout`)

// needleLetters is how many letters a needle has.
const needleLetters = 12

func needle(i int) string {
	rng := rand.New(rand.NewPCG(uint64(i), 3))
	b := make([]byte, needleLetters)
	for j := range b {
		b[j] = 'a' + byte(rng.IntN(26))
	}
	return string(b)
}

// substringRules each look for a word of their own in messages of about 95 bytes; one message in 50 has one of the words, in upper
// case every other time.
func substringRules(rules int) *workload {
	w := &workload{rules: rules, found: make([]int, rules)}
	w.stream = "CREATE STREAM ev (ts TIMESTAMPTZ, message TEXT, WATERMARK FOR ts AS ts) WITH (connector = 'generator') FORMAT JSON"
	w.rule = func(i int) string { return "SELECT * FROM ev WHERE message ILIKE '%" + needle(i) + "%'" }
	rng := rand.New(rand.NewPCG(4, 5))
	at := rulesDay
	w.events = func(out []byte, n int) []byte {
		out = slices.Grow(out, n*160)
		for range n {
			at = at.Add(100 * time.Microsecond)
			out = fmt.Appendf(out, `{"ts":"%s","message":"`, at.Format("2006-01-02T15:04:05.000Z"))
			begin := len(out)
			if rng.IntN(50) == 0 {
				i := rng.IntN(rules)
				w.found[i]++
				text := needle(i)
				if rng.IntN(2) == 0 {
					text = strings.ToUpper(text)
				}
				out = append(out, text...)
			}
			for len(out) < begin+90 {
				out = append(append(out, ' '), words[rng.IntN(len(words))]...)
			}
			out = append(out, "\"}\n"...)
		}
		return out
	}
	return w
}
