package flow

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const wholeDay = 24 * 3600 * 1e6

// theirs is a flow as tshark saw it.
type theirs struct {
	Src, Dst     string
	Sport, Dport uint16
	Proto        uint8
	Packets      uint64
	IPBytes      uint64  `json:"ip_bytes"`
	First, Last  float64 // seconds
	Flags        uint16  `json:"tcp_flags_or"`
}

// flowKey is what both sides agree on.
type flowKey struct {
	src, dst     string
	sport, dport uint16
	proto        uint8
}

// TestFlowsEqualTshark: keys, packets, octets, times and flags of real captures equal the flow tables of tshark.
func TestFlowsEqualTshark(t *testing.T) {
	dir := netData(t)
	files, err := filepath.Glob(filepath.Join(dir, "pcap", "*.pcap*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no captures: %v", err)
	}
	packets := int64(0)
	for _, f := range files {
		t.Run(filepath.Base(f), func(t *testing.T) {
			data, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			want := tsharkFlows(t, filepath.Join(dir, "expected", filepath.Base(f)+".flows.jsonl"))
			for _, l := range []Limits{{Active: 1000 * wholeDay, Inactive: 1 << 60}, {Active: 1e6, Inactive: 1e5}} {
				c := NewCapture(l)
				recs, bad := c.Read(data)
				for _, b := range bad {
					t.Errorf("%q: %x", b.Reason, b.Raw[:min(len(b.Raw), 60)])
				}
				packets += c.Packets
				got := map[flowKey]Record{}
				for _, r := range recs {
					k := tsharkKey(&r)
					if g, ok := got[k]; ok {
						r.First, r.Last = min(g.First, r.First), max(g.Last, r.Last)
						r.Packets, r.Octets, r.TCPFlags = r.Packets+g.Packets, r.Octets+g.Octets, r.TCPFlags|g.TCPFlags
					}
					got[k] = r
				}
				compare(t, got, want)
			}
		})
	}
	if packets < 10_000 {
		t.Errorf("%d packets were read", packets)
	}
}

// tsharkKey is a record's key as that table has it: it has no ports of ICMPv6, and says of packets with a hop-by-hop header, as all reports of
// multicast listeners are, that their protocol is that header's.
func tsharkKey(r *Record) flowKey {
	k := flowKey{r.Src().String(), r.Dst().String(), r.SrcPort(), r.DstPort(), r.Protocol()}
	if k.proto == protoICMPv6 {
		if k.dport == 143<<8 {
			k.proto = 0
		}
		k.dport = 0
	}
	return k
}

// TestCut: a capture that is cut into pieces has the same packets; with records of a second at most, the same records too.
func TestCut(t *testing.T) {
	files, _ := filepath.Glob(filepath.Join(netData(t), "pcap", "*"))
	pieces := 0
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, rest := range [][]byte{data, data[:len(data)*2/3]} {
			l := Limits{Active: 1e6, Inactive: 1e6}
			whole, parts := NewCapture(l), NewCapture(l)
			recs, bad := whole.Read(rest)
			want := sums(nil, recs)
			got, packets, other, bads := map[string]uint64{}, int64(0), int64(0), 0
			err := Cut(strings.NewReader(string(rest)), 5000, func(piece []byte) error {
				recs, bad := parts.Read(piece)
				got = sums(got, recs)
				packets, other, bads, pieces = packets+parts.Packets, other+parts.Other, bads+len(bad), pieces+1
				return nil
			})
			if err != nil || packets != whole.Packets || other != whole.Other || bads != len(bad) || !maps.Equal(got, want) {
				t.Errorf("%s: %v, %d packets of %d, %d others of %d, %d bad of %d", f, err, packets, whole.Packets, other, whole.Other, bads, len(bad))
			}
		}
	}
	if pieces < 100 {
		t.Errorf("%d pieces", pieces)
	}
}

// sums adds octets by key and second.
func sums(to map[string]uint64, recs []Record) map[string]uint64 {
	if to == nil {
		to = map[string]uint64{}
	}
	for i := range recs {
		to[fmt.Sprint(recs[i].Key, recs[i].Last/1e6)] += recs[i].Octets
	}
	return to
}

func compare(t *testing.T, got map[flowKey]Record, want map[flowKey]theirs) {
	t.Helper()
	for k, w := range want {
		r, ok := got[k]
		if !ok {
			t.Errorf("missing %+v", w)
			continue
		}
		if k.proto == protoICMP {
			w.Flags = 0 // those of a packet that the message quotes
		}
		if r.Packets != w.Packets || r.Octets != w.IPBytes || r.TCPFlags != w.Flags || micros(w.First) != r.First || micros(w.Last) != r.Last {
			t.Errorf("%+v: got %d packets, %d octets, flags %x, %d..%d", w, r.Packets, r.Octets, r.TCPFlags, r.First, r.Last)
		}
	}
	for k := range got {
		if _, ok := want[k]; !ok {
			t.Errorf("tshark has no %+v", k)
		}
	}
}

func micros(sec float64) int64 { return int64(sec*1e6 + 0.5) }

// tsharkFlows reads a table.
func tsharkFlows(t *testing.T, name string) map[flowKey]theirs {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	flows := map[flowKey]theirs{}
	for s := bufio.NewScanner(f); s.Scan(); {
		var w theirs
		if err := json.Unmarshal(s.Bytes(), &w); err != nil {
			t.Fatal(err)
		}
		flows[flowKey{w.Src, w.Dst, w.Sport, w.Dport, w.Proto}] = w
	}
	return flows
}

// netData is where captures and exports that others made lie.
func netData(t testing.TB) string {
	t.Helper()
	dir, err := filepath.Abs("../../../shared/data/net")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skip("the real captures are not beside the tree (" + strings.TrimPrefix(dir, filepath.Dir(dir)) + ")")
	}
	return dir
}
