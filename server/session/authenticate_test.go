package session

import (
	"testing"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/server/auth"
	"github.com/vigil-sql/vigil/server/pgwire"
)

// TestWhoIsAsked is the contract: who is trusted, who needs a password, who is sent away.
func TestWhoIsAsked(t *testing.T) {
	cat := catalog.New()
	cat.PutRole(&catalog.Role{ID: 5, Name: "alice", Login: true, ConnLimit: -1, Password: auth.NewVerifier("x").String()})
	const local, mapped, other = "127.0.0.1:99", "[::ffff:127.0.0.1]:99", "192.0.2.1:99"
	for _, c := range []struct {
		remote string
		tls    bool
		policy AuthPolicy
		want   string
	}{
		{local, false, AuthPolicy{}, "trusted"}, {mapped, false, AuthPolicy{}, "trusted"}, {"[::1]:99", false, AuthPolicy{}, "trusted"},
		{local, false, AuthPolicy{Always: true}, "asked"}, {local, false, AuthPolicy{Always: true, Insecure: true}, "asked"},
		{other, true, AuthPolicy{}, "asked"}, {"[2001:db8::1]:99", true, AuthPolicy{}, "asked"},
		{other, false, AuthPolicy{}, "28000"}, {other, false, AuthPolicy{Always: true}, "28000"},
		{other, false, AuthPolicy{Insecure: true}, "trusted"}, {other, false, AuthPolicy{Always: true, Insecure: true}, "asked"},
	} {
		for _, user := range []string{"alice", "nobody"} {
			s := &Server{cat: cat, auth: c.policy, secret: []byte("k"), clock: func() types.EventTime { return 0 }}
			x, err := s.Authenticate(pgwire.ConnInfo{User: user, Remote: c.remote, TLS: c.tls})
			got := "asked"
			switch {
			case err != nil:
				got = string(sqlerr.CodeOf(err))
			case x == nil:
				got = "trusted"
			}
			if got != c.want {
				t.Errorf("%s from %s, TLS %v, %+v: %s, want %s", user, c.remote, c.tls, c.policy, got, c.want)
			}
		}
	}
}
