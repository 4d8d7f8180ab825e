package docs

import (
	"fmt"
	"strings"
)

// example is one block of SQL on a page, with the block of output that follows it.
type example struct {
	line       int // 1-based, of the fence
	statements []string
	// expects: an output block follows at once; from and to are its lines, 0-based, to behind the last one.
	expects  bool
	from, to int
	// wait: the output is as expected some time after, because it is by the clock.
	wait bool
}

// section is what runs on a server of its own: the blocks under one heading of the second level.
type section struct {
	title    string
	examples []example
}

// page is a Markdown file.
type page struct {
	name     string
	lines    []string
	always   []string // statements that every section begins with
	sections []section
}

// Comments in front of a block of SQL that say how to run it.
const (
	markAlways = "<!-- every section begins with this -->"
	markWait   = "<!-- by the clock -->"
)

// parse finds the examples of a page.
func parse(name, text string) (*page, error) {
	p := &page{name: name, lines: strings.Split(text, "\n")}
	now := section{}
	mark := ""
	for i := 0; i < len(p.lines); i++ {
		line := p.lines[i]
		switch {
		case strings.HasPrefix(line, "## "):
			p.close(&now, strings.TrimPrefix(line, "## "))
		case strings.HasPrefix(line, "<!-- "):
			mark = line
		case line == "```sql":
			end, err := p.fence(i)
			if err != nil {
				return nil, err
			}
			e := example{line: i + 1, statements: split(p.lines[i+1 : end]), wait: mark == markWait}
			if mark == markAlways {
				p.always = append(p.always, e.statements...)
			} else if now.examples = append(now.examples, e); p.output(&now.examples[len(now.examples)-1], end) {
				end = now.examples[len(now.examples)-1].to
			}
			i, mark = end, ""
		case strings.HasPrefix(line, "```"):
			end, err := p.fence(i)
			if err != nil {
				return nil, err
			}
			i = end
		}
	}
	p.close(&now, "")
	return p, nil
}

// close ends a section and begins the next one.
func (p *page) close(s *section, title string) {
	if len(s.examples) > 0 {
		p.sections = append(p.sections, *s)
	}
	*s = section{title: title}
}

// fence is the line that closes the block which begins at a line.
func (p *page) fence(from int) (int, error) {
	for i := from + 1; i < len(p.lines); i++ {
		if p.lines[i] == "```" {
			return i, nil
		}
	}
	return 0, fmt.Errorf("%s:%d: the block is not closed", p.name, from+1)
}

// output finds the block of text that follows an example whose SQL ends at a line.
func (p *page) output(e *example, end int) bool {
	for i := end + 1; i < len(p.lines); i++ {
		switch p.lines[i] {
		case "":
			continue
		case "```text":
			to, err := p.fence(i)
			if err != nil {
				return false
			}
			e.expects, e.from, e.to = true, i+1, to
			return true
		}
		return false
	}
	return false
}

// split cuts SQL into statements, which end with a semicolon at the end of a line, outside of $$ texts.
func split(lines []string) []string {
	var out []string
	now := ""
	for _, line := range lines {
		now += line + "\n"
		if strings.HasSuffix(line, ";") && strings.Count(now, "$$")%2 == 0 {
			out = append(out, strings.TrimSpace(now))
			now = ""
		}
	}
	if now = strings.TrimSpace(now); now != "" {
		out = append(out, now)
	}
	return out
}

// replaced is the page with other output.
func (p *page) replaced(outputs map[int]string) string {
	var b strings.Builder
	at := 0
	for _, s := range p.sections {
		for _, e := range s.examples {
			text, ok := outputs[e.line]
			if !ok || !e.expects {
				continue
			}
			b.WriteString(strings.Join(p.lines[at:e.from], "\n") + "\n" + text)
			at = e.to
		}
	}
	b.WriteString(strings.Join(p.lines[at:], "\n"))
	return b.String()
}
