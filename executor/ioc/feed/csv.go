package feed

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// recordMax bounds a record of CSV whose quoted fields span lines, columnsMax its fields.
const (
	recordMax  = 64 << 10
	columnsMax = 1024
)

// records gives the records of CSV.
type records struct {
	liner
	delimiter byte
	fields    []string
	// back are the lines of a record that never ended, to be read again but for the first; backNo is the number of the first.
	back   [][]byte
	backNo int64
}

// line is the next line, and its number.
func (r *records) line() ([]byte, int64, error) {
	if len(r.back) > 0 {
		line, no := r.back[0], r.backNo
		r.back, r.backNo = r.back[1:], no+1
		return line, no, nil
	}
	line, err := r.next()
	return line, r.no, err
}

// record is the next record's fields, valid until the next call, and the number of its first line. A record whose quote is
// never closed is refused, its first line alone, so that a stray quote does not take the lines after it.
func (r *records) record() ([]string, int64, error) {
	for {
		line, no, err := r.line()
		if err != nil {
			return nil, 0, err
		}
		if trimmed := bytes.TrimSpace(line); len(trimmed) == 0 || trimmed[0] == '#' {
			continue
		}
		ok, err := r.whole(bytes.Clone(line), no)
		if ok || err != nil {
			return r.fields, no, err
		}
	}
}

// whole reads the record that begins with a line; false: it was refused.
func (r *records) whole(text []byte, no int64) (bool, error) {
	var held [][]byte
	for split := true; ; {
		if split { // a line without a quote closes none
			r.fields = r.fields[:0]
			done, err := r.split(text)
			if err != nil {
				return false, r.f.refuse(no, string(text), err)
			}
			if done {
				return true, nil
			}
		}
		more, _, err := r.line()
		if err != nil && !errors.Is(err, io.EOF) {
			return false, err
		}
		if err != nil {
			return false, r.unclosed(no, text, held)
		}
		held = append(held, bytes.Clone(more))
		if len(text)+len(more) > recordMax {
			return false, r.unclosed(no, text, held)
		}
		text = append(append(text, '\n'), more...)
		split = bytes.IndexByte(more, '"') >= 0
	}
}

// unclosed refuses the first line of a record and puts the others back.
func (r *records) unclosed(no int64, text []byte, held [][]byte) error {
	first, _, _ := bytes.Cut(text, []byte("\n"))
	r.back, r.backNo = append(held, r.back...), no+1
	return r.f.refuse(no, string(first), refusal("a quote is never closed"))
}

// split cuts a record into fields; false: it goes on in the next line.
func (r *records) split(text []byte) (bool, error) {
	for {
		if len(r.fields) == columnsMax {
			return true, refusal("the record has more than %d fields", columnsMax)
		}
		if len(text) == 0 || text[0] != '"' {
			end := bytes.IndexByte(text, r.delimiter)
			if end < 0 {
				r.fields = append(r.fields, string(text))
				return true, nil
			}
			r.fields = append(r.fields, string(text[:end]))
			text = text[end+1:]
			continue
		}
		value, rest, ok := unquote(text[1:])
		switch {
		case !ok:
			return false, nil
		case len(rest) > 0 && rest[0] != r.delimiter:
			return true, refusal("there is something between a closing quote and the next field")
		}
		r.fields = append(r.fields, value)
		if len(rest) == 0 {
			return true, nil
		}
		text = rest[1:]
	}
}

// unquote reads up to the closing quote; two quotes are one.
func unquote(text []byte) (value string, rest []byte, ok bool) {
	var b []byte
	for {
		end := bytes.IndexByte(text, '"')
		if end < 0 {
			return "", nil, false
		}
		b = append(b, text[:end]...)
		text = text[end+1:]
		if len(text) == 0 || text[0] != '"' {
			return string(b), text, true
		}
		b, text = append(b, '"'), text[1:]
	}
}

// csv reads records with a header, or with the columns that the options name.
func (f *reader) csv() error {
	r := &records{liner: liner{f: f}, delimiter: f.o.Delimiter}
	if r.delimiter == 0 {
		r.delimiter = ','
	}
	header := f.o.Columns
	if header == nil {
		first, _, err := r.record()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		header = slices.Clone(first)
	}
	cols, err := f.columns(header)
	if err != nil {
		return err
	}
	for {
		rec, no, err := r.record()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err == nil {
			err = f.csvEntry(rec, cols, len(header), no)
		}
		if err != nil {
			return err
		}
	}
}

// columns finds the fields in a header; -1: it is not there.
func (f *reader) columns(header []string) (cols [fields]int, err error) {
	var known []string
	for _, h := range header {
		known = append(known, strings.ToLower(strings.ReplaceAll(strings.TrimSpace(h), " ", "_")))
	}
	for i := range cols {
		cols[i] = -1
		for _, name := range namesOf(field(i), f.o.Kind) {
			if at := slices.Index(known, name); at >= 0 {
				cols[i] = at
				break
			}
		}
	}
	if cols[fieldValue] < 0 {
		if len(header) > 16 {
			header = header[:16]
		}
		return cols, sqlerr.New(sqlerr.UndefinedColumn, "the feed's header has no column for the values: %s", short(strings.Join(header, ", "))).
			WithHint("It is called value, or one of %s; name the columns with the option columns if there is no header.", strings.Join(namesOf(fieldValue, f.o.Kind)[1:], ", "))
	}
	return cols, nil
}

func (f *reader) csvEntry(rec []string, cols [fields]int, want int, no int64) error {
	raw := func() string { return strings.Join(rec, ",") }
	if len(rec) != want {
		return f.refuse(no, raw(), refusal("the record has %d fields, the header %d", len(rec), want))
	}
	e, kind := Entry{Confidence: -1, Line: no}, ""
	for i, c := range cols {
		if c < 0 {
			continue
		}
		if err := e.set(field(i), rec[c], &kind); err != nil {
			return f.refuse(no, raw(), err)
		}
	}
	return f.emit(e, kind)
}
