package job

import (
	"reflect"
	"testing"

	"github.com/vigil-sql/vigil/executor/task"
	"github.com/vigil-sql/vigil/executor/types"
)

func TestEpochRecordRoundTrip(t *testing.T) {
	for _, want := range []epochRecord{
		{n: 1, clock: -5},
		{n: 1 << 40, clock: types.MaxTime, restarted: true, runs: []run{{stream: 7, to: 99},
			{stream: 8, split: -1, from: 1 << 50, to: 1<<50 + 1}, {stream: 9, from: 4, to: 4, result: true, watermark: -7}}},
	} {
		got, err := decodeEpoch(want.encode())
		if err != nil || !reflect.DeepEqual(*got, want) {
			t.Errorf("got %+v, %v; want %+v", got, err, want)
		}
	}
	old := []byte{1, 0, 3, 10, 1, 7, 0, 0, 2} // version 1 had no results
	if got, err := decodeEpoch(old); err != nil || got.n != 3 || len(got.runs) != 1 || got.runs[0] != (run{stream: 7, to: 1}) {
		t.Errorf("version 1: %+v, %v", got, err)
	}
	b := (&epochRecord{n: 1}).encode()
	b[0] = 99
	if _, err := decodeEpoch(b); err == nil {
		t.Error("a record of another version was read")
	}
}

func TestManifestRoundTrip(t *testing.T) {
	want := &checkpointCut{epoch: 9, reached: map[uint64]types.EventTime{7: -5, 8: types.MaxTime}, streams: map[uint64]*streamCut{3: {id: 3, watermark: types.MinTime, next: map[int32]int64{0: 5, 2: 7},
		splits: []task.Split{{ID: 2, Seen: true, Max: -4, Arrival: 8, Idle: true}}}}}
	got, err := decodeManifest(want.encode())
	if err != nil || got.epoch != 9 || !reflect.DeepEqual(got.streams, want.streams) || !reflect.DeepEqual(got.reached, want.reached) {
		t.Errorf("got %+v, %v; want %+v", got.streams[3], err, want.streams[3])
	}
}

func FuzzRecords(f *testing.F) {
	f.Add((&epochRecord{n: 3, runs: []run{{stream: 1, split: 2, from: 3, to: 4}, {stream: 5, result: true}}}).encode())
	f.Add((&checkpointCut{epoch: 9, streams: map[uint64]*streamCut{3: {id: 3, next: map[int32]int64{0: 5}, splits: []task.Split{{ID: 1}}}}}).encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if rec, err := decodeEpoch(b); err == nil {
			if again, err := decodeEpoch(rec.encode()); err != nil || !reflect.DeepEqual(rec, again) {
				t.Fatalf("%+v became %+v, %v", rec, again, err)
			}
		}
		_, _ = decodeManifest(b) // must not panic; any outcome is fine
	})
}
