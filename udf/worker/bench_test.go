package worker

import (
	"fmt"
	"testing"

	"github.com/dop251/goja"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/udf/wire"
)

// BenchmarkRow is a row in this process: what BenchmarkCall of package udf has besides is the price of the other process.
func BenchmarkRow(b *testing.B) {
	for _, c := range []struct{ name, body string }{
		{"predicate", "return a.includes('Failed') && b > 2"},
		{"lower", "return a.toLowerCase().includes('failed') && b % 3 === 0"},
		{"matches", "return utils.matches(a, '^Failed \\\\w+ for (invalid user )?\\\\w+') && b > 2"},
		{"rule", "return /^Failed \\w+ for (invalid user )?\\w+/.test(a) && b > 2 && b < 9"},
	} {
		b.Run(c.name, func(b *testing.B) {
			f := &function{def: wire.Definition{Ret: types.T(types.Bool), Body: c.body, Limits: wire.Limits{StackFrames: 256, OutputBytes: 1 << 10},
				Params: []wire.Param{{Name: "a", Type: types.T(types.Text)}, {Name: "b", Type: types.T(types.Int4)}}}}
			var refusal *wire.Refusal
			if f.prg, refusal = compile(&f.def); refusal != nil {
				b.Fatal(refusal.Message)
			}
			var err error
			if f.realm, err = newRealm(f, goja.MustCompile("lockdown", lockdownSource, true)); err != nil {
				b.Fatal(err)
			}
			s := &server{cols: make([]batch.Vec, 2)}
			s.cols[0].Reset(types.T(types.Text))
			s.cols[1].Reset(types.T(types.Int4))
			for i := range 1024 {
				s.cols[0].AppendString(fmt.Sprintf("Failed password for invalid user admin%d from 10.0.0.%d", i, i%250))
				s.cols[1].AppendInt(int64(i % 10))
			}
			i := 0
			for b.Loop() {
				if _, flt := f.evaluate(s, i%1024); flt != nil {
					b.Fatal(flt)
				}
				i++
			}
		})
	}
}
