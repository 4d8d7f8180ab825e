package corpus

import (
	"fmt"
	"os"
	"regexp"
	"sort"
	"strings"
)

// reason is why some statements are not answered as PostgreSQL did.
type reason struct {
	// match is for the difference and, on the next line, the statement.
	match *regexp.Regexp
	text  string
	used  int
}

// readReasons reads lines of a regular expression, " => " and a reason; # begins a comment.
func readReasons(path string) ([]*reason, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var out []*reason
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		expr, text, ok := strings.Cut(line, " => ")
		if !ok {
			return nil, fmt.Errorf("%s: no => in %q", path, line)
		}
		re, err := regexp.Compile("(?is)" + expr)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		out = append(out, &reason{match: re, text: text})
	}
	return out, nil
}

// explain finds the reason of a difference; nil when there is none.
func explain(reasons []*reason, d difference) *reason {
	for _, r := range reasons {
		if r.match.MatchString(d.what + "\n" + d.sql) {
			r.used++
			return r
		}
	}
	return nil
}

func scoreTable(scores map[string]score, total score) string {
	var names []string
	for c := range scores {
		names = append(names, c)
	}
	sort.Strings(names)
	var b strings.Builder
	b.WriteString("| client | statements | answered | columns equal | rows equal |\n|---|---|---|---|---|\n")
	line := func(name string, s score) {
		fmt.Fprintf(&b, "| %s | %d | %d (%s) | %d of %d | %d of %d |\n", name, s.statements, s.answered, percent(s.answered, s.statements),
			s.columnsSame, s.columns, s.rowsSame, s.rows)
	}
	for _, c := range names {
		line(c, scores[c])
	}
	line("all", total)
	return b.String()
}

func percent(n, of int) string {
	if n == of {
		return "100 %"
	}
	return fmt.Sprintf("%.1f %%", float64(n)*100/float64(of))
}

// compatibilityPage is docs/compatibility.md.
func compatibilityPage(table string, reasons []*reason) string {
	var b strings.Builder
	b.WriteString(`# What Postgres clients send, and how vigil answers

Real clients were recorded on the wire while they did what people do with them: connect, list, describe, query, copy, listen, cancel. Each
distinct statement is replayed against a vigil with the same schema, and the answer is compared with that of the recorded PostgreSQL 15: the outcome
(no error, or the same SQLSTATE), the columns (names, types, modifiers), and the rows where the schema decides them. ` + "`go test ./tests/corpus`" + `
fails for every difference that has no reason below, and for every reason that nothing needs any more.

`)
	b.WriteString(table)
	b.WriteString("\nWhat differs, and why (statements):\n\n")
	for _, r := range reasons {
		fmt.Fprintf(&b, "* %s (%d)\n", r.text, r.used)
	}
	return b.String()
}
