package job

import (
	"slices"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
)

func out(op batch.Op, data string, step uint32, time int64) outRow {
	return outRow{op: op, data: []byte(data), step: step, time: time}
}

func texts(rows []outRow) []string {
	names := map[batch.Op]string{batch.Insert: "+I", batch.UpdateBefore: "-U", batch.UpdateAfter: "+U", batch.Delete: "-D"}
	var list []string
	for _, r := range rows {
		list = append(list, names[r.op]+" "+string(r.data))
	}
	return list
}

// TestMergeUpdates: of the changes of one row within an epoch the ends are left; rows that come and go stay visible.
func TestMergeUpdates(t *testing.T) {
	for _, c := range []struct {
		name string
		rows []outRow
		want []string
	}{
		{"a chain", []outRow{out(batch.UpdateBefore, "a1", 0, 0), out(batch.UpdateAfter, "a2", 0, 0), out(batch.UpdateBefore, "b1", 0, 0),
			out(batch.UpdateAfter, "b2", 0, 0), out(batch.UpdateBefore, "a2", 0, 0), out(batch.UpdateAfter, "a3", 0, 0)},
			[]string{"-U a1", "+U a3", "-U b1", "+U b2"}},
		{"a new row", []outRow{out(batch.Insert, "a1", 0, 0), out(batch.UpdateBefore, "a1", 0, 0), out(batch.UpdateAfter, "a2", 0, 0),
			out(batch.UpdateBefore, "a2", 0, 0), out(batch.UpdateAfter, "a3", 0, 0)}, []string{"+I a3"}},
		{"a row that goes", []outRow{out(batch.Insert, "a1", 0, 0), out(batch.Delete, "a1", 0, 0), out(batch.Insert, "a1", 0, 0)},
			[]string{"+I a1", "-D a1", "+I a1"}},
		{"half an update", []outRow{out(batch.UpdateBefore, "a1", 0, 0)}, []string{"-U a1"}},
	} {
		if got := texts(mergeUpdates(c.rows)); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// TestSortSteps: steps in their order; within a watermark's step by time and bytes, whichever worker a row came from; rows
// that came with their input stay as they are; halves of updates stay together.
func TestSortSteps(t *testing.T) {
	rows := []outRow{out(batch.Insert, "z", 2, 0), out(batch.UpdateBefore, "m", 3, 20), out(batch.UpdateAfter, "a", 3, 20), out(batch.Insert, "c", 3, 10),
		out(batch.Insert, "y", 2, 0), out(batch.Insert, "b", 3, 20), out(batch.Insert, "k", 5, 1), out(batch.Insert, "d", 3, 10)}
	sortSteps(rows)
	want := []string{"+I z", "+I y", "+I c", "+I d", "+I b", "-U m", "+U a", "+I k"}
	if got := texts(rows); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
