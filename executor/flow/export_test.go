package flow

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"
)

var exporter = netip.MustParseAddr("192.0.2.1")

// goldenFlow is what is compared of a flow in the golden files.
type goldenFlow struct {
	Src, Dst     string
	SPort, DPort any
	Proto        any
	Packets      any
	Octets       any
	First, Last  string
}

func (g goldenFlow) String() string { b, _ := json.Marshal(g); return string(b) }

// TestGoldenExports: flows, and options that are none, of exporters of many makes are those of the golden files.
func TestGoldenExports(t *testing.T) {
	dir := filepath.Join(netData(t), "netflow", "beats")
	var index map[string]struct {
		Files  []string
		Golden string
	}
	readJSON(t, filepath.Join(dir, "index.json"), &index)
	cases, flows := 0, 0
	for name, c := range index {
		if len(c.Files) == 0 || strings.HasSuffix(c.Files[0], ".pcap") {
			continue
		}
		cases++
		t.Run(name, func(t *testing.T) {
			want, options := golden(t, filepath.Join(dir, c.Golden))
			if name == "Netflow 9 invalid 01" { // its header counts fewer records than there are; others drop it, and everything in it can be read
				want = []string{`{"Src":"192.168.0.1","Dst":"192.168.0.105","SPort":53,"DPort":55575,"Proto":17,"Packets":1,"Octets":98`,
					`{"Src":"2001:44b8:1118:7200::10","Dst":"2001:44b8:4030:cd91:8075:bae:d39d:2621","SPort":123,"DPort":123,"Proto":17,"Packets":1,"Octets":96`}
				options = 1
			}
			e := NewExports()
			var got []string
			for i, f := range c.Files {
				data, err := os.ReadFile(filepath.Join(dir, "dat", f))
				if err != nil {
					t.Fatal(err)
				}
				if i > 0 { // as after a restart
					kept := NewExports()
					if err := kept.Load(e.Append(nil)); err != nil {
						t.Fatal(err)
					}
					kept.Options = e.Options
					e = kept
				}
				for _, b := range e.Read(exporter, data, func(x *Export) { got = append(got, ours(x).String()) }) {
					t.Logf("%s: %s: %d bytes", f, b.Reason, len(b.Raw))
				}
			}
			sort.Strings(got)
			if all := strings.Join(want, ""); !strings.Contains(all, `"Last":"2`) { // the golden file computes no times from an exporter's clock
				for i := range got {
					got[i], _, _ = strings.Cut(got[i], `,"First"`)
				}
				for i := range want {
					want[i], _, _ = strings.Cut(want[i], `,"First"`)
				}
				sort.Strings(got)
				sort.Strings(want)
			}
			if g, w := strings.Join(got, "\n"), strings.Join(want, "\n"); g != w {
				t.Errorf("got\n%s\nwant\n%s", g, w)
			}
			if e.Options != options {
				t.Errorf("%d records of options, want %d", e.Options, options)
			}
			flows += len(got)
		})
	}
	if cases < 25 || flows < 150 {
		t.Errorf("%d cases with %d flows", cases, flows)
	}
}

func readJSON(t *testing.T, name string, to any) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(to); err != nil {
		t.Fatal(err)
	}
}

func golden(t *testing.T, name string) (flows []string, options int64) {
	t.Helper()
	var g struct {
		Events []struct {
			Fields struct {
				Netflow map[string]any
				Event   struct{ Start, End string }
			}
		}
	}
	readJSON(t, name, &g)
	for _, e := range g.Events {
		n := e.Fields.Netflow
		if n["type"] != "netflow_flow" {
			options++
			continue
		}
		f := goldenFlow{First: clean(e.Fields.Event.Start), Last: clean(e.Fields.Event.End), SPort: n["source_transport_port"],
			DPort: n["destination_transport_port"], Proto: n["protocol_identifier"]}
		f.Src, _ = first(n, "source_ipv4_address", "source_ipv6_address").(string)
		f.Dst, _ = first(n, "destination_ipv4_address", "destination_ipv6_address").(string)
		f.Packets = first(n, "packet_delta_count", "packet_total_count", "post_packet_delta_count")
		f.Octets = first(n, "octet_delta_count", "octet_total_count", "post_octet_delta_count")
		for _, unit := range []string{"seconds", "milliseconds", "microseconds", "nanoseconds"} {
			if s, ok := n["flow_start_"+unit].(string); ok {
				f.First = clean(s)
			}
			if s, ok := n["flow_end_"+unit].(string); ok {
				f.Last = clean(s)
			}
		}
		if s, ok := n["observation_time_milliseconds"].(string); ok && f.Last == "" {
			f.Last = clean(s)
		}
		if kind, ok := n["icmp_type_ipv4"].(json.Number); ok && f.Proto == json.Number("1") { // the ports are an identifier then
			code, _ := n["icmp_code_ipv4"].(json.Number)
			k, _ := kind.Int64()
			c, _ := code.Int64()
			f.SPort, f.DPort = json.Number("0"), json.Number(fmt.Sprint(k<<8|c))
		}
		flows = append(flows, f.String())
	}
	sort.Strings(flows)
	return flows, options
}

func first(m map[string]any, names ...string) any {
	for _, n := range names {
		if v, ok := m[n]; ok {
			return v
		}
	}
	return nil
}

// clean is a time to the millisecond.
func clean(s string) string {
	if s == "" {
		return ""
	}
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return s
	}
	return at.UTC().Format("2006-01-02T15:04:05.000")
}

func ours(x *Export) goldenFlow {
	g := goldenFlow{}
	if x.Has&HasSrc != 0 {
		g.Src = x.Src.String()
	}
	if x.Has&HasDst != 0 {
		g.Dst = x.Dst.String()
	}
	num := func(has Has, n uint64) any {
		if x.Has&has == 0 {
			return nil
		}
		return json.Number(fmt.Sprint(n))
	}
	g.SPort, g.DPort = num(HasSrcPort, uint64(x.SrcPort)), num(HasDstPort, uint64(x.DstPort))
	g.Proto = num(HasProtocol, uint64(x.Protocol))
	g.Packets, g.Octets = num(HasPackets, x.Packets), num(HasOctets, x.Octets)
	if x.Has&HasFirst != 0 {
		g.First = time.UnixMicro(x.First).UTC().Format("2006-01-02T15:04:05.000")
	}
	if x.Has&HasLast != 0 {
		g.Last = time.UnixMicro(x.Last).UTC().Format("2006-01-02T15:04:05.000")
	}
	return g
}

// TestSoftflowd: real datagrams of NetFlow 5, each behind its length, have the content that they were found to have.
func TestSoftflowd(t *testing.T) {
	files, _ := filepath.Glob(filepath.Join(netData(t), "netflow", "softflowd-v5", "*.nf5"))
	total := 0
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		records, err := os.Open(strings.TrimSuffix(f, ".nf5") + ".records.jsonl")
		if err != nil {
			t.Fatal(err)
		}
		defer records.Close()
		want := bufio.NewScanner(records)
		bad := NewExports().Read(exporter, data, func(x *Export) {
			if !want.Scan() {
				t.Fatalf("%s: more flows than there are", f)
			}
			var w struct {
				Src, Dst                             string
				Sport, Dport, Proto, Packets, Octets uint64
				First                                int64  `json:"first_ms"`
				Last                                 int64  `json:"last_ms"`
				Flags                                uint16 `json:"tcp_flags"`
				TOS                                  uint8
			}
			if err := json.Unmarshal(want.Bytes(), &w); err != nil {
				t.Fatal(err)
			}
			if x.Src.String() != w.Src || x.Dst.String() != w.Dst || uint64(x.SrcPort) != w.Sport || uint64(x.DstPort) != w.Dport || uint64(x.Protocol) != w.Proto ||
				x.Packets != w.Packets || x.Octets != w.Octets || x.TCPFlags != w.Flags || x.TOS != w.TOS || !wraps(x.First/1000, w.First) || !wraps(x.Last/1000, w.Last) {
				t.Errorf("%s: got %+v, want %s", f, x, want.Bytes())
			}
			total++
		})
		if len(bad) > 0 || want.Scan() {
			t.Errorf("%s: %d bad, or flows are missing", f, len(bad))
		}
	}
	if total < 2000 {
		t.Errorf("%d flows", total)
	}
}

// wraps reports that both are the same, or differ by a turn of an exporter's clock of 32 bits. softflowd, when it reads captures of the past, sends
// times that its clock has not reached yet: we take them for times before its last turn, those who made the table took them for times to come.
func wraps(got, want int64) bool { return got == want || got == want-1<<32 }

// message makes an IPFIX message of sets.
func message(domain uint32, sets ...[]byte) []byte {
	m := binary.BigEndian.AppendUint16(nil, 10)
	m = append(m, 0, 0)
	m = binary.BigEndian.AppendUint32(m, 1_700_000_000)
	m = binary.BigEndian.AppendUint32(m, 1)
	m = binary.BigEndian.AppendUint32(m, domain)
	for _, s := range sets {
		m = append(m, s...)
	}
	binary.BigEndian.PutUint16(m[2:], uint16(len(m)))
	return m
}

// set makes a set of 16-bit words.
func set(id uint16, words ...uint16) []byte {
	s := binary.BigEndian.AppendUint16(nil, id)
	s = binary.BigEndian.AppendUint16(s, uint16(4+2*len(words)))
	for _, w := range words {
		s = binary.BigEndian.AppendUint16(s, w)
	}
	return s
}

// TestTemplateFloods: an exporter that sends templates without end is refused, and so are exporters without end; those that were known go on.
func TestTemplateFloods(t *testing.T) {
	e := NewExports()
	count := 0
	read := func(from netip.Addr, m []byte) []Bad { return e.Read(from, m, func(*Export) { count++ }) }
	for id := uint16(256); id < 256+TemplatesMax; id++ {
		if bad := read(exporter, message(1, set(2, id, 1, 7, 2))); len(bad) > 0 {
			t.Fatal(id, bad[0].Reason)
		}
	}
	bad := read(exporter, message(1, set(2, 60000, 1, 7, 2)))
	if len(bad) != 1 || !strings.Contains(bad[0].Reason, "one too many") {
		t.Errorf("got %v", bad)
	}
	if bad := read(exporter, message(1, set(256, 443))); len(bad) > 0 || count != 1 {
		t.Errorf("a known template: %v, %d flows", bad, count)
	}
	for i := range uint32(DomainsMax - 1) {
		if bad := read(exporter, message(100+i, set(2, 256, 1, 7, 2))); len(bad) > 0 {
			t.Fatal(i, bad[0].Reason)
		}
	}
	bad = read(netip.MustParseAddr("198.51.100.7"), message(1, set(2, 256, 1, 7, 2)))
	if len(bad) != 1 || !strings.Contains(bad[0].Reason, "too many exporters") {
		t.Errorf("got %v", bad)
	}
	if bad := read(exporter, message(1, set(256, 443))); len(bad) > 0 || count != 2 {
		t.Errorf("a known exporter: %v, %d flows", bad, count)
	}
	e = NewExports()
	for i := range uint32(AllFieldsMax / FieldsMax) {
		fields := []uint16{256, FieldsMax}
		for range FieldsMax {
			fields = append(fields, 7, 2)
		}
		if bad := read(exporter, message(i, set(2, fields...))); len(bad) > 0 {
			t.Fatal(i, bad[0].Reason)
		}
	}
	if bad := read(exporter, message(9999, set(2, 256, 1, 7, 2))); len(bad) != 1 || !strings.Contains(bad[0].Reason, "all exporters") {
		t.Errorf("more fields than all may have: %v", bad)
	}
	read(exporter, message(0, set(2, 2, 0)))
	if bad := read(exporter, message(9999, set(2, 256, 1, 7, 2))); len(bad) > 0 {
		t.Errorf("after some were withdrawn: %v", bad)
	}
	wide := []uint16{257, FieldsMax + 1}
	for range FieldsMax + 1 {
		wide = append(wide, 7, 2)
	}
	if bad := read(exporter, message(101, set(2, wide...))); len(bad) != 1 {
		t.Errorf("a wide template: %v", bad)
	}
}

// TestTemplates: what withdraws, replaces and refuses them.
func TestTemplates(t *testing.T) {
	for _, c := range []struct {
		name  string
		sets  [][]byte
		flows int
		bad   string
	}{
		{"data before its template", [][]byte{set(256, 443), set(2, 256, 1, 7, 2)}, 0, "has not sent template 256"},
		{"withdrawn", [][]byte{set(2, 256, 1, 7, 2), set(2, 256, 0), set(256, 443)}, 0, "has not sent template 256"},
		{"all withdrawn", [][]byte{set(2, 256, 1, 7, 2), set(2, 2, 0), set(256, 443)}, 0, "has not sent template 256"},
		{"options stay when templates go", [][]byte{set(3, 256, 1, 1, 149, 4), set(2, 2, 0), set(256, 0, 1)}, 0, ""},
		{"replaced", [][]byte{set(2, 256, 1, 7, 2), set(2, 256, 2, 7, 2, 11, 2), set(256, 443, 80)}, 1, ""},
		{"no fields' bytes", [][]byte{set(2, 256, 1, 7, 0)}, 0, "0 bytes"},
		{"reserved number", [][]byte{set(2, 255, 1, 7, 2)}, 0, "reserved"},
		{"reserved set", [][]byte{set(100, 1)}, 0, "set 100 is reserved"},
		{"cut short", [][]byte{set(2, 256, 9, 7, 2)}, 0, "cut short"},
		{"variable length beyond the set", [][]byte{set(2, 256, 1, 82, 0xffff), set(256, 0xff00, 0x7f00)}, 0, "beyond its set"},
		{"an enterprise's field", [][]byte{set(2, 256, 2, 0x8001, 2, 0, 29305, 7, 2), set(256, 9, 443)}, 1, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := 0
			bad := NewExports().Read(exporter, message(7, c.sets...), func(x *Export) {
				if n++; x.SrcPort != 443 {
					t.Errorf("port %d", x.SrcPort)
				}
			})
			if n != c.flows || len(bad) > 0 != (c.bad != "") || len(bad) > 0 && !strings.Contains(bad[0].Reason, c.bad) {
				t.Errorf("%d flows, bad %v", n, bad)
			}
		})
	}
}

// TestKeptTemplatesDamaged: whatever byte is changed, Load says so and knows nothing.
func TestKeptTemplatesDamaged(t *testing.T) {
	e := NewExports()
	e.Read(exporter, message(7, set(2, 256, 1, 7, 2), set(3, 257, 2, 1, 149, 4, 34, 4), set(257, 0, 7, 0, 100)), func(*Export) {})
	kept := e.Append(nil)
	if e.Changed() {
		t.Error("nothing has changed since")
	}
	again := NewExports()
	if err := again.Load(kept); err != nil || !bytes.Equal(again.Append(nil), kept) {
		t.Fatalf("load: %v", err)
	}
	sampled := uint32(0)
	again.Read(exporter, message(7, set(256, 443)), func(x *Export) { sampled = x.Sampling })
	if sampled != 100 {
		t.Errorf("sampling %d", sampled)
	}
	for i := range kept {
		damaged := bytes.Clone(kept)
		damaged[i] ^= 0x40
		if err := again.Load(damaged); err == nil || len(again.domains) > 0 {
			t.Fatalf("byte %d: %v", i, err)
		}
		if err := again.Load(kept[:i]); err == nil {
			t.Fatalf("cut at %d is taken", i)
		}
	}
}

// FuzzExports: hostile datagrams give errors, in bounds.
func FuzzExports(f *testing.F) {
	f.Add(message(7, set(2, 256, 1, 7, 2), set(256, 443)), message(7, set(256, 1, 2)))
	f.Add(append([]byte{0, 5, 0, 1}, make([]byte, 68)...), []byte{0, 9})
	if dir, err := filepath.Abs("../../../shared/data/net/netflow/beats/dat"); err == nil {
		files, _ := filepath.Glob(dir + "/*.dat")
		for i, name := range files {
			a, _ := os.ReadFile(name)
			b, _ := os.ReadFile(files[(i+1)%len(files)])
			f.Add(a, b)
		}
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		e := NewExports()
		for _, data := range [][]byte{a, b, a} {
			n := 0
			bad := e.Read(exporter, data, func(x *Export) { n++ })
			if n > len(data) || len(bad) > badMax {
				t.Fatalf("%d flows and %d bad of %d bytes", n, len(bad), len(data))
			}
		}
		kept := e.Append(nil)
		again := NewExports()
		if err := again.Load(kept); err != nil || !bytes.Equal(again.Append(nil), kept) {
			t.Fatalf("what was kept cannot be loaded: %v", err)
		}
		_ = again.Load(a)
	})
}

// FuzzCapture: hostile captures give errors, in bounds; no octet is counted that no packet claims.
func FuzzCapture(f *testing.F) {
	files, _ := filepath.Glob("../../../shared/data/net/pcap/*")
	for _, name := range files {
		if data, err := os.ReadFile(name); err == nil && len(data) < 20_000 {
			f.Add(data)
		}
	}
	f.Add(append(binary.BigEndian.AppendUint32(nil, magicMicro), make([]byte, 40)...))
	c := NewCapture(Limits{Active: 60e6, Inactive: 15e6})
	f.Fuzz(func(t *testing.T, data []byte) {
		recs, bad := c.Read(data)
		n := uint64(0)
		for i := range recs {
			if n += recs[i].Packets; recs[i].First > recs[i].Last || recs[i].Packets == 0 {
				t.Fatalf("%+v", recs[i])
			}
		}
		if n != uint64(c.Packets) || len(bad) > badMax || len(recs) > len(data)/16 {
			t.Fatalf("%d packets in %d records, %d counted, %d bad", n, len(recs), c.Packets, len(bad))
		}
	})
}

// TestUptime: times of an exporter's clock, before and after it turns over, are near the time of export and never far ahead of it.
func TestUptime(t *testing.T) {
	const at = int64(1_700_000_000_000) // milliseconds
	for _, c := range []struct{ uptime, ms, want int64 }{
		{5000, 4000, at - 1000}, {5000, 5000, at}, {5000, 5010, at + 10}, {5000, 1<<32 - 1000, at - 6000},
		{1<<32 - 1000, 5, at + 1005}, {5000, 5000 + aheadMax, at + aheadMax}, {5000, 5001 + aheadMax, at + 1 + aheadMax - 1<<32},
		{1<<32 + 500, 400, at - 100},
	} {
		h := header{exported: at * 1000, boot: at - c.uptime}
		if got := h.uptime(uint32(c.ms)); got != c.want*1000 {
			t.Errorf("uptime %d, time %d: got %d, want %d", c.uptime, c.ms, got/1000-at, c.want-at)
		}
	}
}
