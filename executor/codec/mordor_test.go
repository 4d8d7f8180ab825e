package codec

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

// TestWindowsSets decodes sets of Windows events; every column, in small letters, has what encoding/json finds under the usual name.
func TestWindowsSets(t *testing.T) {
	files, _ := filepath.Glob(filepath.Join("..", "..", "..", "shared", "data", "events", "mordor", "*.zip"))
	if len(files) == 0 {
		t.Skip("../shared/data/events/mordor is missing; put the shared material beside the checkout")
	}
	var names []string
	s := &types.Schema{}
	for _, f := range windowsFields {
		switch f {
		case "Computer", "Provider_Name", "TimeCreated": // found under several names
		default:
			names = append(names, f)
			s.Cols = append(s.Cols, benchColumn(strings.ToLower(f), types.JSON))
		}
	}
	names = append(names, "Hostname")
	s.Cols = append(s.Cols, benchColumn("computer", types.JSON))
	events, values := 0, 0
	for _, f := range files {
		z, err := zip.OpenReader(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, member := range z.File {
			r, err := member.Open()
			if err != nil {
				t.Fatal(err)
			}
			data, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(data[:min(len(data), 4096)], []byte(`"EventID":`)) {
				e, v := windowsSet(t, f, data, s, names)
				events, values = events+e, values+v
			}
		}
		_ = z.Close() // it was only read
	}
	t.Logf("%d events, %d values", events, values)
	if events != 86149 {
		t.Errorf("%d events", events)
	}
}

func windowsSet(t *testing.T, file string, data []byte, s *types.Schema, names []string) (events, values int) {
	t.Helper()
	d := newDecoder(t, "WINDOWS", Options{Schema: s, TimeCol: -1})
	b := batch.New(s, nil)
	for text := range bytes.Lines(data) {
		var want map[string]json.RawMessage
		if err := json.Unmarshal(text, &want); err != nil {
			t.Fatal(err)
		}
		b.Reset(nil)
		var rej []Reject
		if d.Decode(text, b, 1, &rej); b.N != 1 || len(rej) > 0 {
			t.Fatalf("%s: %q: rejects %v", file, text, rej)
		}
		events++
		for c, name := range names {
			raw, has := want[name]
			if null := !has || string(raw) == "null"; null != b.Cols[c].IsNull(0) || !null && !bytes.Equal(raw, b.Cols[c].Bytes(0)) {
				t.Fatalf("%s: %q: %s is %q, want %q", file, text, name, b.Cols[c].Bytes(0), raw)
			}
			if has {
				values++
			}
		}
	}
	return events, values
}
