package catalog

import (
	"slices"
	"strings"
)

// Privileges is a set of privileges.
type Privileges uint16

// The privileges, in the order in which Postgres prints them.
const (
	Insert Privileges = 1 << iota
	Select
	Update
	Delete
	Truncate
	References
	Trigger
	Execute
	Usage
	Create
	Temporary
	Connect
)

// privilegeLetters are those of Postgres' access lists, by bit.
const privilegeLetters = "arwdDxtXUCTc"

// privilegeWords are the names, by bit.
var privilegeWords = []string{"INSERT", "SELECT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "EXECUTE", "USAGE", "CREATE", "TEMPORARY", "CONNECT"}

// PrivilegeNamed finds a privilege by its name in upper case; 0 when there is none.
func PrivilegeNamed(name string) Privileges {
	if i := slices.Index(privilegeWords, name); i >= 0 {
		return 1 << i
	}
	return 0
}

// Names lists the privileges of a set.
func (p Privileges) Names() []string {
	var out []string
	for i, w := range privilegeWords {
		if p&(1<<i) != 0 {
			out = append(out, w)
		}
	}
	return out
}

// ObjectClass is what kind of object an access list is for.
type ObjectClass string

// The classes.
const (
	ClassRelation ObjectClass = "relation"
	ClassSchema   ObjectClass = "schema"
	ClassFunction ObjectClass = "function"
	ClassDatabase ObjectClass = "database"
)

// All is every privilege that objects of the class have.
func (c ObjectClass) All() Privileges {
	switch c {
	case ClassSchema:
		return Usage | Create
	case ClassFunction:
		return Execute
	case ClassDatabase:
		return Create | Temporary | Connect
	}
	return Insert | Select | Update | Delete | Truncate | References | Trigger
}

// The numbers under which the access of what is no stored object is kept.
const (
	PublicAccess   uint64 = 1<<62 + iota // schema public
	DatabaseAccess                       // the database
)

// Grant is one entry of an access list: what Grantor gave to Grantee, or to all where Public. Option is what the grantee may give on.
type Grant struct {
	Grantee uint64
	Public  bool `json:",omitempty"`
	Grantor uint64
	Privs   Privileges
	Option  Privileges `json:",omitempty"`
}

// Access is who owns an object and who may do what with it. Grants is nil until the first GRANT: the defaults of the class hold.
type Access struct {
	Owner  uint64
	Grants []Grant
}

// List is the entries in force.
func (a Access) List(class ObjectClass, id uint64) []Grant {
	if a.Grants != nil {
		return a.Grants
	}
	list := []Grant{{Grantee: a.Owner, Grantor: a.Owner, Privs: class.All()}}
	var public Privileges
	switch {
	case class == ClassFunction:
		public = Execute
	case class == ClassDatabase:
		public = Connect | Temporary
	case id == PublicAccess:
		public = Usage
	}
	if public != 0 {
		list = slices.Insert(list, 0, Grant{Public: true, Grantor: a.Owner, Privs: public})
	}
	return list
}

// Access is the access of an object by its number.
func (s *Snapshot) Access(id uint64) Access { return s.access.get(id) }

// SetAccess replaces the access of an object.
func (c *Catalog) SetAccess(id uint64, a Access) {
	_ = c.change(func(s *Snapshot) error { // the change itself cannot fail
		s.access = s.access.with(id, a)
		return nil
	})
}

// Held is what a role holds of an object, and may give on. A superuser holds everything.
func (s *Snapshot) Held(r *Role, class ObjectClass, id uint64) (privs, option Privileges) {
	if r == nil {
		return 0, 0
	}
	if r.Super {
		return class.All(), class.All()
	}
	as := s.ActsAs(r, true)
	a := s.Access(id)
	for _, g := range a.List(class, id) {
		if g.Public || slices.Contains(as, g.Grantee) {
			privs |= g.Privs
			option |= g.Option
		}
	}
	if slices.Contains(as, a.Owner) {
		option = class.All()
	}
	return privs, option
}

// Owns tells whether a role has the rights of an object's owner.
func (s *Snapshot) Owns(r *Role, id uint64) bool {
	return r != nil && (r.Super || slices.Contains(s.ActsAs(r, true), s.Access(id).Owner))
}

// Text is an entry as Postgres prints it: grantee=privileges/grantor, with a star behind what may be given on.
func (s *Snapshot) Text(g Grant) string {
	var b strings.Builder
	if !g.Public {
		b.WriteString(s.grantName(g.Grantee))
	}
	b.WriteByte('=')
	for i := range privilegeLetters {
		if g.Privs&(1<<i) != 0 {
			b.WriteByte(privilegeLetters[i])
			if g.Option&(1<<i) != 0 {
				b.WriteByte('*')
			}
		}
	}
	b.WriteByte('/')
	b.WriteString(s.grantName(g.Grantor))
	return b.String()
}

// grantName is a role's name as access lists have it: in quotes unless it is of letters, digits and underscores.
func (s *Snapshot) grantName(n uint64) string {
	name := OwnerName
	if r := s.RoleNumbered(n); r != nil {
		name = r.Name
	}
	for _, c := range name {
		if c != '_' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c < 0x80 {
			return `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
		}
	}
	return name
}

// AddGrant puts a grant into a list, together with what the same role has from the same grantor.
func AddGrant(list []Grant, g Grant) []Grant {
	for i := range list {
		if list[i].same(g) {
			list[i].Privs |= g.Privs
			list[i].Option |= g.Option
			return list
		}
	}
	return append(list, g)
}

func (g Grant) same(x Grant) bool {
	return g.Public == x.Public && g.Grantee == x.Grantee && g.Grantor == x.Grantor
}

// TakeGrant takes a grant's privileges, or only the option to give them on, out of a list. What the grantee has given on goes too with
// cascade; without, ok is false if there is any.
func TakeGrant(list []Grant, g Grant, option, cascade bool, owner uint64) (out []Grant, ok bool) {
	var lost Privileges // that may be given on no more
	for i := range list {
		if list[i].same(g) {
			lost = list[i].Option & g.Privs
			list[i].Option &^= g.Privs
			if !option {
				list[i].Privs &^= g.Privs
			}
		}
	}
	for _, x := range list {
		if !g.Public && !x.Public && x.Grantee == g.Grantee {
			lost &^= x.Option // another grantor gave it as well
		}
	}
	if lost != 0 && g.Grantee != owner {
		for _, x := range slices.Clone(list) {
			if x.Grantor != g.Grantee || x.Privs&lost == 0 {
				continue
			}
			if !cascade {
				return list, false
			}
			x.Privs &= lost
			if list, ok = TakeGrant(list, x, false, true, owner); !ok {
				return list, false
			}
		}
	}
	return slices.DeleteFunc(list, func(x Grant) bool { return x.Privs == 0 }), true
}
