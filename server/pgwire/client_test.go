package pgwire_test

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/vigil-sql/vigil/server/pgwire"
)

func queryMessage(sql string) *pgproto3.Query { return &pgproto3.Query{String: sql} }

// open makes a pgx connection that runs queries in one of its modes.
func (h *harness) open(t *testing.T, mode pgx.QueryExecMode) *pgx.Conn {
	t.Helper()
	config, err := pgx.ParseConfig("postgres://u@" + h.addr + "/vigil?sslmode=disable")
	if err != nil {
		t.Fatal(err)
	}
	config.DefaultQueryExecMode = mode
	c, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.Background()) })
	return c
}

func TestQueryModes(t *testing.T) {
	h := start(t, pgwire.Options{})
	for _, mode := range []pgx.QueryExecMode{pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe,
		pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol} {
		t.Run(mode.String(), func(t *testing.T) {
			c := h.open(t, mode)
			for range 3 { // the second and third use what was prepared
				rows, err := c.Query(t.Context(), "SELECT g FROM generate_series(1, 1000) AS g")
				if err != nil {
					t.Fatal(err)
				}
				got, err := pgx.CollectRows(rows, pgx.RowTo[int])
				if err != nil || len(got) != 1000 || got[999] != 1000 {
					t.Fatalf("%d rows, %v", len(got), err)
				}
			}
			if mode == pgx.QueryExecModeSimpleProtocol {
				return // it writes parameters into the text, which the fake engine cannot read
			}
			var p int
			if err := c.QueryRow(t.Context(), "SELECT $1::int4 AS p", -7).Scan(&p); err != nil || p != -7 {
				t.Fatalf("%d, %v", p, err)
			}
			_, err := c.Exec(t.Context(), "ERROR")
			wantCode(t, err, "42703", "does not exist")
		})
	}
}

func TestPipeline(t *testing.T) {
	h := start(t, pgwire.Options{})
	c := h.open(t, pgx.QueryExecModeExec)
	b := &pgx.Batch{}
	const n = 500
	for i := range n {
		b.Queue("SELECT $1::int4 AS p", i)
	}
	results := c.SendBatch(t.Context(), b)
	for i := range n {
		var p int
		if err := results.QueryRow().Scan(&p); err != nil || p != i {
			t.Fatalf("statement %d: %d, %v", i, p, err)
		}
	}
	if err := results.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestCopy(t *testing.T) {
	h := start(t, pgwire.Options{MessageBytesMax: 1 << 10}) // CopyData streams: it may be longer
	c := h.connect(t)
	var in strings.Builder
	for i := range 50_000 {
		fmt.Fprintf(&in, "line %d\n", i)
	}
	tag, err := c.CopyFrom(t.Context(), strings.NewReader(in.String()), "COPY big FROM STDIN")
	if err != nil || tag.RowsAffected() != 50_000 {
		t.Fatalf("%v, %v", tag, err)
	}
	var out strings.Builder
	tag, err = c.CopyTo(t.Context(), &out, "COPY big TO STDOUT")
	if err != nil || tag.RowsAffected() != 50_000 || out.String() != in.String() {
		t.Fatalf("%v, %v, %d of %d bytes", tag, err, out.Len(), in.Len())
	}
	// One message larger than every buffer.
	c.Frontend().SendQuery(queryMessage("COPY one FROM STDIN"))
	c.Frontend().Send(&pgproto3.CopyData{Data: []byte(in.String())})
	c.Frontend().Send(&pgproto3.CopyDone{})
	c.Frontend().Flush()
	for {
		m, err := c.Frontend().Receive()
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := m.(*pgproto3.ReadyForQuery); ok {
			break
		}
	}
	if got := h.engine.Lines("one"); len(got) != 50_000 {
		t.Fatalf("%d lines", len(got))
	}
}

// failingReader fails after some bytes.
type failingReader struct{ r io.Reader }

func (f failingReader) Read(p []byte) (int, error) {
	n, err := f.r.Read(p)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

func TestCopyFailAndDisconnect(t *testing.T) {
	h := start(t, pgwire.Options{})
	c := h.connect(t)
	_, err := c.CopyFrom(t.Context(), failingReader{strings.NewReader("a\nb\n")}, "COPY t FROM STDIN")
	wantCode(t, err, "57014", "COPY from stdin failed")
	c.Frontend().SendQuery(queryMessage("COPY t FROM STDIN"))
	c.Frontend().Send(&pgproto3.CopyData{Data: []byte("a\n")})
	c.Frontend().Flush()
	if _, err := c.Frontend().Receive(); err != nil { // CopyInResponse
		t.Fatal(err)
	}
	c.Conn().Close()
	if err := h.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := h.engine.Lines("t"); len(got) != 0 {
		t.Errorf("half a copy was stored: %q", got)
	}
}

// TestCancelDuringCopyKeepsTheConnection cancels when the server has read half a message: of a header, of data, and of a
// message that is no data.
func TestCancelDuringCopyKeepsTheConnection(t *testing.T) {
	data, _ := (&pgproto3.CopyData{Data: []byte("abc\n")}).Encode(nil)
	fail, _ := (&pgproto3.CopyFail{Message: "no"}).Encode(nil)
	start, _ := queryMessage("COPY t FROM STDIN").Encode(nil)
	for _, cut := range [][2][]byte{{data[:3], data[3:]}, {data[:7], data[7:]}, {fail[:6], fail[6:]}} {
		synctest.Test(t, func(t *testing.T) {
			ln := newPipeListener()
			s := pgwire.NewServer(newEngine(), pgwire.Options{})
			go s.Serve(t.Context(), ln)
			nc := ln.dial()
			f := pgproto3.NewFrontend(nc, nc)
			go nc.Write([]byte(startupMessage))
			var key pgproto3.BackendKeyData
			until := func(last pgproto3.BackendMessage) {
				t.Helper()
				for {
					m, err := f.Receive()
					if err != nil {
						t.Fatalf("after a message cut behind %q: %v", cut[0], err)
					}
					if k, ok := m.(*pgproto3.BackendKeyData); ok {
						key = *k
					}
					if fmt.Sprintf("%T", m) == fmt.Sprintf("%T", last) {
						return
					}
				}
			}
			until(&pgproto3.ReadyForQuery{})
			nc.Write(start)
			until(&pgproto3.CopyInResponse{})
			nc.Write(cut[0])
			synctest.Wait() // the statement has what there is, and waits for more
			cancel, _ := (&pgproto3.CancelRequest{ProcessID: key.ProcessID, SecretKey: key.SecretKey}).Encode(nil)
			ln.dial().Write(cancel)
			until(&pgproto3.ErrorResponse{})
			until(&pgproto3.ReadyForQuery{})
			nc.Write(cut[1])
			nc.Write(start)
			until(&pgproto3.CopyInResponse{})
			nc.Close()
			s.Shutdown(t.Context())
		})
	}
}

func TestListen(t *testing.T) {
	h := start(t, pgwire.Options{})
	c := h.open(t, pgx.QueryExecModeSimpleProtocol)
	if _, err := c.Exec(t.Context(), "LISTEN alerts"); err != nil {
		t.Fatal(err)
	}
	for _, payload := range []string{"one", "two"} {
		h.engine.Notify("alerts", payload)
		n, err := c.WaitForNotification(t.Context())
		if err != nil || n.Channel != "alerts" || n.Payload != payload || n.PID != c.PgConn().PID() {
			t.Fatalf("%+v, %v", n, err)
		}
	}
}

func TestPortalSuspendsAcrossPipelinedExecutes(t *testing.T) {
	h := start(t, pgwire.Options{})
	c := h.connect(t)
	f := c.Frontend()
	f.SendParse(&pgproto3.Parse{Query: "SELECT g FROM generate_series(1, 7) AS g"})
	f.SendBind(&pgproto3.Bind{ResultFormatCodes: []int16{1}})
	for range 4 {
		f.SendExecute(&pgproto3.Execute{MaxRows: 2})
	}
	f.SendSync(&pgproto3.Sync{})
	f.Flush()
	var got []string
	for {
		m, err := f.Receive()
		if err != nil {
			t.Fatal(err)
		}
		switch m := m.(type) {
		case *pgproto3.DataRow:
			got = append(got, fmt.Sprintf("%x", m.Values[0]))
		case *pgproto3.PortalSuspended:
			got = append(got, "suspended")
		case *pgproto3.CommandComplete:
			got = append(got, string(m.CommandTag))
		}
		if _, ok := m.(*pgproto3.ReadyForQuery); ok {
			break
		}
	}
	want := strings.Fields("00000001 00000002 suspended 00000003 00000004 suspended 00000005 00000006 suspended 00000007")
	if want = append(want, "SELECT 1"); !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}
