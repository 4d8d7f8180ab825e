// Package rules reads thousands of detection rules that others wrote, as continuous queries of vigil. It has no proof of its own:
// its tests are.
package rules

import (
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Rule is a detection rule: Where is its condition in vigil's SQL, over the columns that Columns lists.
type Rule struct{ ID, Where string }

// Set is the rules and the columns that they read, in lower case and in order.
type Set struct {
	Rules   []Rule
	Columns []string
	// Foreign counts what is no SQL as Postgres reads it: strings with a backslash before a quote.
	Foreign int
}

// Load reads the rules in dir.
func Load(dir string) (*Set, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.json.gz"))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("no rules in %s: %w", dir, os.ErrNotExist)
	}
	s := &Set{}
	columns := map[string]bool{}
	for _, f := range files {
		var list []struct {
			ID   string   `json:"id"`
			Rule []string `json:"rule"`
		}
		if err := read(f, &list); err != nil {
			return nil, fmt.Errorf("%s: %w", f, err)
		}
		for _, r := range list {
			for _, sql := range r.Rule {
				where, ok := rewrite(sql, columns)
				if !ok {
					s.Foreign++
					continue
				}
				s.Rules = append(s.Rules, Rule{ID: r.ID, Where: where})
			}
		}
	}
	for c := range columns {
		s.Columns = append(s.Columns, c)
	}
	slices.Sort(s.Columns)
	return s, nil
}

func read(file string, into any) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	return json.NewDecoder(z).Decode(into)
}

// Stream is the statement that creates the stream which the rules read.
func (s *Set) Stream(name string) string {
	var b strings.Builder
	b.WriteString("CREATE STREAM " + name + " (ts TIMESTAMPTZ")
	for _, c := range s.Columns {
		typ := " TEXT"
		if c == "eventid" {
			typ = " BIGINT"
		}
		b.WriteString(`, "` + c + `"` + typ)
	}
	b.WriteString(", WATERMARK FOR ts AS ts) FORMAT JSON")
	return b.String()
}

// Query is the statement that makes rule i a continuous query: beyond the last the list begins anew.
func (s *Set) Query(stream string, i int) string {
	return fmt.Sprintf("CREATE CONTINUOUS QUERY r%d AS SELECT * FROM %s WHERE %s", i, stream, s.Rules[i%len(s.Rules)].Where)
}

// words are the ones of the rules' dialect; all others are columns.
var words = []string{"LIKE", "ESCAPE", "OR", "AND", "NOT", "IS", "NULL", "REGEXP"}

// rewrite turns a rule into a condition: REGEXP becomes ~, columns are quoted in lower case, numbers are strings but for EventID.
func rewrite(sql string, columns map[string]bool) (where string, ok bool) {
	const head = "SELECT * FROM logs WHERE "
	if !strings.HasPrefix(sql, head) {
		return "", false
	}
	var b strings.Builder
	column := ""
	for rest := sql[len(head):]; rest != ""; {
		n := tokenLen(rest)
		tok := rest[:n]
		rest = rest[n:]
		switch c := tok[0]; {
		case c == '\'' && (len(tok) < 2 || tok[len(tok)-1] != '\''):
			return "", false
		case c >= '0' && c <= '9' && column != "eventid":
			tok = "'" + tok + "'"
		case tok == "REGEXP":
			tok = "~"
		case isLetter(c) && !slices.Contains(words, tok):
			column = strings.ToLower(tok)
			columns[column] = true
			tok = `"` + column + `"`
		case !isLetter(c) && !strings.ContainsRune("'()=0123456789 ", rune(c)):
			return "", false
		}
		b.WriteString(tok)
	}
	return b.String(), true
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' }

// tokenLen is the length of the token that text begins with.
func tokenLen(text string) int {
	n := 1
	switch c := text[0]; {
	case c == '\'':
		for ; n < len(text); n++ {
			if text[n] == '\'' {
				n++
				if n == len(text) || text[n] != '\'' {
					return n
				}
			}
		}
	case isLetter(c) || c >= '0' && c <= '9':
		for n < len(text) && (isLetter(text[n]) || text[n] >= '0' && text[n] <= '9') {
			n++
		}
	}
	return n
}
