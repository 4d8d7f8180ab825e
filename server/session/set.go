package session

import (
	"strings"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/parse"
	"github.com/vigil-sql/vigil/server/pgwire"
)

// set runs SET and RESET.
func (s *Session) set(st *parse.Set, out pgwire.Output) (string, error) {
	switch {
	case st.All:
		s.settings.resetAll()
		return "RESET", nil
	case st.Name == "session characteristics":
		return "SET", s.setModes(st.Values, "default_", false)
	case st.Name == "transaction" && st.Local:
		s.warnOutside("SET TRANSACTION", out)
		return "SET", s.setModes(st.Values, "", true)
	}
	if st.Local {
		s.warnOutside("SET LOCAL", out)
	}
	name := strings.ToLower(st.Name)
	if st.Reset {
		tag := "SET"
		if len(st.Values) == 0 && !st.Default {
			tag = "RESET"
		}
		return tag, s.change(name, s.settings.resetValue(name), st.Local)
	}
	value, err := settingValue(name, st.Values)
	if err != nil {
		return "", err
	}
	return "SET", s.change(name, value, st.Local)
}

// warnOutside tells that something has no effect outside of a transaction block.
func (s *Session) warnOutside(what string, out pgwire.Output) {
	if s.tx == 'I' {
		out.Notice(pgwire.Notice{Severity: "WARNING", Err: sqlerr.New(sqlerr.NoActiveTransaction, "%s can only be used in transaction blocks", what)})
	}
}

// setModes is SET TRANSACTION, BEGIN with modes, and SET SESSION CHARACTERISTICS, whose settings have a prefix.
func (s *Session) setModes(modes []string, prefix string, local bool) error {
	for _, m := range modes {
		name, value := "transaction_isolation", ""
		switch m {
		case "READ ONLY", "READ WRITE":
			name, value = "transaction_read_only", map[bool]string{true: "on", false: "off"}[m == "READ ONLY"]
		case "DEFERRABLE", "NOT DEFERRABLE":
			name, value = "transaction_deferrable", map[bool]string{true: "on", false: "off"}[m == "DEFERRABLE"]
		default:
			value = strings.ToLower(strings.TrimPrefix(m, "ISOLATION LEVEL "))
		}
		if err := s.settings.set(prefix+name, value, local); err != nil {
			return err
		}
	}
	return nil
}

// change sets one setting.
func (s *Session) change(name, value string, local bool) error {
	switch name {
	case "role", "session_authorization":
		return s.changeRole(name, value, local)
	case "transaction_isolation", "transaction_read_only", "transaction_deferrable":
		local = true // they are the transaction's own
	}
	return s.settings.set(name, value, local)
}

// setConfig is the function of that name.
func (s *Session) setConfig(name string, value types.Value, local bool) (string, error) {
	name = strings.ToLower(name)
	to := value.S
	if value.Null {
		to = s.settings.resetValue(name)
	}
	if err := s.change(name, to, local); err != nil {
		return "", err
	}
	v, _ := s.settings.get(name)
	return v, nil
}

// ReportParameters implements pgwire.Reporter.
func (s *Session) ReportParameters() map[string]string { return s.settings.takeChanged() }

// startupOptions applies the parameter "options" of the start-up message: -c name=value and --name=value, separated by
// blanks; a backslash takes what follows as it is.
func (s *Session) startupOptions(text string) error {
	words := splitOptions(text)
	for i := 0; i < len(words); i++ {
		w := words[i]
		assignment := ""
		switch {
		case w == "-c" && i+1 < len(words):
			i++
			assignment = words[i]
		case strings.HasPrefix(w, "-c"):
			assignment = w[2:]
		case strings.HasPrefix(w, "--"):
			assignment = w[2:]
		default:
			return sqlerr.New(sqlerr.SyntaxError, "invalid command-line argument for server process: %s", w).
				WithHint("Write options as -c name=value.")
		}
		name, value, ok := strings.Cut(assignment, "=")
		if !ok {
			return sqlerr.New(sqlerr.SyntaxError, "-c %s requires a value", assignment)
		}
		if err := s.change(strings.ToLower(strings.ReplaceAll(name, "-", "_")), value, false); err != nil {
			return err
		}
	}
	return nil
}

func splitOptions(text string) []string {
	var words []string
	var word []byte
	inside := false
	for i := 0; i < len(text); i++ {
		b := text[i]
		switch {
		case b == ' ' || b >= '\t' && b <= '\r':
			if inside {
				words = append(words, string(word))
			}
			word, inside = word[:0], false
			continue
		case b == '\\' && i+1 < len(text):
			i++
			b = text[i]
		}
		word, inside = append(word, b), true
	}
	if inside {
		words = append(words, string(word))
	}
	return words
}

// readOnlyDDL refuses statements that change the catalogue in a read-only transaction, in Postgres' words.
func (s *Session) readOnlyDDL(stmt parse.Statement) error {
	what := ""
	switch st := stmt.(type) {
	case *parse.CreateStream:
		what = "CREATE TABLE"
	case *parse.CreateQuery:
		what = "CREATE CONTINUOUS QUERY"
	case *parse.CreateIOC:
		what = "CREATE IOC LIST"
	case *parse.CreateFunction:
		what = "CREATE FUNCTION"
	case *parse.Drop:
		what = "DROP " + st.Kind
	default:
		return nil
	}
	if on, _ := s.settings.get("transaction_read_only"); on == "on" {
		return sqlerr.New(sqlerr.ReadOnlyTransaction, "cannot execute %s in a read-only transaction", what)
	}
	return nil
}
