package codec

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

// TestRowsOfBatches: a row encoded from a batch is the row encoded from its values, whichever columns make it up.
func TestRowsOfBatches(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	schema := &types.Schema{}
	for range 11 {
		kind := []types.Kind{types.Text, types.Int8, types.Float8, types.Bool}[rng.IntN(4)]
		schema.Cols = append(schema.Cols, types.Column{Name: "c", Type: types.T(kind)})
	}
	nulls := 0
	for range 200 {
		b := batch.New(schema, nil)
		row := make([]types.Value, len(schema.Cols))
		for c := range row {
			switch typ := schema.Cols[c].Type; {
			case rng.IntN(3) == 0:
				row[c] = types.Null(typ)
				nulls++
			case typ.Kind == types.Float8:
				row[c] = types.NewFloat(rng.NormFloat64())
			case typ.Kind == types.Text:
				row[c] = types.NewText(string(make([]byte, rng.IntN(200))))
			default:
				row[c] = types.Value{Type: typ, I: rng.Int64() >> rng.IntN(64) & 1}
			}
		}
		b.AppendRow(row)
		cols := rng.Perm(len(row))[:1+rng.IntN(len(row))]
		var want []types.Value
		for _, c := range cols {
			want = append(want, row[c])
		}
		prefix := []byte("before")
		if got := AppendBatchRow(slices.Clone(prefix), b, cols, 0); !slices.Equal(got, AppendRow(prefix, want)) {
			t.Fatalf("columns %v of %v:\n got %x\nwant %x", cols, row, got, AppendRow(nil, want))
		}
	}
	if nulls < 100 {
		t.Fatal("too few NULLs")
	}
}
