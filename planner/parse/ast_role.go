package parse

// RoleName is a role as statements name it. Special is "PUBLIC", "CURRENT_USER", "CURRENT_ROLE" or "SESSION_USER" where one of those words
// is written in place of a name.
type RoleName struct {
	Name, Special string
	Pos           Pos
}

// RoleOption is one attribute of CREATE ROLE and ALTER ROLE. Key is "SUPERUSER", "CREATEDB", "CREATEROLE", "INHERIT", "LOGIN", "REPLICATION",
// "BYPASSRLS" with On; "CONNECTION LIMIT" with Limit; "PASSWORD" (nil Text: NULL) and "VALID UNTIL" with Text; "IN ROLE", "ROLE", "ADMIN"
// with Roles.
type RoleOption struct {
	Key   string
	On    bool
	Limit int64
	Text  *string
	Roles []RoleName
	Pos   Pos
}

// Privilege is one privilege of GRANT and REVOKE, in upper case.
type Privilege struct {
	Name string
	Pos  Pos
}

type (
	// CreateRole is CREATE ROLE | USER | GROUP; USER is ROLE .. LOGIN.
	CreateRole struct {
		Name    RoleName
		Options []RoleOption
	}
	// AlterRole is ALTER ROLE | USER name options | RENAME TO.
	AlterRole struct {
		Name    RoleName
		Options []RoleOption
		Rename  string
	}
	// DropRole is DROP ROLE | USER | GROUP.
	DropRole struct {
		Names    []RoleName
		IfExists bool
	}
	// GrantRole is GRANT roles TO members, and REVOKE roles FROM members. Option: WITH ADMIN OPTION, ADMIN OPTION FOR.
	GrantRole struct {
		Revoke  bool
		Roles   []RoleName
		Members []RoleName
		Option  bool
		Cascade bool
	}
	// Grant is GRANT privileges ON objects TO roles, and REVOKE .. FROM roles. No Privileges means ALL. Kind is "TABLE", "SCHEMA",
	// "DATABASE", "FUNCTION"; All: Names are schemas, and all objects of the kind in them are meant. Option: WITH GRANT OPTION, GRANT OPTION FOR.
	Grant struct {
		Revoke     bool
		Privileges []Privilege
		Kind       string
		All        bool
		Names      []Name
		To         []RoleName
		Option     bool
		Cascade    bool
	}
)

func (*CreateRole) statement() {}
func (*AlterRole) statement()  {}
func (*DropRole) statement()   {}
func (*GrantRole) statement()  {}
func (*Grant) statement()      {}
