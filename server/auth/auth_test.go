package auth

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// rfc7677 is the example of RFC 7677, section 3: user "user", password "pencil".
func rfc7677(t *testing.T) *Exchange {
	t.Helper()
	salt, err := base64.StdEncoding.DecodeString("W22ZaJ0SNY7soEsUEjb6gQ==")
	if err != nil {
		t.Fatal(err)
	}
	x := NewExchange("user", derive("pencil", salt, 4096), false)
	x.own = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
	return x
}

const (
	rfcFirst  = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
	rfcAnswer = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
	rfcFinal  = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
	rfcServer = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
)

func TestExchangeOfTheRFC(t *testing.T) {
	x := rfc7677(t)
	answer, err := x.First([]byte(rfcFirst))
	if err != nil || string(answer) != rfcAnswer {
		t.Fatalf("first: %q, %v; want %q", answer, err, rfcAnswer)
	}
	final, err := x.Final([]byte(rfcFinal))
	if err != nil || string(final) != rfcServer {
		t.Fatalf("final: %q, %v; want %q", final, err, rfcServer)
	}
}

// TestExchangeRefuses: a wrong proof, a doomed user and messages that are not SCRAM's.
func TestExchangeRefuses(t *testing.T) {
	wrong := strings.Replace(rfcFinal, "p=dHz", "p=eHz", 1)
	for _, c := range []struct {
		name, first, final string
		doomed             bool
		code               sqlerr.Code
	}{
		{"wrong password", rfcFirst, wrong, false, sqlerr.InvalidPassword},
		{"right password of a user who may not", rfcFirst, rfcFinal, true, sqlerr.InvalidPassword},
		{"another nonce", rfcFirst, strings.Replace(rfcFinal, "$k0", "$k1", 1), false, sqlerr.ProtocolViolation},
		{"another header", "y" + rfcFirst[1:], rfcFinal, false, sqlerr.ProtocolViolation},
		{"no proof", rfcFirst, "c=biws,r=x", false, sqlerr.ProtocolViolation},
		{"short proof", rfcFirst, rfcFinal[:len(rfcFinal)-8], false, sqlerr.ProtocolViolation},
		{"channel binding", "p=tls-unique,,n=,r=abc", "", false, sqlerr.ProtocolViolation},
		{"identity", "n,a=bob,n=,r=abc", "", false, sqlerr.FeatureNotSupported},
		{"extension", "n,,m=x,n=,r=abc", "", false, sqlerr.FeatureNotSupported},
		{"no nonce", "n,,n=user", "", false, sqlerr.ProtocolViolation},
		{"empty nonce", "n,,n=user,r=", "", false, sqlerr.ProtocolViolation},
		{"nothing", "", "", false, sqlerr.ProtocolViolation},
	} {
		x := rfc7677(t)
		x.doomed = c.doomed
		_, err := x.First([]byte(c.first))
		if c.final != "" {
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			_, err = x.Final([]byte(c.final))
		}
		if sqlerr.CodeOf(err) != c.code {
			t.Errorf("%s: %v, want %s", c.name, err, c.code)
		}
	}
	if _, err := rfc7677(t).Final([]byte(rfcFinal)); sqlerr.CodeOf(err) != sqlerr.ProtocolViolation {
		t.Errorf("final without first: %v", err)
	}
}

func TestVerifier(t *testing.T) {
	v := NewVerifier("geheim")
	got, ok := ParseVerifier(v.String())
	if !ok || got.String() != v.String() || !got.Matches("geheim") || got.Matches("Geheim") {
		t.Errorf("%s reads back as %s, %v", v, got, ok)
	}
	if NewVerifier("geheim").String() == v.String() {
		t.Error("two verifiers have one salt")
	}
	for _, s := range []string{"", "geheim", "SCRAM-SHA-256$", "SCRAM-SHA-256$4096:x$y:z", "SCRAM-SHA-256$0:" + v.String()[len("SCRAM-SHA-256$4096:"):],
		v.String() + "A", "md5" + strings.Repeat("0", 32)} {
		if _, ok := ParseVerifier(s); ok {
			t.Errorf("%q is taken for a verifier", s)
		}
	}
}

func TestMockIsStable(t *testing.T) {
	a, b, c := Mock([]byte("k"), "bob"), Mock([]byte("k"), "bob"), Mock([]byte("k"), "eve")
	if string(a.Salt) != string(b.Salt) || string(a.Salt) == string(c.Salt) || a.Iterations != iterations {
		t.Error("the salt of an unknown user must be its own, and always the same")
	}
}

func FuzzExchange(f *testing.F) {
	f.Add(rfcFirst, rfcFinal)
	f.Add("y,,n=,r=a", "c=eSws,r=a,p=")
	f.Fuzz(func(t *testing.T, first, final string) {
		x := NewExchange("user", Mock([]byte("k"), "user"), true)
		_, _ = x.First([]byte(first)) // an error is fine, a panic is not
		if _, err := x.Final([]byte(final)); err == nil {
			t.Error("a doomed exchange came to a good end")
		}
	})
}
