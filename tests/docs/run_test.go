package docs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/vigil-sql/vigil/tests/harness"
)

// answer runs an example and prints what psql would, with footer off, NULL shown as NULL, and without the LINE of an error.
func (e *example) answer(c *pgx.Conn) (string, error) {
	var parts []string
	for _, sql := range e.statements {
		tables, err := returned(c, sql)
		if pg, ok := errors.AsType[*pgconn.PgError](err); ok && e.expects {
			parts = append(parts, failure(pg))
			continue
		}
		if err != nil {
			return "", fmt.Errorf("%s\n%w", sql, err)
		}
		parts = append(parts, tables...)
	}
	return strings.Join(parts, "\n"), nil
}

// returned runs one statement and prints the rows that it returns.
func returned(c *pgx.Conn, sql string) ([]string, error) {
	var out []string
	all := c.PgConn().Exec(context.Background(), sql)
	for all.NextResult() {
		r := all.ResultReader()
		t := &pgconn.Result{FieldDescriptions: slices.Clone(r.FieldDescriptions())}
		for r.NextRow() {
			row := make([][]byte, 0, len(r.Values()))
			for _, v := range r.Values() {
				row = append(row, bytes.Clone(v)) // nil stays nil
			}
			t.Rows = append(t.Rows, row)
		}
		if len(t.FieldDescriptions) > 0 {
			out = append(out, aligned(t))
		}
	}
	return out, all.Close()
}

func failure(pg *pgconn.PgError) string {
	s := "ERROR:  " + pg.Message + "\n"
	if pg.Detail != "" {
		s += "DETAIL:  " + pg.Detail + "\n"
	}
	if pg.Hint != "" {
		s += "HINT:  " + pg.Hint + "\n"
	}
	return s
}

// numeric are the types that psql prints at the right: int8, int2, int4, oid, float4, float8, numeric.
var numeric = []uint32{20, 21, 23, 26, 700, 701, 1700}

// aligned prints rows as psql does.
func aligned(r *pgconn.Result) string {
	rows := make([][]string, 0, len(r.Rows))
	width := make([]int, len(r.FieldDescriptions))
	for i, f := range r.FieldDescriptions {
		width[i] = utf8.RuneCountInString(f.Name)
	}
	for _, row := range r.Rows {
		texts := make([]string, len(row))
		for i, v := range row {
			if texts[i] = string(v); v == nil {
				texts[i] = "NULL"
			}
			width[i] = max(width[i], utf8.RuneCountInString(texts[i]))
		}
		rows = append(rows, texts)
	}
	var b strings.Builder
	var names, rules []string
	for i, f := range r.FieldDescriptions {
		pad := width[i] - utf8.RuneCountInString(f.Name)
		names = append(names, strings.Repeat(" ", pad/2)+f.Name+strings.Repeat(" ", pad-pad/2))
		rules = append(rules, strings.Repeat("-", width[i]+2))
	}
	line(&b, names)
	b.WriteString(strings.Join(rules, "+") + "\n")
	for _, texts := range rows {
		for i, s := range texts {
			pad := strings.Repeat(" ", width[i]-utf8.RuneCountInString(s))
			if slices.Contains(numeric, r.FieldDescriptions[i].DataTypeOID) {
				texts[i] = pad + s
			} else {
				texts[i] = s + pad
			}
		}
		line(&b, texts)
	}
	return b.String()
}

func line(b *strings.Builder, cells []string) {
	b.WriteString(strings.TrimRight(" "+strings.Join(cells, " | "), " ") + "\n")
}

// check runs an example and compares.
func (p *page) check(c *pgx.Conn, e *example) error {
	want := ""
	if e.expects {
		want = strings.Join(append(slices.Clone(p.lines[e.from:e.to]), ""), "\n")
	}
	deadline := time.Now().Add(harness.PatienceMax / 4)
	for {
		got, err := e.answer(c)
		switch {
		case err != nil:
			return fmt.Errorf("%s:%d: %w", p.name, e.line, err)
		case !e.expects || got == want:
			return nil
		case !e.wait || time.Now().After(deadline):
			return &drift{fmt.Sprintf("%s:%d", p.name, e.line), got, want}
		}
		<-time.After(10 * time.Millisecond)
	}
}

// drift is an example whose output is not what the page says.
type drift struct{ place, got, want string }

// Error implements error.
func (d *drift) Error() string { return d.place + ": got\n" + d.got + "\nthe page says\n" + d.want }
