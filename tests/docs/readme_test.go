package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/tests/need"
)

var comment = regexp.MustCompile(`(?m)--.*$`)

// unrun returns the statements of README's SQL blocks that are not in a script.
func unrun(readme, script string) (missing []string, found int) {
	for _, block := range strings.Split(readme, "```sql\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		for _, stmt := range strings.Split(comment.ReplaceAllString(block, ""), ";") {
			switch stmt = strings.TrimSpace(stmt); {
			case stmt == "" || strings.Contains(stmt, "connector = 'kafka'"): // needs a broker: tests/seeds has it
			case strings.Contains(script, "\n"+stmt+"\n"):
				found++
			default:
				missing = append(missing, stmt)
			}
		}
	}
	return missing, found
}

// TestReadme: what README shows of time is what tests/slt/testdata/readme.slt runs.
func TestReadme(t *testing.T) {
	var text [2]string
	for i, file := range []string{"README.md", "tests/slt/testdata/readme.slt"} {
		b, err := os.ReadFile(filepath.Join(need.Root(), file))
		if err != nil {
			t.Fatal(err)
		}
		text[i] = string(b)
	}
	missing, found := unrun(text[0], text[1])
	for _, stmt := range missing {
		t.Errorf("README has a statement that tests/slt/testdata/readme.slt does not run:\n%s", stmt)
	}
	if found < 5 {
		t.Errorf("only %d statements of README were found in the script", found)
	}
	if missing, _ := unrun(strings.Replace(text[0], "FIRST_SEEN(", "LAST_SEEN(", 1), text[1]); len(missing) != 1 {
		t.Errorf("a change of README was not seen: %v", missing)
	}
}
