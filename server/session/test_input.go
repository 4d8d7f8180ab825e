package session

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/parse"
	"github.com/vigil-sql/vigil/storage/eventlog"
)

const (
	// testBytesMax bounds the text of all events and expected rows of a test.
	testBytesMax = 64 << 20
	// testExpectMax bounds the rows that a test may expect.
	testExpectMax = 100_000
)

// testInput is what a test is made of.
type testInput struct {
	entries map[uint64][]eventlog.Entry // by stream
	expect  []expectedRow
}

// expectedRow is one line of EXPECT.
type expectedRow struct {
	text []byte // as it was written, on one line
	// cols are the columns that it names, ascending; vals are their values as text that is equal where the values are.
	cols []int
	vals []string
}

// read reads all texts of the test.
func (t *queryTest) read() (*testInput, error) {
	in := &testInput{entries: map[uint64][]eventlog.Entry{}}
	left := int64(testBytesMax)
	for _, st := range t.streams {
		f := t.using[st.ID]
		data, err := t.text(f, &left)
		if err != nil {
			return nil, err
		}
		whole := Ingest{Codec: "JSON", Data: data}
		in.entries[st.ID] = whole.entries()
	}
	if t.st.Expect == nil {
		return in, nil
	}
	data, err := t.text(t.st.Expect, &left)
	if err != nil {
		return nil, err
	}
	in.expect, err = expectedRows(data, t.q.Schema.Cols)
	if err != nil {
		return nil, sqlerr.As(err).At(t.st.Expect.Pos)
	}
	return in, nil
}

// text gives the text of a fixture; files are for superusers.
func (t *queryTest) text(f *parse.Fixture, left *int64) ([]byte, error) {
	if !f.Inline() && !t.s.superuser() {
		return nil, denied("permission denied to read files of the server").WithHint("Only superusers can; write the lines themselves: USING $${\"ts\": ..}$$.").At(f.Pos)
	}
	return t.s.srv.testText(f, left)
}

// testText gives the text that a fixture stands for, of left bytes at most.
func (srv *Server) testText(f *parse.Fixture, left *int64) ([]byte, error) {
	var data []byte
	if f.Inline() {
		data = []byte(f.File)
	} else {
		if srv.testDir == "" {
			return nil, sqlerr.NotSupported("TEST CONTINUOUS QUERY with files",
				"This server allows no directory: start it with --test-dir DIR, or write the lines themselves: USING $${\"ts\": ..}$$.").At(f.Pos)
		}
		var err error
		if data, err = readTestFile(srv.testDir, f.File, *left); err != nil {
			return nil, sqlerr.As(err).At(f.Pos)
		}
	}
	if *left -= int64(len(data)); *left < 0 {
		return nil, tooLarge().At(f.Pos)
	}
	return data, nil
}

func tooLarge() *sqlerr.Error {
	return sqlerr.New(sqlerr.ProgramLimitExceeded, "the events and expected rows of a test have more than %d MiB", testBytesMax>>20)
}

// readTestFile reads a file below a directory. Names that lead out of it, and symbolic links wherever they lead, are refused.
func readTestFile(dir, name string, most int64) ([]byte, error) {
	if strings.ContainsRune(name, 0) || !fs.ValidPath(name) || name == "." {
		return nil, sqlerr.New(sqlerr.InsufficientPrivilege, "%q is no file below the directory of tests", name).
			WithHint("Write the path from that directory, without \"..\": 'rules/brute_force.ndjson'.")
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, sqlerr.New(sqlerr.IOError, "could not open the directory of tests: %v", err)
	}
	defer root.Close()
	for i := range len(name) + 1 { // from the top down: nothing is looked up through a link
		if i < len(name) && name[i] != '/' {
			continue
		}
		info, err := root.Lstat(name[:i])
		if errors.Is(err, fs.ErrNotExist) {
			return nil, noTestFile(name)
		}
		if err != nil {
			return nil, sqlerr.New(sqlerr.IOError, "could not read %q: %v", name, err)
		}
		if info.Mode()&fs.ModeSymlink != 0 {
			return nil, sqlerr.New(sqlerr.InsufficientPrivilege, "%q is, or leads through, a symbolic link", name).
				WithHint("Put the file itself below the directory of tests.")
		}
	}
	// Without waiting: a pipe in the place of the file must not hold the connection.
	file, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, sqlerr.New(sqlerr.IOError, "could not open %q: %v", name, err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return nil, sqlerr.New(sqlerr.WrongObjectType, "%q is not an ordinary file", name)
	}
	if info.Size() > most {
		return nil, tooLarge()
	}
	data, err := io.ReadAll(io.LimitReader(file, most+1)) // it may grow meanwhile
	if err != nil {
		return nil, sqlerr.New(sqlerr.IOError, "could not read %q: %v", name, err)
	}
	return data, nil
}

func noTestFile(name string) error {
	return sqlerr.New("58P01", "file %q does not exist below the directory of tests", name).
		WithHint("A text that has a line break or begins with { is not a name but the lines themselves.")
}

// expectedRows reads the lines of EXPECT for a result of these columns.
func expectedRows(data []byte, cols []types.Column) ([]expectedRow, error) {
	byName := map[string]int{}
	for i := range cols {
		byName[cols[i].Name] = i
	}
	var list []expectedRow
	for n := 1; len(data) > 0; n++ {
		line, rest, _ := bytes.Cut(data, []byte("\n"))
		data = rest
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if len(list) >= testExpectMax {
			return nil, sqlerr.New(sqlerr.ProgramLimitExceeded, "EXPECT has more than %d rows", testExpectMax)
		}
		row, err := expected(line, cols, byName)
		if err != nil {
			return nil, sqlerr.As(err).WithWhere("EXPECT, line %d", n)
		}
		list = append(list, row)
	}
	return list, nil
}

func expected(line []byte, cols []types.Column, byName map[string]int) (expectedRow, error) {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(line, &object); err != nil || object == nil {
		return expectedRow{}, sqlerr.New(sqlerr.InvalidTextRepresentation, "an expected row is a JSON object on a line of its own").
			WithDetail("The line is %.200q.", line)
	}
	var text bytes.Buffer
	if err := json.Compact(&text, line); err != nil {
		return expectedRow{}, fmt.Errorf("compact a line that was parsed: %w", err)
	}
	row := expectedRow{text: text.Bytes()}
	values := map[int]string{}
	for name, raw := range object {
		i, ok := byName[name]
		if !ok {
			return row, sqlerr.New(sqlerr.UndefinedColumn, "the result has no column %q", name).WithHint("An expected row names columns of the query.")
		}
		v, err := comparableText(raw, cols[i].Type)
		if err != nil {
			return row, err
		}
		values[i] = v
	}
	for i := range cols {
		if v, ok := values[i]; ok {
			row.cols, row.vals = append(row.cols, i), append(row.vals, v)
		}
	}
	return row, nil
}
