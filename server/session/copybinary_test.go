package session

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/vigil-sql/vigil/executor/types"
)

// binaryTarget has a column of each type that the format may bring.
func binaryTarget() *target {
	t := &target{schema: &types.Schema{}}
	for i, k := range []types.Kind{types.Int4, types.Text, types.Numeric, types.TimestampTZ, types.Inet, types.JSONB, types.Interval, types.Bytea} {
		t.schema.Cols = append(t.schema.Cols, types.Column{Name: string(rune('a' + i)), Type: types.T(k)})
		t.columns = append(t.columns, i)
	}
	t.schema.Cols = append(t.schema.Cols, types.Column{Name: "arr", Type: types.ArrayOf(types.Int4)})
	t.columns = append(t.columns, len(t.columns))
	return t
}

// FuzzCopyBinary: bytes of the binary format give rows or an error; what it read is written and read again as the same.
func FuzzCopyBinary(f *testing.F) {
	t := binaryTarget()
	row := make([]types.Value, len(t.columns))
	for i, text := range []string{"7", "seven", "1.50", "2026-01-01 00:00:00+00", "10.0.0.1", `{"a": 1}`, "1 day", `\x00ff`, "{1,NULL}"} {
		v, err := types.ParseText(t.schema.Cols[i].Type, text, nil)
		if err != nil {
			f.Fatal(err)
		}
		row[i] = v
	}
	good := writeBinary(row)
	f.Add(good)
	f.Add(good[:len(good)-3])
	f.Add(append(append([]byte(nil), good[:19]...), 0, 9, 0xff, 0xff, 0xff, 0xfe))
	f.Add([]byte(copySignature))
	f.Fuzz(func(t *testing.T, data []byte) {
		rows, err := readBinary(data)
		if err != nil {
			return
		}
		again, err := readBinary(writeBinary(rows...))
		if err != nil || len(again) != len(rows) {
			t.Fatalf("%d rows became %d, %v", len(rows), len(again), err)
		}
	})
	if rows, err := readBinary(good); err != nil || len(rows) != 1 || rows[0][1].S != "seven" {
		f.Fatal(rows, err)
	}
}

func writeBinary(rows ...[]types.Value) []byte {
	c := &copyWriter{}
	c.binaryHeader()
	for _, r := range rows {
		c.binaryRow(r)
	}
	return append(c.buf, 0xff, 0xff)
}

func readBinary(data []byte) ([][]types.Value, error) {
	b := &binaryReader{r: bufio.NewReader(bytes.NewReader(data)), t: binaryTarget(), name: "t"}
	if err := b.header(); err != nil {
		return nil, err
	}
	var rows [][]types.Value
	for {
		row, err := b.row()
		if errors.Is(err, io.EOF) {
			return rows, nil
		}
		if err != nil {
			return nil, err
		}
		rows = append(rows, row)
	}
}
