package crash

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/vigil-sql/vigil/tests/harness"
)

// TestKafkaIdlePartition: a partition that never has a row, and one that falls silent, hold queries over queries back for as
// long as IDLE AFTER says and no longer, also after kills; each record counts once on every level.
func TestKafkaIdlePartition(t *testing.T) {
	const phases, seconds, perSecond = 3, 20, 30
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(4, "auth"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	// Phases lie ten minutes apart: once all is idle, time follows the clock.
	produce := func(phase, seconds int) {
		var list []*kgo.Record
		for s := range seconds {
			for i := range perSecond {
				partition := int32(i % 3)
				if partition == 2 && phase > 0 {
					partition = 1 // 2 falls silent, 3 never had a row
				}
				value := fmt.Sprintf(`{"ts":"2026-01-01T00:%02d:%02d.%03dZ","k":"u%d"}`, 10*phase, s, i*30, i%4)
				list = append(list, &kgo.Record{Topic: "auth", Partition: partition, Value: []byte(value)})
			}
		}
		if err := client.ProduceSync(context.Background(), list...).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	dir := t.TempDir()
	flags := []string{"--checkpoint-every", "15ms", "--workers", "3"}
	p := harness.Start(t, dir, flags...)
	harness.Exec(t, p.Connect(t), fmt.Sprintf(`CREATE STREAM a (ts TIMESTAMPTZ NOT NULL, k TEXT, WATERMARK FOR ts AS ts IDLE AFTER INTERVAL '2 seconds')
			WITH (connector = 'kafka', brokers = '%s', topic = 'auth', start = 'earliest') FORMAT JSON`, cluster.ListenAddrs()[0]),
		`CREATE CONTINUOUS QUERY per5 AS SELECT k, count(*) AS n FROM a GROUP BY k, TUMBLE(ts, INTERVAL '5 seconds')`,
		`CREATE CONTINUOUS QUERY per20 AS SELECT k, sum(n)::bigint AS n FROM per5 GROUP BY k, TUMBLE(INTERVAL '20 seconds')`,
		`CREATE CONTINUOUS QUERY per60 AS SELECT sum(n)::bigint AS n, count(*) AS c FROM per20 GROUP BY TUMBLE(INTERVAL '60 seconds')`)
	for phase := range phases {
		produce(phase, seconds)
		c := p.Connect(t)
		if phase == 1 { // the silent ones are idle after a while, and the others go on
			harness.WaitRows(t, c, "SELECT count(*) FROM per5 WHERE window_start >= '2026-01-01 00:10:00Z'", func(rows []string) bool { return rows[0] >= "12" })
		}
		<-time.After(30 * time.Millisecond)
		p.Kill()
		p = harness.Start(t, dir, flags...)
	}
	produce(phases, 1)
	c := p.Connect(t)
	total := fmt.Sprint(phases * seconds * perSecond)
	harness.WaitRows(t, c, "SELECT coalesce(sum(n), 0) FROM per60", func(rows []string) bool { return slices.Equal(rows, []string{total}) })
	// All is read; a silent partition has its end from the broker.
	harness.WaitRows(t, c, "SELECT stream, partitions, lag FROM vigil.sources", func(rows []string) bool { return slices.Equal(rows, []string{"a|4|0"}) })
	first := phases * seconds * perSecond / 3
	for query, want := range map[string][]string{
		"SELECT s.lag, p.partition, p.position, p.high_watermark, p.lag FROM vigil.streams s, vigil.source_partitions p WHERE p.stream = s.name AND partition IN (0, 3)": {
			fmt.Sprintf("0|0|%d|%d|0", first+(perSecond+2)/3, first+(perSecond+2)/3), "0|3|0|0|0"},
		"SELECT k, n, count(*) FROM per5 WHERE window_start < '2026-01-01 00:30:00Z' GROUP BY k, n ORDER BY k, n":  {"u0|40|12", "u1|40|12", "u2|35|12", "u3|35|12"},
		"SELECT k, n, count(*) FROM per20 WHERE window_start < '2026-01-01 00:30:00Z' GROUP BY k, n ORDER BY k, n": {"u0|160|3", "u1|160|3", "u2|140|3", "u3|140|3"},
		"SELECT n, c FROM per60":                             {"600|4", "600|4", "600|4"},
		"SELECT sum(late), sum(rejected) FROM vigil.streams": {"0|0"},
	} {
		if got := harness.Rows(t, c, query); !slices.Equal(got, want) {
			t.Errorf("%s\n got %q\nwant %q", query, got, want)
		}
	}
}
