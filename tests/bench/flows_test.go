package bench

import (
	"bufio"
	"encoding/binary"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/executor/codec"
	"github.com/vigil-sql/vigil/executor/flow"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/tests/need"
)

// BenchmarkFlows reads a capture of VIGIL_BENCH_PCAP bytes (usually 1 GB), real captures repeated with other addresses and later times, and makes
// rows of flows of it, as the server does; tcpdump copies the same file to /dev/null, softflowd makes flows of it. CPU time is compared, wall
// time too, all in one run.
func BenchmarkFlows(b *testing.B) {
	size := int64(1 << 30)
	if s := os.Getenv("VIGIL_BENCH_PCAP"); s != "" {
		size, _ = strconv.ParseInt(s, 10, 64)
	}
	tcpdump := need.Binary(b, "tcpdump", "install Debian's tcpdump", "/usr/sbin/tcpdump")
	softflowd := need.Binary(b, "softflowd", "install Debian's softflowd", "/usr/sbin/softflowd")
	file := filepath.Join(b.TempDir(), "repeated.pcap")
	packets := repeatCaptures(b, file, size)
	for b.Loop() {
		theirs := child(b, tcpdump, "-r", file, "-w", "/dev/null")
		own, flows := ourFlows(b, file, packets)
		soft := child(b, softflowd, "-r", file, "-v", "5", "-n", "127.0.0.1:9", "-m", "1000000", "-d")
		b.ReportMetric(own.cpu.Seconds(), "vigil-cpu-s")
		b.ReportMetric(own.wall.Seconds(), "vigil-wall-s")
		b.ReportMetric(own.cpu.Seconds()/theirs.cpu.Seconds(), "cpu/tcpdump")
		b.ReportMetric(own.wall.Seconds()/theirs.wall.Seconds(), "wall/tcpdump")
		b.ReportMetric(soft.cpu.Seconds()/own.cpu.Seconds(), "softflowd-cpu/vigil")
		b.ReportMetric(float64(own.cpu.Nanoseconds())/float64(packets), "ns/packet")
		b.Logf("%d packets, %d bytes, %d rows; CPU s: vigil %.2f, tcpdump %.2f, softflowd %.2f; wall s: %.2f, %.2f, %.2f", packets, size, flows,
			own.cpu.Seconds(), theirs.cpu.Seconds(), soft.cpu.Seconds(), own.wall.Seconds(), theirs.wall.Seconds(), soft.wall.Seconds())
	}
}

// spent is what something took.
type spent struct{ cpu, wall time.Duration }

func child(b *testing.B, name string, args ...string) spent {
	b.Helper()
	cmd := exec.Command(name, args...)
	start := time.Now()
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%s: %v\n%s", name, err, out)
	}
	return spent{cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), time.Since(start)}
}

// ourFlows cuts the file into blocks and makes rows of each.
func ourFlows(b *testing.B, file string, packets int64) (spent, int) {
	b.Helper()
	def, _ := codec.IntakeOf("PCAP")
	in, err := def.New(codec.Options{Schema: flowSchema()}, nil)
	if err != nil {
		b.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	var out codec.Taken
	rows := 0
	cpu, start := processCPU(b), time.Now()
	err = flow.Cut(f, 1<<20, func(piece []byte) error {
		out.Reset()
		in.Take(netip.Addr{}, piece, &out)
		for at := 0; at < len(out.Rows); rows++ {
			at += 5 + int(binary.LittleEndian.Uint32(out.Rows[at+1:]))
		}
		return nil
	})
	if err != nil || len(out.Rejected) > 0 || rows == 0 || int64(rows) > packets {
		b.Fatalf("%v, %d rows", err, rows)
	}
	return spent{processCPU(b) - cpu, time.Since(start)}, rows
}

// flowSchema are the columns of a stream of flows that names none.
func flowSchema() *types.Schema {
	s := &types.Schema{}
	for _, c := range []struct {
		name string
		kind types.Kind
	}{{"ts", types.TimestampTZ}, {"first", types.TimestampTZ}, {"last", types.TimestampTZ}, {"src_addr", types.Inet}, {"dst_addr", types.Inet},
		{"src_port", types.Int4}, {"dst_port", types.Int4}, {"protocol", types.Int2}, {"tcp_flags", types.Int2}, {"packets", types.Int8},
		{"octets", types.Int8}, {"input", types.Int4}, {"tos", types.Int2}} {
		s.Cols = append(s.Cols, types.Column{Name: c.name, Type: types.T(c.kind)})
	}
	return s
}

// repeatCaptures writes a pcap file of about size bytes: the real captures of Ethernet again and again, each time with other IPv4 addresses, and
// later by as long as they take. It returns the number of packets.
func repeatCaptures(b *testing.B, file string, size int64) int64 {
	b.Helper()
	names, _ := filepath.Glob(filepath.Join(need.Root(), "..", "shared", "data", "net", "pcap", "*.pcap"))
	var bodies [][]byte
	for _, n := range names {
		data, err := os.ReadFile(n)
		if err != nil {
			b.Fatal(err)
		}
		if binary.LittleEndian.Uint32(data) == 0xa1b2c3d4 && binary.LittleEndian.Uint32(data[20:]) == 1 {
			bodies = append(bodies, data[24:])
		}
	}
	if len(bodies) == 0 {
		need.Missing(b, "../shared/data/net", "put the shared captures beside the checkout")
	}
	f, err := os.Create(file)
	if err != nil {
		b.Fatal(err)
	}
	w := bufio.NewWriterSize(f, 1<<20)
	head := []byte{0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0}
	_, _ = w.Write(head) // Flush tells
	packets, written, clock := int64(0), int64(len(head)), int64(1_700_000_000)*1e6
	for round := uint32(0); written < size; round++ {
		for _, body := range bodies {
			n, bytes, end := repeatCapture(w, body, round, clock)
			packets, written, clock = packets+n, written+bytes, end
		}
	}
	if err := w.Flush(); err != nil {
		b.Fatal(err)
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
	return packets
}

// repeatCapture writes a capture's packets as if it began at clock, microseconds, and returns when it ends. Gaps are a second at most.
func repeatCapture(w *bufio.Writer, body []byte, round uint32, clock int64) (packets, bytes, end int64) {
	var packet []byte
	before := int64(-1)
	for len(body) >= 16 {
		at := int64(binary.LittleEndian.Uint32(body))*1e6 + int64(binary.LittleEndian.Uint32(body[4:]))
		n := int(binary.LittleEndian.Uint32(body[8:]))
		if before >= 0 {
			clock += min(max(at-before, 0), 1e6)
		}
		before = at
		packet = append(packet[:0], body[:16+n]...)
		binary.LittleEndian.PutUint32(packet, uint32(clock/1e6))
		binary.LittleEndian.PutUint32(packet[4:], uint32(clock%1e6))
		if frame := packet[16:]; len(frame) >= 34 && binary.BigEndian.Uint16(frame[12:]) == 0x0800 {
			for _, a := range [][]byte{frame[26:30], frame[30:34]} {
				binary.BigEndian.PutUint32(a, binary.BigEndian.Uint32(a)+round<<8)
			}
		}
		_, _ = w.Write(packet) // Flush tells
		packets, bytes, body = packets+1, bytes+int64(len(packet)), body[16+n:]
	}
	return packets, bytes, clock + 1000
}
