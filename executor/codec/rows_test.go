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

// TestRowBlock: rows encoded together are the rows encoded one by one.
func TestRowBlock(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 8))
	var k RowBlock
	together, large, nulls := 0, 0, 0
	for range 300 {
		schema := &types.Schema{}
		for range 1 + rng.IntN(11) {
			kind := []types.Kind{types.Text, types.Text, types.Int8, types.Float8, types.TimestampTZ}[rng.IntN(5)]
			schema.Cols = append(schema.Cols, types.Column{Name: "c", Type: types.T(kind)})
		}
		b := batch.New(schema, nil)
		textMax, nullable := 1+rng.IntN(100), rng.IntN(2) == 0
		for range 1 + rng.IntN(100) {
			row := make([]types.Value, len(schema.Cols))
			for c := range row {
				switch typ := schema.Cols[c].Type; {
				case nullable && rng.IntN(3) == 0:
					row[c] = types.Null(typ)
					nulls++
				case typ.Kind == types.Float8:
					row[c] = types.NewFloat(rng.NormFloat64())
				case typ.Kind == types.Text:
					text := make([]byte, rng.IntN(textMax))
					for i := range text {
						text[i] = byte('a' + rng.IntN(26))
					}
					row[c] = types.NewText(string(text))
				default:
					row[c] = types.Value{Type: typ, I: int64(rng.Uint64()) >> rng.IntN(64)}
				}
			}
			b.AppendRow(row)
		}
		cols := rng.Perm(len(schema.Cols))[:1+rng.IntN(len(schema.Cols))]
		var rows []uint32
		for r := range b.N {
			if rng.IntN(3) > 0 {
				rows = append(rows, uint32(r))
			}
		}
		if !k.Encode(b, cols, rows) {
			large++
			continue
		}
		together += len(rows)
		for _, r := range rows {
			if got, want := k.Row(r), AppendBatchRow(nil, b, cols, int(r)); !slices.Equal(got, want) {
				t.Fatalf("row %d, columns %v:\n got %x\nwant %x", r, cols, got, want)
			}
		}
	}
	if together < 1000 || large < 10 || nulls < 100 {
		t.Fatalf("%d rows together, %d times too large, %d NULLs: too little", together, large, nulls)
	}
}
