// Package auth proves who a client is: SCRAM-SHA-256 (RFC 5802, RFC 7677) from the server's side, and what is kept of passwords for it.
// It knows neither roles nor the wire protocol.
package auth

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
)

// Mechanism is the name of the SASL mechanism.
const Mechanism = "SCRAM-SHA-256"

// iterations is how often new passwords are hashed, as in Postgres; iterationsMax bounds what a verifier made elsewhere may ask of clients.
const (
	iterations    = 4096
	iterationsMax = 1 << 24
	saltBytes     = 16
)

// Verifier is what is kept of a password: enough to recognise it, not enough to log in with it.
type Verifier struct {
	Iterations           int
	Salt                 []byte
	StoredKey, ServerKey []byte
}

// NewVerifier makes a verifier of a password with a salt of its own.
func NewVerifier(password string) Verifier {
	salt := make([]byte, saltBytes)
	rand.Read(salt) // never fails
	return derive(password, salt, iterations)
}

func derive(password string, salt []byte, n int) Verifier {
	salted, err := pbkdf2.Key(sha256.New, password, salt, n, sha256.Size)
	if err != nil {
		panic(fmt.Sprintf("derive a key: %v", err)) // the parameters are constants of this package
	}
	stored := sha256.Sum256(mac(salted, "Client Key"))
	return Verifier{Iterations: n, Salt: salt, StoredKey: stored[:], ServerKey: mac(salted, "Server Key")}
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text)) // never fails
	return h.Sum(nil)
}

// Matches tells whether the verifier is that of a password.
func (v Verifier) Matches(password string) bool {
	return hmac.Equal(v.StoredKey, derive(password, v.Salt, v.Iterations).StoredKey)
}

// String is the form in which Postgres keeps verifiers, and clients send them.
func (v Verifier) String() string {
	b := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("%s$%d:%s$%s:%s", Mechanism, v.Iterations, b(v.Salt), b(v.StoredKey), b(v.ServerKey))
}

// ParseVerifier reads String's form; ok is false for anything else, which is a password then.
func ParseVerifier(s string) (v Verifier, ok bool) {
	rest, ok := strings.CutPrefix(s, Mechanism+"$")
	if !ok {
		return v, false
	}
	head, keys, ok1 := strings.Cut(rest, "$")
	count, salt, ok2 := strings.Cut(head, ":")
	stored, server, ok3 := strings.Cut(keys, ":")
	n, err := strconv.Atoi(count)
	if !ok1 || !ok2 || !ok3 || err != nil || n < 1 || n > iterationsMax {
		return v, false
	}
	v.Iterations = n
	for _, x := range []struct {
		text string
		to   *[]byte
		size int
	}{{salt, &v.Salt, 0}, {stored, &v.StoredKey, sha256.Size}, {server, &v.ServerKey, sha256.Size}} {
		b, err := base64.StdEncoding.DecodeString(x.text)
		if err != nil || len(b) == 0 || x.size > 0 && len(b) != x.size {
			return Verifier{}, false
		}
		*x.to = b
	}
	return v, true
}

// Mock is a verifier that no password matches, for users who have none: its salt is always the same for a user, so that the answer does
// not tell who exists.
func Mock(secret []byte, user string) Verifier {
	v := Verifier{Iterations: iterations, Salt: mac(secret, user)[:saltBytes], StoredKey: make([]byte, sha256.Size), ServerKey: make([]byte, sha256.Size)}
	rand.Read(v.StoredKey) // never fails
	return v
}
