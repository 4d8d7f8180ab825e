// Package rules reads thousands of detection rules that others wrote for SQLite, as continuous queries of vigil, and the events
// that they look at. It has no proof of its own: its tests are.
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

// Rule is a detection rule: Where is its condition in vigil's SQL, over the columns that Columns lists. Key is SET:ID, because
// several sets have a rule of the same ID.
type Rule struct {
	ID, Key, Where string
	comparisons    []comparison
}

// Foreign is a rule that is left out, and why.
type Foreign struct{ Key, Reason string }

// Set is the rules and the columns that they read, in lower case and in order.
type Set struct {
	Rules   []Rule
	Columns []string
	Foreign []Foreign
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
		if err := ReadGzip(f, &list); err != nil {
			return nil, fmt.Errorf("%s: %w", f, err)
		}
		set := strings.TrimSuffix(filepath.Base(f), ".json.gz")
		for _, r := range list {
			key := set + ":" + r.ID
			rule, err := rewrite(r.Rule)
			if err != nil {
				s.Foreign = append(s.Foreign, Foreign{Key: key, Reason: err.Error()})
				continue
			}
			for _, c := range rule.comparisons {
				columns[c.column] = true
			}
			rule.ID, rule.Key = r.ID, key
			s.Rules = append(s.Rules, rule)
		}
	}
	for c := range columns {
		s.Columns = append(s.Columns, c)
	}
	slices.Sort(s.Columns)
	return s, nil
}

// ReadGzip reads a compressed JSON file.
func ReadGzip(file string, into any) error {
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

// Stream is the statement that creates the stream which the rules read; options follow it. Every column is text, as in the
// tables that the rules were written for; event_number is the events' own number, see Number.
func (s *Set) Stream(name, options string) string {
	var b strings.Builder
	b.WriteString("CREATE STREAM " + name + " (ts TIMESTAMPTZ, event_number BIGINT")
	for _, c := range s.Columns {
		b.WriteString(`, "` + c + `" TEXT`)
	}
	b.WriteString(", WATERMARK FOR ts AS ts) " + options + " FORMAT JSON")
	return b.String()
}

// Query is the statement that makes rule i a continuous query r<i> which selects columns: beyond the last the list begins anew.
func (s *Set) Query(stream, columns string, i int) string {
	return fmt.Sprintf("CREATE CONTINUOUS QUERY r%d AS SELECT %s FROM %s WHERE %s", i, columns, stream, s.Rules[i%len(s.Rules)].Where)
}
