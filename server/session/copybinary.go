package session

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/server/pgwire"
)

// copySignature begins data of COPY's binary format; flags and the length of an extension follow, four bytes each.
const copySignature = "PGCOPY\n\xff\r\n\x00"

// copyTrailer ends it, where the number of a row's fields would be.
const copyTrailer = 0xffff

// binaryHeader starts COPY TO in the binary format; it goes out with the first row.
func (c *copyWriter) binaryHeader() {
	c.buf = append(append(c.buf, copySignature...), make([]byte, 8)...)
}

// binaryRow appends a row.
func (c *copyWriter) binaryRow(row []types.Value) {
	c.buf = binary.BigEndian.AppendUint16(c.buf, uint16(len(row)))
	for _, v := range row {
		if v.Null {
			c.buf = binary.BigEndian.AppendUint32(c.buf, 0xffffffff)
			continue
		}
		at := len(c.buf)
		c.buf = types.AppendBinary(append(c.buf, 0, 0, 0, 0), v)
		binary.BigEndian.PutUint32(c.buf[at:], uint32(len(c.buf)-at-4))
	}
}

// binaryEnd sends the trailer, and the header if there was no row.
func (c *copyWriter) binaryEnd() error {
	_, err := c.w.Write(binary.BigEndian.AppendUint16(c.buf, copyTrailer))
	return err
}

// binaryReader reads rows of the binary format.
type binaryReader struct {
	r    *bufio.Reader
	t    *target
	name string // of the relation
	line int64
	buf  []byte
}

func badCopy(format string, args ...any) *sqlerr.Error {
	return sqlerr.New(sqlerr.BadCopyFileFormat, format, args...)
}

// full reads n bytes, valid until the next call. The buffer grows with what comes, not with what a length announces.
func (b *binaryReader) full(n int) ([]byte, error) {
	b.buf = b.buf[:0]
	for len(b.buf) < n {
		k := min(n-len(b.buf), 64<<10)
		at := len(b.buf)
		b.buf = append(b.buf, make([]byte, k)...)
		if _, err := io.ReadFull(b.r, b.buf[at:]); err != nil {
			return nil, err
		}
	}
	return b.buf, nil
}

// truncated turns the end of the data into an error; others, such as a cancellation, stay.
func truncated(err error, format string, args ...any) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return badCopy(format, args...)
	}
	return err
}

func (b *binaryReader) header() error {
	h, err := b.full(len(copySignature))
	if err != nil || string(h) != copySignature {
		if err == nil {
			err = io.EOF
		}
		return truncated(err, "COPY file signature not recognized")
	}
	if h, err = b.full(4); err != nil {
		return truncated(err, "invalid COPY file header (missing flags)")
	}
	flags := binary.BigEndian.Uint32(h)
	switch {
	case flags&(1<<16) != 0:
		return badCopy("invalid COPY file header (WITH OIDS)")
	case flags>>16 != 0:
		return badCopy("unrecognized critical flags in COPY file header")
	}
	if h, err = b.full(4); err != nil || int32(binary.BigEndian.Uint32(h)) < 0 {
		if err == nil {
			err = io.EOF
		}
		return truncated(err, "invalid COPY file header (missing length)")
	}
	if _, err := io.CopyN(io.Discard, b.r, int64(binary.BigEndian.Uint32(h))); err != nil {
		return truncated(err, "invalid COPY file header (wrong length)")
	}
	return nil
}

// row reads the fields of a row, in the order of the target's columns; io.EOF after the last one.
func (b *binaryReader) row() ([]types.Value, error) {
	h, err := b.full(2)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, io.EOF // without the trailer, as Postgres allows
	}
	b.line++
	if err != nil {
		return nil, err
	}
	n := int(int16(binary.BigEndian.Uint16(h)))
	if n == -1 {
		if _, err := b.r.ReadByte(); err == nil {
			return nil, badCopy("received copy data after EOF marker")
		} else if !errors.Is(err, io.EOF) {
			return nil, err
		}
		return nil, io.EOF
	}
	if n != len(b.t.columns) {
		return nil, badCopy("row field count is %d, expected %d", n, len(b.t.columns))
	}
	row := make([]types.Value, n)
	size := 0
	for i, c := range b.t.columns {
		if row[i], err = b.field(b.t.schema.Cols[c]); err != nil {
			return nil, err
		}
		if size += len(row[i].S); size > rowMax {
			return nil, sqlerr.New(sqlerr.ProgramLimitExceeded, "a row of COPY is longer than %d bytes", rowMax)
		}
	}
	return row, nil
}

func (b *binaryReader) field(col types.Column) (types.Value, error) {
	in := func(err error) error {
		if e := sqlerr.As(err); e.Where == "" {
			return e.WithWhere("COPY %s, line %d, column %s", b.name, b.line, col.Name)
		}
		return err
	}
	h, err := b.full(4)
	if err != nil {
		return types.Value{}, in(truncated(err, "unexpected EOF in COPY data"))
	}
	n := int32(binary.BigEndian.Uint32(h))
	switch {
	case n == -1:
		return types.Null(col.Type), nil
	case n < 0:
		return types.Value{}, in(badCopy("invalid field size"))
	case n > rowMax:
		return types.Value{}, in(sqlerr.New(sqlerr.ProgramLimitExceeded, "a row of COPY is longer than %d bytes", rowMax))
	}
	data, err := b.full(int(n))
	if err != nil {
		return types.Value{}, in(truncated(err, "unexpected EOF in COPY data"))
	}
	v, err := types.ParseBinary(col.Type, data)
	if err != nil {
		return v, in(err)
	}
	return v, nil
}

// copyBinary is COPY .. FROM STDIN in the binary format. All rows count or none: a field that cannot be read leaves no way to
// find the next row.
func (s *Session) copyBinary(ctx context.Context, t *target, key string, in io.Reader, out pgwire.Output) (string, error) {
	b := &binaryReader{r: bufio.NewReaderSize(in, 64<<10), t: t, name: t.name()}
	if err := b.header(); err != nil {
		return "", err
	}
	g := &gathered{t: t, held: s.newHolding()}
	defaults := &s.taskEnv().Ctx
	for {
		row, err := b.row()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			if e := sqlerr.As(err); e.Where == "" && e.Code == sqlerr.BadCopyFileFormat {
				err = e.WithWhere("COPY %s, line %d", b.name, b.line)
			}
			return "", err
		}
		full, err := t.full(defaults, row)
		if err != nil {
			return "", err
		}
		if err := g.add(full); err != nil {
			return "", err
		}
	}
	if t.table != nil {
		n, err := s.insertTable(ctx, t.table, g.rows, nil, nil)
		return fmt.Sprintf("COPY %d", n), err
	}
	n, err := s.insertGathered(ctx, g, key, out)
	return fmt.Sprintf("COPY %d", n), err
}

// name is the relation's.
func (t *target) name() string {
	switch {
	case t.table != nil:
		return t.table.Name
	case t.list != nil:
		return t.list.Name
	}
	return t.stream.Name
}

// full spreads the values of the listed columns over all of the target's; the others get their default.
func (t *target) full(ctx *expr.Ctx, row []types.Value) ([]types.Value, error) {
	all := make([]types.Value, len(t.schema.Cols))
	for i, c := range t.schema.Cols {
		all[i] = types.Null(c.Type)
		if t.table == nil || t.table.Defaults[i] == nil || slices.Contains(t.columns, i) {
			continue
		}
		var err error
		if all[i], err = expr.EvalRow(ctx, t.table.Defaults[i], nil); err != nil {
			return nil, err
		}
	}
	for i, c := range t.columns {
		all[c] = row[i]
	}
	return all, nil
}
