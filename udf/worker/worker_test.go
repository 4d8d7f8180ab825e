package worker

import (
	"runtime"
	"testing"

	"github.com/dop251/goja"

	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/udf/wire"
)

// newTestFunction compiles a function that is called without arguments.
func newTestFunction(t testing.TB, body string) *function {
	f := &function{def: wire.Definition{Ret: types.T(types.Int4), Body: body,
		Limits: wire.Limits{TimeoutMicros: 1000, MemoryBytes: 1 << 20, StackFrames: 256, OutputBytes: 1 << 10}}}
	var refusal *wire.Refusal
	if f.prg, refusal = compile(&f.def); refusal != nil {
		t.Fatal(refusal.Message)
	}
	var err error
	if f.realm, err = newRealm(f, goja.MustCompile("lockdown", lockdownSource, true)); err != nil {
		t.Fatal(err)
	}
	return f
}

// TestStaleInterrupt: the watchdog may interrupt a row in the moment in which it ends. The next row is innocent.
func TestStaleInterrupt(t *testing.T) {
	f := newTestFunction(t, "return 5")
	s := &server{rows: 7}
	f.realm.rt.Interrupt(&stop{row: 6, limit: wire.TimeLimit})
	if v, flt := f.evaluate(s, 0); flt != nil || v.I != 5 {
		t.Errorf("stale: %v %v", v, flt)
	}
	f.realm.rt.Interrupt(&stop{row: 7, limit: wire.TimeLimit})
	if v, flt := f.evaluate(s, 0); flt == nil || flt.limit != wire.TimeLimit {
		t.Errorf("meant: %v %v", v, flt)
	}
}

// TestFrozen: whatever a function can reach by properties and prototypes cannot be changed.
func TestFrozen(t *testing.T) {
	f := newTestFunction(t, `
		const seen = new Set(), stack = [globalThis, console, function () {}, (function* () {})(), [].values(), "".matchAll(/x/g)];
		let loose = 0, count = 0;
		while (stack.length) {
			const o = stack.pop();
			if (o === null || typeof o !== "object" && typeof o !== "function" || seen.has(o)) continue;
			seen.add(o);
			stack.push(Object.getPrototypeOf(o));
			if (count++ > 6 && !Object.isFrozen(o)) loose++; // the first ones are made here
			for (const k of Reflect.ownKeys(o)) {
				const d = Object.getOwnPropertyDescriptor(o, k);
				stack.push(d.value, d.get, d.set);
			}
		}
		if (!Object.isFrozen(globalThis) || !Object.isFrozen(console)) throw new Error("globals");
		if (loose > 8) throw new Error(loose + " of " + count);
		return count;`)
	v, flt := f.evaluate(&server{rows: 1}, 0)
	if flt != nil || v.I < 400 {
		t.Errorf("%v %v", v, flt)
	}
}

// BenchmarkRealm is what the first call of a function costs, and the memory it keeps.
func BenchmarkRealm(b *testing.B) {
	lockdown := goja.MustCompile("lockdown", lockdownSource, true)
	f := &function{def: wire.Definition{Ret: types.T(types.Int4), Body: "return 1", Limits: wire.Limits{StackFrames: 256, OutputBytes: 1}}}
	f.prg, _ = compile(&f.def)
	var keep [64]*realm
	n := 0
	for b.Loop() {
		r, err := newRealm(f, lockdown)
		if err != nil {
			b.Fatal(err)
		}
		keep[n%64] = r
		n++
	}
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	runtime.KeepAlive(&keep)
	b.ReportMetric(float64(m.HeapAlloc)/float64(min(n, 64)), "kept-B/realm")
}
