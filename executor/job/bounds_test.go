package job

import "testing"

// TestRejectsOfAnEpoch: an epoch holds so many rejected rows, and so many of their bytes, and counts the others.
func TestRejectsOfAnEpoch(t *testing.T) {
	for _, c := range []struct{ items, rows, size, want int }{
		{3, 100, 10, 300},
		{30, 1000, 10, rejectEpochMax},
		{100, 20, 16 << 10, rejectEpochBytes / (16 << 10)},
	} {
		var out epochOut
		for range c.items {
			it := &item{rejectsSkipped: 1}
			for range c.rows {
				it.rejects = append(it.rejects, reject{raw: make([]byte, c.size)})
			}
			out.takeRejects(it)
		}
		if n := len(out.rejects); n != c.want || out.rejectsSkipped != int64(c.items*c.rows+c.items-n) {
			t.Errorf("%+v: %d rows, %d left out", c, n, out.rejectsSkipped)
		}
	}
}
