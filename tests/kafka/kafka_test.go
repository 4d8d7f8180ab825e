// Package kafka_test reads from a real Apache Kafka, one node in KRaft mode, through executor/connector/kafka. The jars come
// with `mvn -q dependency:copy-dependencies` in this directory.
package kafka_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/vigil-sql/vigil/executor/connector"
	"github.com/vigil-sql/vigil/executor/connector/kafka"
	"github.com/vigil-sql/vigil/tests/need"
)

const (
	topic      = "events"
	partitions = 3
	perRound   = 2000 // records per partition
)

// broker is a Kafka process and its directory.
type broker struct {
	t          testing.TB
	java, jars string
	dir, addr  string
	cmd        *exec.Cmd
}

func newBroker(t testing.TB) *broker {
	b := &broker{t: t, java: need.Java(t), jars: need.KafkaJars(t), dir: t.TempDir(), addr: freeAddr(t)}
	controller := freeAddr(t)
	props := fmt.Sprintf(`process.roles=broker,controller
node.id=1
controller.quorum.voters=1@%s
listeners=PLAINTEXT://%s,CONTROLLER://%s
advertised.listeners=PLAINTEXT://%s
controller.listener.names=CONTROLLER
log.dirs=%s
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
auto.create.topics.enable=false
broker.session.timeout.ms=1500
broker.heartbeat.interval.ms=300
`, controller, b.addr, controller, b.addr, filepath.Join(b.dir, "log"))
	if err := os.WriteFile(b.props(), []byte(props), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := b.command("kafka.tools.StorageTool", "format", "-t", "vVlhxM7VT3C-3nz7yEkiCQ", "-c", b.props()).CombinedOutput()
	if err != nil {
		t.Fatalf("format: %v\n%s", err, out)
	}
	t.Cleanup(b.kill)
	return b
}

func (b *broker) props() string { return filepath.Join(b.dir, "server.properties") }

func (b *broker) command(class string, args ...string) *exec.Cmd {
	return exec.Command(b.java, append([]string{"-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp",
		filepath.Join(b.jars, "*"), class}, args...)...)
}

func freeAddr(t testing.TB) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// start runs the broker; it takes seconds to answer.
func (b *broker) start() {
	b.t.Helper()
	logFile, err := os.OpenFile(filepath.Join(b.dir, "out"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		b.t.Fatal(err)
	}
	defer logFile.Close()
	b.cmd = b.command("kafka.Kafka", b.props())
	b.cmd.Stdout, b.cmd.Stderr = logFile, logFile
	if err := b.cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
}

// kill ends the process without a word, as a crash does.
func (b *broker) kill() {
	if b.cmd == nil {
		return
	}
	_ = b.cmd.Process.Kill()
	_ = b.cmd.Wait() // "signal: killed" is what was asked for
	b.cmd = nil
}

func (b *broker) client(opts ...kgo.Opt) *kgo.Client {
	b.t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(b.addr), kgo.RecordPartitioner(kgo.ManualPartitioner())}, opts...)...)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(c.Close)
	return c
}

// createTopic retries until the broker is up.
func (b *broker) createTopic(ctx context.Context) {
	b.t.Helper()
	c := b.client()
	var last error
	for ctx.Err() == nil {
		req := kmsg.NewPtrCreateTopicsRequest()
		rt := kmsg.NewCreateTopicsRequestTopic()
		rt.Topic, rt.NumPartitions, rt.ReplicationFactor = topic, partitions, 1
		req.Topics = append(req.Topics, rt)
		resp, err := req.RequestWith(ctx, c)
		if err == nil {
			if err = kerr.ErrorForCode(resp.Topics[0].ErrorCode); err == nil {
				return
			}
		}
		last = err
	}
	out, _ := os.ReadFile(filepath.Join(b.dir, "out"))
	b.t.Fatalf("the broker does not come up: %v\n%s", last, out)
}

// produce sends the records from..from+perRound to every partition; an idempotent producer retries until each is in once.
func produce(ctx context.Context, c *kgo.Client, from int) error {
	var rs []*kgo.Record
	for i := from; i < from+perRound; i++ {
		for p := range partitions {
			rs = append(rs, &kgo.Record{Topic: topic, Partition: int32(p), Value: record(p, i)})
		}
	}
	return c.ProduceSync(ctx, rs...).FirstErr()
}

func record(p, i int) []byte { return fmt.Appendf(nil, `{"partition":%d,"n":%d}`, p, i) }

// reader polls a source and keeps what it delivers.
type reader struct {
	t       testing.TB
	s       connector.Source
	offsets connector.Offsets
	text    [partitions][]byte
	lines   int
}

func (b *broker) open(from connector.Offsets) *reader {
	b.t.Helper()
	s, err := kafka.Def().New(connector.Options{Stream: "s", Format: "JSON",
		Params: map[string]string{"brokers": b.addr, "topic": topic}})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { _ = s.Close() })
	if err := s.Open(b.t.Context(), from); err != nil {
		b.t.Fatal(err)
	}
	r := &reader{t: b.t, s: s, offsets: connector.Offsets{}}
	for p, o := range from {
		r.offsets[p] = o
	}
	return r
}

func (r *reader) until(ctx context.Context, lines int) {
	r.t.Helper()
	for r.lines < lines {
		ps, err := r.s.Poll(ctx, nil, 1<<20)
		if err != nil {
			r.t.Fatalf("after %d of %d lines: %v", r.lines, lines, err)
		}
		for _, p := range ps {
			if p.From != r.offsets[p.Split] {
				r.t.Fatalf("partition %d: payload from %d after %d", p.Split, p.From, r.offsets[p.Split])
			}
			r.offsets[p.Split] = p.To
			r.text[p.Split] = append(r.text[p.Split], p.Bytes...)
			r.lines += bytes.Count(p.Bytes, []byte("\n"))
		}
	}
}

// want compares every partition with the records [from, to): nothing lost, nothing doubled, in order.
func (r *reader) want(from, to int) {
	r.t.Helper()
	for p := range partitions {
		var want []byte
		for i := from; i < to; i++ {
			want = append(append(want, record(p, i)...), '\n')
		}
		if !bytes.Equal(r.text[p], want) {
			r.t.Fatalf("partition %d: %d bytes, want %d", p, len(r.text[p]), len(want))
		}
	}
}

func TestBrokerKilledAndRestarted(t *testing.T) {
	b := newBroker(t)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	b.start()
	b.createTopic(ctx)
	producer := b.client(kgo.ProducerLinger(0))
	if err := produce(ctx, producer, 0); err != nil {
		t.Fatal(err)
	}
	r := b.open(nil)
	r.until(ctx, partitions*perRound)
	r.want(0, perRound)

	// The broker dies while records are being sent and read, and comes back.
	stop, sent := make(chan struct{}), make(chan error, 1)
	to := perRound
	go func() {
		for {
			err := produce(ctx, producer, to)
			to += perRound
			select {
			case <-stop:
				sent <- err
				return
			default:
			}
			if err != nil {
				sent <- err
				return
			}
		}
	}()
	r.until(ctx, partitions*perRound+1)
	b.kill()
	read := r.lines
	b.start()
	r.until(ctx, read+partitions*perRound) // new ones arrive
	close(stop)
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	r.until(ctx, partitions*to)
	r.want(0, to)

	// Another source goes on exactly behind what the first one has.
	if err := produce(ctx, producer, to); err != nil {
		t.Fatal(err)
	}
	again := b.open(r.offsets)
	again.until(ctx, partitions*perRound)
	again.want(to, to+perRound)
	for p := range partitions {
		ps, err := again.s.ReadRange(ctx, int32(p), 5, r.offsets[int32(p)], nil)
		if err != nil {
			t.Fatal(err)
		}
		var got []byte
		for _, x := range ps {
			got = append(got, x.Bytes...)
		}
		if want := bytes.SplitAfterN(r.text[p], []byte("\n"), 6)[5]; !bytes.Equal(got, want) {
			t.Fatalf("partition %d read again: %d bytes, want %d", p, len(got), len(want))
		}
	}
}
