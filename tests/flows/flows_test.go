// Package flows_test proves streams of flows from end to end: captures and datagrams of others in, SQL out.
package flows_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/executor/flow"
	"github.com/vigil-sql/vigil/tests/inproc"
	"github.com/vigil-sql/vigil/tests/need"
)

// totals are the packets and octets of a flow's key.
type totals struct{ packets, octets string }

func netData(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(need.Root(), "..", "shared", "data", "net")
	if _, err := os.Stat(dir); err != nil {
		t.Skip("../shared/data/net is missing; put the shared material beside the checkout")
	}
	return dir
}

func open(t *testing.T, disk *inproc.Disk) *inproc.DB {
	t.Helper()
	db, err := inproc.Open(inproc.Options{Disk: disk, Clock: inproc.NewClock(time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func rows(t *testing.T, db *inproc.DB, sql string) [][]string {
	t.Helper()
	got, err := db.Rows(sql)
	if err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return got
}

func exec1(t *testing.T, db *inproc.DB, sql string) {
	t.Helper()
	if err := db.Exec(sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// flowTotals are those of a stream, or query, by key; ICMPv6 is left out, which the table has without type and code.
func flowTotals(t *testing.T, db *inproc.DB, from string) map[string]totals {
	t.Helper()
	got := map[string]totals{}
	for _, r := range rows(t, db, `SELECT host(src_addr), host(dst_addr), src_port, dst_port, protocol, sum(packets), sum(octets) FROM `+from+
		` WHERE protocol <> 58 GROUP BY src_addr, dst_addr, src_port, dst_port, protocol`) {
		got[strings.Join(r[:5], " ")] = totals{r[5], r[6]}
	}
	return got
}

// tshark reads a table of flows.
func tshark(t *testing.T, name string) map[string]totals {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	want := map[string]totals{}
	for s := bufio.NewScanner(f); s.Scan(); {
		var w struct {
			Src, Dst            string
			Sport, Dport, Proto int
			Packets             int
			IPBytes             int `json:"ip_bytes"`
		}
		if err := json.Unmarshal(s.Bytes(), &w); err != nil {
			t.Fatal(err)
		}
		if w.Proto != 58 && w.Proto != 0 {
			want[fmt.Sprint(w.Src, " ", w.Dst, " ", w.Sport, " ", w.Dport, " ", w.Proto)] = totals{fmt.Sprint(w.Packets), fmt.Sprint(w.IPBytes)}
		}
	}
	return want
}

// TestCaptures: the flows of real captures, as SQL sees them, have the keys, packets and octets that tshark finds; also after a crash.
func TestCaptures(t *testing.T) {
	dir := netData(t)
	files, _ := filepath.Glob(filepath.Join(dir, "pcap", "*"))
	disk := inproc.NewDisk()
	db := open(t, disk)
	streams := map[string]string{}
	for i, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		stream := fmt.Sprint("capture", i)
		exec1(t, db, "CREATE STREAM "+stream+" FORMAT PCAP")
		if bad, err := db.Append(stream, data); err != nil || bad > 0 {
			t.Fatalf("%s: %d rejected, %v", f, bad, err)
		}
		streams[stream] = filepath.Join(dir, "expected", filepath.Base(f)+".flows.jsonl")
	}
	flows := 0
	for range 2 {
		for stream, table := range streams {
			want := tshark(t, table)
			if got := flowTotals(t, db, stream); !maps.Equal(got, want) {
				t.Errorf("%s: got %v, want %v", table, got, want)
			}
			flows += len(want)
		}
		db = open(t, disk.Crash(nil))
	}
	if len(files) < 30 || flows < 4000 {
		t.Errorf("%d captures with %d flows", len(files), flows)
	}
}

// TestAssembled: flows that are put together of a capture's blocks by a session window, with blocks that come late and twice, are those of tshark's table.
// What comes even later than the watermark corrects the results.
func TestAssembled(t *testing.T) {
	dir := netData(t)
	data, err := os.ReadFile(filepath.Join(dir, "pcap", "zeek__ssh__sshguess.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	db := open(t, inproc.NewDisk())
	exec1(t, db, "CREATE STREAM p WITH (allowed_lateness = '1 hour') FORMAT PCAP (active_timeout = '1 second', inactive_timeout = '1 second')")
	exec1(t, db, `CREATE CONTINUOUS QUERY flows WITH (start = 'earliest') AS SELECT src_addr, dst_addr, src_port, dst_port, protocol, min(first) AS first, max(last) AS last,
		sum(packets) AS packets, sum(octets) AS octets, bit_or(tcp_flags) AS tcp_flags
		FROM p GROUP BY src_addr, dst_addr, src_port, dst_port, protocol, SESSION(ts, INTERVAL '16 seconds', max INTERVAL '30 minutes')`)
	blocks := cut(t, data, 4000)
	if len(blocks) < 10 {
		t.Fatalf("%d blocks", len(blocks))
	}
	slices.Reverse(blocks) // all but the first come late, up to the whole of the capture
	for _, b := range blocks {
		if bad, err := db.Append("p", b); err != nil || bad > 0 {
			t.Fatalf("%d rejected, %v", bad, err)
		}
	}
	if err := db.Pass(2 * time.Hour); err != nil {
		t.Fatal(err)
	}
	if got, want := flowTotals(t, db, "flows"), tshark(t, filepath.Join(dir, "expected", "zeek__ssh__sshguess.pcap.flows.jsonl")); !maps.Equal(got, want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	if late := rows(t, db, "SELECT sum(late), sum(rejected) FROM vigil.streams"); late[0][0] != "0" || late[0][1] != "0" {
		t.Errorf("late and rejected: %v", late)
	}
}

// cut makes blocks of a pcap file.
func cut(t *testing.T, data []byte, size int) [][]byte {
	t.Helper()
	var blocks [][]byte
	if err := flow.Cut(bytes.NewReader(data), size, func(b []byte) error { blocks = append(blocks, slices.Clone(b)); return nil }); err != nil {
		t.Fatal(err)
	}
	return blocks
}

// TestTemplatesOverCrash: a template that came by UDP before a crash explains the data that comes after it.
func TestTemplatesOverCrash(t *testing.T) {
	dat := filepath.Join(netData(t), "netflow", "beats", "dat")
	addr := freeAddress(t)
	disk := inproc.NewDisk()
	db := open(t, disk)
	exec1(t, db, "CREATE STREAM nf WITH (connector = 'netflow', address = '"+addr+"')")
	send(t, addr, filepath.Join(dat, "netflow9_test_fortigate_fortios_542_appid_tpl258-269.dat"))
	send(t, addr, filepath.Join(dat, "netflow9_test_fortigate_fortios_542_appid_data258_262.dat"))
	wait(t, db, "SELECT count(*) FROM nf", "17")
	exec1(t, db, "CREATE STREAM other WITH (connector = 'netflow', address = '"+addr+"')") // the address is taken
	wait(t, db, "SELECT last_error LIKE '%address already in use%' FROM vigil.sources WHERE stream = 'other'", "t")
	exec1(t, db, "DROP STREAM other")
	crashed := disk.Crash(nil)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, crashed)
	send(t, addr, filepath.Join(dat, "netflow9_test_fortigate_fortios_542_appid_data258_262.dat"))
	wait(t, db, "SELECT count(*) FROM nf", "34")
	wait(t, db, "SELECT sum(rejected) FROM vigil.streams", "0")
	exec1(t, db, "DROP STREAM nf")
	if conn, err := net.ListenPacket("udp", addr); err != nil {
		t.Errorf("the address is still in use: %v", err)
	} else {
		conn.Close()
	}
}

// TestSoftflowd: what a real exporter sends of a capture, in each version, has the flows of tshark's table.
func TestSoftflowd(t *testing.T) {
	dir := netData(t)
	softflowd := need.Binary(t, "softflowd", "install Debian's softflowd", "/usr/sbin/softflowd")
	db := open(t, inproc.NewDisk())
	want := tshark(t, filepath.Join(dir, "expected", "ndpi__synscan.pcap.flows.jsonl"))
	for _, version := range []string{"5", "9", "10"} {
		addr := freeAddress(t)
		exec1(t, db, "CREATE STREAM v"+version+" WITH (connector = 'netflow', address = '"+addr+"')")
		bound(t, addr)
		out, err := exec.Command(softflowd, "-v", version, "-n", addr, "-d", "-r", filepath.Join(dir, "pcap", "ndpi__synscan.pcap")).CombinedOutput()
		if err != nil {
			t.Fatalf("softflowd: %v\n%s", err, out)
		}
		wait(t, db, "SELECT count(*) >= 2002 FROM v"+version, "t")
		got := flowTotals(t, db, "v"+version)
		if len(got) != len(want) {
			t.Errorf("version %s: %d flows, want %d", version, len(got), len(want))
		}
		for k, w := range want {
			if got[k].packets != w.packets {
				t.Errorf("version %s, %s: %v, want %v", version, k, got[k], w)
			}
		}
	}
}

// freeAddress is an address that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	return conn.LocalAddr().String()
}

// bound waits until somebody listens on an address.
func bound(t *testing.T, addr string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; <-time.After(5 * time.Millisecond) {
		conn, err := net.ListenPacket("udp", addr)
		if err != nil {
			return
		}
		conn.Close()
		if time.Now().After(deadline) {
			t.Fatal("nobody listens on " + addr)
		}
	}
}

// send sends a file as a datagram.
func send(t *testing.T, addr, file string) {
	t.Helper()
	bound(t, addr)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(data); err != nil {
		t.Fatal(err)
	}
}

// wait waits until a query has a result.
func wait(t *testing.T, db *inproc.DB, sql, want string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; <-time.After(5 * time.Millisecond) {
		got := rows(t, db, sql)
		if len(got) == 1 && got[0][0] == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v, want %s", sql, got, want)
		}
	}
}

// TestLiveCapture: packets over the loopback interface are flows, each packet once.
func TestLiveCapture(t *testing.T) {
	db, err := inproc.Open(inproc.Options{Disk: inproc.NewDisk(), Clock: inproc.NewClock(time.Now())})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	exec1(t, db, "CREATE STREAM wire WITH (connector = 'capture', interface = 'lo')")
	target, err := net.ListenPacket("udp", "127.0.0.1:0") // it reads nothing
	if err != nil {
		t.Fatal(err)
	}
	defer target.Close()
	conn, err := net.Dial("udp", target.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, port, _ := net.SplitHostPort(conn.LocalAddr().String())
	_, to, _ := net.SplitHostPort(conn.RemoteAddr().String())
	seen := fmt.Sprintf("SELECT count(*) > 0 FROM wire WHERE src_port = %s AND dst_port = %s AND protocol = 17", port, to)
	for deadline := time.Now().Add(time.Minute); rows(t, db, seen)[0][0] != "t"; <-time.After(20 * time.Millisecond) { // until it listens
		if last := rows(t, db, "SELECT coalesce(last_error, '') FROM vigil.sources"); strings.Contains(last[0][0], "not permitted") {
			need.Missing(t, "CAP_NET_RAW", "run the test as root")
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing is captured")
		}
		if _, err := conn.Write([]byte("first")); err != nil {
			t.Fatal(err)
		}
	}
	other, err := net.Dial("udp", conn.RemoteAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	_, port, _ = net.SplitHostPort(other.LocalAddr().String())
	for range 50 {
		if _, err := other.Write(make([]byte, 972)); err != nil {
			t.Fatal(err)
		}
	}
	wait(t, db, "SELECT sum(packets) || ' ' || sum(octets) FROM wire WHERE protocol = 17 AND src_port = "+port, "50 50000")
}
