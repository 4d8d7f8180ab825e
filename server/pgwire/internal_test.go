package pgwire

import (
	"bytes"
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/executor/types"
)

// discardConn swallows what is written.
type discardConn struct{ net.Conn }

// Write implements net.Conn.
func (discardConn) Write(b []byte) (int, error) { return len(b), nil }

// SetWriteDeadline implements net.Conn.
func (discardConn) SetWriteDeadline(time.Time) error { return nil }

func testOutput() *output {
	return &output{ctx: context.Background(), nc: discardConn{}, timeout: time.Second}
}

var testRow = []types.Value{
	types.NewInt(types.Int8, 123456789), types.NewText("10.0.0.7"), types.Null(types.T(types.Text)), types.NewFloat(1.5),
	types.NewTime(1_700_000_000_000_000),
}

func TestRowTextAllocatesNothing(t *testing.T) {
	w := rowWriter{out: testOutput()}
	w.row(testRow)
	if n := testing.AllocsPerRun(1000, func() { w.row(testRow) }); n != 0 {
		t.Errorf("a row of text takes %v allocations", n)
	}
}

func BenchmarkRowText(b *testing.B) {
	w := rowWriter{out: testOutput()}
	b.ReportAllocs()
	for b.Loop() {
		w.row(testRow)
	}
}

func TestPanicInsideARowTakesItBack(t *testing.T) {
	c := &conn{server: NewServer(nil, Options{}), out: *testOutput()}
	c.out.begin('N')
	c.out.end()
	whole := len(c.out.buf)
	err := c.guard(func() error {
		c.out.begin('D')
		panic("encoding")
	})
	if err == nil || len(c.out.buf) != whole {
		t.Errorf("%v; %d bytes are left, want %d", err, len(c.out.buf), whole)
	}
	if err := c.guard(func() error { panic("between") }); err == nil || len(c.out.buf) != whole {
		t.Errorf("%v; a complete message was taken back", err)
	}
}

// TestInputSurvivesEveryCut cuts three messages at every place and fails the wait once.
func TestInputSurvivesEveryCut(t *testing.T) {
	stream := []byte("S\x00\x00\x00\x04Q\x00\x00\x00\x08abc\x00H\x00\x00\x00\x04")
	for cut := range stream {
		in := newInput(nil)
		parts := [][]byte{stream[:cut], stream[cut:]}
		failed := false
		wait := func() error {
			if !failed {
				failed = true
				return io.ErrNoProgress
			}
			if len(parts) == 0 {
				return io.EOF
			}
			in.take(parts[0])
			parts = parts[1:]
			return nil
		}
		retry := func(n int) ([]byte, error) {
			b, err := in.next(n, wait)
			if err == io.ErrNoProgress {
				b, err = in.next(n, wait)
			}
			return b, err
		}
		var got []byte
		for {
			b, err := retry(5)
			if err != nil {
				break
			}
			h, err := parseHeader(b, 100)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, h.typ)
			body, _ := retry(h.bytes)
			got = append(got, body...)
		}
		if want := []byte("SQabc\x00H"); !bytes.Equal(got, want) {
			t.Fatalf("cut at %d: %q, want %q", cut, got, want)
		}
	}
}

// TestInputGrowsWithWhatComes: a client that announces much and sends little costs little.
func TestInputGrowsWithWhatComes(t *testing.T) {
	in := newInput(nil)
	in.take([]byte("abc"))
	if _, err := in.next(1<<30, func() error { return io.EOF }); err != io.EOF {
		t.Fatal(err)
	}
	if cap(in.body) > 1024 {
		t.Errorf("%d bytes were allocated for 3", cap(in.body))
	}
}

// TestCountsAreCheckedBeforeAllocation: a short message that announces 65,535 of something.
func TestCountsAreCheckedBeforeAllocation(t *testing.T) {
	if m, err := decodeBind([]byte("\x00\x00\x00\x00\xff\xff\x00\x00")); err == nil || len(m.Parameters) != 0 {
		t.Errorf("%d parameters, %v", len(m.Parameters), err)
	}
	if m, err := decodeBind([]byte("\x00\x00\xff\xff\x00\x00")); err == nil || len(m.ParameterFormatCodes) != 0 {
		t.Errorf("%d formats, %v", len(m.ParameterFormatCodes), err)
	}
	if m, err := decodeParse([]byte("\x00\x00\xff\xff")); err == nil || len(m.ParameterOIDs) != 0 {
		t.Errorf("%d types, %v", len(m.ParameterOIDs), err)
	}
}

func TestParseHeaderBounds(t *testing.T) {
	for _, test := range []struct {
		header string
		ok     bool
	}{
		{"Q\x00\x00\x00\x04", true},
		{"Q\x00\x00\x00\x03", false},
		{"Q\xff\xff\xff\xff", false},
		{"Q\x00\x01\x00\x04", true},
		{"Q\x00\x01\x00\x05", false},
		{"S\x00\x00\x27\x14", true},
		{"S\x00\x00\x27\x15", false},
		{"d\x40\x00\x00\x02", true},
		{"d\x40\x00\x00\x03", false},
		{"d\xff\xff\xff\xff", false},
		{"p\x00\x00\x00\x04", false},
		{"\x00\x00\x00\x00\x04", false},
	} {
		_, err := parseHeader([]byte(test.header), 1<<16)
		if (err == nil) != test.ok {
			t.Errorf("%q: %v, want ok %v", test.header, err, test.ok)
		}
	}
}

func TestPIDsWrapAndSkipThoseInUse(t *testing.T) {
	s := NewServer(nil, Options{})
	s.lastPID = 1<<31 - 2
	var got []int32
	s.sessions[1] = &conn{}
	for range 3 {
		c := &conn{}
		if !s.enroll(c) {
			t.Fatal("full")
		}
		got = append(got, c.pid)
	}
	if got[0] != 1<<31-1 || got[1] != 2 || got[2] != 3 {
		t.Errorf("pids %d", got)
	}
}
