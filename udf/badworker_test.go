package udf

import (
	"encoding/binary"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/udf/wire"
)

// badWorker is a worker in the hands of an attacker: it takes definitions and answers calls with lies.
func badWorker(how string) int {
	var buf []byte
	for {
		kind, _, err := wire.Read(os.Stdin, &buf, wire.EvalMax)
		if err != nil {
			return 0
		}
		frame := wire.Finish(wire.Begin(nil, wire.Defined))
		if kind == wire.Eval {
			frame = lie(how)
		}
		if _, err := os.Stdout.Write(frame); err != nil {
			return 0
		}
		if how == "cut" && kind == wire.Eval {
			return 0
		}
	}
}

// lie makes an answer to a call of two rows of text.
func lie(how string) []byte {
	head := func(h wire.ResultHead) []byte { return wire.AppendResultHead(wire.Begin(nil, wire.Result), h) }
	text := &batch.Vec{}
	text.Reset(types.T(types.Bytea))
	text.AppendString("good")
	text.AppendString("bad\xff")
	switch how {
	case "length":
		return append(wire.Begin(nil, wire.Result)[:0], 255, 255, 255, 127, byte(wire.Result))
	case "kind":
		return wire.Finish(wire.Begin(nil, 'X'))
	case "defined":
		return wire.Finish(wire.Begin(nil, wire.Defined))
	case "empty":
		return wire.Finish(wire.Begin(nil, wire.Result))
	case "rows":
		return wire.Finish(wire.AppendColumn(head(wire.ResultHead{Rows: 3}), text, 2))
	case "few":
		return wire.Finish(wire.AppendColumn(head(wire.ResultHead{Rows: 1}), text, 1))
	case "endless":
		return wire.Finish(wire.AppendColumn(head(wire.ResultHead{Rows: 0, More: true}), text, 0))
	case "errors":
		return wire.Finish(wire.AppendColumn(head(wire.ResultHead{Rows: 2, Errors: 1 << 30}), text, 2))
	case "offsets":
		f := wire.AppendColumn(head(wire.ResultHead{Rows: 2}), text, 2)
		binary.LittleEndian.PutUint32(f[len(f)-len(text.Buf)-8:], 1<<31)
		return wire.Finish(f)
	case "cut":
		f := wire.Finish(wire.AppendColumn(head(wire.ResultHead{Rows: 2}), text, 2))
		return f[:len(f)-3]
	case "row error":
		f := wire.AppendColumn(head(wire.ResultHead{Rows: 2, Errors: 1}), text, 2)
		return wire.Finish(wire.AppendRowError(f, wire.RowError{Row: 2, Code: "38000", Text: "x"}))
	case "limit", "limit row":
		b := wire.Broken{Limit: "good manners"}
		if how == "limit row" {
			b = wire.Broken{Limit: wire.TimeLimit, Row: 1 << 40}
		}
		j, _ := json.Marshal(b)
		return wire.Finish(append(wire.Begin(nil, wire.Violation), j...))
	case "json":
		return wire.Finish(append(wire.Begin(nil, wire.Violation), "{"...))
	case "code":
		f := wire.AppendColumn(head(wire.ResultHead{Rows: 2, Errors: 1}), text, 2)
		return wire.Finish(wire.AppendRowError(f, wire.RowError{Row: 0, Code: "57P01", Text: "down\x00\n\x1b[2J" + strings.Repeat("x", 5000)}))
	}
	return wire.Finish(wire.AppendColumn(head(wire.ResultHead{Rows: 2}), text, 2)) // "utf8"
}

// TestBadWorker: nothing that a worker answers hurts the server; at worst the function is out of service.
func TestBadWorker(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, how := range []string{"length", "kind", "defined", "empty", "rows", "few", "endless", "errors", "offsets", "cut", "row error", "limit",
		"limit row", "json", "code", "utf8"} {
		t.Run(how, func(t *testing.T) {
			p := NewPool(Options{Command: []string{exe, "bad-worker", how}, Workers: 1})
			defer p.Close()
			define(t, p, &spec.Function{ID: 1, Ret: types.T(types.Text), Body: "return a"}, types.Text)
			rows, err := run(t, p, 1, types.T(types.Text), 2, vec(types.Text, "x", "y"))
			switch how {
			case "utf8":
				if err != nil || rows[0].text != "good" || sqlerr.CodeOf(rows[1].err) != sqlerr.CharacterNotInRepertoire {
					t.Errorf("%v %v", rows, err)
				}
			case "code":
				e := sqlerr.As(rows[0].err)
				if err != nil || e.Code != sqlerr.ExternalRoutineException || len(e.Message) > wire.MessageMax || strings.ContainsAny(e.Message, "\x00\n\x1b") {
					t.Errorf("%v %+v", err, e)
				}
			case "limit row":
				if sqlerr.CodeOf(err) != sqlerr.UDFTimeLimit || sqlerr.As(err).Detail != "It happened in row 2 of the batch." {
					t.Errorf("%v", err)
				}
			default:
				if sqlerr.CodeOf(err) != sqlerr.UDFCrash {
					t.Errorf("%v %v", rows, err)
				}
			}
		})
	}
}
