package planner_test

import (
	"math/rand"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/planner/parse"
)

var token = regexp.MustCompile(`'[^']*'|[A-Za-z_][A-Za-z_0-9.]*|\d+(\.\d+)?|::|->>?|#>>|[<>!]=|<>|<<|\|\||!?~\*?|[^\sA-Za-z_0-9]`)

// TestMutatedStatements plans statements made of the tokens of others: whatever comes out is a plan or an error of the
// user's, never a panic and never an internal error.
func TestMutatedStatements(t *testing.T) {
	w := postgresWorld(t)
	var sources []string
	for _, file := range []string{statementsFile, queriesFile, "testdata/continuous", "testdata/bounded"} {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range strings.Split(string(data), "\n") {
			if strings.HasPrefix(line, "SELECT") || strings.HasPrefix(line, "CREATE CONT") || strings.HasPrefix(line, "WITH") {
				sources = append(sources, line)
			}
		}
	}
	r := rand.New(rand.NewSource(1))
	var parsed, planned, refused int
	for range 20000 {
		toks := token.FindAllString(sources[r.Intn(len(sources))], -1)
		other := token.FindAllString(sources[r.Intn(len(sources))], -1)
		for range 1 + r.Intn(3) {
			i, j := r.Intn(len(toks)), r.Intn(len(other))
			switch r.Intn(3) {
			case 0:
				toks[i] = other[j]
			case 1:
				n := min(1+r.Intn(6), len(other)-j)
				toks = append(toks[:i:i], append(append([]string(nil), other[j:j+n]...), toks[i:]...)...)
			default:
				toks = append(toks[:i:i], toks[min(len(toks), i+1+r.Intn(3)):]...)
			}
			if len(toks) == 0 {
				toks = []string{"SELECT"}
			}
		}
		sql := strings.Join(toks, " ")
		list, err := parse.Parse(sql)
		if err != nil || len(list) != 1 {
			continue
		}
		switch list[0].Stmt.(type) {
		case *parse.SelectStmt, *parse.CreateQuery:
		default:
			continue
		}
		parsed++
		_, err = w.mutated(t, sql, list[0])
		switch {
		case err == nil:
			planned++
		case sqlerr.CodeOf(err) == sqlerr.InternalError:
			t.Errorf("%s\n%v", sql, err)
		default:
			refused++
		}
	}
	if planned < 400 || refused < 400 {
		t.Errorf("the generator missed its aim: %d parsed, %d planned, %d refused", parsed, planned, refused)
	}
}

// mutated plans one statement and names it when that panics.
func (w *world) mutated(t *testing.T, sql string, p parse.Parsed) (string, error) {
	defer func() {
		if r := recover(); r != nil {
			t.Fatalf("%s\npanic: %v", sql, r)
		}
	}()
	out, err := w.statement(p)
	w.cat.Remove("public", queryNameOf(p))
	return out, err
}

func queryNameOf(p parse.Parsed) string {
	if q, ok := p.Stmt.(*parse.CreateQuery); ok && q.Name.Name != "auth" && q.Name.Name != "hosts" {
		return q.Name.Name
	}
	return ""
}
