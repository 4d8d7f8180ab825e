package planner_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/cockroachdb/datadriven"

	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/parse"
)

// world is the catalogue of one test file.
type world struct {
	cat    *catalog.Catalog
	nextID uint64
}

func newWorld() *world {
	w := &world{cat: catalog.New(), nextID: 1}
	col := func(name string, k types.Kind) types.Column { return types.Column{Name: name, Type: types.T(k)} }
	w.cat.Register(
		&catalog.Virtual{SchemaName: "pg_catalog", Name: "pg_class", Hidden: []int{3}, Columns: types.Schema{Cols: []types.Column{
			col("oid", types.OID), col("relname", types.Name), col("relnamespace", types.OID), col("xmin", types.OID),
			col("relkind", types.Char), {Name: "reloptions", Type: types.ArrayOf(types.Text)},
		}}},
		&catalog.Virtual{SchemaName: "pg_catalog", Name: "pg_namespace", Columns: types.Schema{Cols: []types.Column{
			col("oid", types.OID), col("nspname", types.Name),
		}}},
		&catalog.Virtual{SchemaName: "vigil", Name: "streams", Columns: types.Schema{Cols: []types.Column{
			col("name", types.Text), col("rows", types.Int8),
		}}},
	)
	return w
}

func (w *world) env() *planner.Env {
	return &planner.Env{Catalog: w.cat.Snapshot(), User: "ann", Database: "vigil", Schema: "public", Now: 1_700_000_000_000_000}
}

// run plans every statement of sql and describes the outcome.
func (w *world) run(sql string) string {
	parsed, err := parse.Parse(sql)
	if err != nil {
		return describeError(sql, err)
	}
	var out strings.Builder
	for _, p := range parsed {
		text, err := w.statement(p)
		if err != nil {
			text = describeError(sql, err)
		}
		out.WriteString(text)
	}
	return out.String()
}

// describeChange prints both plans of a change.
func describeChange(ch *planner.Change, err error) (string, error) {
	if err != nil {
		return "", err
	}
	text := describePlan(ch.Rows)
	if ch.Returning != nil {
		text += "returning:\n" + describePlan(ch.Returning)
	}
	return text, nil
}

func (w *world) statement(p parse.Parsed) (string, error) {
	w.nextID++
	switch st := p.Stmt.(type) {
	case *parse.SelectStmt:
		prog, err := planner.Select(w.env(), st.Query, nil)
		return describePlan(prog), err
	case *parse.Insert:
		return describeChange(planner.Insert(w.env(), st, nil))
	case *parse.CreateStream:
		if planner.IsTable(st) {
			t, err := planner.Table(w.env(), st, w.nextID)
			if err != nil {
				return "", err
			}
			return fmt.Sprintf("table %s (%s) key %v\n", t.Name, columns(&t.Table.Schema), t.Key), w.cat.Put(t)
		}
		s, err := planner.Stream(w.env(), st, w.nextID)
		if err != nil {
			return "", err
		}
		return describeStream(s), w.cat.Put(s)
	case *parse.Update:
		return describeChange(planner.Update(w.env(), st, nil))
	case *parse.Delete:
		return describeChange(planner.Delete(w.env(), st, nil))
	case *parse.CreateQuery:
		q, err := planner.Continuous(w.env(), st, w.nextID)
		if err != nil {
			return "", err
		}
		deps := fmt.Sprintf("depends on: streams %v lists %v functions %v\n", q.Streams, q.Lists, q.Functions)
		if len(q.Tables) > 0 {
			deps += fmt.Sprintf("and tables %v\n", q.Tables)
		}
		return describePlan(q.Program) + deps, w.cat.Put(q)
	case *parse.CreateIOC:
		l, err := planner.IOCList(w.env(), st, w.nextID)
		if err != nil {
			return "", err
		}
		return fmt.Sprintf("list %s of %s\n", l.Name, l.Type), w.cat.Put(l)
	case *parse.CreateFunction:
		f, err := planner.Function(w.env(), st, w.nextID)
		if err != nil {
			return "", err
		}
		w.cat.PutFunction(f)
		return fmt.Sprintf("function %s returns %s %s %+v\n", f.Name, f.Ret, f.Volatility, f.Limits), nil
	}
	return "", fmt.Errorf("test cannot plan %T", p.Stmt)
}

func describeStream(s *catalog.Stream) string {
	return fmt.Sprintf("stream %s (%s) time %d delay %d idle %d ahead %d retention %d bytes %d connector %q format %s\n", s.Name,
		columns(&s.Stream.Schema), s.TimeCol, s.Delay, s.IdleAfter, s.MaxAhead, s.Retention, s.RetentionBytes, s.Connector, s.Format)
}

func columns(s *types.Schema) string {
	var out []string
	for _, c := range s.Cols {
		text := c.Name + " " + c.Type.String()
		if c.NotNull {
			text += " not null"
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}

func describePlan(p *spec.Program) string {
	if p == nil {
		return ""
	}
	s := "(" + columns(&p.Root.Schema) + ")\n"
	if len(p.Params) > 0 {
		s += fmt.Sprintf("params %v\n", p.Params)
	}
	return s + strings.Join(spec.Explain(p), "\n") + "\n"
}

// describeError prints an error as psql would, with the place marked.
func describeError(sql string, err error) string {
	e := sqlerr.As(err)
	s := fmt.Sprintf("ERROR:  %s: %s\n", e.Code, e.Message)
	if e.Position > 0 && e.Position <= utf8.RuneCountInString(sql)+1 {
		runes := []rune(sql)
		first := e.Position - 1
		for first > 0 && runes[first-1] != '\n' {
			first--
		}
		last := e.Position - 1
		for last < len(runes) && runes[last] != '\n' {
			last++
		}
		s += string(runes[first:last]) + "\n" + strings.Repeat(" ", e.Position-1-first) + "^\n"
	}
	if e.Detail != "" {
		s += "DETAIL:  " + e.Detail + "\n"
	}
	if e.Hint != "" {
		s += "HINT:  " + e.Hint + "\n"
	}
	return s
}

// TestPlans runs the scripts: each "plan" command holds statements, its result is their plans or errors.
func TestPlans(t *testing.T) {
	entries, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() { // inputs that fuzzing found
			continue
		}
		t.Run(e.Name(), func(t *testing.T) {
			w := newWorld()
			datadriven.RunTest(t, filepath.Join("testdata", e.Name()), func(t *testing.T, d *datadriven.TestData) string {
				if d.Cmd != "plan" {
					d.Fatalf(t, "unknown command %s", d.Cmd)
				}
				return w.run(d.Input)
			})
		})
	}
}
