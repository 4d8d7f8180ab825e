package sim

import (
	"fmt"
	"math/big"
	"slices"
	"sort"
	"strings"
)

// The slow model says what windows mean, one row at a time, with plain maps and sorted slices. It shares no code with
// executor/op, executor/agg, executor/window or storage/state.

// event is a row of the metamorphic test's stream. Pointers are nil for NULL.
type event struct {
	at   int64 // microseconds
	user *string
	port *int64
	n    *int64
	x    *float64 // a multiple of 1/4, so that sums are exact in any order
}

// shape is the query under test.
type shape struct {
	size, offset int64
	byUser       bool
	byPort       bool
	minN         int64 // WHERE n > minN, when where is set
	where        bool
}

// answer is what a query gives: its rows, ordered by window and then by text, and the late rows in order of arrival.
type answer struct {
	rows []string
	late []string
	// how often the interesting cases came up
	lateRows, boundaryRows, nullKeys, windows int
}

// slowly computes the answer, with the watermark at delay behind the largest time seen before each row.
func slowly(q shape, delay int64, events []event) answer {
	var a answer
	groups := map[[2]string][]event{} // window start and key -> rows
	watermark, moved := int64(0), false
	for _, ev := range events {
		passes := !q.where || ev.n != nil && *ev.n > q.minN
		start := startOf(ev.at, q.size, q.offset)
		end := start + q.size
		switch {
		case !passes:
		case moved && end <= watermark:
			a.lateRows++
			a.late = append(a.late, ev.text())
		default:
			k := [2]string{fmt.Sprint(start), ev.key(q)}
			groups[k] = append(groups[k], ev)
			if ev.at == start || ev.at == end-1 {
				a.boundaryRows++
			}
			if q.byUser && ev.user == nil || q.byPort && ev.port == nil {
				a.nullKeys++
			}
		}
		if !moved || ev.at-delay > watermark {
			watermark, moved = ev.at-delay, true
		}
	}
	starts := map[string]bool{}
	for k, rows := range groups {
		starts[k[0]] = true
		a.rows = append(a.rows, fmt.Sprintf("[%s, %s) %s", seconds(startOf(rows[0].at, q.size, q.offset)),
			seconds(startOf(rows[0].at, q.size, q.offset)+q.size), strings.TrimSpace(k[1]+" "+summary(rows))))
	}
	a.windows = len(starts)
	sort.Strings(a.rows)
	return a
}

// startOf finds the window's start by big-number arithmetic: offset + floor((t - offset) / size) * size.
func startOf(t, size, offset int64) int64 {
	b := func(i int64) *big.Int { return big.NewInt(i) }
	q := new(big.Int).Div(new(big.Int).Sub(b(t), b(offset)), b(size)) // Euclidean: rounds down
	return q.Mul(q, b(size)).Add(q, b(offset)).Int64()
}

func orNull[T any](p *T) string {
	if p == nil {
		return "NULL"
	}
	return fmt.Sprint(*p)
}

func (ev event) text() string {
	return strings.Join([]string{seconds(ev.at), orNull(ev.user), orNull(ev.port), orNull(ev.n), orNull(ev.x)}, " ")
}

func (ev event) key(q shape) string {
	var parts []string
	if q.byUser {
		parts = append(parts, orNull(ev.user))
	}
	if q.byPort {
		parts = append(parts, orNull(ev.port))
	}
	return strings.Join(parts, " ")
}

// summary computes: count(*) count(n) count(distinct n) sum(n) min(n) max(user) sum(x) avg(x) and count(*) and
// count(distinct user) of the rows with n >= 3.
func summary(rows []event) string {
	var (
		ns       []int64
		users    []string
		xs       []float64
		distinct = map[int64]bool{}
		many     = 0
		manyBy   = map[string]bool{}
	)
	for _, r := range rows {
		if r.n != nil {
			ns = append(ns, *r.n)
			distinct[*r.n] = true
		}
		if r.user != nil {
			users = append(users, *r.user)
		}
		if r.x != nil {
			xs = append(xs, *r.x)
		}
		if r.n != nil && *r.n >= 3 {
			many++
			if r.user != nil {
				manyBy[*r.user] = true
			}
		}
	}
	sumN, minN, maxUser, sumX, avgX := "NULL", "NULL", "NULL", "NULL", "NULL"
	if len(ns) > 0 {
		sum := new(big.Int)
		for _, n := range ns {
			sum.Add(sum, big.NewInt(n))
		}
		sumN, minN = sum.String(), fmt.Sprint(slices.Min(ns))
	}
	if len(users) > 0 {
		maxUser = slices.Max(users)
	}
	if len(xs) > 0 {
		sum := 0.0
		for _, x := range xs {
			sum += x
		}
		sumX, avgX = fmt.Sprint(sum), fmt.Sprint(sum/float64(len(xs)))
	}
	return fmt.Sprintf("%d %d %d %s %s %s %s %s %d %d", len(rows), len(ns), len(distinct), sumN, minN, maxUser, sumX, avgX, many, len(manyBy))
}
