// Package auth tests how clients prove who they are, against the real server: passwords, certificates, and what the server refuses to
// start with.
package auth

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/vigil-sql/vigil/tests/harness"
	"github.com/vigil-sql/vigil/tests/need"
)

func TestMain(m *testing.M) {
	code := m.Run()
	harness.Cleanup()
	os.Exit(code)
}

// connect tries to connect and returns the SQLSTATE and message of the refusal, "" when there is none.
func connect(t *testing.T, url string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), harness.PatienceMax)
	defer cancel()
	c, err := pgx.Connect(ctx, url)
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pg.Code + " " + pg.Message
	}
	if err != nil {
		return err.Error()
	}
	defer c.Close(ctx)
	var user, super string
	if err := c.QueryRow(ctx, "SELECT current_user, current_setting('is_superuser')").Scan(&user, &super); err != nil {
		t.Fatal(err)
	}
	return user + " " + super
}

// roles makes the roles of the tests in a data directory.
func roles(t *testing.T, dir string) {
	t.Helper()
	p := harness.Start(t, dir)
	harness.Exec(t, p.Connect(t), "CREATE ROLE alice LOGIN PASSWORD 'geheim'", "CREATE ROLE nologin PASSWORD 'x'", "CREATE ROLE nopassword LOGIN",
		"CREATE ROLE late LOGIN PASSWORD 'x' VALID UNTIL '2001-01-01'", "CREATE ROLE one LOGIN PASSWORD 'x' CONNECTION LIMIT 0",
		"ALTER ROLE vigil PASSWORD 'owner'", "CREATE ROLE utf LOGIN PASSWORD 'pässwörd'")
	if code := p.Stop(t); code != 0 {
		t.Fatalf("exit code %d\n%s", code, p.Log())
	}
	if log := p.Log(); strings.Contains(log, "geheim") || strings.Contains(log, "SCRAM-SHA") {
		t.Errorf("the log tells passwords:\n%s", log)
	}
}

func TestPasswords(t *testing.T) {
	dir := t.TempDir()
	roles(t, dir)
	p := harness.Start(t, dir, "--auth", "scram")
	const failed = `28P01 password authentication failed for user "`
	for _, c := range []struct{ login, want string }{
		{"alice:geheim", "alice off"}, {"vigil:owner", "vigil on"}, {"utf:p%C3%A4ssw%C3%B6rd", "utf off"},
		{"alice:falsch", failed + `alice"`}, {"alice:", failed + `alice"`}, {"nobody:geheim", failed + `nobody"`},
		{"nopassword:x", failed + `nopassword"`}, {"late:x", failed + `late"`},
		{"nologin:x", `28000 role "nologin" is not permitted to log in`}, {"one:x", `53300 too many connections for role "one"`},
	} {
		if got := connect(t, "postgres://"+c.login+"@"+p.PG+"/vigil?sslmode=disable"); got != c.want {
			t.Errorf("%s: %s, want %s", c.login, got, c.want)
		}
	}
	host, port, _ := strings.Cut(p.PG, ":")
	for password, want := range map[string]string{"geheim": "alice", "falsch": "password authentication failed"} {
		cmd := exec.Command(need.Psql(t), "-X", "-At", "-h", host, "-p", port, "-U", "alice", "vigil", "-c", "SELECT current_user")
		cmd.Env = append(os.Environ(), "PGPASSWORD="+password)
		if out, _ := cmd.CombinedOutput(); !strings.Contains(string(out), want) { // the text says what the exit code would
			t.Errorf("psql with %s: %s", password, out)
		}
	}
}

// TestTrust: connections from this machine need no password unless the server is told so, but a role that cannot log in cannot.
func TestTrust(t *testing.T) {
	dir := t.TempDir()
	roles(t, dir)
	p := harness.Start(t, dir)
	for user, want := range map[string]string{"alice": "alice off", "anybody": "anybody on", "nologin": `28000 role "nologin" is not permitted to log in`,
		"alice:wrong": "alice off"} {
		if got := connect(t, "postgres://"+user+"@"+p.PG+"/vigil?sslmode=disable"); got != want {
			t.Errorf("%s: %s, want %s", user, got, want)
		}
	}
	harness.Exec(t, p.Connect(t), "REVOKE CONNECT ON DATABASE vigil FROM PUBLIC", "GRANT CONNECT ON DATABASE vigil TO nopassword")
	for user, want := range map[string]string{"alice": `42501 permission denied for database "vigil"`, "nopassword": "nopassword off", "vigil": "vigil on"} {
		if got := connect(t, "postgres://"+user+"@"+p.PG+"/vigil?sslmode=disable"); got != want {
			t.Errorf("%s without CONNECT for all: %s, want %s", user, got, want)
		}
	}
	harness.Exec(t, p.Connect(t), "GRANT CONNECT ON DATABASE vigil TO alice")
	// What a client asks for at its start is checked as SET is.
	for _, options := range []string{"-crole=vigil", "-csession_authorization=vigil", "-cis_superuser=on"} {
		if got := connect(t, "postgres://alice@"+p.PG+"/vigil?sslmode=disable&options="+options); strings.HasSuffix(got, " on") || strings.HasSuffix(got, " off") {
			t.Errorf("options %s: %s", options, got)
		}
	}
}

// certificate writes a certificate for 127.0.0.1 and its key into a directory.
func certificate(t *testing.T, dir string) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0), IsCA: true,
		BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, data []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: data}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	pool = x509.NewCertPool()
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool.AddCert(parsed)
	return write("cert.pem", "CERTIFICATE", der), write("key.pem", "PRIVATE KEY", keyDER), pool
}

func TestTLS(t *testing.T) {
	dir := t.TempDir()
	cert, key, pool := certificate(t, t.TempDir())
	roles(t, dir)
	p := harness.Start(t, dir, "--auth", "scram", "--tls-cert", cert, "--tls-key", key)
	config, err := pgx.ParseConfig("postgres://alice:geheim@" + p.PG + "/vigil?sslmode=require")
	if err != nil {
		t.Fatal(err)
	}
	config.TLSConfig = &tls.Config{RootCAs: pool, ServerName: "127.0.0.1"}
	ctx, cancel := context.WithTimeout(context.Background(), harness.PatienceMax)
	defer cancel()
	c, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(ctx)
	if rows := harness.Rows(t, c, "SELECT current_user"); rows[0] != "alice" {
		t.Errorf("rows %q", rows)
	}
	host, port, _ := strings.Cut(p.PG, ":")
	cmd := exec.Command(need.Psql(t), "-X", "-At", "-c", "SELECT current_user", "host="+host+" port="+port+
		" user=alice dbname=vigil sslmode=verify-full sslrootcert="+cert)
	cmd.Env = append(os.Environ(), "PGPASSWORD=geheim")
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "alice\n" {
		t.Errorf("psql: %v: %s", err, out)
	}
	plain := "postgres://alice:geheim@" + p.PG + "/vigil?sslmode=disable"
	if got := connect(t, plain); got != "alice off" { // this machine may go without
		t.Errorf("without TLS: %s", got)
	}
}

// TestRefusesToStart: what would leave a network without protection, or everybody without a way in.
func TestRefusesToStart(t *testing.T) {
	cert, key, _ := certificate(t, t.TempDir())
	open := []string{"--pg", "0.0.0.0:0"}
	full := t.TempDir()
	roles(t, full)
	for _, c := range []struct {
		name, dir string
		args      []string
		want      string
	}{
		{"no TLS", full, open, "--tls-cert"},
		{"no role with a password", t.TempDir(), append([]string{"--tls-cert", cert, "--tls-key", key}, open...), "nobody could log in"},
		{"half a certificate", full, []string{"--tls-cert", cert}, "needs both"},
		{"no such certificate", full, []string{"--tls-cert", cert + "x", "--tls-key", key}, "TLS certificate"},
		{"HTTP", full, []string{"--tls-cert", cert, "--tls-key", key, "--http", "0.0.0.0:0"}, "--http"},
		{"another way", full, []string{"--auth", "md5"}, "Usage"},
		{"all is there", full, append([]string{"--tls-cert", cert, "--tls-key", key}, open...), ""},
	} {
		p, err := harness.TryStart(t, c.dir, c.args...)
		if err == nil {
			p.Kill()
		}
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestBrokenExchange: clients that do not keep to SASL are told so, and the server goes on.
func TestBrokenExchange(t *testing.T) {
	dir := t.TempDir()
	roles(t, dir)
	p := harness.Start(t, dir, "--auth", "scram")
	message := func(typ byte, body string) []byte {
		return append(binary.BigEndian.AppendUint32([]byte{typ}, uint32(len(body)+4)), body...)
	}
	initial := func(mechanism, data string) []byte {
		return message('p', mechanism+"\x00"+string(binary.BigEndian.AppendUint32(nil, uint32(len(data))))+data)
	}
	for name, c := range map[string]struct {
		send []byte
		want string
	}{
		"a query instead":      {message('Q', "SELECT 1\x00"), "08P01"},
		"another mechanism":    {initial("PLAIN", "x"), "08P01"},
		"channel binding":      {initial("SCRAM-SHA-256", "p=tls-unique,,n=,r=abc"), "08P01"},
		"no SCRAM":             {initial("SCRAM-SHA-256", "hello"), "08P01"},
		"a length that lies":   {message('p', "SCRAM-SHA-256\x00\x7f\xff\xff\xff"), "08P01"},
		"too long":             {message('p', strings.Repeat("x", 2000)), "08P01"},
		"a proof of something": {append(initial("SCRAM-SHA-256", "n,,n=,r=abc"), message('p', "c=biws,r=abc,p=AAAA")...), "08P01"},
	} {
		if got := exchange(t, p.PG, c.send); !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %s", name, got, c.want)
		}
	}
	if got := connect(t, "postgres://alice:geheim@"+p.PG+"/vigil?sslmode=disable"); got != "alice off" {
		t.Errorf("after all that: %s", got)
	}
}

// exchange begins a connection as alice, sends bytes when it is asked for the password, and returns all that comes.
func exchange(t *testing.T, addr string, send []byte) string {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(harness.PatienceMax)); err != nil {
		t.Fatal(err)
	}
	body := "\x00\x03\x00\x00user\x00alice\x00database\x00vigil\x00\x00"
	if _, err := c.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(body)+4)), body...)); err != nil {
		t.Fatal(err)
	}
	want := "R\x00\x00\x00\x17\x00\x00\x00\x0aSCRAM-SHA-256\x00\x00"
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
		t.Fatalf("asked with %q, %v", got, err)
	}
	if _, err := c.Write(send); err != nil {
		t.Fatal(err)
	}
	var rest bytes.Buffer
	_, _ = io.Copy(&rest, c) // until the server closes
	return rest.String()
}
