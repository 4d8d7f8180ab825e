package udf

import (
	"testing"

	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
)

// TestCPU: the CPU time of the workers is told, and stays when they are gone.
func TestCPU(t *testing.T) {
	p := newPool(t, 1)
	if p.CPU() != 0 {
		t.Fatal("a pool without a worker has had CPU time")
	}
	define(t, p, &spec.Function{ID: 1, Ret: types.T(types.Int8), Body: "let s = 0n; for (let i = 0n; i < 1000n; i++) s += i * a; return s"}, types.Int8)
	if p.CPU() == 0 {
		t.Skip("this system does not tell the CPU time of other processes")
	}
	before := p.CPU()
	p.Close()
	if after := p.CPU(); after < before {
		t.Errorf("%v, after the end %v", before, after)
	}
}
