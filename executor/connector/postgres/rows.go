package postgres

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/connector"
	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// statements are what a connection runs. Rows are given as one JSON array, which the server reads as rows of the table.
type statements struct{ insert, remove, move string }

// prepare looks at the table and writes the statements.
func (t *table) prepare(ctx context.Context, positions string) error {
	name, err := t.regclass(ctx, t.name)
	if err != nil {
		return err
	}
	if name == "" {
		return sqlerr.New(sqlerr.UndefinedTable, "%s has no table %q", t.host(), t.name).WithHint("%s", t.createTable())
	}
	rows, err := t.conn.Query(ctx, "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped", quoted(t.name))
	if err != nil {
		return err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return err
	}
	there := map[string]bool{}
	for _, n := range names {
		there[n] = true
	}
	var columns []string
	for _, c := range t.o.Columns {
		if !there[c.Name] {
			return sqlerr.New(sqlerr.UndefinedColumn, "table %q of %s has no column %q", t.name, t.host(), c.Name).
				WithHint("ALTER TABLE %s ADD COLUMN %s %s;", name, quotedColumn(c.Name), c.Type)
		}
		columns = append(columns, c.Name)
	}
	for _, c := range []string{t.o.IDField, opField} {
		if there[c] {
			columns = append(columns, c)
		}
	}
	if t.o.Updates && len(t.keys) == 0 && !there[opField] {
		return sqlerr.New(sqlerr.ObjectNotInPrerequisite, "query %q takes rows back, and table %q has no column %s that would tell", t.o.Query, t.name, opField).
			WithHint("ALTER SINK .. SET (key = '..') keeps one row a key; or ALTER TABLE %s ADD COLUMN %s text.", name, opField)
	}
	t.write(name, positions, columns)
	return nil
}

// write makes the statements.
func (t *table) write(name, positions string, columns []string) {
	list := func(names []string, form func(column string) string, separator string) string {
		parts := make([]string, len(names))
		for i, n := range names {
			parts[i] = form(quotedColumn(n))
		}
		return strings.Join(parts, separator)
	}
	plain := func(c string) string { return c }
	all := list(columns, plain, ", ")
	given := "json_populate_recordset(NULL::" + name + ", $1::json)"
	t.sql = statements{
		insert: "INSERT INTO " + name + " (" + all + ") SELECT " + all + " FROM " + given,
		move:   "UPDATE " + positions + " SET query = $3, next = $4 WHERE sink = $1 AND taken = $2",
	}
	if len(t.keys) == 0 {
		return
	}
	t.sql.insert += " ON CONFLICT (" + list(t.keys, plain, ", ") + ") DO UPDATE SET " + list(columns, func(c string) string { return c + " = EXCLUDED." + c }, ", ")
	t.sql.remove = "DELETE FROM " + name + " AS t USING " + given + " AS r WHERE " + list(t.keys, func(c string) string { return "t." + c + " = r." + c }, " AND ")
}

func quotedColumn(name string) string { return pgx.Identifier{name}.Sanitize() }

func quotedColumns(names []string) string {
	parts := make([]string, len(names))
	for i, n := range names {
		parts[i] = quotedColumn(n)
	}
	return strings.Join(parts, ", ")
}

// createTable is the statement that makes a table for the query.
func (t *table) createTable() string {
	var b strings.Builder
	b.WriteString("CREATE TABLE " + t.name + " (")
	for i, c := range t.o.Columns {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(quotedColumn(c.Name) + " " + c.Type.String())
	}
	if len(t.keys) > 0 {
		b.WriteString(", UNIQUE (" + quotedColumns(t.keys) + ")")
	}
	return b.String() + ");"
}

// put adds rows to the table, or, with a key, does to it what they say.
func (t *table) put(ctx context.Context, tx pgx.Tx, rows []connector.SinkRow) error {
	if len(t.keys) == 0 {
		return t.run(ctx, tx, t.sql.insert, rows, func(int) bool { return true })
	}
	for i := range rows {
		if hasNull(rows[i].Key) {
			return errNullKey
		}
	}
	last := t.collapse(rows)
	if err := t.run(ctx, tx, t.sql.remove, rows, func(i int) bool { return last[string(rows[i].Key)] == i && removes(rows[i].Op) }); err != nil {
		return err
	}
	return t.run(ctx, tx, t.sql.insert, rows, func(i int) bool { return last[string(rows[i].Key)] == i && !removes(rows[i].Op) })
}

// errNullKey blames a row as the server does that refuses it.
var errNullKey error = &pgconn.PgError{Code: string(sqlerr.NotNullViolation), Message: "a column of option key is NULL, and NULLs are not equal"}

// hasNull tells of a key's text, of one column or of several, that a column is NULL.
func hasNull(key []byte) bool {
	if key == nil {
		return true
	}
	if key[0] != '[' || !bytes.Contains(key, []byte("null")) {
		return false
	}
	var columns []any
	return json.Unmarshal(key, &columns) == nil && slices.Contains(columns, nil)
}

// collapse finds the last change of each key: one statement cannot change a row twice. The first half of an update counts only where the
// second has another key.
func (t *table) collapse(rows []connector.SinkRow) map[string]int {
	if t.marks == nil {
		t.marks = map[string]int{}
	}
	clear(t.marks)
	for i := range rows {
		if rows[i].Op == batch.UpdateBefore && (i+1 == len(rows) || string(rows[i+1].Key) == string(rows[i].Key)) {
			continue
		}
		t.marks[string(rows[i].Key)] = i
	}
	return t.marks
}

func removes(op batch.Op) bool { return op == batch.Delete || op == batch.UpdateBefore }

// run runs a statement over those of the rows that are wanted, unless there are none.
func (t *table) run(ctx context.Context, tx pgx.Tx, sql string, rows []connector.SinkRow, want func(i int) bool) error {
	t.buf = append(t.buf[:0], '[')
	for i := range rows {
		if want(i) {
			t.buf = append(append(t.buf, rows[i].Body...), ',')
		}
	}
	if len(t.buf) == 1 {
		return nil
	}
	t.buf[len(t.buf)-1] = ']'
	_, err := tx.Exec(ctx, sql, t.buf)
	return err
}
