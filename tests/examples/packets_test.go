package examples

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/tests/harness"
)

// frame is a captured packet: what is kept of one of UDP.
type frame struct {
	at       time.Time
	src, dst string
	port     int // the source's
	octets   int
}

// record is the frame as a record of a pcap file, cut off behind the headers.
func (f frame) record() []byte {
	const captured = 14 + 20 + 8
	r := binary.LittleEndian.AppendUint32(nil, uint32(f.at.Unix()))
	r = binary.LittleEndian.AppendUint32(r, uint32(f.at.Nanosecond()/1000))
	r = binary.LittleEndian.AppendUint32(r, captured)
	r = binary.LittleEndian.AppendUint32(r, uint32(14+f.octets))
	r = append(r, 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0, 0x45, 0)
	r = binary.BigEndian.AppendUint16(r, uint16(f.octets))
	r = append(r, 0, 0, 0, 0, 64, 17, 0, 0)
	r = append(append(r, netip.MustParseAddr(f.src).AsSlice()...), netip.MustParseAddr(f.dst).AsSlice()...)
	r = binary.BigEndian.AppendUint16(r, uint16(f.port))
	r = binary.BigEndian.AppendUint16(r, 53)
	r = binary.BigEndian.AppendUint16(r, uint16(f.octets-20))
	return append(r, 0, 0)
}

// capture is a pcap file of frames.
func capture(list []frame) []byte {
	b := []byte{0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 1, 0, 0, 0}
	for _, f := range list {
		b = append(b, f.record()...)
	}
	return b
}

// packetFrames are half an hour of three addresses, in order, and the alerts that follow.
func packetFrames() (list []frame, rows []string) {
	rng := rand.New(rand.NewPCG(7, 1))
	for h, src := range []string{"10.5.0.1", "10.5.0.2", "10.5.0.3"} {
		var past [][3]float64
		for m := range 30 {
			flows, size := 2+rng.IntN(2), 200
			switch {
			case h == 0 && m == 20:
				size = 9000
			case h == 1 && m == 24:
				flows = 40
			case h == 2 && m == 4:
				flows = 20
			}
			var sum [3]float64
			start := noon.Add(time.Duration(m) * time.Minute)
			for f := range flows {
				at := start.Add(time.Duration(rng.IntN(59)) * time.Second)
				for p := range 1 + rng.IntN(2) {
					x := frame{at.Add(time.Duration(p) * time.Millisecond), src, fmt.Sprintf("10.6.0.%d", f), 2000 + f, size + rng.IntN(100)}
					sum = [3]float64{sum[0] + float64(x.octets), sum[1] + 1, sum[2]}
					list = append(list, x)
				}
				sum[2]++
			}
			if by, alert := beyond(past, sum); alert && len(past) >= 10 {
				rows = append(rows, fmt.Sprintf("%s|%s|%v|%v|%v|%s|%s|%s", stamp(start), src, int(sum[0]), int(sum[1]), int(sum[2]), by[0], by[1], by[2]))
			}
			past = append(past, sum)
		}
	}
	list = append(list, frame{noon.Add(40 * time.Minute), "10.5.0.9", "10.6.0.1", 1, 100}) // so that the last minute closes
	slices.SortStableFunc(list, func(a, b frame) int { return cmp.Compare(a.at.UnixMicro(), b.at.UnixMicro()) })
	return list, rows
}

// packetAnomaly computes the baseline from the packets that it makes.
func packetAnomaly() example {
	list, rows := packetFrames()
	return example{dir: "packet-anomaly", query: "packet_anomalies", rows: rows, captures: map[string][]byte{"capture": capture(list)}}
}

// TestPacketsToAnomalies sends the capture as blocks by HTTP, each twice under its number, some of them minutes late, with the server killed in
// the middle, and reads the alerts by long poll: each comes once, and as if all blocks had come in order.
func TestPacketsToAnomalies(t *testing.T) {
	list, rows := packetFrames()
	var blocks [][]frame
	for len(list) > 0 {
		n := slices.IndexFunc(list, func(f frame) bool { return f.at.Sub(list[0].at) >= 80*time.Second })
		if n < 0 {
			n = len(list)
		}
		blocks, list = append(blocks, list[:n]), list[n:]
	}
	for i := 2; i+2 < len(blocks); i += 3 { // a block comes after the one that follows it, but none after the last, which closes the last minute
		blocks[i], blocks[i+1] = blocks[i+1], blocks[i]
	}
	dir := t.TempDir()
	p := harness.Start(t, dir)
	e := packetAnomaly()
	if out, err := vigil(t, "apply", "--pg", p.PG, e.path()); err != nil {
		t.Fatalf("vigil apply: %v\n%s", err, out)
	}
	accepted := 0
	for i, b := range blocks {
		if i == len(blocks)/2 {
			p.Kill()
			p = harness.Start(t, dir)
			sendBlock(t, p.HTTP, i-1, blocks[i-1]) // its answer may have been lost
		}
		accepted += sendBlock(t, p.HTTP, i, b)
		if again := sendBlock(t, p.HTTP, i, b); again >= 0 {
			t.Fatalf("block %d was taken twice", i)
		}
	}
	if accepted < 200 {
		t.Errorf("%d flows", accepted)
	}
	got := pollRows(t, p.HTTP, e.query, len(rows))
	slices.Sort(got)
	slices.Sort(rows)
	if !slices.Equal(got, rows) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(rows, "\n"))
	}
	c := p.Connect(t)
	if late := harness.Rows(t, c, "SELECT sum(late), sum(rejected) FROM vigil.streams"); late[0] != "0|0" {
		t.Errorf("late|rejected is %s: %q", late[0], harness.Rows(t, c, `SELECT * FROM "capture$late"`))
	}
	if code := p.Stop(t); code != 0 {
		t.Errorf("exit code %d\n%s", code, p.Log())
	}
}

// sendBlock posts a block and returns how many flows were taken, -1 where it had been taken before.
func sendBlock(t *testing.T, addr string, id int, b []frame) int {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, "http://"+addr+"/v1/streams/capture/events", bytes.NewReader(capture(b)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/octet-stream")
	req.Header.Set("Block-Id", fmt.Sprint("sensor-1/", id))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var a struct {
		Accepted, Rejected int
		Duplicate          bool
	}
	body, _ := io.ReadAll(res.Body)
	if err := json.Unmarshal(body, &a); err != nil || res.StatusCode != http.StatusOK || a.Rejected > 0 {
		t.Fatalf("%s %s %v", res.Status, body, err)
	}
	if a.Duplicate {
		return -1
	}
	return a.Accepted
}

// pollRows reads a query's results by long poll until there are so many.
func pollRows(t *testing.T, addr, query string, n int) []string {
	t.Helper()
	var rows []string
	cursor := ""
	for deadline := time.Now().Add(time.Minute); len(rows) < n; {
		if time.Now().After(deadline) {
			t.Fatalf("%d rows, want %d", len(rows), n)
		}
		res, err := http.Get("http://" + addr + "/v1/queries/" + query + "/results?wait=10s&after=" + url.QueryEscape(cursor))
		if err != nil {
			t.Fatal(err)
		}
		var page struct {
			Cursor string
			Rows   []struct {
				Start                  time.Time `json:"window_start"`
				Src                    string    `json:"src_addr"`
				Octets, Packets, Flows float64
				ByOctets               bool `json:"by_octets"`
				ByPackets              bool `json:"by_packets"`
				ByFlows                bool `json:"by_flows"`
			}
		}
		err = json.NewDecoder(res.Body).Decode(&page)
		res.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		letter := map[bool]string{true: "t", false: "f"}
		for _, r := range page.Rows {
			rows = append(rows, fmt.Sprintf("%s|%s|%v|%v|%v|%s|%s|%s", stamp(r.Start), r.Src, r.Octets, r.Packets, r.Flows, letter[r.ByOctets], letter[r.ByPackets], letter[r.ByFlows]))
		}
		cursor = page.Cursor
	}
	return rows
}

// captureFiles compares the example's captures with what they must hold and returns their names, by stream.
func (e *example) captureFiles(t *testing.T) map[string]string {
	t.Helper()
	names := map[string]string{}
	for stream, want := range e.captures {
		name := e.path("events", stream+".pcap")
		if *rewrite {
			if err := os.MkdirAll(e.path("events"), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(name, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%s is not what the test makes (%v); run go test ./tests/examples -rewrite", name, err)
		}
		names[stream] = name
	}
	return names
}
