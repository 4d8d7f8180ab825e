package catalog

import (
	"slices"
	"strings"

	"github.com/vigil-sql/vigil/executor/types"
)

// OwnerName is the role that is always there: a superuser, and the owner of what no other role owns. Whoever connects from this machine
// under a name that is no role acts as it.
const OwnerName = "vigil"

// Role is a user or a group. Roles are immutable once in the catalogue.
type Role struct {
	// ID is the number of the stored object; the owner has none until it is altered.
	ID                                                                  uint64 `json:"-"`
	Name                                                                string
	Super, CreateDB, CreateRole, Inherit, Login, Replication, BypassRLS bool
	// ConnLimit is how many connections it may have at once, -1 for any number.
	ConnLimit int
	// Password is the SCRAM verifier; "": no password lets anybody in.
	Password string `json:",omitempty"`
	// ValidUntil is when the password ends; nil: never.
	ValidUntil *types.EventTime `json:",omitempty"`
	MemberOf   []Membership     `json:",omitempty"`
}

// Membership says that a role is a member of another one, by number; Admin: and may make others so.
type Membership struct {
	Role  uint64
	Admin bool `json:",omitempty"`
}

// ownerRole is the owner as long as nothing else is stored of it.
var ownerRole = &Role{Name: OwnerName, Super: true, CreateDB: true, CreateRole: true, Inherit: true, Login: true, Replication: true,
	BypassRLS: true, ConnLimit: -1}

// Number identifies the role in grants and memberships: the owner has 0, others their ID.
func (r *Role) Number() uint64 {
	if r.Name == OwnerName {
		return 0
	}
	return r.ID
}

// PutRole adds a role or replaces the one with its number, also under a new name.
func (c *Catalog) PutRole(r *Role) {
	_ = c.change(func(s *Snapshot) error { // the change itself cannot fail
		for _, old := range s.roles.values() {
			if old.ID == r.ID {
				s.roles = s.roles.without(old.Name)
			}
		}
		s.roles = s.roles.with(r.Name, r)
		return nil
	})
}

// RemoveRole takes a role out.
func (c *Catalog) RemoveRole(name string) {
	_ = c.change(func(s *Snapshot) error { // the change itself cannot fail
		s.roles = s.roles.without(name)
		return nil
	})
}

// Role finds a role by name; nil when there is none.
func (s *Snapshot) Role(name string) *Role {
	if r := s.roles.get(name); r != nil || name != OwnerName {
		return r
	}
	return ownerRole
}

// RoleNumbered finds a role by number; nil when there is none.
func (s *Snapshot) RoleNumbered(n uint64) *Role {
	if n == 0 {
		return s.Role(OwnerName)
	}
	for _, r := range s.roles.values() {
		if r.Number() == n {
			return r
		}
	}
	return nil
}

// Roles lists the roles by name, the owner included.
func (s *Snapshot) Roles() []*Role {
	out := s.roles.values()
	if s.roles.get(OwnerName) == nil {
		out = append(out, ownerRole)
	}
	slices.SortFunc(out, func(a, b *Role) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// ActsAs lists the numbers of the roles whose rights a role has: itself, and those that it is a member of, directly or not. With usable,
// only those that it has without SET ROLE: a role that does not inherit brings nothing.
func (s *Snapshot) ActsAs(r *Role, usable bool) []uint64 {
	out := []uint64{r.Number()}
	for at := 0; at < len(out); at++ { // it grows on the way
		x := s.RoleNumbered(out[at])
		if x == nil || usable && !x.Inherit {
			continue
		}
		for _, m := range x.MemberOf {
			if !slices.Contains(out, m.Role) {
				out = append(out, m.Role)
			}
		}
	}
	return out
}
