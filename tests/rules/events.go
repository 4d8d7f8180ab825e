package rules

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"strconv"
)

// ReadZip reads the only file in an archive.
func ReadZip(file string) ([]byte, error) {
	z, err := zip.OpenReader(file)
	if err != nil {
		return nil, err
	}
	defer z.Close()
	if len(z.File) != 1 {
		return nil, fmt.Errorf("%s has %d files", file, len(z.File))
	}
	f, err := z.File[0].Open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// Number makes the events of JSON lines ready for the rules' stream: a number after first goes in front of each, counting up,
// with the time of all, and keys are made lower case, because the rules do not tell ProcessID from ProcessId. It returns how many there are.
func Number(lines []byte, first int) (numbered []byte, n int) {
	numbered = make([]byte, 0, len(lines)+len(lines)/8)
	for len(lines) > 0 {
		line, rest, _ := bytes.Cut(lines, []byte("\n"))
		lines = rest
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		n++
		numbered = append(numbered, `{"ts":"2026-01-01T00:00:00Z","event_number":`...)
		numbered = strconv.AppendInt(numbered, int64(first+n), 10)
		if line[1] != '}' {
			numbered = append(numbered, ',')
		}
		numbered = append(appendKeysLower(numbered, line[1:]), '\n')
	}
	return numbered, n
}

// appendKeysLower appends the rest of an object, behind its brace, with its own keys in lower case; nested ones stay.
func appendKeysLower(dst, object []byte) []byte {
	depth, key := 1, true
	for i := 0; i < len(object); i++ {
		switch c := object[i]; c {
		case '"':
			n := stringLen(object[i:])
			text := object[i : i+n]
			if key && depth == 1 {
				text = bytes.ToLower(text)
			}
			dst = append(dst, text...)
			i += n - 1
			continue
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case ',':
			key = true
		case ':':
			key = false
		}
		dst = append(dst, object[i])
	}
	return dst
}

// stringLen is the length of the JSON string that text begins with.
func stringLen(text []byte) int {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(text)
}
