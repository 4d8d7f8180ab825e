package kafka

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/vigil-sql/vigil/executor/connector"
	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// login is how a source or a sink reaches brokers: where they are, who the server is there, and whom it believes.
type login struct {
	brokers   []string
	mechanism sasl.Mechanism // nil: none
	tls       bool
	files     connector.TLSFiles
}

// secrets are the options of a login whose values nobody is shown.
var secrets = []string{"sasl_password"}

// loginParams are the options of a login; they come after those of the connector.
func loginParams(own ...connector.Param) []connector.Param {
	return append(append(own,
		connector.Param{Name: "sasl_mechanism", Doc: "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"},
		connector.Param{Name: "sasl_username", Doc: "who the server is"},
		connector.Param{Name: "sasl_password", Doc: "its password"},
		connector.Param{Name: "sasl_password_file", Doc: "in its place: a file with the password on its first line, read at each login"},
		connector.Param{Name: "tls", Default: "off", Doc: "on: connections are encrypted"}), connector.TLSParams...)
}

// newLogin reads the options of a login. The first error that v has comes first.
func newLogin(v *connector.Values) (login, error) {
	l := login{files: v.TLS(), tls: v.OneOf("tls", "off", "on") == "on"}
	for b := range strings.SplitSeq(v.Needed("brokers"), ",") {
		if b = strings.TrimSpace(b); b != "" {
			l.brokers = append(l.brokers, b)
		}
	}
	user, pass, file := v.Text("sasl_username", ""), v.Text("sasl_password", ""), v.Text("sasl_password_file", "")
	switch v.OneOf("sasl_mechanism", "", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512") {
	case "PLAIN":
		l.mechanism = plain.Plain(func(context.Context) (plain.Auth, error) {
			p, err := password(pass, file)
			return plain.Auth{User: user, Pass: p}, err
		})
	case "SCRAM-SHA-256":
		l.mechanism = scram.Sha256(scramAuth(user, pass, file))
	case "SCRAM-SHA-512":
		l.mechanism = scram.Sha512(scramAuth(user, pass, file))
	}
	switch {
	case v.Err != nil:
		return l, v.Err
	case pass != "" && file != "":
		return l, sqlerr.New(sqlerr.InvalidParameterValue, "connector kafka reads sasl_password or sasl_password_file, not both")
	case len(l.brokers) == 0:
		return l, sqlerr.New(sqlerr.InvalidParameterValue, "connector kafka needs the options brokers and topic")
	case (l.mechanism == nil) != (user == "" && pass == "" && file == "") || l.mechanism != nil && user == "":
		return l, sqlerr.New(sqlerr.InvalidParameterValue, "connector kafka needs sasl_mechanism, sasl_username and sasl_password together")
	case l.files != connector.TLSFiles{} && !l.tls:
		return l, sqlerr.New(sqlerr.InvalidParameterValue, "connector kafka reads tls_ca, tls_cert and tls_key with tls = 'on' only")
	}
	return l, nil
}

func scramAuth(user, pass, file string) func(context.Context) (scram.Auth, error) {
	return func(context.Context) (scram.Auth, error) {
		p, err := password(pass, file)
		return scram.Auth{User: user, Pass: p}, err
	}
}

// passwordMax bounds what is read of a file with a password, bytes.
const passwordMax = 4 << 10

// password is the one given, or the first line of a file. It is asked for at each login, so that one that changed is used from the next
// connection on.
func password(given, file string) (string, error) {
	if file == "" {
		return given, nil
	}
	f, err := os.Open(file)
	if err != nil {
		return "", fmt.Errorf("option sasl_password_file: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, passwordMax))
	if err != nil {
		return "", fmt.Errorf("option sasl_password_file: %w", err)
	}
	line, _, _ := strings.Cut(string(data), "\n")
	return strings.TrimSuffix(line, "\r"), nil
}

// options are those of a client. Files are read each time, so that a certificate that is renewed is used from the next connection of a
// source or sink on that is opened again.
func (l *login) options() ([]kgo.Opt, error) {
	opts := []kgo.Opt{kgo.SeedBrokers(l.brokers...), kgo.ClientID("vigil")}
	if l.mechanism != nil {
		opts = append(opts, kgo.SASL(l.mechanism))
	}
	if !l.tls {
		return append(opts, kgo.DialTimeout(dialTimeout)), nil
	}
	config, err := l.files.Config()
	if err != nil {
		return nil, sqlerr.New(sqlerr.ConnectionFailure, "connector kafka: %v", err)
	}
	return append(opts, kgo.DialTLSConfig(config), kgo.DialTimeout(dialTimeout)), nil
}
