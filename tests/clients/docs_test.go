package clients

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/tests/harness"
	"github.com/vigil-sql/vigil/tests/need"
)

// block is a fenced block of a page.
type block struct {
	language, text string
	line           int
}

// blocks reads the fenced blocks of a page.
func blocks(text string) []block {
	var out []block
	var open *block
	for i, line := range strings.SplitAfter(text, "\n") {
		language, fence := strings.CutPrefix(strings.TrimRight(line, "\n"), "```")
		switch {
		case fence && open == nil:
			open = &block{language: language, line: i + 1}
		case fence:
			out = append(out, *open)
			open = nil
		case open != nil:
			open.text += line
		}
	}
	return out
}

// TestPage runs the programs of docs/clients.md, each on a server of its own; the text block after a program is what it
// prints.
func TestPage(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(need.Root(), "docs", "clients.md"))
	if err != nil {
		t.Fatal(err)
	}
	all := blocks(string(text))
	if len(all) < 13 || all[0].language != "sql" {
		t.Fatalf("the page has %d blocks", len(all))
	}
	for i := 1; i+1 < len(all); i += 2 {
		program, want := all[i], all[i+1]
		t.Run(program.language, func(t *testing.T) {
			if want.language != "text" {
				t.Fatalf("line %d: %s follows a program", want.line, want.language)
			}
			p := harness.Start(t, t.TempDir())
			for _, statement := range strings.Split(strings.TrimSpace(all[0].text), "\n") {
				harness.Exec(t, p.Connect(t), statement)
			}
			_, port, err := net.SplitHostPort(p.PG)
			if err != nil {
				t.Fatal(err)
			}
			cmd := runner(t, program.language, strings.ReplaceAll(program.text, "5433", port))
			out, err := cmd.CombinedOutput()
			if err != nil || string(out) != want.text {
				t.Errorf("line %d: %v\ngot\n%s\nwant\n%s", program.line, err, out, want.text)
			}
		})
	}
}

// runner is the command that runs a program of the page.
func runner(t *testing.T, language, program string) *exec.Cmd {
	t.Helper()
	file := func(name string) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, []byte(program), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	switch language {
	case "bash":
		need.Psql(t)
		cmd := exec.Command("bash", file("program.sh"))
		cmd.Env = append(os.Environ(), "PSQLRC=/dev/null", "PSQL_PAGER=", "LC_ALL=C")
		return cmd
	case "python":
		cmd := python(file("program.py"))(t)
		if strings.Contains(program, "pyodbc") {
			odbc(t)
		}
		return cmd
	case "js":
		cmd := node(t)
		cmd.Args[1] = file("program.js")
		modules, err := filepath.Abs("node/node_modules")
		if err != nil {
			t.Fatal(err)
		}
		cmd.Env = append(os.Environ(), "NODE_PATH="+modules)
		return cmd
	case "java":
		cmd := jdbc(t)
		cmd.Args[len(cmd.Args)-1] = file("Main.java")
		return cmd
	}
	t.Fatalf("no way to run %s", language)
	return nil
}
