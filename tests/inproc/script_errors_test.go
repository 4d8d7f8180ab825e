package inproc

import (
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// TestScriptRefused: what is no body of a function, or is made to leave it, is refused by CREATE FUNCTION with a code of its own; a function that
// was there answers after each, and a continuous query that calls it goes on.
func TestScriptRefused(t *testing.T) {
	db, end := scriptDB(t, Options{})
	defer end()
	mustExec(t, db, logStream, "CREATE FUNCTION canary(a TEXT) RETURNS TEXT LANGUAGE javascript AS $$ return a.toUpperCase() $$",
		"CREATE CONTINUOUS QUERY beside AS SELECT canary('n' || n) AS c FROM log")
	for i, c := range []struct {
		name, args, body string
		want             sqlerr.Code
	}{
		{"import", "a TEXT", "import x from 'y'; return a", sqlerr.InvalidFunctionDefinition},
		{"unterminated string", "a TEXT", "return 'abc", sqlerr.InvalidFunctionDefinition},
		{"2 MiB", "a TEXT", "return a;" + strings.Repeat(" ", 2<<20), sqlerr.ProgramLimitExceeded},
		{"arguments", "arguments TEXT", "return arguments", sqlerr.InvalidFunctionDefinition},
		{"duplicate names", "a TEXT, a TEXT", "return a", sqlerr.InvalidFunctionDefinition},
		{"out of the wrapper", "a TEXT", "}); evil(); (function(){", sqlerr.InvalidFunctionDefinition},
	} {
		err := db.Exec("CREATE FUNCTION bad(" + c.args + ") RETURNS TEXT LANGUAGE javascript AS $$" + c.body + "$$")
		if code := sqlerr.CodeOf(err); err == nil || code != c.want {
			t.Errorf("%s: %s %v", c.name, code, err)
		}
		expect(t, db, "SELECT canary('tweet')", "TWEET")
		mustAppend(t, db, 1)
		if n, err := db.Changes("beside"); err != nil || n != i+1 {
			t.Errorf("%s: the query beside made %d rows, want %d; %v", c.name, n, i+1, err)
		}
	}
	expect(t, db, states, "beside running")
}
