package predindex

import (
	"slices"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/types"
)

// TestTextsBesideNumbers: of rules that ask for the same number, those are found that ask for the row's text too: in one column or in
// several, texts that begin alike or differ in length only, whether or not some rules are left out.
func TestTextsBesideNumbers(t *testing.T) {
	texts := []string{"a", "ab", "abcdefgh", "abcdefghi", "abcdefghj", "b", strings.Repeat("a", 254), strings.Repeat("a", 255), strings.Repeat("a", 300)}
	for _, columns := range [][]int{{colImage}, {colLine}, {colImage, colLine}} {
		type ask struct {
			n    int64
			col  int
			text string
		}
		var asks []ask
		var list []*Predicate
		for n := range int64(3) {
			for _, s := range texts {
				for _, c := range columns {
					asks = append(asks, ask{n, c, s})
					list = append(list, New(and(compareN(n), &expr.Compare{Op: expr.EQ, L: column(c), R: text(s)}), nil))
				}
			}
		}
		b := batch.New(schema, nil)
		g := newGen(t, 31)
		for range 400 {
			row := make([]types.Value, len(schema.Cols))
			for c := range row {
				row[c] = types.Null(schema.Cols[c].Type)
			}
			for _, c := range []int{colImage, colLine} {
				if g.IntN(5) > 0 {
					row[c] = types.NewText(texts[g.IntN(len(texts))])
				}
			}
			row[colN] = types.NewInt(types.Int8, int64(g.IntN(4)))
			b.AppendRow(row)
		}
		m := Build(schema, list, NewEstimates(nil)).NewMatcher()
		for _, skip := range [][]uint64{nil, {0b1010}} {
			got := newFound()
			m.Match(&expr.Ctx{}, b, batch.All(b.N), skip, got)
			for r, a := range asks {
				var want []uint32
				for row := range uint32(b.N) {
					v := &b.Cols[a.col]
					if !v.IsNull(int(row)) && string(v.Bytes(int(row))) == a.text && b.Cols[colN].I64[row] == a.n && !(r < 64 && len(skip) > 0 && skip[0]>>r&1 == 1) {
						want = append(want, row)
					}
				}
				if !slices.Equal(got.rows[r], want) {
					t.Fatalf("columns %v, left out %b: rule %d, %+v: %v, not %v", columns, skip, r, a, got.rows[r], want)
				}
			}
		}
	}
}
