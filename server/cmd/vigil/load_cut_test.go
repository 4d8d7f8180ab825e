package main

import (
	"bufio"
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/codec"
)

// TestCutLines: pieces end behind lines and behind messages with octet counting, whatever these hold.
func TestCutLines(t *testing.T) {
	message := func(i int) string {
		text := fmt.Sprintf("<13>1 - h a - - - message %d\nits second line\n12 <", i)
		return fmt.Sprintf("%d %s", len(text), text)
	}
	var counted, mixed, lines strings.Builder
	for i := range 300 {
		counted.WriteString(message(i))
		mixed.WriteString(message(i))
		fmt.Fprintf(&mixed, "<13>Feb 21 21:00:12 h a: %d\n", i)
		fmt.Fprintf(&lines, "line %d\n", i)
	}
	for name, data := range map[string]string{"counted": counted.String(), "mixed": mixed.String(), "lines": lines.String(), "lookalikes": strings.Repeat("3 <abcde\n", 300), "no line end": "a", "cut": message(1)[:20], "nothing": ""} {
		var all bytes.Buffer
		pieces := 0
		in := bufio.NewReaderSize(strings.NewReader(data), 64)
		if err := cutLines(in, 1000, func(piece []byte) error {
			pieces++
			all.Write(piece)
			rest := piece
			if name == "lookalikes" { // lines that only look like messages with octet counting are not cut either
				if !bytes.HasSuffix(piece, []byte("\n")) {
					t.Fatalf("%s: a line is cut: %q", name, piece)
				}
				return nil
			}
			for len(rest) > 0 && len(data) > 100 {
				n := codec.SyslogCounted(rest)
				if n == 0 {
					n = bytes.IndexByte(rest, '\n') + 1
				}
				if n == 0 || n > len(rest) {
					t.Fatalf("%s: a piece ends within %q", name, rest)
				}
				rest = rest[n:]
			}
			return nil
		}); err != nil {
			t.Fatal(name, err)
		}
		if all.String() != data {
			t.Errorf("%s: %d bytes in %d pieces, want %d", name, all.Len(), pieces, len(data))
		}
		if wantMany := len(data) > 2000; wantMany != (pieces > 1) {
			t.Errorf("%s: %d pieces of %d bytes", name, pieces, len(data))
		}
	}
}
