package connector

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// TLSFiles say whom to believe and who to be on a TLS connection: names of files; empty ones are the system's, and nobody.
type TLSFiles struct{ CA, Cert, Key string }

// TLSParams are the options that TLS reads.
var TLSParams = []Param{
	{"tls_ca", "", "file with the certificates of the authorities that are trusted; default: those of the system"},
	{"tls_cert", "", "file with the certificate that the server shows, with tls_key"},
	{"tls_key", "", "file with its key"},
}

// TLS reads the options of TLSParams.
func (v *Values) TLS() TLSFiles {
	t := TLSFiles{v.Text("tls_ca", ""), v.Text("tls_cert", ""), v.Text("tls_key", "")}
	if (t.Cert == "") != (t.Key == "") && v.Err == nil {
		v.Err = sqlerr.New(sqlerr.InvalidParameterValue, "connector %s needs both tls_cert and tls_key, or neither", v.Connector)
	}
	return t
}

// Config reads the files.
func (t TLSFiles) Config() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.CA != "" {
		pem, err := os.ReadFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("option tls_ca: %w", err)
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("option tls_ca: %q holds no certificate", t.CA)
		}
	}
	if t.Cert != "" {
		pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("options tls_cert and tls_key: %w", err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
