package codec

import (
	"slices"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// resume recognises the rest of a payload that an earlier call left, where the rest cannot be told from a payload.
type resume struct {
	at *byte
	n  int
}

func (r *resume) set(rest []byte) {
	r.at, r.n = nil, 0
	if len(rest) > 0 {
		r.at, r.n = &rest[0], len(rest)
	}
}

func (r *resume) is(payload []byte) bool {
	return len(payload) > 0 && r.at == &payload[0] && r.n == len(payload)
}

// positional writes rows whose fields come in a known order: CSV, COPY, ROWS.
type positional struct {
	schema  *types.Schema
	timeCol int
	columns []int // field -> column, -1: the field is ignored
	cells   []cell
	fields  int   // written to the row under way
	err     error // the row's first
	bytes   []int // per column, size of the last batch's values
}

func newPositional(o Options) (positional, error) {
	p := positional{schema: o.Schema, timeCol: o.TimeCol, columns: o.Columns, bytes: make([]int, len(o.Schema.Cols))}
	if p.columns == nil {
		for i := range o.Schema.Cols {
			p.columns = append(p.columns, i)
		}
	}
	seen := map[int]bool{}
	for _, c := range p.columns {
		if c < 0 || c >= len(o.Schema.Cols) {
			return p, sqlerr.New(sqlerr.UndefinedColumn, "column number %d does not exist", c+1)
		}
		if seen[c] {
			return p, sqlerr.New(sqlerr.DuplicateColumn, `column "%s" specified more than once`, o.Schema.Cols[c].Name)
		}
		seen[c] = true
	}
	for _, c := range o.Schema.Cols {
		p.cells = append(p.cells, newCell(c))
	}
	return p, nil
}

func (p *positional) prepare(b *batch.Batch, limit int) {
	for i := range b.Cols {
		if v := &b.Cols[i]; !v.Absent {
			reserve(v, limit, p.bytes[i])
		}
	}
}

// remember keeps the sizes of a decoded batch for prepare.
func (p *positional) remember(b *batch.Batch) {
	for i := range b.Cols {
		p.bytes[i] = max(p.bytes[i]-p.bytes[i]/16, len(b.Cols[i].Buf))
	}
}

func (p *positional) begin() { p.fields, p.err = 0, nil }

// put adds the next field's text; after an error the row's other fields are only counted.
func (p *positional) put(b *batch.Batch, text []byte, null bool) {
	f := p.fields
	p.fields++
	if p.err != nil || f >= len(p.columns) || p.columns[f] < 0 {
		return
	}
	c := p.columns[f]
	v := &b.Cols[c]
	switch {
	case null && p.required(c):
		p.err = missing(p.schema.Cols[c], c == p.timeCol)
	case v.Absent:
	case null:
		v.AppendNull()
	default:
		p.err = p.cells[c].appendText(v, text)
	}
}

func (p *positional) required(c int) bool { return c == p.timeCol || p.schema.Cols[c].NotNull }

// finish completes the row with NULLs for the columns that the fields do not cover, or takes it back and says why.
func (p *positional) finish(b *batch.Batch) error {
	switch {
	case p.fields > len(p.columns):
		p.err = sqlerr.New(sqlerr.BadCopyFileFormat, "extra data after last expected column")
	case p.fields < len(p.columns) && p.err == nil:
		name := ""
		if c := p.columns[p.fields]; c >= 0 {
			name = p.schema.Cols[c].Name
		}
		p.err = sqlerr.New(sqlerr.BadCopyFileFormat, `missing data for column "%s"`, name)
	}
	for c := 0; c < len(b.Cols) && p.err == nil; c++ {
		switch v := &b.Cols[c]; {
		case slices.Contains(p.columns, c):
		case p.required(c):
			p.err = missing(p.schema.Cols[c], c == p.timeCol)
		case !v.Absent:
			v.AppendNull()
		}
	}
	if p.err != nil {
		b.Truncate(b.N)
		return p.err
	}
	b.N++
	return nil
}
