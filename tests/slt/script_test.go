package slt

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// step is one block of a script.
type step struct {
	line    int      // 1-based, of the directive
	words   []string // the directive
	body    string   // up to ---- or the blank line
	expects bool     // there is a ----
	expect  string   // after ----
	end     int      // 1-based, of the last line
}

// parse splits a script into blocks, which blank lines separate.
func parse(text string) []step {
	var steps []step
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		if lines[i] == "" || strings.HasPrefix(lines[i], "#") {
			continue
		}
		s := step{line: i + 1, words: strings.Fields(lines[i])}
		part := &s.body
		for i++; i < len(lines) && lines[i] != ""; i++ {
			if lines[i] == "----" {
				s.expects, part = true, &s.expect
				continue
			}
			*part += lines[i] + "\n"
		}
		s.end = i
		steps = append(steps, s)
	}
	return steps
}

// compare compares what came with what is expected, or takes it over when scripts are rewritten.
func (st *step) compare(got []string) error {
	sorted := slices.Contains(st.words, "sorted")
	got, err := st.masked(got)
	if err != nil {
		return err
	}
	if !*rewrite {
		return compare(got, st.expect, sorted)
	}
	if sorted {
		got = slices.Sorted(slices.Values(got))
	}
	st.expect, st.expects = "", st.expects || len(got) > 0
	for _, line := range got {
		st.expect += line + "\n"
	}
	return nil
}

// masked puts # for what matches the patterns after the word mask: figures that differ from run to run. A pattern that
// matches nothing is an error: it would hide that a figure is gone.
func (st *step) masked(got []string) ([]string, error) {
	at := slices.Index(st.words, "mask")
	if at < 0 {
		return got, nil
	}
	text := strings.Join(got, "\n")
	for _, pattern := range st.words[at+1:] {
		re, err := regexp.Compile(pattern)
		if err != nil {
			return nil, err
		}
		if !re.MatchString(text) {
			return nil, fmt.Errorf("nothing matches the mask %s in:\n%s", pattern, text)
		}
		text = re.ReplaceAllString(text, "#")
	}
	return strings.Split(text, "\n"), nil
}

// becomeError makes a step one that expects an error, when scripts are rewritten.
func (st *step) becomeError(pg *pgconn.PgError) {
	st.words = []string{"statement", "error", pg.Code}
	if st.expects = true; pg.Position > 0 {
		st.words = append(st.words, fmt.Sprint(pg.Position))
	}
}

// format prints a script with the expectations of its steps; all else stays as it is in the text.
func format(text string, steps []step) string {
	var b strings.Builder
	lines := strings.SplitAfter(text, "\n")
	at := 0
	for _, st := range steps {
		b.WriteString(strings.Join(lines[at:st.line-1], ""))
		b.WriteString(strings.Join(st.words, " ") + "\n" + st.body)
		if st.expects {
			b.WriteString("----\n" + st.expect)
		}
		at = st.end
	}
	b.WriteString(strings.Join(lines[min(at, len(lines)):], ""))
	return b.String()
}
