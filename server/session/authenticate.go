package session

import (
	"net/netip"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/server/auth"
	"github.com/vigil-sql/vigil/server/pgwire"
)

// AuthPolicy says who is asked for a password. Without any of it, those who connect from this machine are trusted under any name, and all
// others need TLS and a role with a password.
type AuthPolicy struct {
	// Always: connections from this machine need a password, too.
	Always bool
	// Insecure: the network is trusted as this machine is, and needs no TLS.
	Insecure bool
}

var _ pgwire.Authenticator = (*Server)(nil)

// Authenticate implements pgwire.Authenticator.
func (s *Server) Authenticate(c pgwire.ConnInfo) (pgwire.SASL, error) {
	switch {
	case !isLocal(c.Remote) && !c.TLS && !s.auth.Insecure:
		return nil, sqlerr.New(sqlerr.InvalidAuthorization, "connections from other machines must be encrypted").
			WithHint("Connect with sslmode=require.")
	case s.trusts(c.Remote):
		return nil, nil
	}
	r := s.cat.Snapshot().Role(c.User)
	if r != nil && s.valid(r) {
		if v, ok := auth.ParseVerifier(r.Password); ok {
			return auth.NewExchange(c.User, v, false), nil
		}
	}
	return auth.NewExchange(c.User, auth.Mock(s.secret, c.User), true), nil
}

// trusts tells whether whoever connects from an address is believed.
func (s *Server) trusts(remote string) bool {
	return !s.auth.Always && (isLocal(remote) || s.auth.Insecure)
}

// valid tells whether a role has a password that has not run out.
func (s *Server) valid(r *catalog.Role) bool {
	return r.Password != "" && (r.ValidUntil == nil || s.clock() < *r.ValidUntil)
}

// HasPasswords tells whether anybody can log in with a password.
func (s *Server) HasPasswords() bool {
	for _, r := range s.cat.Snapshot().Roles() {
		if r.Login && s.valid(r) {
			return true
		}
	}
	return false
}

// isLocal tells connections from this machine; what is no address of a network is in this process.
func isLocal(remote string) bool {
	a, err := netip.ParseAddrPort(remote)
	return err != nil || a.Addr().Unmap().IsLoopback()
}

// logIn finds as whom the connection comes in; a password has been checked.
func (s *Session) logIn() error {
	name := s.info.User
	r := s.srv.cat.Snapshot().Role(name)
	switch {
	case r == nil && !s.srv.trusts(s.info.Remote): // it was dropped since its password was checked
		return sqlerr.New(sqlerr.InvalidAuthorization, "role %q does not exist", name)
	case r == nil:
		s.login.trusted = true
		return nil
	case !r.Login:
		return sqlerr.New(sqlerr.InvalidAuthorization, "role %q is not permitted to log in", name)
	}
	s.login.number = r.Number()
	if have, _ := s.srv.cat.Snapshot().Held(r, catalog.ClassDatabase, catalog.DatabaseAccess); have&catalog.Connect == 0 {
		return denied("permission denied for database %q", databaseName).WithDetail("User does not have CONNECT privilege.")
	}
	if r.ConnLimit >= 0 && !r.Super {
		n := 0
		for _, c := range s.srv.backends.all() {
			if c.info.User == name {
				n++
			}
		}
		if n >= r.ConnLimit {
			return sqlerr.New(sqlerr.TooManyConnections, "too many connections for role %q", name)
		}
	}
	s.settings.apply("is_superuser", map[bool]string{true: "on", false: "off"}[r.Super])
	return nil
}
