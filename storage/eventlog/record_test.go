package eventlog

import (
	"bytes"
	"math/rand"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// FuzzRecord: hostile bytes give errors; what decodes encodes to something that decodes to the same.
func FuzzRecord(f *testing.F) {
	f.Add(appendRecord(nil, &Entry{Arrival: 5, Codec: "json", Columns: []int{1, 2}, Payload: []byte("p")}, kindLast, "key"), false)
	f.Add(appendRecord(nil, &Entry{Payload: []byte("p")}, kindMore, ""), true)
	f.Add([]byte{}, true)
	f.Add([]byte{recordVersion, kindLast, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0x00, 0}, true) // a long zero as number of columns
	f.Fuzz(func(t *testing.T, b []byte, bodyOnly bool) {
		var r body
		var err error
		if bodyOnly {
			r, err = decodeBody(b) // without the checksum, which random bytes never pass
		} else {
			r, err = decodeRecord(b)
		}
		if err != nil {
			return
		}
		e := Entry{Arrival: r.arrival, Codec: string(r.codec), Columns: r.columnList(), Payload: r.payload}
		again, err := decodeRecord(appendRecord(nil, &e, r.kind, string(r.key)))
		if err != nil {
			t.Fatal(err)
		}
		if again.arrival != r.arrival || !bytes.Equal(again.codec, r.codec) || !reflect.DeepEqual(again.columnList(), e.Columns) ||
			!bytes.Equal(again.key, r.key) || !bytes.Equal(again.payload, r.payload) || again.kind != r.kind {
			t.Fatalf("%+v became %+v", r, again)
		}
	})
}

// FuzzSidecar: hostile bytes give errors, not panics, not gigabytes.
func FuzzSidecar(f *testing.F) {
	c := sidecar{
		base: 100, end: 50, sealed: true, lastArrival: 3,
		times: []timeRange{{100, 110, -1, 1}, {120, 130, 5, 6}}, keys: []keySpan{{"k", Span{100, 110}}},
		checked: []Span{{100, 105}, {106, 120}},
	}
	f.Add(c.encode()[8 : len(c.encode())-4])
	f.Fuzz(func(t *testing.T, b []byte) {
		b = append([]byte(sidecarMagic+"\x02"), b...)
		got, err := decodeSidecar(withChecksum(b), 100)
		if err != nil {
			return
		}
		again, err := decodeSidecar(got.encode(), 100)
		if err != nil || !reflect.DeepEqual(got, again) {
			t.Fatalf("%+v became %+v: %v", got, again, err)
		}
	})
}

func withChecksum(b []byte) []byte {
	sum := checksum(nil, b)
	return append(b, byte(sum), byte(sum>>8), byte(sum>>16), byte(sum>>24))
}

// BenchmarkAppend compares a synced append of a megabyte with a plain write and fsync of the same bytes.
func BenchmarkAppend(b *testing.B) {
	payload := make([]byte, 1<<20)
	rand.New(rand.NewSource(1)).Read(payload)
	b.Run("log", func(b *testing.B) {
		l, err := Open(Options{Dir: b.TempDir()})
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(len(payload)))
		for b.Loop() {
			if _, _, _, err := l.Append(background, []Entry{{Codec: "json", Payload: payload}}); err != nil {
				b.Fatal(err)
			}
			if err := l.Trim(0, 0, 256<<20, l.End()); err != nil {
				b.Fatal(err)
			}
		}
		_ = l.Close()
	})
	b.Run("plain", func(b *testing.B) {
		f, err := os.Create(filepath.Join(b.TempDir(), "plain"))
		if err != nil {
			b.Fatal(err)
		}
		b.SetBytes(int64(len(payload)))
		at := int64(0)
		for b.Loop() {
			if _, err := f.WriteAt(payload, at); err != nil {
				b.Fatal(err)
			}
			if err := f.Sync(); err != nil {
				b.Fatal(err)
			}
			if at += int64(len(payload)); at >= 64<<20 {
				at = 0
				_ = f.Truncate(0)
			}
		}
		_ = f.Close()
	})
}

// BenchmarkRead reads entries of about 300 kB, a batch of a thousand events each.
func BenchmarkRead(b *testing.B) {
	l, err := Open(Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	for range 100 {
		mustAppend(b, l, Entry{Codec: "json", Payload: make([]byte, 300<<10)})
	}
	b.SetBytes(l.End())
	for b.Loop() {
		readAll(b, l, 0)
	}
}
