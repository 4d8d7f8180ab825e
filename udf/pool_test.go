package udf

import (
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/udf/worker"
)

var _ expr.UDFCaller = (*Pool)(nil)

// TestMain lets the test binary be the worker too, as the server's binary is.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "udf-worker" {
		os.Exit(worker.Main())
	}
	if len(os.Args) == 3 && os.Args[1] == "bad-worker" {
		os.Exit(badWorker(os.Args[2]))
	}
	os.Exit(m.Run())
}

func newPool(t testing.TB, workers int) *Pool {
	p := NewPool(Options{Workers: workers, Logger: slog.New(slog.NewTextHandler(t.Output(), nil))})
	t.Cleanup(p.Close)
	return p
}

// define makes function id of the given kinds; parameters are called a, b, c.
func define(t testing.TB, p *Pool, f *spec.Function, params ...types.Kind) {
	t.Helper()
	for i, k := range params {
		f.Params = append(f.Params, types.Column{Name: string(rune('a' + i)), Type: types.T(k)})
	}
	if f.Name == "" {
		f.Name = "f"
	}
	if err := p.Define(f); err != nil {
		t.Fatal(err)
	}
}

// vec makes a column of a kind from values; nil is NULL.
func vec(k types.Kind, vals ...any) *batch.Vec {
	v := &batch.Vec{}
	v.Reset(types.T(k))
	for _, x := range vals {
		switch x := x.(type) {
		case nil:
			v.AppendNull()
		case string:
			v.AppendString(x)
		case int:
			v.AppendInt(int64(x))
		case int64:
			v.AppendInt(x)
		case float64:
			v.AppendFloat(x)
		case bool:
			v.AppendValue(types.NewBool(x))
		}
	}
	return v
}

// outcome is what one row came to: the value as text, or the error.
type outcome struct {
	text string
	err  error
}

// run calls function id over n rows.
func run(t testing.TB, p *Pool, id uint64, ret types.Type, n int, args ...*batch.Vec) ([]outcome, error) {
	t.Helper()
	out := &batch.Vec{}
	out.Reset(ret)
	rows := make([]outcome, n)
	err := p.Call(id, args, n, out, func(row int, err error) { rows[row].err = err })
	if err != nil {
		if out.N != 0 {
			t.Errorf("%d rows stay after an error", out.N)
		}
		return nil, err
	}
	if out.N != n {
		t.Fatalf("%d rows for %d", out.N, n)
	}
	for i := range rows {
		rows[i].text = out.Value(i).Text()
		if rows[i].err != nil && !out.IsNull(i) {
			t.Errorf("row %d has an error and a value", i)
		}
	}
	return rows, nil
}

// TestPredicates are rules as people write them.
func TestPredicates(t *testing.T) {
	p := newPool(t, 1)
	for _, c := range []struct {
		body string
		rows string
	}{
		{"return a.includes('Failed') && b > 2", "t,f,f,error"},
		{"if (b === null) return null; return utils.matches(a, '^Failed \\\\w+') || b > 5", "t,f,t,NULL"},
		{"const n = a === null ? 0 : a.length; switch (n) { case 0: return false; default: return n > b }", "t,t,f,f"},
		{"let h = 0; for (const c of a ?? '') h = (h * 31 + c.codePointAt(0)) | 0; console.log(h); return h !== 0", "t,t,t,f"},
		{"const {x, ...rest} = {x: a, y: b}; return [x, ...Object.values(rest)].length === 2 // comment", "t,t,t,t"},
		{"class E extends Error { constructor(m) { super(m); this.name = 'E'; this.toString = () => 'x' } } try { throw new E('e') } catch (e) { return e.name === 'E' && e instanceof E }", "t,t,t,t"},
	} {
		define(t, p, &spec.Function{ID: 1, Ret: types.T(types.Bool), Body: c.body}, types.Text, types.Int4)
		rows, err := run(t, p, 1, types.T(types.Bool), 4, vec(types.Text, "Failed password", "Failed", "x", nil), vec(types.Int4, 3, 1, 9, nil))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range rows {
			if r.err != nil {
				r.text = "error"
			}
			got = append(got, r.text)
		}
		if g := strings.Join(got, ","); g != c.rows {
			t.Errorf("%s: %s, want %s", c.body, g, c.rows)
		}
	}
	if p.Stats().Logged != 4 {
		t.Errorf("%d lines logged, want 4", p.Stats().Logged)
	}
}

// TestStrict: a row with a NULL argument is not sent; the others keep their places.
func TestStrict(t *testing.T) {
	p := newPool(t, 1)
	define(t, p, &spec.Function{ID: 1, Ret: types.T(types.Text), Strict: true, Body: "console.log(); return a + b"}, types.Text, types.Int4)
	n := 3000
	a, b := vec(types.Text), vec(types.Int4)
	called := int64(0)
	for i := range n {
		if i%3 == 0 {
			a.AppendNull()
		} else {
			a.AppendString("r")
		}
		if i%5 == 0 {
			b.AppendNull()
		} else {
			b.AppendInt(int64(i))
		}
		if i%3 != 0 && i%5 != 0 {
			called++
		}
	}
	rows, err := run(t, p, 1, types.T(types.Text), n, a, b)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range rows {
		want := fmt.Sprintf("r%d", i)
		if i%3 == 0 || i%5 == 0 {
			want = "NULL"
		}
		if r.text != want || r.err != nil {
			t.Fatalf("row %d: %v, want %s", i, r, want)
		}
	}
	if s := p.Stats(); s.Logged != called || s.Started != 1 {
		t.Errorf("%+v, want %d calls", s, called)
	}
	if rows, err = run(t, p, 1, types.T(types.Text), 2, vec(types.Text, nil, nil), vec(types.Int4, 1, nil)); err != nil || rows[1].text != "NULL" {
		t.Errorf("%v %v", rows, err)
	}
}

// TestExceptions: each concerns its row, tells the line, and can be made to end the call.
func TestExceptions(t *testing.T) {
	p := newPool(t, 1)
	f := spec.Function{ID: 1, Name: "check", Ret: types.T(types.Int4), Body: "if (a % 3 === 0)\n  throw new RangeError('bad\\n' + a)\nreturn a",
		Params: []types.Column{{Name: "a", Type: types.T(types.Int4)}}}
	define(t, p, &f)
	arg := vec(types.Int4)
	for i := range 2500 {
		arg.AppendInt(int64(i))
	}
	rows, err := run(t, p, 1, f.Ret, 2500, arg)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range rows {
		if i%3 != 0 {
			if r.err != nil || r.text != strconv.Itoa(i) {
				t.Fatalf("row %d: %v", i, r)
			}
			continue
		}
		e := sqlerr.As(r.err)
		if e.Code != sqlerr.ExternalRoutineException || e.Message != fmt.Sprintf("RangeError: bad %d", i) || e.Where != "JavaScript function check, line 2" {
			t.Fatalf("row %d: %+v", i, e)
		}
	}
	f.Limits.OnError = "deactivate"
	define(t, p, &f)
	if _, err := run(t, p, 1, f.Ret, 2, vec(types.Int4, 1, 3)); sqlerr.CodeOf(err) != sqlerr.ExternalRoutineException {
		t.Errorf("%v", err)
	}
	out := vec(types.Int4, 7)
	if err := p.Call(1, []*batch.Vec{vec(types.Int4, 1, 3)}, 2, out, nil); err == nil || out.N != 1 {
		t.Errorf("%v, %d rows", err, out.N)
	}
	if s := p.Stats(); s.Violations != 0 || s.Started != 1 {
		t.Errorf("%+v", s)
	}
}

// TestRefusals: what CREATE FUNCTION says to a body that does not compile, or that would reach out of its function.
func TestRefusals(t *testing.T) {
	p := newPool(t, 1)
	for _, c := range []struct {
		body, param string
		want        string // in the message
		line        int
	}{
		{"return 1;\nreturn (;", "a", "Unexpected token ;", 2},
		{"return 'abc", "a", "", 1},
		{"}); evil(); (function(){", "a", "brace", 0},
		{"}, function () {", "a", "brace", 0},
		{"})(function () {", "a", "brace", 0},
		{"}", "a", "brace too many", 1},
		{"return (\n a +", "a", "unexpected end", 2},
		{"{", "a", "", 0},
		{"/*", "a", "", 0},
		{"import x from 'y'", "a", "", 1},
		{"with (a) { return 1 }", "a", "", 1},
		{"await a", "a", "", 1},
		{"return (async () => 1)()", "a", "async", 0},
		{"return {async f() { await 1 }}", "a", "async", 0},
		{"yield 1", "a", "", 1},
		{"return 1", "arguments", "", 0},
		{"return 1", "class", "", 0},
		{"return 1", "a) { } (b", "not a JavaScript name", 0},
		{"let a = 1; let a = 2; return a", "b", "", 1},
		{"return 08", "a", "", 0},
		{"return " + strings.Repeat("(", 10000) + "1" + strings.Repeat(")", 10000) + "x", "a", "", 0},
	} {
		f := &spec.Function{ID: 1, Name: "f", Ret: types.T(types.Int4), Body: c.body, Params: []types.Column{{Name: c.param, Type: types.T(types.Int4)}}}
		err := p.Define(f)
		e := sqlerr.As(err)
		if sqlerr.CodeOf(err) != sqlerr.InvalidFunctionDefinition || !strings.Contains(e.Message, c.want) {
			t.Errorf("%.60q (%s): %v", c.body, c.param, err)
			continue
		}
		if c.line > 0 && !strings.Contains(e.Detail, fmt.Sprintf("Line %d, column ", c.line)) {
			t.Errorf("%.60q: detail %q, want line %d (%s)", c.body, e.Detail, c.line, e.Message)
		}
	}
	for _, f := range []*spec.Function{
		{Body: strings.Repeat(" ", 64<<10+1), Ret: types.T(types.Int4)},
		{Body: "return 1", Ret: types.T(types.Int4), Limits: spec.FunctionLimits{MemoryBytes: 1 << 40}},
		{Body: "return 1", Ret: types.T(types.Int4), Limits: spec.FunctionLimits{TimeoutMicros: -1}},
		{Body: "return 1", Ret: types.T(types.Int4), Limits: spec.FunctionLimits{StackFrames: 1 << 20}},
	} {
		if err := p.Define(f); err == nil {
			t.Errorf("%+v was taken", f.Limits)
		}
	}
	if s := p.Stats(); s.Started != 1 {
		t.Errorf("%+v", s)
	}
}

// TestReplaceAndRemove: the definition of the moment counts, in every worker.
func TestReplaceAndRemove(t *testing.T) {
	p := newPool(t, 2)
	for i := range 300 { // more than a worker has realms, and more than it takes definitions
		define(t, p, &spec.Function{ID: 1, Ret: types.T(types.Int4), Body: fmt.Sprintf("return %d", i)})
		if i%10 != 0 {
			continue
		}
		rows, err := run(t, p, 1, types.T(types.Int4), 1)
		if err != nil || rows[0].text != strconv.Itoa(i) {
			t.Fatalf("%d: %v %v", i, rows, err)
		}
	}
	if s := p.Stats(); s.Started != 2 || s.Crashes != 0 {
		t.Errorf("%+v, want one worker that was replaced", s)
	}
	p.Remove(1)
	p.Remove(99)
	if _, err := run(t, p, 1, types.T(types.Int4), 1); sqlerr.CodeOf(err) != sqlerr.UndefinedFunction {
		t.Errorf("removed: %v", err)
	}
	define(t, p, &spec.Function{ID: 1, Ret: types.T(types.Int4), Body: "return 1"})
	p.Close()
	p.Close()
	if _, err := run(t, p, 1, types.T(types.Int4), 1); sqlerr.CodeOf(err) != sqlerr.AdminShutdown {
		t.Errorf("closed: %v", err)
	}
}

// TestManyRealms: functions beyond what a worker keeps ready still answer.
func TestManyRealms(t *testing.T) {
	p := newPool(t, 1)
	const n = 70
	for i := range n {
		define(t, p, &spec.Function{ID: uint64(i), Ret: types.T(types.Int4), Body: fmt.Sprintf("return a + %d", i)}, types.Int4)
	}
	for _, i := range []int{0, 1, n - 1} {
		for j := range n {
			rows, err := run(t, p, uint64(j), types.T(types.Int4), 1, vec(types.Int4, i))
			if err != nil || rows[0].text != strconv.Itoa(i+j) {
				t.Fatalf("%d: %v %v", j, rows, err)
			}
		}
	}
	// A worker whose memory is worn out is replaced; when that is depends on its collector. It is not for every few functions.
	if s := p.Stats(); s.Crashes != 0 || s.Started > n/7 {
		t.Errorf("%+v", s)
	}
}

// TestBigValues: results and arguments of many megabytes flow in parts; what is too much is told of its row.
func TestBigValues(t *testing.T) {
	p := newPool(t, 1)
	define(t, p, &spec.Function{ID: 1, Ret: types.T(types.Text), Body: "return a + 'x'.repeat(b)",
		Limits: spec.FunctionLimits{TimeoutMicros: 10_000_000}}, types.Text, types.Int4)
	const n = 60
	a, b := vec(types.Text), vec(types.Int4)
	for i := range n {
		a.AppendString(strings.Repeat("a", i*8000))
		b.AppendInt(int64(500_000 + i))
	}
	rows, err := run(t, p, 1, types.T(types.Text), n, a, b)
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range rows {
		if len(r.text) != i*8000+500_000+i || r.err != nil {
			t.Fatalf("row %d: %d bytes %v", i, len(r.text), r.err)
		}
	}
	b.Reset(types.T(types.Int4))
	for range n {
		b.AppendInt(1_100_000)
	}
	b.I64[0], b.I64[1] = 0, 1<<20
	_, err = run(t, p, 1, types.T(types.Text), n, a, b)
	if sqlerr.CodeOf(err) != sqlerr.UDFOutputLimit || sqlerr.As(err).Detail != "It happened in row 2 of the batch." {
		t.Errorf("%v %q", err, sqlerr.As(err).Detail)
	}
	many := vec(types.Text)
	num := vec(types.Int4)
	for range 130 {
		many.AppendString("")
		num.AppendInt(1 << 20)
	}
	if _, err = run(t, p, 1, types.T(types.Text), 130, many, num); sqlerr.CodeOf(err) != sqlerr.UDFOutputLimit {
		t.Errorf("130 MB: %v", err)
	}
	huge := vec(types.Text, "a", strings.Repeat("b", 5<<20), "c")
	rows, err = run(t, p, 1, types.T(types.Text), 3, huge, vec(types.Int4, 1, 1, 1))
	if err != nil || rows[0].text != "ax" || sqlerr.CodeOf(rows[1].err) != sqlerr.ProgramLimitExceeded || rows[2].text != "cx" {
		t.Errorf("a row of 5 MB: %v %v", rows[1].err, err)
	}
}

// TestDeadWorker: a worker that somebody killed is replaced, and the function is not blamed.
func TestDeadWorker(t *testing.T) {
	p := newPool(t, 1)
	define(t, p, &spec.Function{ID: 1, Ret: types.T(types.Int4), Body: "return a"}, types.Int4)
	for range 3 {
		p.mu.Lock()
		proc := p.free[0].proc
		p.mu.Unlock()
		if err := proc.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		rows, err := run(t, p, 1, types.T(types.Int4), 1, vec(types.Int4, 5))
		if err != nil || rows[0].text != "5" {
			t.Fatalf("%v %v", rows, err)
		}
	}
	if s := p.Stats(); s.Crashes != 3 || s.Violations != 0 || s.Started != 4 {
		t.Errorf("%+v", s)
	}
}

// TestSpin: a function that does not stop is stopped, in a bounded number of its CPU time, and only it.
func TestSpin(t *testing.T) {
	p := newPool(t, 2)
	limits := spec.FunctionLimits{TimeoutMicros: 30_000}
	define(t, p, &spec.Function{ID: 1, Ret: types.T(types.Int4), Body: "for (;;);", Limits: limits})
	define(t, p, &spec.Function{ID: 2, Ret: types.T(types.Int4), Body: "return [].indexOf.call({length: 2**53-1}, 1)", Limits: limits})
	define(t, p, &spec.Function{ID: 3, Ret: types.T(types.Int4), Body: "if (a === 700) for (;;); return a", Limits: limits}, types.Int4)
	define(t, p, &spec.Function{ID: 4, Ret: types.T(types.Int4), Body: "let n = 0; for (let i = 0; i < a; i++) n += i % 7; return n", Limits: limits}, types.Int4)
	const times = 2
	arg, slow := vec(types.Int4), vec(types.Int4)
	for i := range 1000 {
		arg.AppendInt(int64(i))
	}
	loops, want := 100_000, "299995"
	if raceBuild {
		loops, want = 7, "21"
	}
	for range 30 { // each row has its own time, so together they may take much more
		slow.AppendInt(int64(loops))
	}
	var wg sync.WaitGroup
	var good atomic.Int64
	for range 2 {
		wg.Go(func() {
			for range times {
				for id := range uint64(2) {
					_, err := run(t, p, id+1, types.T(types.Int4), 1)
					if sqlerr.CodeOf(err) != sqlerr.UDFTimeLimit {
						t.Errorf("function %d: %v", id+1, err)
					}
				}
				_, err := run(t, p, 3, types.T(types.Int4), 1000, arg)
				if sqlerr.CodeOf(err) != sqlerr.UDFTimeLimit || sqlerr.As(err).Detail != "It happened in row 701 of the batch." {
					t.Errorf("%v %q", err, sqlerr.As(err).Detail)
				}
			}
		})
		wg.Go(func() {
			for range times {
				rows, err := run(t, p, 4, types.T(types.Int4), 30, slow)
				if err != nil || rows[29].text != want {
					t.Errorf("an innocent function: %v %v", rows, err)
				}
				good.Add(1)
			}
		})
	}
	wg.Wait()
	p.Close()
	if s := p.Stats(); s.Violations != 2*times*3 || s.Crashes != 0 || good.Load() != 2*times {
		t.Errorf("%+v", s)
	}
}

// childCPU is the CPU time of all workers that ended.
func childCPU(t *testing.T) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_CHILDREN, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestSpinBudget: a native loop, which no interrupt stops, costs a small number of the function's time and no more.
func TestSpinBudget(t *testing.T) {
	before := childCPU(t)
	p := newPool(t, 1)
	define(t, p, &spec.Function{ID: 1, Ret: types.T(types.Int4), Body: "return [].indexOf.call({length: 2**53-1}, 1)",
		Limits: spec.FunctionLimits{TimeoutMicros: 50_000}})
	if _, err := run(t, p, 1, types.T(types.Int4), 1); sqlerr.CodeOf(err) != sqlerr.UDFTimeLimit {
		t.Errorf("%v", err)
	}
	p.Close()
	if used := childCPU(t) - before; !raceBuild && used > 10*50*time.Millisecond {
		t.Errorf("%v of CPU time for a limit of 50ms", used)
	}
}

// TestMemoryLimit: what is kept counts, what is garbage does not, and the worker notices before the kernel does.
func TestMemoryLimit(t *testing.T) {
	if raceBuild {
		t.Skip("too slow with the race detector")
	}
	p := newPool(t, 1)
	limits := spec.FunctionLimits{TimeoutMicros: 10_000_000, MemoryBytes: 8 << 20}
	define(t, p, &spec.Function{ID: 1, Ret: types.T(types.Int4), Body: "const a = []; for (;;) a.push({})", Limits: limits})
	define(t, p, &spec.Function{ID: 2, Ret: types.T(types.Int4), Limits: limits,
		Body: "const keep = 'y'.repeat(7 << 20); let n = 0; for (let i = 0; i < 100; i++) n += ('x'.repeat(2 << 20) + i).length; return n + keep.length"})
	if _, err := run(t, p, 1, types.T(types.Int4), 1); sqlerr.CodeOf(err) != sqlerr.UDFMemoryLimit {
		t.Errorf("%v", err)
	}
	if rows, err := run(t, p, 2, types.T(types.Int4), 1); err != nil || rows[0].text != "217055422" {
		t.Errorf("200 MB of garbage: %v %v", rows, err)
	}
	if s := p.Stats(); s.Crashes != 0 {
		t.Errorf("%+v", s)
	}
}

// TestConcurrency: many callers of few workers get their own rows.
func TestConcurrency(t *testing.T) {
	p := newPool(t, 2)
	for id := range uint64(4) {
		define(t, p, &spec.Function{ID: id, Ret: types.T(types.Text), Body: fmt.Sprintf("return a + ':%d'", id)}, types.Int4)
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 50 {
				rows, err := run(t, p, uint64(i%4), types.T(types.Text), 2, vec(types.Int4, g, i))
				if err != nil || rows[0].text != fmt.Sprintf("%d:%d", g, i%4) || rows[1].text != fmt.Sprintf("%d:%d", i, i%4) {
					t.Errorf("%v %v", rows, err)
				}
			}
		})
	}
	wg.Wait()
}

// TestWorkerCannotStart names the command.
func TestWorkerCannotStart(t *testing.T) {
	p := NewPool(Options{Command: []string{"./no-such-program"}})
	defer p.Close()
	err := p.Define(&spec.Function{ID: 1, Ret: types.T(types.Int4), Body: "return 1"})
	if sqlerr.CodeOf(err) != sqlerr.InsufficientResources || !strings.Contains(err.Error(), "no-such-program") {
		t.Error(err)
	}
}
