package kafka

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/vigil-sql/vigil/executor/connector"
	"github.com/vigil-sql/vigil/tests/certs"
)

// TestSourceLogsIn: a cluster that wants TLS, and a user. The source reads with both, also what it reads again, and says what is wrong
// where one of them is.
func TestSourceLogsIn(t *testing.T) {
	ca, stranger := certs.New(t), certs.New(t)
	config := &tls.Config{Certificates: []tls.Certificate{ca.Sign("broker").TLS}}
	c := cluster(t, 2, kfake.TLS(config), kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-256", "vigil", "hunter2"))
	p := producer(t, c, kgo.DialTLSConfig(&tls.Config{RootCAs: ca.Pool}), kgo.SASL(scram.Auth{User: "vigil", Pass: "hunter2"}.AsSha256Mechanism()))
	produce(t, p, 2, 0, 50)
	right := map[string]string{"tls": "on", "tls_ca": ca.File, "sasl_mechanism": "SCRAM-SHA-256", "sasl_username": "vigil", "sasl_password": "hunter2"}
	with := func(k, v string) []string {
		var list []string
		for key, value := range right {
			if key == k {
				value = v
			}
			list = append(list, key, value)
		}
		return list
	}
	r := open(t, newSource(t, c, with("", "")...), nil)
	r.until(100)
	r.want(2, 0, 50)
	if ps, err := r.s.ReadRange(t.Context(), 1, 10, 20, nil); err != nil || len(ps) != 1 || strings.Count(string(ps[0].Bytes), "\n") != 10 {
		t.Errorf("read again: %v %v", ps, err)
	}

	for option, want := range map[string]string{"sasl_password": "no broker answers", "tls_ca": "unknown authority"} {
		value := "hunter3"
		if option == "tls_ca" {
			value = stranger.File
		}
		wrong := newSource(t, c, with(option, value)...)
		open(t, wrong, nil)
		said := ""
		for !strings.Contains(strings.ToLower(said), want) {
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			ps, err := wrong.Poll(ctx, nil, 1000)
			if said = wrong.Status() + fmt.Sprint(err); len(ps) > 0 || err == nil || strings.Contains(said, "hunter") {
				t.Fatalf("with the wrong %s: %d payloads, %s", option, len(ps), said)
			}
			cancel()
		}
	}
	file := filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte("hunter2\r\nand more\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	fromFile := open(t, newSource(t, c, append(with("sasl_password", ""), "sasl_password_file", file)...), nil)
	fromFile.until(100)
	if err := newSource(t, c, with("tls_ca", "/nowhere")...).Open(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "tls_ca") {
		t.Errorf("no such file: %v", err)
	}
}

// TestLoginOptions: a source and a sink read the same options, and refuse the same.
func TestLoginOptions(t *testing.T) {
	for want, params := range map[string]map[string]string{
		"together":                     {"sasl_mechanism": "PLAIN"},
		"needs sasl_mechanism":         {"sasl_username": "x", "sasl_password": "y"},
		"with tls = 'on' only":         {"tls_ca": "/x"},
		"both tls_cert and tls_key":    {"tls": "on", "tls_cert": "/x"},
		`must be off or on, not "yes"`: {"tls": "yes"},
		"SCRAM-SHA-512":                {"sasl_mechanism": "GSSAPI"},
		"not both":                     {"sasl_mechanism": "PLAIN", "sasl_username": "x", "sasl_password": "y", "sasl_password_file": "/z"},
	} {
		params["brokers"], params["topic"] = "b:1", "t"
		if err := SinkDef().Check(connector.SinkOptions{Params: params}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("sink with %v: %v, want %q", params, err, want)
		}
		params["connector"] = "kafka"
		if err := Def().Check(connector.Options{Params: params}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("source with %v: %v, want %q", params, err, want)
		}
	}
}
