package main

import (
	"bytes"
	"testing"
)

func TestZeekHeader(t *testing.T) {
	const header = "#separator \\x09\n#fields\ta\n"
	for _, c := range []struct{ file, want string }{
		{header + "1\n#close\n2\n", header}, {"{}\n" + header, ""}, {"# a comment\n" + header, ""}, {"", ""},
	} {
		var h zeekHeader
		for line := range bytes.Lines([]byte(c.file)) {
			h.add(line)
		}
		if string(h.lines) != c.want {
			t.Errorf("%q: header %q, want %q", c.file, h.lines, c.want)
		}
	}
	h := zeekHeader{lines: []byte(header), done: true}
	if h.repeated([]byte(header)) != len(header) || h.repeated([]byte(header+"1\n")) != 0 || (&zeekHeader{lines: []byte(header)}).repeated([]byte(header)) != 0 {
		t.Error("a piece that is nothing but a repeated header is not told from others")
	}
}
