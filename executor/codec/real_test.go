package codec

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

// TestRealEvents decodes real Windows event logs and compares every top-level value with encoding/json's.
func TestRealEvents(t *testing.T) {
	files, _ := filepath.Glob(filepath.Join("..", "..", "..", "shared", "data", "events", "evtx-json", "*.jsonl.gz"))
	if len(files) == 0 {
		t.Skip("../shared/data/events is missing; put the shared material beside the checkout")
	}
	lines := 0
	for _, f := range files {
		lines += realFile(t, f)
	}
	if lines < 1000 {
		t.Errorf("only %d lines", lines)
	}
}

func realFile(t *testing.T, name string) int {
	t.Helper()
	packed, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	var want []map[string]json.RawMessage
	keys := map[string]bool{}
	for line := range bytes.Lines(data) {
		var m map[string]json.RawMessage
		if err := json.Unmarshal(line, &m); err != nil {
			t.Fatal(err)
		}
		for k := range m {
			keys[k] = true
		}
		want = append(want, m)
	}
	s := &types.Schema{}
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		s.Cols = append(s.Cols, types.Column{Name: k, Type: types.T(types.JSON)})
	}
	d := newDecoder(t, "JSON", Options{Schema: s, TimeCol: -1})
	b := batch.New(s, nil)
	var rej []Reject
	if n := d.Decode(data, b, len(want), &rej); n != len(data) || b.N != len(want) || len(rej) != 0 {
		t.Fatalf("%s: %d of %d bytes, %d of %d rows, rejects %v", name, n, len(data), b.N, len(want), rej)
	}
	for i, m := range want {
		for c := range s.Cols {
			raw, has := m[s.Cols[c].Name]
			if null := !has || string(raw) == "null"; null != b.Cols[c].IsNull(i) || !null && !bytes.Equal(raw, b.Cols[c].Bytes(i)) {
				t.Fatalf("%s line %d column %s: %q, want %q", name, i+1, s.Cols[c].Name, b.Cols[c].Bytes(i), raw)
			}
		}
	}
	return len(want)
}
