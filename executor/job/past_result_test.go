package job

import (
	"fmt"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/storage/kv"
	"github.com/vigil-sql/vigil/storage/results"
)

// TestResultTrimmedBeforeHistory: of a result that is trimmed between the statement and the first read, history begins with what is left, so
// that the run which is recorded can be read again, and ends where it should.
func TestResultTrimmedBeforeHistory(t *testing.T) {
	store := kv.NewMem()
	res, err := results.Open(store)
	if err != nil {
		t.Fatal(err)
	}
	const id = 7
	for epoch := range uint64(5) {
		b := store.NewBatch()
		p := res.Begin(b, epoch+1, int64(epoch))
		p.Query(res.Changelog(id))
		p.Row(byte(batch.Insert), fmt.Append(nil, epoch))
		p.End()
		if err := b.Commit(false); err != nil {
			t.Fatal(err)
		}
		if err := p.Publish(); err != nil {
			t.Fatal(err)
		}
	}
	if err := res.Trim(id, results.Bounds{BeforeClock: 3, KeepFrom: 100}); err != nil {
		t.Fatal(err)
	}
	if res.Oldest(id) != 3 {
		t.Fatalf("the oldest row is %d", res.Oldest(id))
	}
	e := &Engine{results: res, cfg: Config{HistoryBytes: 1 << 10}}
	for _, x := range []struct {
		to, from int64
		rows     int
	}{{5, 3, 2}, {4, 3, 1}, {2, 2, 0}} {
		it := e.newItem(itemData)
		if err := e.readResult(it, &stream{spec: &spec.Stream{ID: id}}, 0, x.to); err != nil {
			t.Fatal(err)
		}
		if p := it.payloads; len(p) != 1 || p[0].From != x.from || p[0].To != x.to || len(it.changes) != x.rows {
			t.Errorf("up to %d: %d rows, which are said to be %v", x.to, len(it.changes), p)
		}
	}
}
