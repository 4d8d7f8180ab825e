package op

import (
	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

// rowStore keeps rows of one schema in columnar chunks of batch.RowsMax rows; row i is row i%RowsMax of chunk
// i/RowsMax. Its bytes count against the query's budget until reset.
type rowStore struct {
	schema *types.Schema
	mem    *Memory
	chunks []*batch.Batch
	n      int
	// held is what was taken from the budget; lastBytes the part of it that is for the last chunk.
	held, lastBytes int64
}

// rowFixedBytes is what a row costs besides its columns: references in indexes and hash tables.
const rowFixedBytes = 16

func newRowStore(schema *types.Schema, mem *Memory) *rowStore {
	return &rowStore{schema: schema, mem: mem}
}

// reset forgets all rows and gives the memory back.
func (s *rowStore) reset() {
	s.mem.Release(s.held)
	s.chunks, s.n, s.held, s.lastBytes = nil, 0, 0, 0
}

// at returns where row i is.
func (s *rowStore) at(i int) (*batch.Batch, int) {
	return s.chunks[i/batch.RowsMax], i % batch.RowsMax
}

// add copies the selected rows. Columns that are absent in the input stay absent.
func (s *rowStore) add(in Input) error {
	for sel := in.Sel; len(sel) > 0; {
		c := s.room()
		take := min(batch.RowsMax-c.N, len(sel))
		for col := range c.Cols {
			dst, src := &c.Cols[col], &in.B.Cols[col]
			if src.Absent {
				dst.Absent = true
				continue
			}
			appendRows(dst, src, sel[:take])
		}
		c.N += take
		s.n += take
		sel = sel[take:]
		if err := s.account(c); err != nil {
			return err
		}
	}
	return nil
}

// addVecs copies n dense rows of columns that do not come from one batch.
func (s *rowStore) addVecs(cols []*batch.Vec, n int) error {
	for done := 0; done < n; {
		c := s.room()
		take := min(batch.RowsMax-c.N, n-done)
		for col := range c.Cols {
			for i := done; i < done+take; i++ {
				c.Cols[col].AppendFrom(cols[col], i)
			}
		}
		c.N += take
		s.n += take
		done += take
		if err := s.account(c); err != nil {
			return err
		}
	}
	return nil
}

// addRow copies row i of columns that do not come from one batch.
func (s *rowStore) addRow(cols []*batch.Vec, i int) error {
	c := s.room()
	for col := range c.Cols {
		c.Cols[col].AppendFrom(cols[col], i)
	}
	c.N++
	s.n++
	return s.account(c)
}

// room returns the last chunk if it has room, else a new one.
func (s *rowStore) room() *batch.Batch {
	if k := len(s.chunks); k > 0 && s.chunks[k-1].N < batch.RowsMax {
		return s.chunks[k-1]
	}
	s.chunks = append(s.chunks, batch.New(s.schema, nil))
	s.lastBytes = 0
	return s.chunks[len(s.chunks)-1]
}

// account charges what the last chunk grew by.
func (s *rowStore) account(c *batch.Batch) error {
	size := BatchBytes(c)
	if err := s.mem.Grow(size - s.lastBytes); err != nil {
		return err
	}
	s.held += size - s.lastBytes
	s.lastBytes = size
	return nil
}

// emit sends all rows in order.
func (s *rowStore) emit(out Emitter) error {
	for _, c := range s.chunks {
		if err := out.Emit(Input{B: c, Sel: batch.All(c.N)}); err != nil {
			return err
		}
	}
	return nil
}

// BatchBytes is what a batch's rows take, without spare capacity.
func BatchBytes(b *batch.Batch) int64 {
	size := int64(b.N) * rowFixedBytes
	for i := range b.Cols {
		c := &b.Cols[i]
		size += int64(8*len(c.I64) + 8*len(c.F64) + 4*len(c.Off) + len(c.Buf) + 8*len(c.Nulls))
	}
	return size
}

// appendRows adds the selected rows of src to dst, which has the same layout.
func appendRows(dst, src *batch.Vec, sel []uint32) {
	if len(src.Nulls) == 0 && len(dst.Nulls) == 0 {
		switch dst.Type.Phys() {
		case types.PhysInt:
			for _, r := range sel {
				dst.I64 = append(dst.I64, src.I64[r])
			}
			dst.N += len(sel)
			return
		case types.PhysFloat:
			for _, r := range sel {
				dst.F64 = append(dst.F64, src.F64[r])
			}
			dst.N += len(sel)
			return
		}
	}
	for _, r := range sel {
		dst.AppendFrom(src, int(r))
	}
}

// outBatch collects output rows and emits them in batches of batch.RowsMax.
type outBatch struct {
	b *batch.Batch
}

func newOutBatch(schema *types.Schema) *outBatch { return &outBatch{b: batch.New(schema, nil)} }

// row adds one row of scalars, emitting when the batch is full.
func (o *outBatch) row(row []types.Value, out Emitter) error {
	o.b.AppendRow(row)
	if o.b.N < batch.RowsMax {
		return nil
	}
	return o.flush(out)
}

// flush emits what is there; an empty batch is never emitted.
func (o *outBatch) flush(out Emitter) error {
	if o.b.N == 0 {
		return nil
	}
	err := out.Emit(Input{B: o.b, Sel: batch.All(o.b.N)})
	o.b.Reset(nil)
	return err
}
