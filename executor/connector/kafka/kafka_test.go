package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/vigil-sql/vigil/executor/connector"
	"github.com/vigil-sql/vigil/executor/sqlerr"
)

const topic = "events"

func cluster(t testing.TB, partitions int32, more ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.SeedTopics(partitions, topic)}, more...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func producer(t testing.TB, c *kfake.Cluster, more ...kgo.Opt) *kgo.Client {
	t.Helper()
	p, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner())}, more...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// produce writes n records {"p":partition,"n":i} from i on to each of the partitions.
func produce(t testing.TB, p *kgo.Client, partitions, from, n int) {
	t.Helper()
	var rs []*kgo.Record
	for i := from; i < from+n; i++ {
		for q := range partitions {
			rs = append(rs, &kgo.Record{Topic: topic, Partition: int32(q), Value: fmt.Appendf(nil, `{"p":%d,"n":%d}`, q, i)})
		}
	}
	if err := p.ProduceSync(t.Context(), rs...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

func newSource(t testing.TB, c *kfake.Cluster, kv ...string) *source {
	t.Helper()
	params := map[string]string{"connector": "kafka", "brokers": strings.Join(c.ListenAddrs(), ", "), "topic": topic}
	for i := 0; i < len(kv); i += 2 {
		params[kv[i]] = kv[i+1]
	}
	s, err := Def().New(connector.Options{Stream: "s", Params: params, Format: "JSON"})
	if err != nil {
		t.Fatal(err)
	}
	s.(*source).refresh = 50 * time.Millisecond
	t.Cleanup(func() {
		if err := errors.Join(s.Close(), s.Close()); err != nil {
			t.Error(err)
		}
	})
	return s.(*source)
}

// reader collects what a source delivers and checks that each split's payloads join without gaps.
type reader struct {
	t       testing.TB
	s       connector.Source
	offsets connector.Offsets
	text    map[int32][]byte
	all     []connector.Payload
}

func open(t testing.TB, s connector.Source, from connector.Offsets) *reader {
	t.Helper()
	if err := s.Open(t.Context(), from); err != nil {
		t.Fatal(err)
	}
	r := &reader{t: t, s: s, offsets: connector.Offsets{}, text: map[int32][]byte{}}
	for p, o := range from {
		r.offsets[p] = o
	}
	return r
}

// until polls until the number of lines is reached.
func (r *reader) until(lines int) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 20*time.Second)
	defer cancel()
	for r.lines() < lines {
		ps, err := r.s.Poll(ctx, nil, 1000)
		if err != nil {
			r.t.Fatalf("after %d of %d lines: %v", r.lines(), lines, err)
		}
		r.take(ps)
	}
	if r.lines() != lines {
		r.t.Fatalf("%d lines, want %d", r.lines(), lines)
	}
}

func (r *reader) take(ps []connector.Payload) {
	r.t.Helper()
	for _, p := range ps {
		if at, ok := r.offsets[p.Split]; ok && p.From != at || p.To < p.From {
			r.t.Fatalf("split %d: payload [%d, %d) after %d", p.Split, p.From, p.To, at)
		}
		r.offsets[p.Split] = p.To
		r.text[p.Split] = append(r.text[p.Split], p.Bytes...)
		r.all = append(r.all, p)
	}
}

func (r *reader) lines() int {
	n := 0
	for _, b := range r.text {
		n += bytes.Count(b, []byte("\n"))
	}
	return n
}

func (r *reader) want(partitions, from, to int) {
	r.t.Helper()
	for q := range partitions {
		var want []byte
		for i := from; i < to; i++ {
			want = fmt.Appendf(want, `{"p":%d,"n":%d}`+"\n", q, i)
		}
		if !bytes.Equal(r.text[int32(q)], want) {
			r.t.Fatalf("partition %d has %.200q, want %.200q", q, r.text[int32(q)], want)
		}
	}
}

func TestAllPartitionsAndRestart(t *testing.T) {
	c := cluster(t, 3)
	p := producer(t, c)
	produce(t, p, 3, 0, 500)
	s := newSource(t, c)
	r := open(t, s, nil)
	r.until(1500)
	r.want(3, 0, 500)
	if !strings.Contains(s.Status(), "reading 3 partitions") {
		t.Error(s.Status())
	}
	produce(t, p, 3, 500, 100)
	again := open(t, newSource(t, c), r.offsets)
	again.until(300)
	again.want(3, 500, 600)
	r.until(1800)
	r.want(3, 0, 600)

	// Any stretch can be read again, by a source that has not polled yet.
	fresh := newSource(t, c)
	open(t, fresh, r.offsets)
	announced := 0
	for _, x := range r.all {
		if x.From == x.To {
			announced++
			continue
		}
		ps, err := fresh.ReadRange(t.Context(), x.Split, x.From, x.To, nil)
		if err != nil {
			t.Fatal(err)
		}
		var got []byte
		for _, y := range ps {
			got = append(got, y.Bytes...)
		}
		if !bytes.Equal(got, x.Bytes) || ps[0].From != x.From || ps[len(ps)-1].To != x.To {
			t.Fatalf("range [%d, %d) of split %d: %q, first %q", x.From, x.To, x.Split, got, x.Bytes)
		}
		if len(r.all) > 40 && x.From > 300 {
			break
		}
	}
	if announced != 3 {
		t.Errorf("%d partitions announced, want 3", announced)
	}
}

func TestStart(t *testing.T) {
	c := cluster(t, 2)
	p := producer(t, c)
	old := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	for i := range 10 {
		rec := &kgo.Record{Topic: topic, Value: fmt.Appendf(nil, `{"p":0,"n":%d}`, i), Timestamp: old.Add(time.Duration(i) * time.Second)}
		if err := p.ProduceSync(t.Context(), rec).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	byTime := open(t, newSource(t, c, "start", "2024-01-01T00:00:05Z"), nil)
	byTime.until(5)
	byTime.want(1, 5, 10)
	late := open(t, newSource(t, c, "start", "latest"), nil)
	ps, err := late.s.Poll(t.Context(), nil, 1000)
	if err != nil || len(ps) != 2 || ps[0].From != 10 || ps[0].To != 10 || ps[1].To != 0 {
		t.Fatalf("the starting points were not told: %v %v", ps, err)
	}
	late.take(ps)
	produce(t, p, 1, 10, 5)
	late.until(5)
	late.want(1, 10, 15)
}

func TestNewPartition(t *testing.T) {
	c := cluster(t, 1)
	p := producer(t, c)
	s := newSource(t, c, "start", "latest")
	r := open(t, s, nil)
	produce(t, p, 1, 0, 10) // before the first poll: not seen
	ps, err := s.Poll(t.Context(), nil, 1000)
	if err != nil {
		t.Fatal(err)
	}
	r.take(ps)
	req := kmsg.NewPtrCreatePartitionsRequest()
	rt := kmsg.NewCreatePartitionsRequestTopic()
	rt.Topic, rt.Count = topic, 2
	req.Topics = append(req.Topics, rt)
	if resp, err := req.RequestWith(t.Context(), p); err != nil || resp.Topics[0].ErrorCode != 0 {
		t.Fatal(resp, err)
	}
	p2 := producer(t, c)
	rec := &kgo.Record{Topic: topic, Partition: 1, Value: []byte(`{"p":1,"n":0}`)}
	if err := p2.ProduceSync(t.Context(), rec).FirstErr(); err != nil {
		t.Fatal(err)
	}
	r.until(1) // from its beginning, though start is latest
	if string(r.text[1]) != `{"p":1,"n":0}`+"\n" {
		t.Fatalf("%q", r.text)
	}
}

func TestBrokerAway(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	dir := t.TempDir()
	opts := []kfake.Opt{kfake.Ports(port), kfake.DataDir(dir), kfake.SyncWrites()}
	c := cluster(t, 2, opts...)
	produce(t, producer(t, c), 2, 0, 50)
	s := newSource(t, c)
	r := open(t, s, nil)
	r.until(100)
	c.Close()
	// Away: Poll waits, the status says so.
	for !strings.Contains(s.Status(), "no broker can be reached") {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if ps, err := s.Poll(ctx, nil, 1000); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(ps, err)
		}
		cancel()
		if t.Context().Err() != nil {
			t.Fatal(s.Status())
		}
	}
	c = cluster(t, 2, opts...)
	produce(t, producer(t, c), 2, 50, 50)
	r.until(200)
	r.want(2, 0, 100)
	if !strings.Contains(s.Status(), "reading 2 partitions") {
		t.Error(s.Status())
	}
}

func TestTransactionsLeaveGaps(t *testing.T) {
	c := cluster(t, 1)
	p := producer(t, c, kgo.TransactionalID("t"))
	for i := range 6 {
		if err := p.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for k := range 3 {
			n := i*3 + k
			if i%2 == 1 {
				n = -1 // aborted, must not be seen
			}
			rec := &kgo.Record{Topic: topic, Value: fmt.Appendf(nil, `{"p":0,"n":%d}`, n)}
			if err := p.ProduceSync(t.Context(), rec).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.EndTransaction(t.Context(), i%2 == 0); err != nil {
			t.Fatal(err)
		}
	}
	s := newSource(t, c)
	r := open(t, s, nil)
	r.until(9)
	want := ""
	for _, n := range []int{0, 1, 2, 6, 7, 8, 12, 13, 14} {
		want += fmt.Sprintf(`{"p":0,"n":%d}`+"\n", n)
	}
	if string(r.text[0]) != want || r.offsets[0] <= 9 {
		t.Fatalf("%q up to %d", r.text[0], r.offsets[0])
	}
	const end = 24 // six transactions of three records and a marker
	for to := int64(1); to <= end; to++ {
		if _, err := s.ReadRange(t.Context(), 0, 0, to, nil); err != nil {
			t.Fatal(err)
		}
	}
	ps, err := s.ReadRange(t.Context(), 0, 0, r.offsets[0], nil)
	if err != nil || len(ps) != 1 || string(ps[0].Bytes) != want {
		t.Fatalf("%+v %v", ps, err)
	}
}

func TestRetentionRemovedRecords(t *testing.T) {
	c := cluster(t, 1)
	p := producer(t, c)
	produce(t, p, 1, 0, 20)
	req := kmsg.NewPtrDeleteRecordsRequest()
	rt := kmsg.NewDeleteRecordsRequestTopic()
	rp := kmsg.NewDeleteRecordsRequestTopicPartition()
	rt.Topic, rp.Offset = topic, 15
	rt.Partitions = append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	if _, err := req.RequestWith(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	s := newSource(t, c)
	if err := s.Open(t.Context(), connector.Offsets{0: 3}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ReadRange(t.Context(), 0, 3, 10, nil); sqlerr.CodeOf(err) != sqlerr.DataCorrupted {
		t.Fatalf("ReadRange of removed records: %v", err)
	}
	r := &reader{t: t, s: s, offsets: connector.Offsets{}, text: map[int32][]byte{}}
	r.until(5)
	r.want(1, 15, 20)
	if !strings.Contains(s.Status(), "offsets 3 to 14 of partition 0 were removed") {
		t.Error(s.Status())
	}
	far := newSource(t, c)
	if err := far.Open(t.Context(), connector.Offsets{0: 1000}); err != nil {
		t.Fatal(err)
	}
	if ps, err := far.Poll(t.Context(), nil, 1000); sqlerr.CodeOf(err) != sqlerr.DataCorrupted {
		t.Fatalf("a position behind the end: %v %v", ps, err)
	}
}

func TestJoin(t *testing.T) {
	j := joiner{config: &config{json: true, lines: true}, split: 4, next: 10}
	for i, v := range []string{`{"a":1}`, "{\n \"a\":\n 2\n}\n", "{}\n{}", "", `[{"a":3}]`, `{"a":4}`} {
		j.add([]byte(v), int64(10+2*i))
	}
	ps := j.finish()
	if len(ps) != 3 || ps[0].From != 10 || ps[0].To != 17 || ps[1].To != 19 || ps[2].To != 21 {
		t.Fatalf("%+v", ps)
	}
	if got := string(ps[0].Bytes); got != "{\"a\":1}\n{  \"a\":  2 } \n{}\n{}\n" {
		t.Errorf("%q", got)
	}
	if string(ps[1].Bytes) != `[{"a":3}]` || string(ps[2].Bytes) != `{"a":4}`+"\n" {
		t.Errorf("%q %q", ps[1].Bytes, ps[2].Bytes)
	}
	big := joiner{config: &config{lines: true}}
	for i := range 10 {
		big.add(make([]byte, payloadMax/3), int64(i))
	}
	if ps := big.finish(); len(ps) < 4 || len(ps[0].Bytes) > payloadMax+10 {
		t.Error(len(ps))
	}
}

func TestOptions(t *testing.T) {
	ok := func() map[string]string {
		return map[string]string{"connector": "kafka", "brokers": "a:1", "topic": "x"}
	}
	for _, c := range []struct {
		k, v string
		code sqlerr.Code
	}{
		{"tls", "on", ""}, {"security_protocol", "SASL_SSL", sqlerr.FeatureNotSupported}, {"ssl.ca.location", "x", sqlerr.FeatureNotSupported},
		{"group_id", "g", sqlerr.FeatureNotSupported}, {"topics", "y", sqlerr.InvalidParameterValue},
		{"topic", "", sqlerr.InvalidParameterValue}, {"brokers", " , ", sqlerr.InvalidParameterValue},
		{"start", "soon", sqlerr.InvalidParameterValue}, {"start", "latest", ""}, {"retention", "7 days", ""},
	} {
		p := ok()
		p[c.k] = c.v
		if err := Def().Check(connector.Options{Params: p}); sqlerr.CodeOf(err) != c.code {
			t.Errorf("%s = %q: %v", c.k, c.v, err)
		}
	}
}

func TestUnknownTopic(t *testing.T) {
	s := newSource(t, cluster(t, 1), "topic", "nope")
	open(t, s, nil)
	if _, err := s.Poll(t.Context(), nil, 1000); sqlerr.CodeOf(err) != sqlerr.UndefinedObject {
		t.Fatal(err)
	}
	closed := newSource(t, cluster(t, 1))
	if _, err := closed.Poll(t.Context(), nil, 1000); err == nil {
		t.Fatal("Poll of a source that is not open")
	}
}

func BenchmarkConsume(b *testing.B) {
	c := cluster(b, 1)
	p := producer(b, c)
	const n = 200_000
	value := bytes.Repeat([]byte("x"), 289)
	for range n / 1000 {
		var rs []*kgo.Record
		for range 1000 {
			rs = append(rs, &kgo.Record{Topic: topic, Value: value})
		}
		if err := p.ProduceSync(b.Context(), rs...).FirstErr(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		s := newSource(b, c)
		if err := s.Open(b.Context(), nil); err != nil {
			b.Fatal(err)
		}
		for got := int64(0); got < n; {
			ps, err := s.Poll(b.Context(), nil, 1<<20)
			if err != nil {
				b.Fatal(err)
			}
			got = ps[len(ps)-1].To
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/record")
}

// lagging waits until the positions of a source are as wanted: "next/end" by partition.
func lagging(t *testing.T, s *source, want string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var got string
	for tick := time.NewTicker(s.refresh / 5); ; {
		got = ""
		for i, p := range s.Positions() {
			if int(p.Split) != i {
				t.Fatalf("%+v", s.Positions())
			}
			got += fmt.Sprintf("%d/%d ", p.Next, p.End)
		}
		if got == want {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("positions %q, want %q", got, want)
		}
	}
}

// TestPositions: how far behind a source is shows while nobody polls it, and it is not when all is read.
func TestPositions(t *testing.T) {
	c := cluster(t, 2)
	p := producer(t, c)
	produce(t, p, 2, 0, 10)
	s := newSource(t, c)
	if got := s.Positions(); len(got) != 0 {
		t.Fatalf("before it is open: %+v", got)
	}
	r := open(t, s, nil)
	r.until(20)
	lagging(t, s, "10/10 10/10 ")
	produce(t, p, 1, 10, 7)
	lagging(t, s, "10/17 10/10 ")
	r.until(27)
	lagging(t, s, "17/17 10/10 ")
	r = open(t, s, connector.Offsets{0: 3, 1: 4})
	for len(r.all) == 0 {
		ps, err := s.Poll(t.Context(), nil, 1)
		if err != nil {
			t.Fatal(err)
		}
		r.take(ps)
	}
	for _, at := range s.Positions() {
		if at.Lag() < 0 && at.End >= 0 || at.Next != r.offsets[at.Split] {
			t.Errorf("%+v, read up to %v", at, r.offsets)
		}
	}
}

// TestTransactionsReadToTheEnd: markers and records that were taken back do not count as lag once they are passed.
func TestTransactionsReadToTheEnd(t *testing.T) {
	c := cluster(t, 1)
	p := producer(t, c, kgo.TransactionalID("t"))
	for i := range 2 {
		if err := p.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := p.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: []byte(`{"n":1}`)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := p.EndTransaction(t.Context(), i == 0); err != nil {
			t.Fatal(err)
		}
	}
	s := newSource(t, c)
	r := open(t, s, nil)
	for r.offsets[0] < 4 {
		ps, err := s.Poll(t.Context(), nil, 1000)
		if err != nil {
			t.Fatal(err)
		}
		r.take(ps)
	}
	if r.lines() != 1 {
		t.Errorf("%q", r.text[0])
	}
	lagging(t, s, "4/4 ")
}
