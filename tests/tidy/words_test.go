package tidy

import (
	"bytes"
	"path"
	"regexp"
	"slices"
	"strings"
)

// words are what no file of the project contains: places of one machine, and who or what wrote it.
var words = []struct {
	re  *regexp.Regexp
	why string
}{
	{regexp.MustCompile(`(^|[^\w.$}/-])/(work|tmp|root|home|Users)/\w`), "a path of one machine"},
	{regexp.MustCompile(`(?i)\b(claude|anthropic|openai|chatgpt|copilot|large language model)\b|\bLLMs?\b`), "who or what wrote it does not matter"},
	{regexp.MustCompile(`\b(proxy|sum)\.golang\.org|registry\.npmjs\.org|\bGOPROXY=`), "the tool chain's configuration is the machine's"},
}

// textFiles are the names of files that hold words.
var textFiles = []string{".go", ".md", ".sql", ".txt", ".yml", ".yaml", ".sh", ".mod", ".json", ".toml", ""}

// words looks for banned words in a text file. This package names them.
func (c *checker) words(p string, text []byte) {
	if strings.HasPrefix(p, "tests/tidy/") || !slices.Contains(textFiles, path.Ext(p)) || bytes.IndexByte(text, 0) >= 0 {
		return
	}
	n := 0
	for line := range bytes.Lines(text) {
		n++
		for _, w := range words {
			if m := w.re.Find(line); m != nil {
				c.report("word", p, strings.TrimSpace(string(m)), "line %d: %s", n, w.why)
			}
		}
	}
}
