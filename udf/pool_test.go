package udf

import (
	"log/slog"
	"os"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/udf/worker"
)

var _ expr.UDFCaller = (*Pool)(nil)

// TestMain lets the test binary be the worker too, as the server's binary is.
func TestMain(m *testing.M) {
	if len(os.Args) == 2 && os.Args[1] == "udf-worker" {
		os.Exit(worker.Main())
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

// call runs n rows.
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

func TestSmoke(t *testing.T) {
	p := newPool(t, 1)
	define(t, p, &spec.Function{ID: 1, Ret: types.T(types.Bool), Body: "return a.includes('x') && b > 2"}, types.Text, types.Int4)
	rows, err := run(t, p, 1, types.T(types.Bool), 3, vec(types.Text, "axb", "axb", "q"), vec(types.Int4, 3, 1, 9))
	t.Log(rows, err)
}
