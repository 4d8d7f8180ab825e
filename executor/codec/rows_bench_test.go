package codec

import (
	"fmt"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

// BenchmarkAppendBatchRow encodes alerts: a time, two short texts and a number.
func BenchmarkAppendBatchRow(b *testing.B) {
	in := batch.New(&types.Schema{Cols: []types.Column{{Name: "ts", Type: types.T(types.TimestampTZ)}, {Name: "group", Type: types.T(types.Text)},
		{Name: "number", Type: types.T(types.Int8)}, {Name: "tag", Type: types.T(types.Text)}}}, nil)
	for i := range batch.RowsMax {
		in.Cols[0].AppendInt(1_700_000_000_000_000 + int64(i))
		in.Cols[1].AppendBytes(fmt.Appendf(nil, "Group%d", i%6))
		in.Cols[2].AppendInt(int64(i))
		in.Cols[3].AppendBytes(fmt.Appendf(nil, "id_tag_%d", i))
		in.N++
	}
	dst := make([]byte, 0, 128)
	cols := []int{0, 1, 2, 3}
	for i := 0; b.Loop(); i++ {
		dst = AppendBatchRow(dst[:0], in, cols, i%batch.RowsMax)
	}
}
