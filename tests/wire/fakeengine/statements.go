package fakeengine

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/server/pgwire"
)

func selected(n int) string { return "SELECT " + strconv.Itoa(n) }

func column(name string, k types.Kind) *types.Schema {
	return &types.Schema{Cols: []types.Column{{Name: name, Type: types.T(k)}}}
}

// constant is a statement with one row of one column.
func constant(name string, v types.Value) *statement {
	return &statement{cols: column(name, v.Type.Kind), run: func(_ context.Context, _ []types.Value, out pgwire.Output) (string, error) {
		return selected(1), out.Row([]types.Value{v})
	}}
}

// echo is a statement that returns its parameter.
func echo(k types.Kind) *statement {
	return &statement{
		params: []types.Type{types.T(k)},
		cols:   column("p", k),
		run: func(_ context.Context, params []types.Value, out pgwire.Output) (string, error) {
			return selected(1), out.Row(params)
		},
	}
}

// command is a statement without rows.
func command(tag string, f func(out pgwire.Output) error) *statement {
	return &statement{run: func(_ context.Context, _ []types.Value, out pgwire.Output) (string, error) {
		return tag, f(out)
	}}
}

// lookup finds a statement by its text.
func (s *session) lookup(sql string) (*statement, error) {
	switch sql {
	case "SELECT 1 AS a":
		return constant("a", types.NewInt(types.Int4, 1)), nil
	case "SELECT 2 AS b":
		return constant("b", types.NewInt(types.Int4, 2)), nil
	case "SELECT 'x'::text AS t":
		return constant("t", types.NewText("x")), nil
	case "SELECT NULL::text AS n":
		return constant("n", types.Null(types.T(types.Text))), nil
	case "SELECT $1::int4 AS p":
		return echo(types.Int4), nil
	case "SELECT $1::text AS p":
		return echo(types.Text), nil
	case "SELECT 1/0 AS d":
		return &statement{cols: column("d", types.Int4), bindErr: sqlerr.New(sqlerr.DivisionByZero, "division by zero")}, nil
	}
	n := 0
	if _, err := fmt.Sscanf(sql, "SELECT g FROM generate_series(1, %d) AS g", &n); err == nil {
		return &statement{cols: column("g", types.Int4), rows: n}, nil
	}
	if st := s.transaction(sql); st != nil {
		return st, nil
	}
	if st := s.notification(sql); st != nil {
		return st, nil
	}
	if st := s.copying(sql); st != nil {
		return st, nil
	}
	if st := s.odd(sql); st != nil {
		return st, nil
	}
	return nil, sqlerr.NotSupported("the statement "+strconv.Quote(sql), "")
}

func (s *session) transaction(sql string) *statement {
	switch sql {
	case "BEGIN":
		return command("BEGIN", func(pgwire.Output) error { s.status = 'T'; return nil })
	case "COMMIT", "ROLLBACK":
		tag := sql
		if s.status == 'E' {
			tag = "ROLLBACK"
		}
		return command(tag, func(out pgwire.Output) error {
			if s.status == 'I' {
				out.Notice(pgwire.Notice{Severity: "WARNING",
					Err: sqlerr.New(sqlerr.NoActiveTransaction, "there is no transaction in progress")})
			}
			s.status = 'I'
			return nil
		})
	case "SET application_name TO 'wire'":
		return command("SET", func(out pgwire.Output) error { out.ParameterStatus("application_name", "wire"); return nil })
	}
	return nil
}

func (s *session) notification(sql string) *statement {
	verb, rest, _ := strings.Cut(sql, " ")
	switch verb {
	case "LISTEN":
		return command("LISTEN", func(pgwire.Output) error {
			s.engine.mu.Lock()
			defer s.engine.mu.Unlock()
			if s.engine.listeners == nil {
				s.engine.listeners = map[string][]*session{}
			}
			s.engine.listeners[rest] = append(s.engine.listeners[rest], s)
			return nil
		})
	case "NOTIFY":
		channel, payload, _ := strings.Cut(rest, ", ")
		return command("NOTIFY", func(pgwire.Output) error { s.engine.Notify(channel, strings.Trim(payload, "'")); return nil })
	}
	return nil
}

func (s *session) copying(sql string) *statement {
	words := strings.Fields(sql)
	switch {
	case strings.HasPrefix(sql, "CREATE TEMP TABLE "):
		return command("CREATE TABLE", func(pgwire.Output) error { s.store(words[3], nil, true); return nil })
	case strings.HasPrefix(sql, "COPY ") && strings.HasSuffix(sql, " FROM STDIN"):
		return &statement{run: func(_ context.Context, _ []types.Value, out pgwire.Output) (string, error) {
			r, err := out.CopyIn(1, 0)
			if err != nil {
				return "", err
			}
			lines, err := copyLines(words[1], r)
			if err != nil {
				return "", err
			}
			s.store(words[1], lines, false)
			return "COPY " + strconv.Itoa(len(lines)), nil
		}}
	case strings.HasPrefix(sql, "COPY ") && strings.HasSuffix(sql, " TO STDOUT"):
		return &statement{run: func(_ context.Context, _ []types.Value, out pgwire.Output) (string, error) {
			return s.copyOut(words[1], out)
		}}
	}
	return nil
}

func (s *session) copyOut(table string, out pgwire.Output) (string, error) {
	w, err := out.CopyOut(1, 0)
	if err != nil {
		return "", err
	}
	lines := s.engine.Lines(table)
	for _, line := range lines {
		if _, err := w.Write([]byte(line + "\n")); err != nil {
			return "", err
		}
	}
	return "COPY " + strconv.Itoa(len(lines)), w.Close()
}

func (s *session) store(table string, lines []string, fresh bool) {
	s.engine.mu.Lock()
	defer s.engine.mu.Unlock()
	if s.engine.tables == nil {
		s.engine.tables = map[string][]string{}
	}
	if fresh {
		s.engine.tables[table] = nil
	}
	s.engine.tables[table] = append(s.engine.tables[table], lines...)
}

// sleep tells that it runs and waits for the end of its context.
func (s *session) sleep(ctx context.Context) error {
	if s.engine.Sleeping != nil {
		s.engine.Sleeping <- struct{}{}
	}
	<-ctx.Done()
	return ctx.Err()
}

// odd holds what no script shares with Postgres.
func (s *session) odd(sql string) *statement {
	switch sql {
	case "SELECT pg_sleep(60)":
		return &statement{cols: column("pg_sleep", types.Void), run: func(ctx context.Context, _ []types.Value, _ pgwire.Output) (string, error) {
			return "", s.sleep(ctx)
		}}
	case "SUBSCRIBE": // one row, then nothing for ever
		return &statement{cols: column("n", types.Int4), run: func(ctx context.Context, _ []types.Value, out pgwire.Output) (string, error) {
			if err := out.Row([]types.Value{types.NewInt(types.Int4, 1)}); err != nil {
				return "", err
			}
			if err := out.Flush(); err != nil {
				return "", err
			}
			return "", s.sleep(ctx)
		}}
	case "WAIT": // ends when the test says so
		return command("WAIT", func(pgwire.Output) error {
			s.engine.Sleeping <- struct{}{}
			<-s.engine.Release
			return nil
		})
	case "NOTICE":
		return command("DO", func(out pgwire.Output) error {
			out.Notice(pgwire.Notice{Severity: "WARNING", Err: sqlerr.New(sqlerr.Warning, "be\x00ware").WithHint("Look.")})
			return nil
		})
	case "ERROR":
		return command("", func(pgwire.Output) error {
			return sqlerr.New(sqlerr.UndefinedColumn, "column \"x\" does not exist").At(8).WithDetail("d").WithHint("h").WithWhere("w")
		})
	case "PANIC":
		return command("", func(pgwire.Output) error { panic("on purpose") })
	case "COPY EARLY": // reads five bytes and fails
		return command("", func(out pgwire.Output) error {
			r, err := out.CopyIn(1, 0)
			if err != nil {
				return err
			}
			if _, err := io.ReadFull(r, make([]byte, 5)); err != nil {
				return err
			}
			return sqlerr.New(sqlerr.BadCopyFileFormat, "bad row")
		})
	case "FLOOD": // rows without end
		return &statement{cols: column("t", types.Text), run: func(_ context.Context, _ []types.Value, out pgwire.Output) (string, error) {
			row := []types.Value{types.NewText(strings.Repeat("x", 1000))}
			for {
				if err := out.Row(row); err != nil {
					return "", err
				}
			}
		}}
	}
	return nil
}
