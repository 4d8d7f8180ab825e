package fn

import (
	_ "embed"
	"strings"

	"github.com/vigil-sql/vigil/executor/types"
)

// keywordsText lists the keywords: see its first line. Clients ask for them to know which names to quote.
//
//go:embed keywords.txt
var keywordsText string

// keywordClasses are the words for pg_get_keywords.catcode.
var keywordClasses = map[string]string{
	"U": "unreserved", "C": "unreserved (cannot be function or type name)", "T": "reserved (can be function or type name)", "R": "reserved",
}

// keywordSet is pg_get_keywords.
func keywordSet() SetDef {
	return SetDef{Name: "pg_get_keywords", Eval: eachKeyword, Doc: "The keywords of the language, and which of them names may be.",
		Cols: cols(col("word", tText), col("catcode", tChar), col("barelabel", tBool), col("catdesc", tText), col("baredesc", tText))}
}

func eachKeyword(_ *Ctx, _ values, emit func(values) error) error {
	for line := range strings.Lines(keywordsText) {
		fields := strings.Fields(line)
		if len(fields) != 3 || fields[0] == "#" {
			continue // the first line
		}
		label := "requires AS"
		if fields[2] == "t" {
			label = "can be bare label"
		}
		row := values{types.NewText(fields[0]), {Type: tChar, S: fields[1]}, types.NewBool(fields[2] == "t"), types.NewText(keywordClasses[fields[1]]),
			types.NewText(label)}
		if err := emit(row); err != nil {
			return err
		}
	}
	return nil
}
