package pgwire

import (
	"context"
	"encoding/binary"
	"errors"
	"net"
	"os"
	"time"

	"github.com/jackc/pgproto3/v2"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

const (
	// flushBytes is how much is collected before it is written to the socket.
	flushBytes = 16 << 10
	// outBytesKept is the largest write buffer that a connection keeps after a flush.
	outBytesKept = 256 << 10
	// readRateMin is what a client must read when there is something to read, bytes per second.
	readRateMin = 4 << 10
	// protocolBytesMax is the largest message of Postgres, in both directions.
	protocolBytesMax = 0x3fffffff - 1
)

// output collects messages and writes them to the socket. Only the connection's goroutine uses it.
type output struct {
	ctx     context.Context // of the connection; once it ended, the last write is a short one
	nc      net.Conn
	timeout time.Duration
	buf     []byte
	// open is the length of buf before a message that is being written; 0 or the length of buf otherwise.
	open int
	// writing: a message is being written from open on.
	writing bool
	// behind is for how long writes were blocked, less what the client has read since at readRateMin.
	behind time.Duration
	// slow: the client read too slowly and was given up.
	slow bool
	// err is the first failure of the socket; nothing is written after it.
	err error
}

// send appends a message; the socket's failure shows in err and at the next flush.
func (o *output) send(m pgproto3.BackendMessage) {
	buf, err := m.Encode(o.buf)
	if err != nil {
		if o.err == nil {
			o.err = &fatalError{sqlerr.New(sqlerr.ProgramLimitExceeded, "message to the client: %s", err)}
		}
		return
	}
	o.buf = buf
	o.flushIfLarge()
}

// begin starts a message of a type that is written in place; end completes it.
func (o *output) begin(typ byte) {
	o.open, o.writing = len(o.buf), true
	o.buf = append(o.buf, typ, 0, 0, 0, 0)
}

// end fills in the length of the message that begin started.
func (o *output) end() error {
	n := len(o.buf) - o.open - 1
	if n > protocolBytesMax {
		o.takeBack()
		return sqlerr.New(sqlerr.ProgramLimitExceeded, "a row of %d bytes is too long for the protocol", n)
	}
	binary.BigEndian.PutUint32(o.buf[o.open+1:], uint32(n))
	o.writing = false
	o.flushIfLarge()
	return o.err
}

// takeBack drops a message that begin started and end did not complete.
func (o *output) takeBack() {
	if o.writing {
		o.buf, o.writing = o.buf[:o.open], false
	}
}

func (o *output) flushIfLarge() {
	if len(o.buf) >= flushBytes {
		o.flush()
	}
}

// flush writes what was collected. A client that reads too slowly is given up.
func (o *output) flush() error {
	for rest := o.buf; o.err == nil && len(rest) > 0; {
		rest = o.write(rest)
	}
	if o.buf = o.buf[:0]; cap(o.buf) > outBytesKept {
		o.buf = nil
	}
	return o.err
}

// write writes the first piece of rest, the end of buf, and returns what is left. The time that writes were blocked counts
// against the client, less what it would have taken to read as much at readRateMin. More than timeout of that ends the
// connection: one write that stands still, and also many of which each is just fast enough.
func (o *output) write(rest []byte) []byte {
	allowed := o.timeout - o.behind
	if o.ctx.Err() != nil {
		allowed = min(o.timeout, partingTime)
	}
	began := time.Now()
	if o.err = o.nc.SetWriteDeadline(began.Add(allowed)); o.err != nil {
		return nil
	}
	n, err := o.nc.Write(rest[:min(len(rest), flushBytes)])
	if errors.Is(err, os.ErrDeadlineExceeded) && o.ctx.Err() == nil {
		o.err, o.slow = errSlow, true
		o.part(rest[n:])
		return nil
	}
	o.err = err
	o.behind = max(0, o.behind+time.Since(began)-time.Duration(n)*time.Second/readRateMin)
	return rest[n:]
}

// part tells a slow client why its connection ends, if it reads to the end of the message that it is in the middle of within
// partingTime. A TLS connection takes nothing after a write that failed.
func (o *output) part(rest []byte) {
	end := len(o.buf) - len(rest)
	at := 0
	for at < end {
		at += 1 + int(binary.BigEndian.Uint32(o.buf[at+1:]))
	}
	last, err := errorResponse(errSlow, "FATAL").Encode(append([]byte(nil), o.buf[end:at]...))
	if err == nil && o.nc.SetWriteDeadline(time.Now().Add(partingTime)) == nil {
		_, _ = o.nc.Write(last)
	}
}

// rowWriter encodes the rows of one Execute.
type rowWriter struct {
	out  *output
	text *types.TextFormat
	// formats has one code per column, 0 text and 1 binary; empty: all text.
	formats []int16
}

// row writes a DataRow. On the text path nothing is allocated but the buffer's growth.
func (w *rowWriter) row(row []types.Value) error {
	o := w.out
	o.begin('D')
	o.buf = binary.BigEndian.AppendUint16(o.buf, uint16(len(row)))
	for i := range row {
		v := &row[i]
		if v.Null {
			o.buf = append(o.buf, 0xff, 0xff, 0xff, 0xff)
			continue
		}
		at := len(o.buf)
		o.buf = append(o.buf, 0, 0, 0, 0)
		if i < len(w.formats) && w.formats[i] == 1 {
			o.buf = types.AppendBinary(o.buf, *v)
		} else {
			o.buf = types.AppendText(o.buf, *v, w.text)
		}
		binary.BigEndian.PutUint32(o.buf[at:], uint32(len(o.buf)-at-4))
	}
	return o.end()
}

// origins are those of a statement that knows them.
func origins(st Statement) []Origin {
	if o, ok := st.(Originer); ok {
		return o.Origins()
	}
	return nil
}

// rowDescription describes columns; formats as in rowWriter.
func rowDescription(s *types.Schema, origins []Origin, formats []int16) *pgproto3.RowDescription {
	m := &pgproto3.RowDescription{Fields: make([]pgproto3.FieldDescription, len(s.Cols))}
	for i, col := range s.Cols {
		f := &m.Fields[i]
		f.Name = []byte(withoutZero(col.Name))
		f.DataTypeOID, f.DataTypeSize, f.TypeModifier = col.Type.OID(), col.Type.Size(), col.Type.WireMod()
		if i < len(origins) {
			f.TableOID, f.TableAttributeNumber = origins[i].Table, origins[i].Column
		}
		if i < len(formats) {
			f.Format = formats[i]
		}
	}
	return m
}
