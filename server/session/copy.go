package session

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/vigil-sql/vigil/executor/codec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner"
	"github.com/vigil-sql/vigil/planner/parse"
	"github.com/vigil-sql/vigil/server/pgwire"
)

// copyFormat is what COPY's options say, with Postgres' defaults.
type copyFormat struct {
	csv, json, header       bool
	binary                  bool
	delimiter, null         string
	quote, escape           string
	delimiterSet, escapeSet bool
	// key is the idempotency key.
	key string
}

// copyOptions reads the options of COPY in both spellings, which the parser has folded into keys and values.
func copyOptions(options []parse.Option) (*copyFormat, error) {
	f := &copyFormat{delimiter: "\t", null: `\N`, quote: `"`}
	for _, o := range options {
		bad := func(hint string) error {
			return sqlerr.New(sqlerr.InvalidParameterValue, "COPY option %s = %q not recognized", o.Key, o.Value).At(o.Pos).WithHint("%s", hint)
		}
		switch o.Key {
		case "format":
			switch strings.ToLower(o.Value) {
			case "text":
			case "csv":
				f.csv = true
			case "json":
				f.json = true
			case "binary":
				f.binary = true
			default:
				return nil, bad("COPY formats are text, csv, binary and json.")
			}
		case "csv":
			f.csv = true
		case "header":
			f.header = o.Bare || isTrue(o.Value)
		case "delimiter":
			f.delimiter, f.delimiterSet = o.Value, true
		case "null":
			f.null = o.Value
		case "quote":
			f.quote = o.Value
		case "escape":
			f.escape, f.escapeSet = o.Value, true
		case "idempotency_key":
			if f.key = o.Value; f.key == "" || len(f.key) > KeyMax {
				return nil, bad(fmt.Sprintf("It has from 1 to %d bytes.", KeyMax))
			}
		case "encoding", "freeze":
		default:
			return nil, bad("See COPY in the reference.")
		}
		if len(o.Value) != 1 && (o.Key == "delimiter" || o.Key == "quote" || o.Key == "escape") {
			return nil, sqlerr.New(sqlerr.FeatureNotSupported, "COPY %s must be a single one-byte character", o.Key).At(o.Pos)
		}
	}
	if f.binary {
		return f, f.checkBinary(options)
	}
	if f.csv {
		f.defaultsCSV(options)
	}
	return f, nil
}

// checkBinary refuses options that say how text looks.
func (f *copyFormat) checkBinary(options []parse.Option) error {
	for _, o := range options {
		switch o.Key {
		case "delimiter", "null":
			return sqlerr.New(sqlerr.SyntaxError, "cannot specify %s in BINARY mode", strings.ToUpper(o.Key))
		case "header":
			if f.header {
				return sqlerr.New(sqlerr.FeatureNotSupported, "cannot specify HEADER in BINARY mode")
			}
		case "quote", "escape":
			return sqlerr.New(sqlerr.FeatureNotSupported, "COPY %s available only in CSV mode", o.Key)
		}
	}
	return nil
}

func (f *copyFormat) defaultsCSV(options []parse.Option) {
	if !f.delimiterSet {
		f.delimiter = ","
	}
	if !f.escapeSet {
		f.escape = f.quote
	}
	for _, o := range options {
		if o.Key == "null" {
			return
		}
	}
	f.null = ""
}

func isTrue(v string) bool {
	switch strings.ToLower(v) {
	case "true", "on", "1", "match", "":
		return true
	}
	return false
}

// codec names the codec of the payload with its parameters, as job reads it back.
func (f *copyFormat) codec() string {
	if f.json {
		return ""
	}
	if f.csv {
		return "CSV?" + url.Values{"delimiter": {f.delimiter}, "null": {f.null}, "quote": {f.quote}, "escape": {f.escape}}.Encode()
	}
	return "COPY?" + url.Values{"delimiter": {f.delimiter}, "null": {f.null}}.Encode()
}

// planCopy plans COPY in its four forms.
func (s *Session) planCopy(st *parse.Copy) (*statement, error) {
	f, err := copyOptions(st.Options)
	if err != nil {
		return nil, err
	}
	switch {
	case f.key != "" && (st.Subscribe != nil || st.To):
		return nil, sqlerr.New(sqlerr.FeatureNotSupported, "COPY option idempotency_key is for COPY FROM")
	case st.Subscribe != nil:
		return s.planCopySubscribe(st, f)
	case st.To && st.Query == nil:
		return s.planCopyQuery(tableQuery(st), f)
	case st.To:
		return s.planCopyQuery(st.Query, f)
	}
	t, err := s.target(st.Table, st.Columns)
	if err != nil {
		return nil, err
	}
	if f.json && t.stream != nil && t.stream.Format != "JSON" {
		return nil, sqlerr.New(sqlerr.InvalidParameterValue, "stream %q has format %s, not JSON", t.stream.Name, t.stream.Format).
			WithHint("COPY (FORMAT json) passes lines to the stream's own decoder.")
	}
	return &statement{s: s, do: func(ctx context.Context, _ []types.Value, out pgwire.Output) (string, error) {
		return s.copyIn(ctx, t, f, out)
	}}, nil
}

func tableQuery(st *parse.Copy) *parse.Select {
	core := &parse.SelectCore{From: []parse.TableExpr{&parse.TableRef{Name: st.Table}}}
	for _, c := range st.Columns {
		core.Items = append(core.Items, parse.SelectItem{Expr: &parse.Ident{Parts: []string{c}}})
	}
	if len(core.Items) == 0 {
		core.Items = []parse.SelectItem{{Star: true}}
	}
	return &parse.Select{Core: core}
}

// planCopyQuery is COPY (SELECT ..) TO STDOUT.
func (s *Session) planCopyQuery(q *parse.Select, f *copyFormat) (*statement, error) {
	p, err := planner.Select(s.env(), q, nil)
	if err != nil {
		return nil, err
	}
	return &statement{s: s, do: func(ctx context.Context, _ []types.Value, out pgwire.Output) (string, error) {
		w, err := s.newCopyWriter(&p.Root.Schema, f, out)
		if err != nil {
			return "", err
		}
		if err := s.run(ctx, p, w.row); err != nil {
			return "", err
		}
		return fmt.Sprintf("COPY %d", w.n), w.close()
	}}, nil
}

// planCopySubscribe is COPY (SUBSCRIBE q) TO STDOUT: it ends when the client cancels it.
func (s *Session) planCopySubscribe(st *parse.Copy, f *copyFormat) (*statement, error) {
	if _, _, err := s.subscription(st.Subscribe); err != nil {
		return nil, err
	}
	return &statement{s: s, do: func(ctx context.Context, _ []types.Value, out pgwire.Output) (string, error) {
		sub, cols, err := s.subscription(st.Subscribe)
		if err != nil {
			return "", err
		}
		w, err := s.newCopyWriter(cols, f, out)
		if err != nil {
			return "", err
		}
		return "", sub.follow(ctx, w.row, out.Flush)
	}}, nil
}

// copyWriter prints rows as COPY lines.
type copyWriter struct {
	w    pgwire.CopyWriter
	f    *copyFormat
	tf   *types.TextFormat
	cols []types.Column
	n    int64
	buf  []byte
	cell []byte
}

func (s *Session) newCopyWriter(cols *types.Schema, f *copyFormat, out pgwire.Output) (*copyWriter, error) {
	w, err := out.CopyOut(len(cols.Cols), f.code())
	if err != nil {
		return nil, err
	}
	c := &copyWriter{w: w, f: f, tf: s.TextFormat(), cols: cols.Cols}
	if f.binary {
		c.binaryHeader()
		return c, nil
	}
	if f.header && !f.json {
		for i, col := range cols.Cols {
			c.separate(i)
			c.text([]byte(col.Name))
		}
		c.buf = append(c.buf, '\n')
		if _, err := w.Write(c.buf); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (c *copyWriter) separate(i int) {
	if i > 0 {
		c.buf = append(c.buf, c.f.delimiter...)
	}
}

// close ends the copy.
func (c *copyWriter) close() error {
	if c.f.binary {
		if err := c.binaryEnd(); err != nil {
			return err
		}
	}
	return c.w.Close()
}

// code is the format code of the columns in the protocol.
func (f *copyFormat) code() int16 {
	if f.binary {
		return 1
	}
	return 0
}

func (c *copyWriter) row(row []types.Value) error {
	if c.f.binary {
		c.binaryRow(row)
		c.n++
		_, err := c.w.Write(c.buf)
		c.buf = c.buf[:0]
		return err
	}
	c.buf = c.buf[:0]
	if c.f.json {
		c.buf = codec.AppendJSONRow(c.buf, c.cols, row)
	}
	for i, v := range row {
		if c.f.json {
			break
		}
		c.separate(i)
		if v.Null {
			c.buf = append(c.buf, c.f.null...)
			continue
		}
		c.cell = types.AppendText(c.cell[:0], v, c.tf)
		c.text(c.cell)
	}
	c.n++
	c.buf = append(c.buf, '\n')
	_, err := c.w.Write(c.buf)
	return err
}

// text appends a cell with the quoting of the format.
func (c *copyWriter) text(s []byte) {
	if c.f.csv {
		c.csv(s)
		return
	}
	for _, b := range s {
		switch b {
		case '\\':
			c.buf = append(c.buf, `\\`...)
		case '\n':
			c.buf = append(c.buf, `\n`...)
		case '\r':
			c.buf = append(c.buf, `\r`...)
		case '\t':
			c.buf = append(c.buf, `\t`...)
		case '\b':
			c.buf = append(c.buf, `\b`...)
		case '\f':
			c.buf = append(c.buf, `\f`...)
		case '\v':
			c.buf = append(c.buf, `\v`...)
		case c.f.delimiter[0]:
			c.buf = append(c.buf, '\\', b)
		default:
			c.buf = append(c.buf, b)
		}
	}
}

func (c *copyWriter) csv(s []byte) {
	f := c.f
	if string(s) != f.null && !bytes.ContainsAny(s, f.delimiter+f.quote+"\r\n") && string(s) != `\.` {
		c.buf = append(c.buf, s...)
		return
	}
	c.buf = append(c.buf, f.quote...)
	for _, b := range s {
		if b == f.quote[0] || b == f.escape[0] {
			c.buf = append(c.buf, f.escape[0])
		}
		c.buf = append(c.buf, b)
	}
	c.buf = append(c.buf, f.quote...)
}

// copyIn is COPY ... FROM STDIN: the bytes go to the event log as they are, in pieces cut between rows, and are decoded in
// the pipeline; so bad rows go to vigil.rejected, and the good ones around them count.
func (s *Session) copyIn(ctx context.Context, t *target, f *copyFormat, out pgwire.Output) (string, error) {
	key, err := s.takeKey(t, f.key)
	if err != nil {
		return "", err
	}
	in, err := out.CopyIn(len(t.columns), f.code())
	if err != nil {
		return "", err
	}
	if f.binary {
		return s.copyBinary(ctx, t, key, in, out)
	}
	p := &pieces{r: bufio.NewReaderSize(in, 64<<10), csv: f.csv, f: f, skip: f.header && !f.json, key: key}
	if t.list != nil {
		return s.copyIOC(ctx, t, f, p, out)
	}
	if t.table != nil {
		return s.copyTable(ctx, t, f, p)
	}
	return s.copyStream(ctx, t, p, out)
}

// copyStream takes pieces into a stream, each by itself.
func (s *Session) copyStream(ctx context.Context, t *target, p *pieces, out pgwire.Output) (string, error) {
	columns := t.columns
	if p.f.json {
		columns = nil
	}
	var accepted, rejected int64
	repeated := false
	for n := 0; ; n++ {
		data, err := p.next()
		if err != nil && !errors.Is(err, io.EOF) {
			return "", err // the piece may end within a row, and is none that a repetition would have
		}
		if len(data) > 0 {
			res, err := s.append(ctx, t.stream, Ingest{Stream: t.stream.ID, Codec: p.f.codec(), Columns: columns, Key: pieceKey(p.key, n), Data: data, Whole: true})
			switch {
			case err != nil:
				return "", err
			case res.Duplicate:
				repeated = true
			default:
				accepted, rejected = accepted+res.Accepted, rejected+res.Rejected
			}
		}
		if err != nil {
			break
		}
	}
	if repeated {
		out.Notice(duplicateNotice(p.key))
	}
	if rejected > 0 {
		out.Notice(rejectedNotice(rejected))
	}
	return fmt.Sprintf("COPY %d", accepted), s.settle(ctx)
}

// pieces cuts a COPY stream into pieces of about pieceMax bytes that end between rows.
type pieces struct {
	r      *bufio.Reader
	f      *copyFormat
	csv    bool
	skip   bool   // the first row is a header
	key    string // idempotency key, "" for none
	quoted bool   // inside a CSV quote at the end of what was read
	ended  bool
}

// next returns the next piece; io.EOF comes with the last one.
func (p *pieces) next() ([]byte, error) {
	var data []byte
	for !p.ended && len(data) < pieceMax {
		line, err := p.row()
		if p.end(line) {
			p.ended = true
			line = nil
		}
		if p.skip && len(line) > 0 {
			p.skip, line = false, nil
		}
		data = append(data, line...)
		if err != nil {
			return data, err
		}
	}
	if !p.ended {
		return data, nil
	}
	_, err := io.Copy(io.Discard, p.r) // what follows the end marker is not data
	if err == nil {
		err = io.EOF
	}
	return data, err
}

// end recognises the end-of-data marker, which psql leaves in the data of formats that it does not know. It is no record
// of any of them.
func (p *pieces) end(line []byte) bool { return string(bytes.TrimRight(line, "\r\n")) == `\.` }

// row reads one row: a line, or in CSV as many lines as an open quote spans.
func (p *pieces) row() ([]byte, error) {
	var row []byte
	for {
		line, err := p.r.ReadSlice('\n')
		row = append(row, line...)
		if p.csv && bytes.Count(line, []byte(p.f.quote))%2 == 1 {
			p.quoted = !p.quoted
		}
		if errors.Is(err, bufio.ErrBufferFull) || err == nil && p.quoted && len(row) < rowMax {
			continue
		}
		p.quoted = false
		if len(row) >= rowMax {
			return nil, sqlerr.New(sqlerr.ProgramLimitExceeded, "a row of COPY is longer than %d bytes", rowMax)
		}
		return row, err
	}
}

// rowMax bounds one row of COPY, bytes.
const rowMax = 16 << 20

// copyIOC loads indicators, all as one version; a value that is not of the list's type is refused with its line, and the
// rest is loaded.
func (s *Session) copyIOC(ctx context.Context, t *target, f *copyFormat, p *pieces, out pgwire.Output) (string, error) {
	format, columns := f.codec(), t.columns
	if f.json { // a list has no format of its own
		format, columns = "JSON", nil
	}
	dec, err := s.srv.eng.Decoder(t.schema, format, columns)
	if err != nil {
		return "", err
	}
	l := &iocLoader{s: s, t: t, dec: dec, held: s.newHolding(), infos: iocInfos{list: t.list}}
	for {
		data, err := p.next()
		if err := l.add(data); err != nil {
			return "", err
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", err
		}
	}
	n, err := l.finish(ctx)
	if err == nil && l.refused > 0 {
		out.Notice(rejectedNotice(l.refused))
	}
	return fmt.Sprintf("COPY %d", n), err
}
