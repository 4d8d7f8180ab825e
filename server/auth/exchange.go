package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// nonceBytes is the entropy of the server's part of the nonce, as in Postgres.
const nonceBytes = 18

// Exchange is one run of SCRAM-SHA-256 for a user: First, then Final. It is not for concurrent use.
type Exchange struct {
	user     string
	verifier Verifier
	// doomed: the user may not log in by password; the client is told only at the end.
	doomed bool
	// own is the server's part of the nonce.
	own string
	// header is the client's GS2 header, nonce both parts of the nonce; bare and answer are the messages that the proof covers.
	header, nonce, bare, answer string
}

// NewExchange begins an exchange. A doomed one fails whatever the client proves.
func NewExchange(user string, v Verifier, doomed bool) *Exchange {
	var b [nonceBytes]byte
	rand.Read(b[:]) // never fails
	return &Exchange{user: user, verifier: v, doomed: doomed, own: base64.StdEncoding.EncodeToString(b[:])}
}

func malformed(detail string) error {
	return sqlerr.New(sqlerr.ProtocolViolation, "malformed SCRAM message").WithDetail("%s", detail)
}

// First takes the client's first message and gives the server's.
func (x *Exchange) First(msg []byte) ([]byte, error) {
	flag, rest, ok := strings.Cut(string(msg), ",")
	switch {
	case !ok || flag == "":
		return nil, malformed("The message has no channel binding flag.")
	case strings.HasPrefix(flag, "p="):
		return nil, sqlerr.New(sqlerr.ProtocolViolation, "the client requires channel binding, which this server does not have").
			WithHint("Connect with channel_binding=disable or prefer.")
	case flag != "n" && flag != "y":
		return nil, malformed("Unexpected channel binding flag.")
	}
	identity, bare, ok := strings.Cut(rest, ",")
	switch {
	case !ok:
		return nil, malformed("Unexpected end of the first message.")
	case identity != "":
		return nil, sqlerr.NotSupported("an authorization identity of SASL", "Connect as the user whose rights are wanted, or use SET ROLE.")
	case strings.HasPrefix(bare, "m="):
		return nil, sqlerr.NotSupported("a mandatory extension of SCRAM", "")
	}
	x.header, x.bare = flag+",,", bare
	fields := strings.Split(bare, ",")
	// The user of the start-up message counts; the one in n= is ignored, as in Postgres.
	if len(fields) < 2 || !strings.HasPrefix(fields[0], "n=") || !strings.HasPrefix(fields[1], "r=") || !printable(fields[1][2:]) {
		return nil, malformed("The first message has no user name or no nonce.")
	}
	x.nonce = fields[1][2:] + x.own
	x.answer = "r=" + x.nonce + ",s=" + base64.StdEncoding.EncodeToString(x.verifier.Salt) + ",i=" + strconv.Itoa(x.verifier.Iterations)
	return []byte(x.answer), nil
}

// printable tells whether a nonce has characters, and only those that RFC 5802 allows.
func printable(s string) bool {
	for i := range len(s) {
		if s[i] < '!' || s[i] > '~' || s[i] == ',' {
			return false
		}
	}
	return s != ""
}

// Final takes the client's proof, and gives the server's if it is right.
func (x *Exchange) Final(msg []byte) ([]byte, error) {
	text := string(msg)
	at := strings.LastIndex(text, ",p=")
	if at < 0 {
		return nil, malformed("The last message has no proof.")
	}
	without := text[:at]
	proof, err := base64.StdEncoding.DecodeString(text[at+3:])
	if err != nil || len(proof) != sha256.Size {
		return nil, malformed("The proof is not that of SHA-256.")
	}
	fields := strings.Split(without, ",")
	if len(fields) < 2 || fields[0] != "c="+base64.StdEncoding.EncodeToString([]byte(x.header)) {
		return nil, malformed("Unexpected channel binding in the last message.")
	}
	if x.nonce == "" || fields[1] != "r="+x.nonce {
		return nil, malformed("The nonce does not match.")
	}
	covered := x.bare + "," + x.answer + "," + without
	signature := mac(x.verifier.StoredKey, covered)
	key := make([]byte, sha256.Size)
	subtle.XORBytes(key, proof, signature)
	stored := sha256.Sum256(key)
	if !hmac.Equal(stored[:], x.verifier.StoredKey) || x.doomed {
		return nil, sqlerr.New(sqlerr.InvalidPassword, "password authentication failed for user %q", x.user)
	}
	return []byte("v=" + base64.StdEncoding.EncodeToString(mac(x.verifier.ServerKey, covered))), nil
}
