package op_test

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// TestMatchOldBlock restores a block of version 1, byte by byte as docs/formats/state.md has it: one key has an attempt and a row that
// waits, one rows before its attempt, and one a row and no attempt. Of two entries of a key the later one counts.
func TestMatchOldBlock(t *testing.T) {
	const sql = "SELECT * FROM s MATCH_RECOGNIZE (PARTITION BY k ORDER BY ts MEASURES MATCH_NUMBER() AS m, FIRST(a.ts) AS f, LAST(d.ts) AS e, LAST(b.x) AS x, FIRST(a.c) AS c " +
		"PATTERN (a b* d) WITHIN INTERVAL '1 second' DEFINE a AS c = 'a' AND x > PREV(x), b AS c = 'b', d AS c = 'd') m"
	row := func(at, fits byte, c string, x byte) string {
		return string([]byte{2 * at, fits, 1, at, 0, 0, 0, 0, 0, 0, 0, 1, 1}) + c + string([]byte{1, x, 0, 0, 0, 0, 0, 0, 0})
	}
	entry := func(key string, parts ...string) string {
		key = string([]byte{1, byte(len(key))}) + key
		rest := strings.Join(parts, "")
		return string([]byte{byte(len(key))}) + key + string(binary.AppendUvarint(nil, uint64(len(rest)))) + rest
	}
	block := "\x01\x03" +
		entry("late", "\x09", "\x00\x00", "\x00") +
		entry("rest", "\x02", "\x01\x03", row(30, 4, "d", 1), row(40, 1, "a", 3), row(50, 2, "b", 7), "\x00") +
		entry("wait", "\x00", "\x01\x02", row(30, 4, "d", 1), row(40, 1, "a", 3), "\x01", row(60, 2, "b", 8)) +
		entry("none", "\x05", "\x01\x01", row(40, 4, "d", 6), "\x01", row(60, 1, "a", 6)) +
		entry("late", "\x04", "\x01\x01", row(40, 4, "d", 1), "\x01", row(60, 1, "a", 2))
	d := newDriver(t, planMatch(t, sql), 1, 0)
	d.old = manyStates{{blocks: [][]byte{[]byte(block)}}}
	d.start()
	for _, k := range []string{"rest", "wait", "none", "late"} {
		d.feed(event{60, k, "d", 1})
	}
	d.restart(2)
	for _, k := range []string{"rest", "wait", "none", "late"} {
		d.feed(event{70, k, "a", 5}, event{70, k, "d", 5})
	}
	want := []string{"late 5 60 60 - a", "late 6 70 70 - a", "none 6 70 70 - a", "rest 3 40 60 7 a", "rest 4 70 70 - a", "wait 1 40 60 8 a", "wait 2 70 70 - a"}
	if got := d.finish(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// oldBlock makes of a block in which each entry has all rows of its key one of version 1.
func oldBlock(t *testing.T, block []byte) []byte {
	next := func(src *[]byte) uint64 {
		n, size := binary.Uvarint(*src)
		if size <= 0 {
			t.Fatal("a block ends early")
		}
		*src = (*src)[size:]
		return n
	}
	rest := block[1:]
	old := binary.AppendUvarint([]byte{1}, next(&rest))
	for len(rest) > 0 {
		n := next(&rest)
		old = append(binary.AppendUvarint(old, n), rest[:n]...)
		rest = rest[n:]
		n = next(&rest)
		src := rest[:n]
		rest = rest[n:]
		entry := binary.AppendUvarint(nil, next(&src))
		if src[0] != 1 {
			t.Fatal("an entry has not all rows")
		}
		src = src[1:]
		base, start, first, rows := next(&src), next(&src), next(&src), next(&src)
		if first != base {
			t.Fatalf("an entry has rows from %d on, not %d", first, base)
		}
		before := rows
		if start > 0 {
			before = start - base
		}
		entry = binary.AppendUvarint(binary.AppendUvarint(entry, before), rows)
		entry = append(entry, src...)
		old = append(binary.AppendUvarint(old, uint64(len(entry))), entry...)
	}
	return old
}

// TestMatchOldBlocks compares random queries that go on from blocks of version 1, again and again, with the model.
func TestMatchOldBlocks(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 2))
	matches, restored := 0, 0
	for n := 0; n < 1000; {
		sql, md := randomQuery(r)
		if md == nil {
			continue
		}
		n++
		delay := r.Int64N(4)
		events := randomEvents(r)
		d := newDriver(t, planMatch(t, sql), 1+r.IntN(2), delay)
		for i, e := range events {
			if d.feed(e); r.IntN(4) > 0 {
				continue
			}
			d.snapshot()
			for _, s := range d.states {
				for j := range s.blocks {
					s.blocks[j] = oldBlock(t, s.blocks[j])
					restored++
				}
			}
			d.old, d.workers = d.states, 1+i%3
			d.start()
			d.advance(d.wm)
		}
		onTime, _, _ := split(events, delay)
		want := md.run(onTime)
		if got := d.finish(); !slices.Equal(got, want) {
			t.Fatalf("%s\nrows %v\ngot\n%s\nwant\n%s", sql, onTime, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		matches += len(want)
	}
	if matches < 1000 || restored < 2000 {
		t.Errorf("the test met too little: %d matches, %d blocks", matches, restored)
	}
}
