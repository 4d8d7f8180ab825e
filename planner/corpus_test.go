package planner_test

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/parse"
	"github.com/vigil-sql/vigil/server/pgcatalog"
)

// recorded is one line of the corpus.
type recorded struct {
	SQL    string `json:"sql"`
	Client string `json:"client"`
	Kind   string `json:"kind"`
	Params []struct {
		OID uint32 `json:"oid"`
	} `json:"param_sets"`
	Results []struct {
		Columns []struct {
			Name string `json:"name"`
			OID  uint32 `json:"oid"`
		} `json:"columns"`
		Error any `json:"error"`
	} `json:"results"`
}

// corpusWorld has the recorded schema's relations.
func corpusWorld() *world {
	w := &world{cat: catalog.New(), nextID: 100}
	w.cat.Register(pgcatalog.New(nil).Relations()...)
	col := func(name string, k types.Kind) types.Column { return types.Column{Name: name, Type: types.T(k)} }
	logs := types.Schema{Cols: []types.Column{col("ts", types.TimestampTZ), col("src", types.Text), col("dst", types.Text),
		col("bytes", types.Int8), col("score", types.Float8), col("ok", types.Bool), col("tags", types.JSONB)}}
	_ = w.cat.Put(&catalog.Stream{Stream: spec.Stream{ID: 1, Name: "logs", Schema: logs, TimeCol: -1}})
	_ = w.cat.Put(&catalog.Stream{Stream: spec.Stream{ID: 2, Name: "denied", Schema: types.Schema{Cols: logs.Cols[:4]}, TimeCol: -1}})
	_ = w.cat.Put(&catalog.Query{Query: spec.Query{ID: 3, Name: "top_src"}, Schema: types.Schema{Cols: []types.Column{
		col("src", types.Text), col("n", types.Int8), col("total", types.Float8)}}})
	w.cat.Register(&catalog.Virtual{SchemaName: "ioc", Name: "bad_ips", Columns: types.Schema{Cols: []types.Column{
		col("value", types.Text), col("list", types.Text), col("added", types.TimestampTZ)}}})
	return w
}

func readCorpus(t *testing.T) []recorded {
	files, _ := filepath.Glob("../../shared/pgclients/*.jsonl")
	if len(files) == 0 {
		t.Skip("the recorded statements ../shared/pgclients/*.jsonl are not there")
	}
	var out []recorded
	for _, f := range files {
		fh, err := os.Open(f)
		if err != nil {
			t.Fatal(err)
		}
		sc := bufio.NewScanner(fh)
		sc.Buffer(nil, 64<<20)
		for sc.Scan() {
			var r recorded
			if json.Unmarshal(sc.Bytes(), &r) == nil && r.SQL != "" {
				out = append(out, r)
			}
		}
		fh.Close()
	}
	return out
}

// The shares of the recorded SELECTs that are planned, and of those whose columns have Postgres' names and types. They
// only ever go up.
const (
	plannedFloor = 0.95
	columnsFloor = 0.99
)

func TestRecordedStatements(t *testing.T) {
	w := corpusWorld()
	var total, planned, same, compared int
	reasons := map[string]int{}
	for _, r := range readCorpus(t) {
		parsed, err := parse.Parse(r.SQL)
		if err != nil || len(parsed) != 1 || len(r.Results) != 1 || r.Results[0].Error != nil {
			continue
		}
		st, ok := parsed[0].Stmt.(*parse.SelectStmt)
		if !ok {
			continue
		}
		total++
		env := w.env()
		env.Database = "vigil"
		p, err := planner.Select(env, st.Query, nil)
		if err != nil {
			e := sqlerr.As(err)
			reasons[string(e.Code)+" "+e.Message]++
			if os.Getenv("CORPUS") != "" {
				t.Logf("%s: %s\n%s", r.Client, describeError(r.SQL, err), r.SQL)
			}
			continue
		}
		planned++
		compared++
		if diff := columnDiff(p, r); diff == "" {
			same++
		} else {
			reasons["columns: "+diff]++
			if os.Getenv("CORPUS") != "" {
				t.Logf("%s: columns: %s\n%s", r.Client, diff, r.SQL)
			}
		}
	}
	var list []string
	for why, n := range reasons {
		list = append(list, strings.Repeat("#", min(n, 30))+" "+why)
	}
	sort.Sort(sort.Reverse(sort.StringSlice(list)))
	t.Logf("%d SELECTs, %d planned, %d of them with Postgres' columns\n%s", total, planned, same, strings.Join(list, "\n"))
	if float64(planned) < plannedFloor*float64(total) || float64(same) < columnsFloor*float64(compared) {
		t.Errorf("fewer statements are planned as Postgres does than before")
	}
}

// columnDiff compares output names and type oids.
func columnDiff(p *spec.Program, r recorded) string {
	want := r.Results[0].Columns
	got := p.Root.Schema.Cols
	if len(want) != len(got) {
		return "count"
	}
	for i := range want {
		if want[i].Name != got[i].Name {
			return "name " + got[i].Name + " is " + want[i].Name + " in Postgres"
		}
		if oid := got[i].Type.OID(); oid != want[i].OID {
			if t, ok := types.FromOID(want[i].OID); ok {
				return got[i].Name + ": " + got[i].Type.String() + " is " + t.String() + " in Postgres"
			}
		}
	}
	return ""
}
