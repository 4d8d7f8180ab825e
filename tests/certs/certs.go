// Package certs makes certificates for tests of TLS: an authority that nobody but the test knows, and what it signs.
package certs

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Authority signs certificates. File holds its own.
type Authority struct {
	File string
	Pool *x509.CertPool
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	made int64
}

// Pair is a certificate with its key, as files of PEM: each alone, and in one.
type Pair struct {
	Cert, Key, Both string
	TLS             tls.Certificate
}

// New makes an authority.
func New(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{t: t, key: newKey(t), Pool: x509.NewCertPool(), made: 1}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "an authority of a test"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0)}
	der := sign(t, template, template, &a.key.PublicKey, a.key)
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	a.cert = cert
	a.Pool.AddCert(cert)
	a.File = write(t, filepath.Join(t.TempDir(), "ca.pem"), block("CERTIFICATE", der))
	return a
}

// Sign makes a certificate for 127.0.0.1 with a name, for servers and for clients.
func (a *Authority) Sign(name string) Pair {
	a.t.Helper()
	a.made++
	key, dir := newKey(a.t), a.t.TempDir()
	template := &x509.Certificate{SerialNumber: big.NewInt(a.made), Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0)}
	der := sign(a.t, template, a.cert, &key.PublicKey, a.key)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	certPEM, keyPEM := block("CERTIFICATE", der), block("PRIVATE KEY", keyDER)
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		a.t.Fatal(err)
	}
	return Pair{TLS: pair, Cert: write(a.t, filepath.Join(dir, "cert.pem"), certPEM), Key: write(a.t, filepath.Join(dir, "key.pem"), keyPEM),
		Both: write(a.t, filepath.Join(dir, "both.pem"), bytes.Join([][]byte{keyPEM, certPEM}, nil))}
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t testing.TB, template, parent *x509.Certificate, public *ecdsa.PublicKey, by *ecdsa.PrivateKey) []byte {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, by)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func block(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func write(t testing.TB, path string, data []byte) string {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
