package seeds

import (
	"context"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/vigil-sql/vigil/tests/harness"
)

// TestKafkaToAlerts reads a topic of three partitions, with kill -9 on the way: each record counts exactly once, and a
// partition that lags holds the windows open.
func TestKafkaToAlerts(t *testing.T) {
	const partitions, seconds, perSecond = 3, 120, 40
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, "auth"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	produce := func(from, to int) {
		var list []*kgo.Record
		for s := from; s < to; s++ {
			for i := range perSecond {
				value := fmt.Sprintf(`{"ts":"2026-01-01T00:%02d:%02d.%03dZ","username":"u%d"}`, s/60, s%60, i*20, i%4)
				list = append(list, &kgo.Record{Topic: "auth", Partition: int32(i % partitions), Value: []byte(value)})
			}
		}
		if err := client.ProduceSync(context.Background(), list...).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	produce(0, 60) // before the stream: start = 'earliest' reads them when the first query comes
	p := harness.Start(t, dir, "--checkpoint-every", "20ms")
	// A stream for each query: a stream reads as soon as it has one, so that a second one would miss what came before it.
	for _, stream := range []string{"auth", "auth_rows"} {
		harness.Exec(t, p.Connect(t), fmt.Sprintf(`CREATE STREAM %s (ts TIMESTAMPTZ NOT NULL, username TEXT, WATERMARK FOR ts AS ts)
			WITH (connector = 'kafka', brokers = '%s', topic = 'auth', start = 'earliest') FORMAT JSON`, stream, cluster.ListenAddrs()[0]))
	}
	harness.Exec(t, p.Connect(t),
		`CREATE CONTINUOUS QUERY counts AS SELECT username, count(*) AS n FROM auth GROUP BY username, TUMBLE(ts, INTERVAL '10 seconds')`,
		`CREATE CONTINUOUS QUERY rows AS SELECT ts, username FROM auth_rows`)
	harness.WaitRows(t, p.Connect(t), "SELECT count(*) FROM rows", func(rows []string) bool { return rows[0] >= "1" })
	for s := 60; s < seconds; s += 20 {
		p.Kill()
		produce(s, s+20)
		p = harness.Start(t, dir, "--checkpoint-every", "20ms")
	}
	produce(200, 201) // closes the windows
	c := p.Connect(t)
	total := fmt.Sprint((seconds + 1) * perSecond)
	harness.WaitRows(t, c, "SELECT count(*) FROM rows", func(rows []string) bool { return rows[0] == total })
	got := harness.WaitRows(t, c, "SELECT username, n, count(*) FROM counts GROUP BY username, n ORDER BY 1", func(rows []string) bool {
		return len(rows) >= 4 && rows[0] == "u0|100|12"
	})
	if want := "[u0|100|12 u1|100|12 u2|100|12 u3|100|12]"; fmt.Sprint(got) != want {
		t.Errorf("got %v, want %s", got, want)
	}
	if late := harness.Rows(t, c, "SELECT sum(late), sum(rejected) FROM vigil.streams")[0]; late != "0|0" {
		t.Errorf("late|rejected is %s", late)
	}
}
