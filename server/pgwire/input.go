package pgwire

import (
	"encoding/binary"
	"io"
	"net"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

const (
	// chunkBytes is the size of a read buffer; a connection has two, so that the reader can notice the end of the
	// connection while the first is worked on.
	chunkBytes = 16 << 10
	chunkCount = 2
	// smallMessageBytesMax bounds the messages that hold nothing but names, as in Postgres.
	smallMessageBytesMax = 10_000
	// bodyBytesKept is the largest message buffer that a connection keeps between messages.
	bodyBytesKept = 64 << 10
)

// input is the client's byte stream. One goroutine (run) reads the socket; the connection's goroutine takes chunks and
// cuts messages out of them. Memory is bounded: two chunks, and one message.
type input struct {
	nc   net.Conn
	full chan []byte // capacity chunkCount, closed by run after err is set
	free chan []byte // capacity chunkCount, never closed
	quit chan struct{}
	err  error // why run ended

	chunk []byte // being cut
	rest  []byte // the unread part of chunk
	body  []byte // assembles a message that spans chunks
	// resume: the last next failed in the middle; the one after it goes on with body.
	resume bool
}

func newInput(nc net.Conn) *input {
	in := &input{
		nc:   nc,
		full: make(chan []byte, chunkCount),
		free: make(chan []byte, chunkCount),
		quit: make(chan struct{}),
	}
	for range chunkCount {
		in.free <- nil // allocated on first use
	}
	return in
}

// run reads until the connection ends or quit is closed, then calls gone.
func (in *input) run(gone func()) {
	defer close(in.full)
	defer gone()
	for {
		var buf []byte
		select {
		case buf = <-in.free:
		case <-in.quit:
			in.err = net.ErrClosed
			return
		}
		if buf == nil {
			buf = make([]byte, chunkBytes)
		}
		n, err := in.nc.Read(buf[:chunkBytes])
		if n > 0 {
			in.full <- buf[:n] // never blocks: there are as many places as buffers
		} else if err == nil {
			in.free <- buf
		}
		if err != nil {
			in.err = err
			return
		}
	}
}

// take makes chunk, which was received from full, the unread input.
func (in *input) take(chunk []byte) { in.chunk, in.rest = chunk, chunk }

// recycle gives the exhausted chunk back to the reader.
func (in *input) recycle() {
	if in.chunk != nil {
		in.free <- in.chunk
		in.chunk = nil
	}
}

// messageBytesMax tells which messages a client may send after start-up, and how long each may be.
func messageBytesMax(typ byte, large int) (bytesMax int, known bool) {
	switch typ {
	case 'Q', 'P', 'B', 'F':
		return large, true
	case 'd': // streams during COPY, is skipped elsewhere
		return protocolBytesMax, true
	case 'E', 'D', 'C', 'S', 'H', 'X', 'c', 'f':
		return min(smallMessageBytesMax, large), true
	}
	return 0, false
}

// header is the start of a message: its type and how many bytes follow.
type header struct {
	typ   byte
	bytes int
}

// parseHeader checks type and length; an error is fatal, because the next message cannot be found.
func parseHeader(b []byte, large int) (header, error) {
	n := int64(binary.BigEndian.Uint32(b[1:5])) - 4
	bytesMax, known := messageBytesMax(b[0], large)
	if !known {
		return header{}, sqlerr.New(sqlerr.ProtocolViolation, "invalid frontend message type %d", b[0])
	}
	if n < 0 || n > int64(bytesMax) {
		return header{}, sqlerr.New(sqlerr.ProtocolViolation, "invalid message length").
			WithDetail("A message of type %q has %d bytes; the bound is %d.", b[0], n, bytesMax)
	}
	return header{typ: b[0], bytes: int(n)}, nil
}

// nextHeader reads the start of a message. wait is called when input is needed and fills in.rest.
func (in *input) nextHeader(large int, wait func() error) (header, error) {
	b, err := in.next(5, wait)
	if err != nil {
		return header{}, err
	}
	return parseHeader(b, large)
}

// next returns n bytes, valid until the next call. After wait failed the caller either repeats the call with the same n or
// gives the bytes up with abandon.
func (in *input) next(n int, wait func() error) ([]byte, error) {
	if !in.resume {
		in.clear()
	}
	in.resume = false
	for {
		if len(in.body) == 0 && len(in.rest) >= n {
			b := in.rest[:n]
			in.rest = in.rest[n:]
			return b, nil
		}
		k := min(n-len(in.body), len(in.rest))
		// The buffer grows with the bytes that came, not with the length that the client announced.
		in.body = append(in.body, in.rest[:k]...)
		in.rest = in.rest[k:]
		if len(in.body) == n {
			return in.body, nil
		}
		if err := wait(); err != nil {
			in.resume = true
			return nil, err
		}
	}
}

// abandon drops what a failed next has read and returns how many bytes that was.
func (in *input) abandon() int {
	n := len(in.body)
	in.clear()
	return n
}

// clear empties body; a large one is not kept for messages that are mostly small.
func (in *input) clear() {
	if in.body = in.body[:0]; cap(in.body) > bodyBytesKept {
		in.body = nil
	}
	in.resume = false
}

// some returns at least one and at most n bytes, valid until the next call; n is positive.
func (in *input) some(n int, wait func() error) ([]byte, error) {
	for len(in.rest) == 0 {
		if err := wait(); err != nil {
			return nil, err
		}
	}
	k := min(n, len(in.rest))
	b := in.rest[:k]
	in.rest = in.rest[k:]
	return b, nil
}

// skip drops n bytes.
func (in *input) skip(n int, wait func() error) error {
	for n > 0 {
		b, err := in.some(n, wait)
		if err != nil {
			return err
		}
		n -= len(b)
	}
	return nil
}

// readError is the error after full was closed: io.EOF when the client left between messages.
func (in *input) readError() error {
	if in.err == nil {
		return io.EOF
	}
	return in.err
}
