package wire

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

func TestColumnRoundTrip(t *testing.T) {
	for _, k := range []types.Kind{types.Int8, types.Float8, types.Bytea} {
		for _, n := range []int{0, 1, 63, 64, 65, BatchRowsMax} {
			for _, nulls := range []bool{false, true} {
				var v, got batch.Vec
				v.Reset(types.T(k))
				for i := range n {
					switch {
					case nulls && i%3 == 0:
						v.AppendNull()
					case k == types.Int8:
						v.AppendInt(int64(-i))
					case k == types.Float8:
						v.AppendFloat(float64(i) / 3)
					default:
						v.AppendString(strings.Repeat("x", i%7))
					}
				}
				got.Reset(types.T(k))
				r := Reader{B: AppendColumn(nil, &v, n)}
				if err := r.Column(&got, n); err != nil || len(r.B) != 0 {
					t.Fatalf("%v %d: %v, %d bytes left", k, n, err, len(r.B))
				}
				for i := range n {
					if got.Value(i) != v.Value(i) {
						t.Fatalf("%v row %d: %v, want %v", k, i, got.Value(i), v.Value(i))
					}
				}
			}
		}
	}
}

func TestFrames(t *testing.T) {
	frame := Finish(append(Begin(nil, Eval), "payload"...))
	var buf []byte
	kind, p, err := Read(bytes.NewReader(frame), &buf, 7)
	if err != nil || kind != Eval || string(p) != "payload" {
		t.Fatalf("%c %q %v", kind, p, err)
	}
	if _, _, err := Read(bytes.NewReader(frame), &buf, 6); err == nil {
		t.Error("a frame that is too long was read")
	}
	for n := range frame {
		if _, _, err := Read(bytes.NewReader(frame[:n]), &buf, 100); err == nil || n == 0 && err != io.EOF {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

func TestProgress(t *testing.T) {
	f, err := NewProgress()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ours, err := OpenProgress(f)
	if err != nil {
		t.Fatal(err)
	}
	defer ours.Close()
	theirs, err := OpenProgress(f)
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	theirs.Store(1<<40, Rows)
	if rows, s := ours.Load(); rows != 1<<40 || s != Rows {
		t.Errorf("%d %d", rows, s)
	}
}

// FuzzResult reads answers of a worker as the server does: no panic, no row that is not there.
func FuzzResult(f *testing.F) {
	var v batch.Vec
	v.Reset(types.T(types.Bytea))
	v.AppendString("abc")
	v.AppendNull()
	good := AppendColumn(AppendResultHead(nil, ResultHead{Rows: 2, Errors: 1}), &v, 2)
	f.Add(AppendRowError(good, RowError{Row: 1, Line: 3, Code: "38000", Text: "x"}), byte(2))
	f.Add([]byte{}, byte(0))
	f.Fuzz(func(t *testing.T, b []byte, kind byte) {
		r := Reader{B: slices.Clone(b)}
		h, err := r.ResultHead(BatchRowsMax)
		if err != nil {
			return
		}
		var v batch.Vec
		v.Reset(types.T([]types.Kind{types.Int8, types.Float8, types.Bytea}[kind%3]))
		if r.Column(&v, h.Rows) != nil {
			return
		}
		for i := range h.Rows {
			v.Value(i)
		}
		for range h.Errors {
			if e, err := r.RowError(h.Rows); err != nil {
				return
			} else if e.Row >= h.Rows {
				t.Fatal("an error of no row")
			}
		}
	})
}
