package pgwire

import (
	"context"
	"errors"
	"io"

	"github.com/jackc/pgproto3/v2"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// execution is the Output of one call of Portal.Execute.
type execution struct {
	c    *conn
	ctx  context.Context
	rows rowWriter
	// copyOut is open between CopyOut and its end.
	copyOut *copyWriter
	copyIn  *copyReader
}

var _ Output = (*execution)(nil)

func (c *conn) newExecution(ctx context.Context, formats []int16) *execution {
	return &execution{c: c, ctx: ctx, rows: rowWriter{out: &c.out, text: c.textFormat(), formats: formats}}
}

// textFormat asks the session how values print now; a SET between two statements counts.
func (c *conn) textFormat() *types.TextFormat {
	if f, ok := c.session.(TextFormatter); ok {
		return f.TextFormat()
	}
	return nil
}

// finish ends what the portal left open. err is the portal's result.
func (x *execution) finish(err error) error {
	if x.copyIn != nil {
		x.c.unread = x.copyIn.left
		x.copyIn.left, x.copyIn.err = 0, io.ErrClosedPipe
		if x.copyIn.fatal != nil {
			return x.copyIn.fatal
		}
	}
	if err == nil && x.copyOut != nil {
		err = x.copyOut.Close()
	}
	return err
}

// failed is why nothing more can be sent: the statement was cancelled, or the socket failed.
func (x *execution) failed() error {
	if x.ctx.Err() != nil {
		return context.Cause(x.ctx)
	}
	return x.c.out.err
}

// Row implements Output.
func (x *execution) Row(row []types.Value) error {
	if err := x.failed(); err != nil {
		return err
	}
	return x.rows.row(row)
}

// Deallocate implements Deallocator.
func (x *execution) Deallocate(name string) bool {
	if x.c.statements[name] == nil {
		return false
	}
	x.c.dropStatement(name)
	return true
}

// DeallocateAll implements Deallocator.
func (x *execution) DeallocateAll() {
	for name := range x.c.statements {
		x.c.dropStatement(name)
	}
}

// Portal implements PortalFinder.
func (x *execution) Portal(name string) Portal {
	if p := x.c.portals[name]; p != nil {
		return p.portal
	}
	return nil
}

// Notice implements Output.
func (x *execution) Notice(n Notice) { x.c.out.send(noticeResponse(n)) }

// ParameterStatus implements Output. As in Postgres, clients hear of it before the next ReadyForQuery.
func (x *execution) ParameterStatus(name, value string) {
	m := pgproto3.ParameterStatus{Name: withoutZero(name), Value: withoutZero(value)}
	for i := range x.c.changed {
		if x.c.changed[i].Name == m.Name {
			x.c.changed[i] = m
			return
		}
	}
	x.c.changed = append(x.c.changed, m)
}

// Flush implements Output. A statement that flushes is live: it must not hold up the end of the server.
func (x *execution) Flush() error {
	x.c.setLive()
	if x.c.server.isDraining() {
		return errShutdown
	}
	if err := x.failed(); err != nil {
		return err
	}
	return x.c.out.flush()
}

// CopyOut implements Output.
func (x *execution) CopyOut(n int, code int16) (CopyWriter, error) {
	if err := x.copyAllowed(n); err != nil {
		return nil, err
	}
	x.c.out.send(&pgproto3.CopyOutResponse{OverallFormat: byte(code), ColumnFormatCodes: copyCodes(n, code)})
	x.copyOut = &copyWriter{x: x}
	return x.copyOut, x.failed()
}

// CopyIn implements Output.
func (x *execution) CopyIn(n int, code int16) (io.Reader, error) {
	if err := x.copyAllowed(n); err != nil {
		return nil, err
	}
	x.c.out.send(&pgproto3.CopyInResponse{OverallFormat: byte(code), ColumnFormatCodes: copyCodes(n, code)})
	if err := x.c.out.flush(); err != nil {
		return nil, err
	}
	x.copyIn = &copyReader{x: x}
	return x.copyIn, nil
}

// copyCodes is the format of n columns.
func copyCodes(n int, code int16) []uint16 {
	codes := make([]uint16, n)
	for i := range codes {
		codes[i] = uint16(code)
	}
	return codes
}

// copyAllowed checks that a portal starts one copy, of a number of columns that the message can carry.
func (x *execution) copyAllowed(n int) error {
	if x.copyIn != nil || x.copyOut != nil || n < 0 || n > 1<<15-1 {
		return sqlerr.New(sqlerr.InternalError, "COPY of %d columns cannot start here", n)
	}
	return x.failed()
}

// copyWriter sends CopyData.
type copyWriter struct {
	x      *execution
	closed bool
}

// Write implements CopyWriter: line becomes one CopyData message.
func (w *copyWriter) Write(line []byte) (int, error) {
	if w.closed {
		return 0, io.ErrClosedPipe
	}
	if err := w.x.failed(); err != nil {
		return 0, err
	}
	o := &w.x.c.out
	o.begin('d')
	o.buf = append(o.buf, line...)
	if err := o.end(); err != nil {
		return 0, err
	}
	return len(line), nil
}

// Close implements CopyWriter. It may be called twice.
func (w *copyWriter) Close() error {
	if w.closed {
		return nil
	}
	w.closed = true
	w.x.c.out.send(&pgproto3.CopyDone{})
	return w.x.c.out.err
}

// copyReader is the client's side of COPY FROM STDIN: the bytes of its CopyData messages, as they come. It holds nothing of
// its own, so that a copy of any length takes the memory of the connection's input.
type copyReader struct {
	x    *execution
	left int   // unread bytes of the message that is being read
	err  error // what Read returns from now on
	// fatal is set when the connection cannot go on after the copy.
	fatal error
}

// Read implements io.Reader.
func (r *copyReader) Read(p []byte) (int, error) {
	for r.err == nil && r.left == 0 {
		r.err = r.nextMessage()
	}
	if r.err != nil {
		return 0, r.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	b, err := r.x.c.in.some(min(len(p), r.left), r.wait)
	if err != nil {
		r.err = err
		return 0, err
	}
	r.left -= len(b)
	return copy(p, b), nil
}

// nextMessage reads up to the next CopyData. Sync and Flush are ignored, because a client that pipelines has sent them
// before it knew that the statement is a COPY.
func (r *copyReader) nextMessage() error {
	c := r.x.c
	h, err := c.in.nextHeader(c.server.opts.MessageBytesMax, r.wait)
	if err != nil {
		return r.broken(err)
	}
	if h.typ == 'd' {
		r.left = h.bytes
		return nil
	}
	body, err := c.in.next(h.bytes, r.wait)
	if err != nil {
		r.left = h.bytes - c.in.abandon()
		return err
	}
	switch h.typ {
	case 'S', 'H':
		return nil
	case 'c':
		return io.EOF
	case 'f':
		m := cursor{b: body}
		return sqlerr.New(sqlerr.QueryCanceled, "COPY from stdin failed: %s", m.string())
	case 'X':
		return r.broken(sqlerr.New(sqlerr.ConnectionFailure, "unexpected end of the connection during COPY from stdin"))
	}
	return r.broken(sqlerr.New(sqlerr.ProtocolViolation, "unexpected message type 0x%02X during COPY from stdin", h.typ))
}

// broken notes that the client is out of step; cancellation is not that.
func (r *copyReader) broken(err error) error {
	var e *sqlerr.Error
	if errors.As(err, &e) && (e.Code == sqlerr.ProtocolViolation || e.Code == sqlerr.ConnectionFailure) {
		r.fatal = &fatalError{e}
	}
	return err
}

// wait blocks until the client has sent something, or the statement is cancelled.
func (r *copyReader) wait() error {
	c := r.x.c
	c.in.recycle()
	if err := c.out.flush(); err != nil { // notices that the engine sent meanwhile
		return err
	}
	select {
	case chunk, ok := <-c.in.full:
		if !ok {
			return r.broken(sqlerr.New(sqlerr.ConnectionFailure, "unexpected EOF on client connection during COPY from stdin"))
		}
		c.in.take(chunk)
		return nil
	case <-r.x.ctx.Done():
		return context.Cause(r.x.ctx)
	}
}
