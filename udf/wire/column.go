package wire

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

// ErrMalformed is the error of every frame that does not hold what its kind says.
var ErrMalformed = errors.New("malformed frame")

// AppendColumn appends the first n rows of v: a byte that tells whether a NULL bitmap follows, the bitmap, the values.
func AppendColumn(dst []byte, v *batch.Vec, n int) []byte {
	le := binary.LittleEndian
	if len(v.Nulls) == 0 {
		dst = append(dst, 0)
	} else {
		dst = append(dst, 1)
		for _, w := range v.Nulls[:nullWords(n)] {
			dst = le.AppendUint64(dst, w)
		}
	}
	switch v.Type.Phys() {
	case types.PhysInt:
		for _, x := range v.I64[:n] {
			dst = le.AppendUint64(dst, uint64(x))
		}
	case types.PhysFloat:
		for _, x := range v.F64[:n] {
			dst = le.AppendUint64(dst, math.Float64bits(x))
		}
	default:
		for _, x := range v.Off[1 : n+1] {
			dst = le.AppendUint32(dst, x)
		}
		dst = append(dst, v.Buf[:v.Off[n]]...)
	}
	return dst
}

func nullWords(n int) int { return (n + 63) / 64 }

// Reader takes a payload apart. After the first mistake Err is set and everything reads as zero.
type Reader struct {
	B   []byte
	Err error
}

// Take returns the next n bytes, nil when there are not so many.
func (r *Reader) Take(n int) []byte {
	if r.Err != nil || n < 0 || n > len(r.B) {
		r.Err = ErrMalformed
		return nil
	}
	p := r.B[:n:n]
	r.B = r.B[n:]
	return p
}

// U8, U32 and U64 read numbers.
func (r *Reader) U8() byte {
	if p := r.Take(1); p != nil {
		return p[0]
	}
	return 0
}

// U32 reads four bytes.
func (r *Reader) U32() uint32 {
	if p := r.Take(4); p != nil {
		return binary.LittleEndian.Uint32(p)
	}
	return 0
}

// U64 reads eight bytes.
func (r *Reader) U64() uint64 {
	if p := r.Take(8); p != nil {
		return binary.LittleEndian.Uint64(p)
	}
	return 0
}

// Column reads n rows into v, which has been Reset to the carrier's type. Bytes of v are a part of the payload.
func (r *Reader) Column(v *batch.Vec, n int) error {
	if n < 0 || n > BatchRowsMax {
		return ErrMalformed
	}
	switch r.U8() {
	case 0:
	case 1:
		for range nullWords(n) {
			v.Nulls = append(v.Nulls, r.U64())
		}
	default:
		return ErrMalformed
	}
	v.N = n
	switch v.Type.Phys() {
	case types.PhysInt:
		p := r.Take(8 * n)
		for i := 0; i+8 <= len(p); i += 8 {
			v.I64 = append(v.I64, int64(binary.LittleEndian.Uint64(p[i:])))
		}
	case types.PhysFloat:
		p := r.Take(8 * n)
		for i := 0; i+8 <= len(p); i += 8 {
			v.F64 = append(v.F64, math.Float64frombits(binary.LittleEndian.Uint64(p[i:])))
		}
	default:
		last := uint32(0)
		p := r.Take(4 * n)
		for i := 0; i+4 <= len(p); i += 4 {
			o := binary.LittleEndian.Uint32(p[i:])
			if o < last {
				return ErrMalformed
			}
			v.Off = append(v.Off, o)
			last = o
		}
		if uint64(last) > uint64(len(r.B)) {
			return ErrMalformed
		}
		v.Buf = r.Take(int(last))
	}
	return r.Err
}

// ResultHead begins a Result; then follow the column of its rows and the errors.
type ResultHead struct {
	Rows   int    // rows of this frame; they follow those of the frames before
	More   bool   // another Result of the same Eval follows
	Retire bool   // the worker wants to be replaced after this Eval
	Logged uint32 // lines given to console.log
	Errors int
	Log    []string // the first of these lines
}

// AppendResultHead appends h.
func AppendResultHead(dst []byte, h ResultHead) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint32(dst, uint32(h.Rows))
	flags := byte(0)
	if h.More {
		flags |= 1
	}
	if h.Retire {
		flags |= 2
	}
	dst = append(dst, flags)
	dst = le.AppendUint32(dst, h.Logged)
	return appendLog(le.AppendUint32(dst, uint32(h.Errors)), h.Log)
}

// StepHead begins a Step; then follow the column of the groups' states, for a merge that of the others, and for rows how many each
// group has (4 bytes each) and the argument columns. A state's first byte is StateGood or StateBad.
type StepHead struct {
	Handle       uint64
	Kind         byte // of agg.Step
	Groups, Rows int
}

// The first byte of a state, which says its version: data, or the text of the error that made an end to it.
const (
	StateGood = 1
	StateBad  = 2
)

// AppendStepHead appends h.
func AppendStepHead(dst []byte, h StepHead) []byte {
	dst = append(binary.LittleEndian.AppendUint64(dst, h.Handle), h.Kind)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(h.Groups))
	return binary.LittleEndian.AppendUint32(dst, uint32(h.Rows))
}

// StepHead reads the head of a Step.
func (r *Reader) StepHead() (StepHead, error) {
	h := StepHead{Handle: r.U64(), Kind: r.U8(), Groups: int(r.U32()), Rows: int(r.U32())}
	if r.Err == nil && (h.Groups == 0 || h.Groups > BatchRowsMax || h.Rows > BatchRowsMax) {
		r.Err = ErrMalformed
	}
	return h, r.Err
}

// ResultHead reads the head of a Result of at most max rows, each of which may have an error.
func (r *Reader) ResultHead(max int) (ResultHead, error) {
	h, err := r.StepResultHead(max)
	if err == nil && h.Errors > h.Rows {
		r.Err = ErrMalformed
	}
	return h, r.Err
}

// StepResultHead reads the head of the Result of a Step, in which a group may have many errors.
func (r *Reader) StepResultHead(max int) (ResultHead, error) {
	h := ResultHead{Rows: int(r.U32())}
	flags := r.U8()
	h.More, h.Retire = flags&1 != 0, flags&2 != 0
	h.Logged = r.U32()
	h.Errors = int(r.U32())
	h.Log = r.log()
	if r.Err == nil && (h.Rows > max || h.Errors > BatchRowsMax || h.Rows == 0 && h.More) {
		r.Err = ErrMalformed
	}
	return h, r.Err
}

// RowError is an exception, or a value that does not fit the function's type; the row's value is NULL.
type RowError struct {
	Row  int // within the frame
	Line int // 1-based line of the body, 0 when not known
	Code string
	Text string
}

// AppendRowError appends e; Code has five characters, Text is cut at MessageMax.
func AppendRowError(dst []byte, e RowError) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint32(dst, uint32(e.Row))
	dst = le.AppendUint32(dst, uint32(e.Line))
	dst = append(dst, e.Code[:5]...)
	text := e.Text[:min(len(e.Text), MessageMax)]
	dst = le.AppendUint16(dst, uint16(len(text)))
	return append(dst, text...)
}

// RowError reads an error of a frame of n rows.
func (r *Reader) RowError(n int) (RowError, error) {
	e := RowError{Row: int(r.U32()), Line: int(r.U32()), Code: string(r.Take(5))}
	var size int
	if p := r.Take(2); p != nil {
		size = int(binary.LittleEndian.Uint16(p))
	}
	e.Text = string(r.Take(size))
	if r.Err == nil && (e.Row >= n || size > MessageMax) {
		r.Err = ErrMalformed
	}
	return e, r.Err
}
