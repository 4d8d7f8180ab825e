package pgcatalog

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/fn"
	"github.com/vigil-sql/vigil/executor/op"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/task"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner"
	"github.com/vigil-sql/vigil/planner/parse"
)

// database runs statements against the small database.
type database struct {
	c   *Catalog
	src *fakeSource
}

// notSelect is the error for statements that are not one SELECT.
const notSelect = "not one SELECT"

// query returns a statement's columns and rows as text.
func (d *database) query(sql string) (cols, rows []string, err error) {
	stmts, err := parse.Parse(sql)
	if err != nil {
		return nil, nil, err
	}
	sel, ok := stmts[0].Stmt.(*parse.SelectStmt)
	if !ok || len(stmts) != 1 {
		return nil, nil, errors.New(notSelect)
	}
	env := &planner.Env{Catalog: d.src.cat, User: "vigil", Database: "vigil", Schema: "public", TimeZone: time.UTC}
	p, err := planner.Select(env, sel.Query, nil)
	if err != nil {
		return nil, nil, err
	}
	for _, c := range p.Root.Schema.Cols {
		cols = append(cols, c.Name+" "+c.Type.String())
	}
	run := &task.Env{Scan: d.scan}
	run.Ctx.Ctx = fn.Ctx{Session: &fn.Session{User: "vigil", Database: "vigil", Schema: "public", Catalog: d.c,
		Settings: func(string) (string, bool) { return "on", true }}}
	err = task.Run(context.Background(), p, run, func(in op.Input) error {
		for _, r := range in.Sel {
			var parts []string
			for _, v := range in.B.Row(nil, int(r)) {
				s := v.Text()
				if v.Type.Kind >= types.RegClass && v.Type.Kind <= types.RegNamespace && !v.Null {
					s = d.c.RegName(v.Type.Kind, v.I)
				}
				parts = append(parts, s)
			}
			rows = append(rows, strings.Join(parts, "|"))
		}
		return nil
	})
	return cols, rows, err
}

func (d *database) scan(ctx context.Context, n *spec.Node, emit func(*batch.Batch) error) error {
	v, ok := n.Op.(*spec.VirtualScan)
	if !ok {
		return fmt.Errorf("scan of %T", n.Op)
	}
	b := batch.New(&n.Schema, nil)
	err := d.c.Rows(ctx, v.Schema, v.Name, func(row []types.Value) error {
		b.AppendRow(row)
		if b.N < batch.RowsMax {
			return nil
		}
		err := emit(b)
		b.Reset(nil)
		return err
	})
	if err != nil {
		return err
	}
	return emit(b)
}

func newDatabase(t *testing.T) *database {
	c, src := newFake(t)
	return &database{c, src}
}

// The statements run through the ordinary parser, planner and engine.
func TestStatementsOfClients(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		d := newDatabase(t)
		datadriven.RunTest(t, path, func(t *testing.T, td *datadriven.TestData) string {
			cols, rows, err := d.query(td.Input)
			if err != nil {
				e := sqlerr.As(err)
				return fmt.Sprintf("error %s: %s at %d\n", e.Code, e.Message, e.Position)
			}
			out := strings.Join(cols, ", ") + "\n"
			for _, r := range rows {
				out += "  " + strings.ReplaceAll(r, "\n", `\n`) + "\n"
			}
			return out
		})
	})
}
