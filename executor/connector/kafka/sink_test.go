package kafka

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/vigil-sql/vigil/executor/connector"
)

// openSink makes the sink of id 9 and opens it at a position.
func openSink(t testing.TB, c *kfake.Cluster, at connector.SinkPosition, kv ...string) (*transactional, connector.SinkPosition) {
	t.Helper()
	params := map[string]string{"brokers": strings.Join(c.ListenAddrs(), ","), "topic": topic}
	for i := 0; i < len(kv); i += 2 {
		params[kv[i]] = kv[i+1]
	}
	s, err := SinkDef().New(connector.SinkOptions{Name: "out", ID: 9, Server: "test", Params: params})
	if err != nil {
		t.Fatal(err)
	}
	p := s.(*transactional)
	t.Cleanup(func() {
		if err := errors.Join(p.Close(), p.Close()); err != nil {
			t.Error(err)
		}
	})
	to, err := p.Open(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	return p, to
}

func outRows(from, n int) []connector.SinkRow {
	var rows []connector.SinkRow
	for i := from; i < from+n; i++ {
		rows = append(rows, connector.SinkRow{Offset: int64(i), ID: fmt.Sprintf("7:%d", i), Key: fmt.Appendf(nil, "k%d", i%3), Body: fmt.Appendf(nil, `{"n":%d}`, i)})
	}
	return rows
}

// committedIDs reads the topic as a reader of committed records does, up to its end, and returns the ids that it found, sorted.
func committedIDs(t testing.TB, c *kfake.Cluster) (ids []string, values map[string]string) {
	t.Helper()
	end, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer end.Close()
	for p := range int32(2) { // a mark at the end of each partition
		if err := end.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Partition: p, Value: []byte("end")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	r, err := kgo.NewClient(kgo.SeedBrokers(c.ListenAddrs()...), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	values = map[string]string{}
	last := map[int32]int64{}
	for ends := 0; ends < 2; {
		fetches := r.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		for rec := range fetches.RecordsAll() {
			if string(rec.Value) == "end" {
				if at := endOf(t, end, rec.Partition); rec.Offset == at-1 {
					ends++
				}
				continue
			}
			if prev, ok := last[rec.Partition]; ok && rec.Offset <= prev {
				t.Errorf("offset %d after %d", rec.Offset, prev)
			}
			last[rec.Partition] = rec.Offset
			if len(rec.Headers) != 1 || rec.Headers[0].Key != "vigil_id" {
				t.Fatalf("headers %v", rec.Headers)
			}
			ids = append(ids, string(rec.Headers[0].Value))
			values[string(rec.Headers[0].Value)] = string(rec.Key) + " " + string(rec.Value)
		}
	}
	slices.Sort(ids)
	return ids, values
}

func endOf(t testing.TB, c *kgo.Client, partition int32) int64 {
	t.Helper()
	s := &source{config: config{topic: topic}, client: c}
	found, err := s.offsets(t.Context(), map[int32]start{partition: latest})
	if err != nil {
		t.Fatal(err)
	}
	return found[partition]
}

func wantIDs(n int) []string {
	var ids []string
	for i := range n {
		ids = append(ids, fmt.Sprintf("7:%d", i))
	}
	slices.Sort(ids)
	return ids
}

func deliver(t testing.TB, p *transactional, from, n int) {
	t.Helper()
	if d, err := p.Deliver(t.Context(), outRows(from, n)); err != nil || d.Done != n || len(d.Dead) != 0 {
		t.Fatalf("%+v %v", d, err)
	}
}

// TestSinkKnowsWhereItStands: the position is with the rows, so that a sink whose own is older, or lost, repeats nothing; and what
// a producer left open, or goes on to send when another has taken over, is not there for readers of committed records.
func TestSinkKnowsWhereItStands(t *testing.T) {
	c := cluster(t, 2)
	first, at := openSink(t, c, connector.SinkPosition{Query: 7, Next: 3})
	if at.Next != 3 {
		t.Fatalf("a new sink stands at %d", at.Next)
	}
	deliver(t, first, 0, 10)
	deliver(t, first, 10, 5)

	// A transaction is open, with rows and position, when the server is killed.
	if err := first.client.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := first.produce(t.Context(), outRows(15, 5)); err != nil {
		t.Fatal(err)
	}
	if err := first.note(t.Context(), 20); err != nil {
		t.Fatal(err)
	}
	second, at := openSink(t, c, connector.SinkPosition{Query: 7, Next: 0})
	if at.Next != 15 || at.Query != 7 {
		t.Fatalf("after a kill it stands at %+v, want 15", at)
	}
	// The one that was believed dead goes on.
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := first.client.EndTransaction(ctx, kgo.TryCommit); err == nil {
		t.Error("a transaction that another producer has ended was committed")
	}
	deliver(t, second, 15, 10)
	if _, err := first.Deliver(ctx, outRows(15, 1)); err == nil {
		t.Error("a producer that was fenced delivered")
	}
	deliver(t, second, 25, 1)
	third, at := openSink(t, c, connector.SinkPosition{Query: 7, Next: 1})
	if at.Next != 26 {
		t.Fatalf("it stands at %d, want 26", at.Next)
	}
	ids, values := committedIDs(t, c)
	if !slices.Equal(ids, wantIDs(26)) {
		t.Errorf("committed: %q", ids)
	}
	if values["7:4"] != `k1 {"n":4}` {
		t.Errorf("row 4 is %q", values["7:4"])
	}
	// The position is that of one query: another begins where it is told.
	if err := third.Close(); err != nil {
		t.Fatal(err)
	}
	if _, at = openSink(t, c, connector.SinkPosition{Query: 8, Next: 2}); at.Next != 2 {
		t.Errorf("the sink of another query stands at %d, want 2", at.Next)
	}
}

// TestSinkTooLarge: a row that the brokers do not take is the only one that is not there.
func TestSinkTooLarge(t *testing.T) {
	c := cluster(t, 2)
	p, _ := openSink(t, c, connector.SinkPosition{Query: 7}, "compression", "none")
	rows := outRows(0, 20)
	rows[13].Body = bytes.Repeat([]byte("x"), recordMax+1)
	d, err := p.Deliver(t.Context(), rows)
	if err != nil || d.Done != 20 || len(d.Dead) != 1 || d.Dead[0].Row != 13 || !strings.Contains(d.Dead[0].Reason, "larger than the brokers accept") {
		t.Fatalf("%+v %v", d, err)
	}
	want := slices.DeleteFunc(wantIDs(20), func(id string) bool { return id == "7:13" })
	if ids, _ := committedIDs(t, c); !slices.Equal(ids, want) {
		t.Errorf("committed: %q", ids)
	}
}

// TestSinkOptions: what CREATE SINK says of options.
func TestSinkOptions(t *testing.T) {
	for want, params := range map[string]map[string]string{
		"needs the option topic":   {"brokers": "b:1"},
		"needs the option brokers": {"topic": "t"},
		"acks other than all":      {"brokers": "b:1", "topic": "t", "acks": "1"},
		"must be snappy or none":   {"brokers": "b:1", "topic": "t", "compression": "zip"},
	} {
		if err := SinkDef().Check(connector.SinkOptions{Params: params}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v, want %q", params, err, want)
		}
	}
	d := SinkDef()
	if !d.Secret("sasl_password") || d.Secret("sasl_username") {
		t.Error("which options are secret")
	}
}

// TestSinkLogsIn: the user and password of a cluster that asks for them; without, and with wrong ones, the sink says what is wrong.
func TestSinkLogsIn(t *testing.T) {
	c := cluster(t, 2, kfake.EnableSASL(), kfake.User("SCRAM-SHA-256", "vigil", "hunter2"), kfake.Superuser("PLAIN", "admin", "admin"))
	d := SinkDef()
	for _, password := range []string{"hunter2", "wrong"} {
		s, err := d.New(connector.SinkOptions{ID: 9, Server: "test", Params: map[string]string{"brokers": c.ListenAddrs()[0], "topic": topic,
			"sasl_mechanism": "SCRAM-SHA-256", "sasl_username": "vigil", "sasl_password": password}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		_, err = s.Open(ctx, connector.SinkPosition{Query: 7})
		cancel()
		if (err == nil) != (password == "hunter2") || err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("with password %s: %v", password, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
