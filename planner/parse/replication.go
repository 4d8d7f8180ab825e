package parse

import (
	"strings"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// Replication is a command of a replication connection: Command is its first word, in upper case as it is written. SHOW
// fills Setting.
type Replication struct{ Command, Setting string }

func (*Replication) statement() {}

// replicationCommands are the words that a replication connection does not read as SQL; SHOW in any case is one, too.
var replicationCommands = []string{"IDENTIFY_SYSTEM", "BASE_BACKUP", "START_REPLICATION", "CREATE_REPLICATION_SLOT", "DROP_REPLICATION_SLOT",
	"READ_REPLICATION_SLOT", "TIMELINE_HISTORY"}

// ParseReplication parses the query string of a replication connection; it is SQL unless its first word, without a comment before it,
// is a command.
func ParseReplication(sql string) ([]Parsed, error) {
	toks, lexErr := lex(sql)
	if lexErr != nil {
		return Parse(sql)
	}
	first := toks[0]
	word := sql[first.off:first.end]
	if first.kind != tokIdent || strings.TrimLeft(sql[:first.off], " \t\n\r\f\v") != "" {
		return Parse(sql)
	}
	if first.val == "show" {
		return parseReplicationShow(sql, toks)
	}
	for _, command := range replicationCommands {
		if word != command {
			continue
		}
		if end := len(toks) - 1; command == "IDENTIFY_SYSTEM" && end > 1 && !(end == 2 && toks[1].kind == tokSemi) {
			return nil, sqlerr.New(sqlerr.SyntaxError, "syntax error")
		}
		return []Parsed{{Stmt: &Replication{Command: command}, Text: sql}}, nil
	}
	return Parse(sql)
}

// parseReplicationShow parses SHOW name, which here takes nothing else.
func parseReplicationShow(sql string, toks []token) ([]Parsed, error) {
	c := &cursor{src: sql, toks: toks, i: 1, end: len(toks) - 1}
	r := &Replication{Command: "SHOW", Setting: c.settingName()}
	if c.peek().kind == tokSemi {
		c.next()
	}
	if c.err != nil || !c.atEnd() {
		return nil, sqlerr.New(sqlerr.SyntaxError, "syntax error")
	}
	return []Parsed{{Stmt: r, Text: sql}}, nil
}
