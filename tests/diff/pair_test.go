package diff

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/vigil-sql/vigil/tests/harness"
)

func TestMain(m *testing.M) {
	code := m.Run()
	harness.Cleanup()
	os.Exit(code)
}

// pair is one connection to each server.
type pair struct {
	t         *testing.T
	pg, vigil *pgx.Conn
	log       func() string
	// positions counts errors that point at the same character, and at another.
	positionsSame, positionsOther int
}

func newPair(t *testing.T) *pair {
	t.Helper()
	pg := harness.StartPostgres(t).Connect(t)
	p := harness.Start(t, t.TempDir())
	out := &pair{t: t, pg: pg, vigil: p.Connect(t), log: p.Log}
	harness.Exec(t, pg, "SET statement_timeout = '10s'")
	return out
}

// exec runs statements on both sides, where neither may fail.
func (p *pair) exec(statements ...string) {
	p.t.Helper()
	harness.Exec(p.t, p.pg, statements...)
	harness.Exec(p.t, p.vigil, statements...)
}

// outcome is what a statement gave.
type outcome struct {
	cols []string // name and type's oid
	oids []uint32
	rows [][]string // "\x00" for NULL
	err  *pgconn.PgError
	tag  string
}

const null = "\x00"

// ask runs one statement by the simple protocol, in text.
func (p *pair) ask(c *pgx.Conn, sql string) outcome {
	p.t.Helper()
	results, err := c.PgConn().Exec(context.Background(), sql).ReadAll()
	return p.outcome(sql, results, err)
}

// askBinary runs one statement by the extended protocol and has its results in binary.
func (p *pair) askBinary(c *pgx.Conn, sql string) outcome {
	p.t.Helper()
	r := c.PgConn().ExecParams(context.Background(), sql, nil, nil, nil, []int16{1}).Read()
	return p.outcome(sql, []*pgconn.Result{r}, r.Err)
}

func (p *pair) outcome(sql string, results []*pgconn.Result, err error) outcome {
	p.t.Helper()
	var o outcome
	if err != nil {
		pe, ok := errors.AsType[*pgconn.PgError](err)
		if !ok {
			p.t.Fatalf("%s\n%v\n%s", sql, err, p.log())
		}
		o.err = pe
		return o
	}
	for _, r := range results {
		o.tag = r.CommandTag.String()
		for _, f := range r.FieldDescriptions {
			o.cols = append(o.cols, fmt.Sprintf("%s %d", f.Name, f.DataTypeOID))
			o.oids = append(o.oids, f.DataTypeOID)
		}
		for _, row := range r.Rows {
			line := make([]string, len(row))
			for i, v := range row {
				if line[i] = string(v); v == nil {
					line[i] = null
				}
			}
			o.rows = append(o.rows, line)
		}
	}
	return o
}

func (o outcome) String() string {
	if o.err != nil {
		return fmt.Sprintf("ERROR %s at %d: %s", o.err.Code, o.err.Position, o.err.Message)
	}
	lines := []string{strings.Join(o.cols, ", ")}
	for i, r := range o.rows {
		if i == 12 {
			lines = append(lines, fmt.Sprintf("... %d rows", len(o.rows)))
			break
		}
		lines = append(lines, strings.ReplaceAll(strings.Join(r, " | "), null, "NULL"))
	}
	return strings.Join(lines, "\n    ")
}

// failed tells whether an outcome is an error of a class.
func (o outcome) failed(class string) bool {
	return o.err != nil && strings.HasPrefix(o.err.Code, class)
}

// same compares outcomes; ordered: the order of rows counts.
func same(a, b outcome, ordered bool) bool {
	if (a.err == nil) != (b.err == nil) {
		return false
	}
	if a.err != nil {
		return a.err.Code == b.err.Code
	}
	if !slices.Equal(a.cols, b.cols) || len(a.rows) != len(b.rows) {
		return false
	}
	x, y := a.rows, b.rows
	if !ordered {
		x, y = slices.Clone(x), slices.Clone(y)
		slices.SortFunc(x, slices.Compare)
		slices.SortFunc(y, slices.Compare)
	}
	for i := range x {
		for j := range x[i] {
			if x[i][j] != y[i][j] && !closeFloats(a.oids[j], x[i][j], y[i][j]) {
				return false
			}
		}
	}
	return true
}

// closeFloats lets the last digits of double precision differ: sums depend on the order of rows, and mathematical libraries
// on their maker.
func closeFloats(oid uint32, x, y string) bool {
	tolerance := 1e-13
	switch oid {
	case 700:
		tolerance = 1e-6
	case 701:
	default:
		return false
	}
	a, err1 := strconv.ParseFloat(x, 64)
	b, err2 := strconv.ParseFloat(y, 64)
	if err1 != nil || err2 != nil || math.IsInf(a, 0) || math.IsNaN(a) {
		return false
	}
	return math.Abs(a-b) <= tolerance*max(math.Abs(a), math.Abs(b), 1e-300) || math.Abs(a-b) < 1e-13
}

// both runs a statement on both sides and counts positions of errors.
func (p *pair) both(sql string) (pg, vigil outcome) {
	pg, vigil = p.ask(p.pg, sql), p.ask(p.vigil, sql)
	if pg.err != nil && vigil.err != nil && pg.err.Code == vigil.err.Code && pg.err.Position > 0 {
		if pg.err.Position == vigil.err.Position {
			p.positionsSame++
		} else {
			p.positionsOther++
		}
	}
	return pg, vigil
}
