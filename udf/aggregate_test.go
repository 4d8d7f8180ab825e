package udf

import (
	"fmt"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
)

const wavg = `
export function create_state() { return { sum: 0, weight: 0 } }
export function accumulate(st, v, w) { if (w < 0) throw new RangeError("negative weight"); st.sum += v * w; st.weight += w; return st }
export function merge(a, b) { a.sum += b.sum; a.weight += b.weight; return a }
export function finish(st) { return st.weight ? st.sum / st.weight : null }`

// defineAggregate makes a kernel of aggregate 1, with parameters a, b, ... of the given kinds.
func defineAggregate(t testing.TB, p *Pool, f *spec.Function, params ...types.Kind) agg.Script {
	t.Helper()
	f.ID, f.Aggregate = 1, true
	define(t, p, f, params...)
	k := agg.Script{Runner: p, ID: 1, Name: f.Name, Ret: f.Ret}
	for _, c := range f.Params {
		k.Args = append(k.Args, c.Type)
	}
	return k
}

// fold updates the groups of a new slab and returns what came of each, and the errors of rows.
func fold(t testing.TB, k agg.Kernel, gids []uint32, args ...*batch.Vec) (s *agg.Slab, errs string) {
	t.Helper()
	s = &agg.Slab{Stride: 1}
	s.Grow(8)
	err := k.(agg.RowFailer).UpdateRows(s, 0, gids, args, func(i int, err error) { errs += fmt.Sprintf("%d: %v; ", i, err) })
	if err != nil {
		t.Fatal(err)
	}
	return s, errs
}

func result(k agg.Kernel, s *agg.Slab, gid uint32) string {
	v, err := k.Result(s, 0, gid)
	if err != nil {
		return "error: " + err.Error()
	}
	return v.Text()
}

func TestAggregate(t *testing.T) {
	p := newPool(t, 1)
	k := defineAggregate(t, p, &spec.Function{Ret: types.T(types.Float8), Body: wavg}, types.Float8, types.Float8)
	s, errs := fold(t, k, []uint32{0, 1, 0, 1, 1}, vec(types.Float8, 1.0, 2.0, 3.0, 100.0, 4.0), vec(types.Float8, 1.0, 1.0, 3.0, -1.0, 1.0))
	if !strings.HasPrefix(errs, "3: ") || !strings.Contains(errs, "negative weight") || strings.Count(errs, ";") != 1 {
		t.Errorf("errors %q", errs)
	}
	if a, b, none := result(k, s, 0), result(k, s, 1), result(k, s, 2); a != "2.5" || b != "3" || none != "NULL" {
		t.Errorf("results %q %q %q", a, b, none)
	}
	if err := k.Merge(s, 0, s, 1, 0); err != nil {
		t.Fatal(err)
	}
	if got := result(k, s, 0); got != fmt.Sprint(16.0/6) {
		t.Errorf("merged %s", got)
	}
	// States come through storage.
	other := &agg.Slab{Stride: 1}
	other.Grow(1)
	if rest, err := k.Load(k.Append(nil, s, 0, 0), other, 0, 0); err != nil || len(rest) > 0 {
		t.Fatal(rest, err)
	}
	if got := result(k, other, 0); got != fmt.Sprint(16.0/6) {
		t.Errorf("loaded %s", got)
	}
	if !p.Merges(1) {
		t.Error("merge is not known")
	}
}

// TestAggregateState: a state is what structured clone makes of plain data, with what is one object staying one.
func TestAggregateState(t *testing.T) {
	p := newPool(t, 1)
	for name, c := range map[string]struct{ body, want string }{
		"kinds": {`function init() { const o = {u: undefined, n: null, b: true, i: -7, f: 1.5, z: -0, nan: NaN, inf: -Infinity, big: -(2n ** 70n), s: "ä\u{1F600}",
				half: "\ud800", d: new Date(5), bad: new Date(NaN), bytes: new Uint8Array([1, 255]), list: [1, , 3], map: new Map([["k", new Set([1, "x"])]]), __proto__x: 1};
				o.self = o; o.also = o.list; return o }
			function accumulate(st, a) {}
			function finish(o) { return [o.u, o.n, o.b, o.i, o.f, Object.is(o.z, -0), o.nan, o.inf, o.big, o.s, o.half === "\ud800", +o.d, +o.bad, o.bytes, o.list,
				[...o.map.get("k")], o.self === o, o.also === o.list, Object.keys(o).length].join("|") }`,
			"||true|-7|1.5|true|NaN|-Infinity|-1180591620717411303424|ä😀|true|5|NaN|1,255|1,,3|1,x|true|true|19"},
		"number":      {"const init = 0; function create_state() { return 0 }\nfunction accumulate(s, a) { return s + a }", "6"},
		"frozen":      {"const T = {n: 0}; function init() { return 0 } function accumulate(s, a) { T.n++ } function finish() { return T.n }", "error"},
		"function":    {"function init() { return {} } function accumulate(s, a) { s.f = () => 1 } function finish(s) { return Object.keys(s).length }", "error"},
		"typed array": {"function init() { return {} } function accumulate(s, a) { s.f = new Float64Array(2) } function finish(s) { return Object.keys(s).length }", "error"},
		"proxy":       {"function init() { return {} } function accumulate(s, a) { s.f = new Proxy({}, {}) } function finish(s) { return Object.keys(s).length }", "error"},
		"no row":      {"function init() { return {} } function accumulate(s, a) { s.f = () => 1; throw 5 } function finish(s) { return Object.keys(s).length }", "error"},
		"half a row":  {"function init() { return {n: 0} } function accumulate(s, a) { s.n++; if (a == 2) throw 'no' } function finish(s) { return s.n }", "error2"},
		"RegExp":      {"const R = /b+/; function init() { return '' } function accumulate(s, a) { return R.test('abb') }", "true"},
		"many helper": {"const f = (x) => x + 1, g = function (x) { return f(x) }; function init() { return 0 } function accumulate(s, a) { let n = g(s); n = f(n); return n }", "6"},
	} {
		t.Run(name, func(t *testing.T) {
			k := defineAggregate(t, p, &spec.Function{Ret: types.T(types.Text), Body: c.body}, types.Float8)
			s, errs := fold(t, k, []uint32{0, 0, 0}, vec(types.Float8, 1.0, 2.0, 3.0))
			got := result(k, s, 0)
			switch c.want {
			case "error":
				if strings.Count(errs, ";") != 3 || got != "0" {
					t.Errorf("errors %q result %q", errs, got)
				}
			case "error2":
				if !strings.HasPrefix(errs, "1: ") || got != "2" {
					t.Errorf("errors %q result %q", errs, got)
				}
			default:
				if got != c.want || errs != "" {
					t.Errorf("got  %s\nwant %s\nerrors %s", got, c.want, errs)
				}
			}
		})
	}
}

// TestAggregateOneRow: the error of a row that comes alone is told once, and its group stays without a state.
func TestAggregateOneRow(t *testing.T) {
	p := newPool(t, 1)
	k := defineAggregate(t, p, &spec.Function{Ret: types.T(types.Text), Body: "function init() { return 'new' } function accumulate(s, a) { throw new Error('no') }"}, types.Float8)
	s, errs := fold(t, k, []uint32{0}, vec(types.Float8, 1.0))
	if got := result(k, s, 0); errs != "0: Error: no; " || got != "new" || p.Stats().Crashes > 0 {
		t.Errorf("errors %q result %q %+v", errs, got, p.Stats())
	}
}

// TestAggregateRefused: what could keep a state beside the state is refused, with its place.
func TestAggregateRefused(t *testing.T) {
	p := newPool(t, 1)
	const rest = " function init() { return 0 } function accumulate(s, a) {}"
	for body, want := range map[string]string{
		"function init() { return 0 }": "needs a function accumulate",
		"let n = 0;" + rest:            "functions and constants only",
		"n = 0;" + rest:                "functions and constants only",
		"return 5;" + rest:             "functions and constants only",
		"const c = new Map();" + rest:  "not made of literals",
		"const c = (() => { let n = 0; return () => n++ })();" + rest: "not made of literals",
		"const r = /x/g;" + rest:                         "not made of literals",
		"function h() { h = 1 }" + rest:                  "assigned to",
		"function h() { [h] = [1] }" + rest:              "assigned to",
		"function h() { ({a: h} = {}) }" + rest:          "assigned to",
		"function h() { for (h of []); }" + rest:         "assigned to",
		"function h() { h++ }" + rest:                    "assigned to",
		"class A {}" + rest:                              "functions and constants only",
		"function create_state() {}" + rest:              "not both",
		"function* merge() {}" + rest:                    "not a generator",
		"async function merge() {}" + rest:               "async",
		"function f() { export function g() {} }" + rest: "export stands",
		"}); (function () {" + rest:                      "brace too many",
		"function init( {":                               "SyntaxError",
	} {
		f := &spec.Function{ID: 1, Name: "f", Aggregate: true, Ret: types.T(types.Int4), Body: body,
			Params: []types.Column{{Name: "a", Type: types.T(types.Int4)}}}
		if err := p.Define(f); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", body, err)
		}
	}
}

// TestAggregateLimits: a broken limit ends the step, and the next one goes on.
func TestAggregateLimits(t *testing.T) {
	p := newPool(t, 1)
	for body, want := range map[string]string{
		"function init() { return '' } function accumulate(s, a) { for (;;); }":                                                                               "CPU time",
		"function init() { return '' } function accumulate(s, a) { return s + 'x'.repeat(1000) }":                                                             "a state of aggregate",
		"function init() { for (;;); } function accumulate(s, a) { }":                                                                                         "CPU time",
		"function init() { return {get a() { for (;;); }} } function accumulate(s, a) { }":                                                                    "CPU time",
		"function init() { return 0 } function accumulate(s, a) { return accumulate(s, a) }":                                                                  "frames",
		"function init() { return 0 } function accumulate(s, a) { const x = {}; x.indexOf = 1; return Array.prototype.indexOf.call({length: 2**53 - 1}, 1) }": "CPU time",
	} {
		k := defineAggregate(t, p, &spec.Function{Ret: types.T(types.Text), Body: body, StateBytes: 1500}, types.Int4)
		s := &agg.Slab{Stride: 1}
		s.Grow(1)
		err := k.Update(s, 0, []uint32{0, 0}, []*batch.Vec{vec(types.Int4, 1, 2)})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", body, err)
		}
		k = defineAggregate(t, p, &spec.Function{Ret: types.T(types.Float8), Body: wavg}, types.Float8, types.Float8)
		if s, errs := fold(t, k, []uint32{0}, vec(types.Float8, 1.0), vec(types.Float8, 1.0)); errs != "" || result(k, s, 0) != "1" {
			t.Errorf("after %s: %q", body, errs)
		}
	}
}

// TestAggregateCut: groups of many bytes go in several exchanges, and come to the same.
func TestAggregateCut(t *testing.T) {
	p := newPool(t, 1)
	k := defineAggregate(t, p, &spec.Function{Ret: types.T(types.Text), Strict: true,
		Body:       "function init() { return {n: 0, pad: 'x'.repeat(300000)} } function accumulate(s, a) { s.n += a.length } function finish(s) { return s.n }",
		StateBytes: 400_000}, types.Text)
	const rows = 60
	var gids []uint32
	a := vec(types.Text)
	for i := range rows {
		gids = append(gids, uint32(i%3))
		if i%10 == 9 {
			a.AppendNull()
		} else {
			a.AppendString(strings.Repeat("y", 50_000))
		}
	}
	s, errs := fold(t, k, gids, a)
	if got := []string{result(k, s, 0), result(k, s, 1), result(k, s, 2)}; errs != "" || fmt.Sprint(got) != "[900000 900000 900000]" {
		t.Errorf("%v %s", got, errs)
	}
}
