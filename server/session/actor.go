package session

import (
	"slices"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/planner/catalog"
)

// login is as whom a connection came in.
type login struct {
	// trusted: under a name that was no role, from where nobody is asked for a password. It acts as the owner.
	trusted bool
	// number is that of the role otherwise: should another role get its name, it is not this connection's.
	number uint64
}

// roleNamed is a role by the name that a setting of the connection has for it; nil: it is gone.
func (s *Session) roleNamed(name string) *catalog.Role { return s.roleIn(s.snapshot(), name) }

func (s *Session) roleIn(snap *catalog.Snapshot, name string) *catalog.Role {
	if name != s.info.User {
		return snap.Role(name)
	}
	if s.login.trusted {
		return snap.Role(catalog.OwnerName)
	}
	if r := snap.Role(name); r != nil && r.Number() == s.login.number {
		return r
	}
	return nil
}

// loginActor is the role of SESSION_USER, actor that of CURRENT_USER, whose rights statements have. Nil is a role that is gone and has no
// rights at all.
func (s *Session) loginActor() *catalog.Role {
	name, _ := s.settings.get("session_authorization")
	return s.roleNamed(name)
}

func (s *Session) actor() *catalog.Role { return s.roleNamed(s.user()) }

// user is the name of CURRENT_USER.
func (s *Session) user() string {
	if name, _ := s.settings.get("role"); name != "none" {
		return name
	}
	name, _ := s.settings.get("session_authorization")
	return name
}

// sessionUser is the name of SESSION_USER.
func (s *Session) sessionUser() string {
	name, _ := s.settings.get("session_authorization")
	return name
}

func (s *Session) superuser() bool {
	r := s.actor()
	return r != nil && r.Super
}

// changeRole runs SET ROLE and SET SESSION AUTHORIZATION.
func (s *Session) changeRole(name, value string, local bool) error {
	if err := s.checkRole(name, value); err != nil {
		return err
	}
	if err := s.settings.set(name, value, local); err != nil {
		return err
	}
	if name == "session_authorization" {
		if err := s.settings.set("role", "none", local); err != nil {
			return err
		}
	}
	s.settings.force("is_superuser", map[bool]string{true: "on", false: "off"}[s.superuser()], local)
	return nil
}

// checkRole tells whether the connection may act as a role.
func (s *Session) checkRole(name, value string) error {
	if name == "role" && value == "none" || name == "session_authorization" && value == s.info.User {
		return nil
	}
	r := s.roleNamed(value)
	if r == nil {
		return sqlerr.New(sqlerr.InvalidParameterValue, "role %q does not exist", value)
	}
	if name == "session_authorization" {
		if in := s.roleNamed(s.info.User); in == nil || !in.Super {
			return denied("permission denied to set session authorization")
		}
		return nil
	}
	by := s.loginActor()
	if by == nil || !by.Super && !slices.Contains(s.snapshot().ActsAs(by, false), r.Number()) {
		return denied("permission denied to set role %q", value)
	}
	return nil
}
