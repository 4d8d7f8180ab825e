package codec

import (
	"encoding/binary"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

func flowTestSchema(cols ...types.Column) *types.Schema { return &types.Schema{Cols: cols} }

func col(name string, k types.Kind) types.Column { return types.Column{Name: name, Type: types.T(k)} }

// datagram5 is a datagram of NetFlow 5 with a flow from port 443.
func datagram5(input uint16) []byte {
	d := make([]byte, 72)
	d[1], d[3] = 5, 1
	binary.BigEndian.PutUint32(d[4:], 10_000)
	binary.BigEndian.PutUint32(d[8:], 1_700_000_000)
	r := d[24:]
	copy(r, []byte{10, 0, 0, 1, 10, 0, 0, 2})
	binary.BigEndian.PutUint16(r[12:], input)
	binary.BigEndian.PutUint32(r[16:], 3)
	binary.BigEndian.PutUint32(r[20:], 0xfffffff0)
	binary.BigEndian.PutUint32(r[24:], 9_000)
	binary.BigEndian.PutUint32(r[28:], 9_500)
	binary.BigEndian.PutUint16(r[32:], 443)
	r[38] = 6
	return d
}

// TestFlowRows: columns by name, in any order; what a column cannot hold, and what it has not to fill, is NULL.
func TestFlowRows(t *testing.T) {
	s := flowTestSchema(col("octets", types.Int4), col("day", types.Date), col("src_addr", types.Inet), col("input", types.Int2), col("ts", types.TimestampTZ),
		col("vlan", types.Int4), col("exporter", types.Inet))
	def, _ := IntakeOf("NETFLOW5")
	in, err := def.New(Options{Schema: s, TimeCol: 4}, []int{1})
	if err != nil {
		t.Fatal(err)
	}
	var out Taken
	in.Take(netip.MustParseAddr("::ffff:192.0.2.9"), append(datagram5(7), datagram5(40_000)...), &out)
	stored, ok := Stored("NETFLOW5")
	if !ok {
		t.Fatal("nothing reads what is stored")
	}
	dec, err := stored.New(Options{Schema: s, TimeCol: 4})
	if err != nil {
		t.Fatal(err)
	}
	b := batch.New(s, nil)
	var rej []Reject
	if n := dec.Decode(out.Rows, b, 100, &rej); n != len(out.Rows) || len(rej) > 0 || b.N != 2 {
		t.Fatalf("%d of %d bytes, %d rows, %v", n, len(out.Rows), b.N, rej)
	}
	for row, want := range []string{"||10.0.0.1|7|2023-11-14 22:13:19.5+00||192.0.2.9", "||10.0.0.1||2023-11-14 22:13:19.5+00||192.0.2.9"} {
		var got []string
		for _, v := range b.Row(nil, row) {
			text := ""
			if !v.Null {
				text = string(types.AppendText(nil, v, nil))
			}
			got = append(got, text)
		}
		if g := strings.Join(got, "|"); g != want {
			t.Errorf("row %d: got %s, want %s", row, g, want)
		}
	}
	out.Reset()
	in.Take(netip.Addr{}, []byte{0, 9, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, &out)
	if len(out.Rows) > 0 || !strings.Contains(string(out.Rejected), "version 9, which the stream's format does not read") {
		t.Errorf("another version: %q", out.Rejected)
	}
}

// TestFlowOptions: what CREATE STREAM can have wrong.
func TestFlowOptions(t *testing.T) {
	for _, c := range []struct {
		format string
		s      *types.Schema
		params map[string]string
		want   string
	}{
		{"PCAP", flowTestSchema(col("ts", types.TimestampTZ), col("bytes", types.Int8)), nil, `nothing for column "bytes"`},
		{"PCAP", flowTestSchema(col("ts", types.TimestampTZ), col("vlan", types.Int8)), nil, `nothing for column "vlan"`},
		{"IPFIX", flowTestSchema(col("src_addr", types.Text)), nil, `"src_addr" must be of type inet`},
		{"IPFIX", flowTestSchema(col("ts", types.Timestamp)), nil, `"ts" must be of type timestamptz`},
		{"PCAP", flowTestSchema(col("packets", types.Float8)), nil, `"packets" must be of type smallint, integer or bigint`},
		{"PCAP", flowTestSchema(), map[string]string{"active_timeout": "0 s"}, "must be a duration"},
		{"PCAP", flowTestSchema(), map[string]string{"inactive_timeout": "soon"}, "must be a duration"},
		{"PCAP", flowTestSchema(), map[string]string{"inactive_timeout": "2 years"}, "must be a duration"},
		{"PCAP", flowTestSchema(), map[string]string{"snaplen": "1"}, `no option "snaplen"`},
		{"NETFLOW", flowTestSchema(), map[string]string{"active_timeout": "1 s"}, `no option "active_timeout"`},
		{"PCAP", flowTestSchema(), map[string]string{"active_timeout": "500ms", "inactive_timeout": "2 minutes"}, ""},
	} {
		def, ok := IntakeOf(c.format)
		if !ok {
			t.Fatal(c.format)
		}
		_, err := def.New(Options{Schema: c.s, TimeCol: -1, Params: c.params}, nil)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %v: got %v, want %q", c.format, c.params, err, c.want)
		}
	}
}

// TestRejectedRecords: the bytes and reasons come back, a part at a time; damage does not hide.
func TestRejectedRecords(t *testing.T) {
	var payload []byte
	const n = RejectsMax + 10
	for range n {
		payload = appendRejected(payload, []byte{1, 2, 3}, "too short \xff")
	}
	payload = appendRejected(payload, make([]byte, RawMax+1), strings.Repeat("x", 2*rejectedReasonMax))
	d := rejectedDecoder{}
	var all []Reject
	for rest := payload; len(rest) > 0; {
		var rej []Reject
		used := d.Decode(rest, nil, 0, &rej)
		if used <= 0 || len(rej) > RejectsMax {
			t.Fatalf("%d bytes, %d rejects", used, len(rej))
		}
		rest, all = rest[used:], append(all, rej...)
	}
	if len(all) != n+1 || string(all[0].Raw) != "\x01\x02\x03" || all[0].Err.Error() != "too short " || len(all[n].Raw) != RawMax || len(all[n].Err.Error()) > rejectedReasonMax {
		t.Errorf("%d rejects, first %+v", len(all), all[0])
	}
	for i := 1; i < 10; i++ {
		var rej []Reject
		if used := d.Decode(payload[:i], nil, 0, &rej); used != i || len(rej) != 1 || len(rej[0].Raw) != i {
			t.Errorf("cut at %d: %d, %+v", i, used, rej)
		}
	}
	var rej []Reject
	if d.Decode([]byte{9, 1, 1}, nil, 0, &rej); len(rej) != 1 || !strings.Contains(rej[0].Err.Error(), "unknown version") {
		t.Errorf("another version: %+v", rej)
	}
}

// TestFlowsAllocateNothing: blocks of packets, and datagrams whose templates are known, become rows without allocation.
func TestFlowsAllocateNothing(t *testing.T) {
	dir := filepath.Join("..", "..", "..", "shared", "data", "net")
	capture, err := os.ReadFile(filepath.Join(dir, "pcap", "ndpi__ftp.pcap"))
	if err != nil {
		t.Skip("../shared/data/net is missing; put the shared material beside the checkout")
	}
	template, _ := os.ReadFile(filepath.Join(dir, "netflow", "beats", "dat", "netflow9_test_fortigate_fortios_542_appid_tpl258-269.dat"))
	export, _ := os.ReadFile(filepath.Join(dir, "netflow", "beats", "dat", "netflow9_test_fortigate_fortios_542_appid_data258_262.dat"))
	s := flowTestSchema(col("ts", types.TimestampTZ), col("src_addr", types.Inet), col("packets", types.Int8), col("octets", types.Int8))
	for _, c := range []struct {
		format      string
		first, data []byte
	}{{"PCAP", capture, capture}, {"NETFLOW", template, export}, {"NETFLOW5", datagram5(1), datagram5(2)}} {
		def, _ := IntakeOf(c.format)
		in, err := def.New(Options{Schema: s, TimeCol: 0}, nil)
		if err != nil {
			t.Fatal(err)
		}
		var out Taken
		from := netip.MustParseAddr("192.0.2.1")
		in.Take(from, c.first, &out)
		in.Take(from, c.data, &out)
		if len(out.Rows) == 0 || len(out.Rejected) > 0 {
			t.Fatalf("%s: %d bytes of rows, %q", c.format, len(out.Rows), out.Rejected)
		}
		if n := testing.AllocsPerRun(20, func() { out.Reset(); in.Take(from, c.data, &out) }); n > 1 {
			t.Errorf("%s: %v allocations", c.format, n)
		}
	}
}
