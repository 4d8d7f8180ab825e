package udf

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// hostileDir holds functions that try to get out, to hang, to use all memory, and what is to become of each.
const hostileDir = "../../shared/data/hostile-js"

type hostileCase struct {
	Name      string
	Category  string
	Functions []hostileFunction
	Steps     []struct {
		Call   string
		Rows   int
		Expect expectation
	}
}

type hostileFunction struct {
	Name, File, Returns, Volatility string
	Args                            []struct{ Name, Type string }
}

type expectation struct {
	Outcome  string
	Value    *string
	AnyOf    []string `json:"any_of"`
	NotValue []string `json:"not_value"`
	Reason   []string
	MaxMS    int `json:"max_ms"`
}

// cleanError lists the cases whose violation became the exception of a row, because lockdown took the tool away: there is
// no eval, no Promise, no global that can be written to, and a panic in a built-in function is caught.
var cleanError = []string{"cpu_promise_loop", "stk_eval_parens", "stk_eval_binary"}

// limits of the manifest.
var hostileLimits = spec.FunctionLimits{TimeoutMicros: 50_000, MemoryBytes: 32 << 20, StackFrames: 256, OutputBytes: 1 << 20}

func hostileCases(t *testing.T) []hostileCase {
	if raceBuild {
		t.Skip("workers need their memory limits for this, which the race detector does not allow")
	}
	text, err := os.ReadFile(filepath.Join(hostileDir, "manifest.json"))
	if os.IsNotExist(err) {
		t.Skip("the hostile functions are not here: ", hostileDir)
	}
	if err != nil {
		t.Fatal(err)
	}
	var m struct{ Cases []hostileCase }
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	if len(m.Cases) < 90 {
		t.Fatalf("only %d cases", len(m.Cases))
	}
	return m.Cases
}

// TestHostile runs all of them through one worker slot: none may hurt the server's process or the function that follows.
func TestHostile(t *testing.T) {
	cases := hostileCases(t)
	p := newPool(t, 1)
	define(t, p, &spec.Function{ID: 1, Name: "canary", Ret: types.T(types.Text), Body: "return a.toUpperCase()"}, types.Text)
	before, earlier := residentBytes(t), childrenPeak(t)
	seen := map[string]int{}
	for _, c := range cases {
		t.Run(c.Name, func(t *testing.T) {
			for i := range c.Functions {
				defineHostile(t, p, c, i, hostileLimits)
			}
			for _, s := range c.Steps {
				i := slices.IndexFunc(c.Functions, func(f hostileFunction) bool { return f.Name == s.Call })
				seen[step(t, p, c, i, max(s.Rows, 1), s.Expect)]++
			}
			p.Remove(10)
			p.Remove(11)
			start := time.Now()
			rows, err := run(t, p, 1, types.T(types.Text), 1, vec(types.Text, "tweet"))
			if err != nil || rows[0].text != "TWEET" {
				t.Fatalf("canary: %v %v", rows, err)
			}
			if d := time.Since(start); d > 5*time.Second {
				t.Errorf("canary took %v", d)
			}
		})
	}
	t.Log(seen, p.Stats())
	if grown := residentBytes(t) - before; grown > 64<<20 {
		t.Errorf("this process grew by %d bytes", grown)
	}
	for _, o := range []string{"value", "error", "violation"} {
		if seen[o] == 0 {
			t.Errorf("no case ended in %s", o)
		}
	}
	p.Close()
	// The figure is that of all children so far, and a child begins with that of the process that started it.
	if most := childrenPeak(t); most > 256<<10 && earlier <= 256<<10 {
		t.Errorf("a worker had %d kB", most)
	}
}

// childrenPeak is the largest resident size of any ended child, kB.
func childrenPeak(t *testing.T) int64 {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_CHILDREN, &u); err != nil {
		t.Fatal(err)
	}
	return u.Maxrss
}

// TestHostileMemory gives the same functions that use memory so much time that the memory limit stops them.
func TestHostileMemory(t *testing.T) {
	limits := hostileLimits
	limits.TimeoutMicros = 3_000_000
	p := newPool(t, 1)
	byLimit := 0
	for _, c := range hostileCases(t) {
		if c.Category != "memory" || len(c.Functions) != 1 || c.Steps[0].Rows > 1 || c.Steps[0].Expect.Outcome != "violation" ||
			c.Name == "mem_json_parse_big" { // takes seconds
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			defineHostile(t, p, c, 0, limits)
			want := c.Steps[0].Expect
			want.MaxMS = 8000
			if step(t, p, c, 0, 1, want) != "violation" {
				return
			}
			byLimit++
			_, err := run(t, p, 10, types.T(types.Text), 1, vec(types.Text, "abc"))
			if sqlerr.CodeOf(err) != sqlerr.UDFMemoryLimit {
				t.Errorf("%v", err)
			}
		})
	}
	if byLimit < 5 {
		t.Errorf("only %d were stopped", byLimit)
	}
}

// residentBytes is the memory of this process, 0 where the system does not tell.
func residentBytes(t *testing.T) int64 {
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	var kb int64
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			for _, c := range rest {
				if c >= '0' && c <= '9' {
					kb = kb*10 + int64(c-'0')
				}
			}
		}
	}
	return kb << 10
}

func kindOf(t *testing.T, name string) types.Kind {
	k, ok := types.KindByName(name)
	if !ok {
		t.Fatalf("type %q", name)
	}
	return k
}

// defineHostile defines function i of a case; a case may be refused at once, which ends it as a violation or an error.
func defineHostile(t *testing.T, p *Pool, c hostileCase, i int, limits spec.FunctionLimits) {
	f := c.Functions[i]
	body, err := os.ReadFile(filepath.Join(hostileDir, f.File))
	if err != nil {
		t.Fatal(err)
	}
	s := &spec.Function{ID: uint64(10 + i), Name: f.Name, Ret: types.T(kindOf(t, f.Returns)), Body: string(body), Volatility: f.Volatility, Limits: limits}
	for _, a := range f.Args {
		s.Params = append(s.Params, types.Column{Name: a.Name, Type: types.T(kindOf(t, a.Type))})
	}
	if err := p.Define(s); err != nil {
		t.Logf("refused: %v", err)
		if code := sqlerr.CodeOf(err); !strings.HasPrefix(string(code), "54P0") && code != sqlerr.InvalidFunctionDefinition {
			t.Errorf("defining: %s %v", code, err)
		}
	}
}

// step calls function i and judges the outcome, whose kind it returns.
func step(t *testing.T, p *Pool, c hostileCase, i, n int, want expectation) string {
	f := c.Functions[i]
	input := "abc"
	arg := vec(types.Text)
	if f.Args[0].Type == "json" {
		input, arg = `{"a":1,"list":[]}`, vec(types.JSON)
	}
	for range n {
		arg.AppendString(input)
	}
	start := time.Now()
	rows, err := run(t, p, uint64(10+i), types.T(kindOf(t, f.Returns)), n, arg)
	took := time.Since(start)
	if most := time.Duration(want.MaxMS+n*50) * time.Millisecond; want.MaxMS > 0 && took > 2*most {
		t.Errorf("took %v", took)
	}
	got, text := "value", ""
	switch code := sqlerr.CodeOf(err); {
	case code == sqlerr.UndefinedFunction: // refused
		got = "violation"
	case err != nil && strings.HasPrefix(string(code), "54P0"):
		got = "violation"
		if !strings.Contains(sqlerr.As(err).Detail, "row ") {
			t.Errorf("no row: %q", sqlerr.As(err).Detail)
		}
	case err != nil:
		t.Fatalf("%s %v", code, err)
	case rows[n-1].err != nil:
		got, err = "error", rows[n-1].err
		if code := sqlerr.CodeOf(err); !strings.HasPrefix(string(code), "22") && code != sqlerr.ExternalRoutineException && code != sqlerr.DatatypeMismatch {
			t.Errorf("%s %v", code, err)
		}
	default:
		text = rows[n-1].text
	}
	t.Logf("%s %s %q %v in %v", got, sqlerr.CodeOf(err), text, err, took)
	judge(t, c.Name, got, text, want)
	return got
}

func judge(t *testing.T, name, got, text string, want expectation) {
	switch want.Outcome {
	case "value":
		w := "NULL"
		if want.Value != nil {
			w = *want.Value
		}
		if got != "value" || text != w && !slices.Contains(want.AnyOf, text) {
			t.Errorf("%s %q, want the value %q", got, text, w)
		}
	case "error":
		if got != "error" && !(got == "violation" && slices.Contains(want.AnyOf, "violation")) {
			t.Errorf("%s %q, want an error", got, text)
		}
	case "violation":
		if got != "violation" && !(got == "error" && slices.Contains(cleanError, name)) {
			t.Errorf("%s %q, want a violation", got, text)
		}
	case "safe":
		if got == "value" && slices.Contains(want.NotValue, text) {
			t.Errorf("value %q", text)
		}
	default:
		t.Errorf("unknown outcome %q", want.Outcome)
	}
}
