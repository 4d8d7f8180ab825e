package kafka_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/vigil-sql/vigil/executor/sqlerr"

	"github.com/vigil-sql/vigil/executor/connector"
	"github.com/vigil-sql/vigil/executor/connector/kafka"
	"github.com/vigil-sql/vigil/tests/certs"
	"github.com/vigil-sql/vigil/tests/harness"
)

// secure gives a broker that was not started a second listener, with TLS and users.
func (b *broker) secure(ca *certs.Authority) (addr string) {
	b.t.Helper()
	addr = freeAddr(b.t)
	data, err := os.ReadFile(b.props())
	if err != nil {
		b.t.Fatal(err)
	}
	text := strings.Replace(string(data), "listeners=PLAINTEXT://", "listeners=SASL_SSL://"+addr+",PLAINTEXT://", 1)
	text = strings.Replace(text, "advertised.listeners=PLAINTEXT://", "advertised.listeners=SASL_SSL://"+addr+",PLAINTEXT://", 1)
	text += fmt.Sprintf(`inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map=SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_vigil="hunter2";
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
ssl.keystore.type=PEM
ssl.keystore.location=%s
ssl.endpoint.identification.algorithm=
`, ca.Sign("broker").Both)
	if err := os.WriteFile(b.props(), []byte(text), 0o600); err != nil {
		b.t.Fatal(err)
	}
	if err := os.RemoveAll(b.dir + "/log"); err != nil {
		b.t.Fatal(err)
	}
	out, err := b.command("kafka.tools.StorageTool", "format", "-t", "vVlhxM7VT3C-3nz7yEkiCQ", "-c", b.props(),
		"--add-scram", "SCRAM-SHA-256=[name=vigil,password=hunter2]", "--add-scram", "SCRAM-SHA-512=[name=vigil,password=hunter2]").CombinedOutput()
	if err != nil {
		b.t.Fatalf("format: %v\n%s", err, out)
	}
	return addr
}

// TestLogin: a source reads over TLS as each kind of user, and tells of a wrong password, of a broker that nobody vouches for, and of TLS
// that is missing; a server reads and writes with the same options.
func TestLogin(t *testing.T) {
	b := newBroker(t)
	ca := certs.New(t)
	addr := b.secure(ca)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	b.start()
	b.createTopic(ctx)
	if err := produce(ctx, b.client(kgo.ProducerLinger(0)), 0); err != nil {
		t.Fatal(err)
	}
	open := func(params map[string]string) *reader {
		t.Helper()
		p := map[string]string{"brokers": addr, "topic": topic, "tls": "on", "tls_ca": ca.File, "sasl_username": "vigil", "sasl_password": "hunter2"}
		for k, v := range params {
			if p[k] = v; v == "" {
				delete(p, k)
			}
		}
		s, err := kafka.Def().New(connector.Options{Stream: "s", Format: "JSON", Params: p})
		if err == nil {
			err = s.Open(ctx, nil)
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return &reader{t: t, s: s, offsets: connector.Offsets{}}
	}
	for _, m := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		r := open(map[string]string{"sasl_mechanism": m})
		r.until(ctx, partitions*perRound)
		r.want(0, perRound)
		wrong := open(map[string]string{"sasl_mechanism": m, "sasl_password": "hunter3"})
		if _, err := wrong.s.Poll(ctx, nil, 1000); sqlerr.CodeOf(err) != sqlerr.ConnectionFailure || !strings.Contains(err.Error(), "SASL_AUTHENTICATION_FAILED") {
			t.Errorf("%s with a wrong password: %v", m, err)
		}
	}
	for want, params := range map[string]map[string]string{
		"unknown authority": {"sasl_mechanism": "PLAIN", "tls_ca": certs.New(t).File},
		"no broker":         {"sasl_mechanism": "PLAIN", "tls_ca": "", "tls": "off"},
	} {
		r := open(params)
		for {
			wait, done := context.WithTimeout(ctx, 200*time.Millisecond)
			ps, err := r.s.Poll(wait, nil, 1000)
			done()
			if len(ps) > 0 || ctx.Err() != nil {
				t.Fatalf("%s: %d payloads, %v", want, len(ps), err)
			}
			if strings.Contains(r.s.(interface{ Status() string }).Status()+fmt.Sprint(err), want) {
				break
			}
		}
	}
	const login = "tls = 'on', tls_ca = '%s', sasl_mechanism = 'SCRAM-SHA-512', sasl_username = 'vigil', sasl_password = 'hunter2'"
	options := fmt.Sprintf("connector = 'kafka', brokers = '%s', topic = '%s', "+login, addr, topic, ca.File)
	p := harness.Start(t, t.TempDir())
	c := p.Connect(t)
	harness.Exec(t, c, "CREATE STREAM s (partition BIGINT, n BIGINT) WITH ("+options+")",
		"CREATE CONTINUOUS QUERY late WITH (start = 'earliest') AS SELECT partition, n FROM s",
		"CREATE STREAM own (n BIGINT)", "CREATE CONTINUOUS QUERY q AS SELECT n FROM own", "CREATE SINK out FROM q WITH ("+options+")",
		"INSERT INTO own VALUES (1000000)")
	harness.WaitRows(t, c, "SELECT state, lag_rows FROM vigil.sinks", func(rows []string) bool { return rows[0] == "running|0" })
	want := fmt.Sprint(partitions*perRound+1, "|", partitions*perRound+1)
	harness.WaitRows(t, c, "SELECT count(*), count(DISTINCT (coalesce(partition, -1), n)) FROM late", func(rows []string) bool { return rows[0] == want })
}

// TestHistory: queries that begin with what a topic holds, while records come and while broker and server are killed, have each once.
func TestHistory(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	b := newBroker(t)
	b.start()
	b.createTopic(ctx)
	producer := b.client(kgo.ProducerLinger(0))
	n := 0
	more := func() {
		t.Helper()
		if err := produce(ctx, producer, n); err != nil {
			t.Fatal(err)
		}
		n += perRound
	}
	for range 5 {
		more()
	}
	dir := t.TempDir()
	start := func() *harness.Process { return harness.Start(t, dir, "--checkpoint-every", "50ms") }
	p := start()
	// The stream begins at the end; the queries do not.
	harness.Exec(t, p.Connect(t), fmt.Sprintf("CREATE STREAM s (partition BIGINT, n BIGINT) WITH (connector = 'kafka', brokers = '%s', topic = '%s', start = 'latest')", b.addr, topic),
		"CREATE CONTINUOUS QUERY since AS SELECT partition, n FROM s")
	for i := range 4 {
		harness.Exec(t, p.Connect(t), fmt.Sprintf("CREATE CONTINUOUS QUERY q%d WITH (start = 'earliest') AS SELECT partition, n FROM s", i))
		more()
		switch i {
		case 1:
			p.Kill()
			p = start()
		case 2:
			b.kill()
			b.start()
		}
		more()
	}
	c := p.Connect(t)
	want := fmt.Sprint(partitions*n, "|", partitions*n, "|", n-1)
	for i := range 4 {
		harness.WaitRows(t, c, fmt.Sprintf("SELECT count(*), count(DISTINCT (partition, n)), max(n) FROM q%d", i), func(rows []string) bool { return rows[0] == want })
	}
	harness.WaitRows(t, c, "SELECT count(*) FROM vigil.queries WHERE state = 'running'", func(rows []string) bool { return rows[0] == "5" })
	if got := harness.Rows(t, c, "SELECT count(*) FROM vigil.query_events WHERE what = 'backfilled'"); got[0] != "4" {
		t.Error(got)
	}
}
