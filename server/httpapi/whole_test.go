package httpapi

import (
	"testing"

	"github.com/vigil-sql/vigil/server/session"
)

// TestWholeBody: only lines of JSON are cut between lines; what other formats hold, such as messages with octet counting, may span lines.
func TestWholeBody(t *testing.T) {
	for _, c := range []struct {
		format, codec, data string
		whole               bool
	}{
		{"JSON", "", "{}\n{}\n", false}, {"JSON", "", " [{}]", true}, {"SYSLOG", "", "9 <13>a\n b", true}, {"CSV", "", "1\n", true}, {"SYSLOG", "JSON", "{}\n", false},
	} {
		if got := wholeBody(session.Ingest{Codec: c.codec, Data: []byte(c.data)}, c.format); got != c.whole {
			t.Errorf("%s %s %q: whole is %v", c.format, c.codec, c.data, got)
		}
	}
}
