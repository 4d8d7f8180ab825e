package parse

import (
	"strconv"
	"strings"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// roleWord tells the words that begin the statements on roles after CREATE, ALTER and DROP.
func roleWord(t *token) bool { return t.isAnyKw("role", "user", "group") }

// roleName reads a role; PUBLIC is one only for GRANT and REVOKE, which say so later.
func (c *cursor) roleName() RoleName {
	t := c.peek()
	if t.isAnyKw("current_user", "current_role", "session_user", "public") {
		return RoleName{Special: strings.ToUpper(c.next().val), Pos: t.pos}
	}
	return RoleName{Name: c.name(), Pos: t.pos}
}

func (c *cursor) roleNames() []RoleName {
	list := []RoleName{c.roleName()}
	for c.accept(",") {
		list = append(list, c.roleName())
	}
	return list
}

// createRole parses the rest of CREATE ROLE from the word that names the kind.
func (c *cursor) createRole() Statement {
	kind := c.next().val
	if kind == "user" && c.isKw("mapping") {
		c.lack(c.peek().pos, "CREATE USER MAPPING", "")
	}
	r := &CreateRole{Name: c.roleName()}
	c.acceptKw("with")
	r.Options = c.roleOptions(true)
	if kind == "user" && !hasOption(r.Options, "LOGIN") {
		r.Options = append(r.Options, RoleOption{Key: "LOGIN", On: true, Pos: r.Name.Pos})
	}
	return r
}

func hasOption(list []RoleOption, key string) bool {
	for _, o := range list {
		if o.Key == key {
			return true
		}
	}
	return false
}

// alterRole parses the rest of ALTER ROLE.
func (c *cursor) alterRole() Statement {
	kind := c.next().val
	if kind == "group" {
		c.lack(c.peek().pos, "ALTER GROUP", "GRANT role TO role makes a member, REVOKE takes it out")
	}
	if c.isKw("all") {
		c.lack(c.peek().pos, "ALTER ROLE ALL", "alter the roles one by one")
	}
	r := &AlterRole{Name: c.roleName()}
	switch t := c.peek(); {
	case c.acceptKw("rename"):
		c.expectKw("to")
		r.Rename = c.name()
		return r
	case t.isAnyKw("set", "reset"), t.isKw("in") && c.at(1).isKw("database"):
		c.lack(t.pos, "settings of a role", "SET them when the connection begins")
	}
	c.acceptKw("with")
	r.Options = c.roleOptions(false)
	return r
}

// dropRole parses the rest of DROP ROLE.
func (c *cursor) dropRole() Statement {
	if kind := c.next().val; kind == "user" && c.isKw("mapping") {
		c.lack(c.peek().pos, "DROP USER MAPPING", "")
	}
	d := &DropRole{IfExists: c.ifExists()}
	d.Names = c.roleNames()
	return d
}

// roleFlags are the attributes that are on or, with NO in front, off.
var roleFlags = wordSet("superuser createdb createrole inherit login replication bypassrls")

// roleOptions reads attributes up to the end of the statement.
func (c *cursor) roleOptions(create bool) []RoleOption {
	var list []RoleOption
	for c.err == nil && !c.atEnd() {
		o := c.roleOption(create)
		if hasOption(list, o.Key) && c.err == nil {
			c.failWith(conflictingOptions(o.Pos))
		}
		list = append(list, o)
	}
	return list
}

func conflictingOptions(pos Pos) *sqlerr.Error {
	return sqlerr.New(sqlerr.SyntaxError, "conflicting or redundant options").At(pos)
}

func (c *cursor) roleOption(create bool) RoleOption {
	t := c.next()
	o := RoleOption{Pos: t.pos}
	positive := strings.TrimPrefix(t.val, "no")
	switch {
	case t.kind == tokIdent && roleFlags[t.val]:
		o.Key, o.On = strings.ToUpper(t.val), true
	case t.kind == tokIdent && strings.HasPrefix(t.val, "no") && roleFlags[positive]:
		o.Key = strings.ToUpper(positive)
	case t.isKw("connection"):
		c.expectKw("limit")
		o.Key, o.Limit = "CONNECTION LIMIT", c.integer()
	case t.isKw("encrypted"):
		c.expectKw("password")
		o.Key, o.Text = "PASSWORD", c.strPtr()
	case t.isKw("password"):
		if o.Key = "PASSWORD"; !c.acceptKw("null") {
			o.Text = c.strPtr()
		}
	case t.isKw("valid"):
		c.expectKw("until")
		o.Key, o.Text = "VALID UNTIL", c.strPtr()
	case t.isKw("sysid"):
		c.lack(t.pos, "SYSID", "leave it out")
	case create && t.isKw("in") && c.peek().isAnyKw("role", "group"):
		c.next()
		o.Key, o.Roles = "IN ROLE", c.roleNames()
	case create && t.isAnyKw("role", "user"):
		o.Key, o.Roles = "ROLE", c.roleNames()
	case create && t.isKw("admin"):
		o.Key, o.Roles = "ADMIN", c.roleNames()
	case t.kind == tokIdent && keywordClasses[t.val] == 0:
		c.failWith(sqlerr.New(sqlerr.SyntaxError, "unrecognized role option %q", t.val).At(t.pos))
	default:
		c.failAt(t)
	}
	return o
}

func (c *cursor) strPtr() *string {
	s := c.str()
	return &s
}

// grant parses GRANT and REVOKE, of privileges and of roles.
func (c *cursor) grant() Statement {
	revoke := c.next().val == "revoke"
	option := revoke && c.acceptKw("grant", "option", "for")
	admin := revoke && !option && c.acceptKw("admin", "option", "for")
	if !option && !c.isPrivileges() || admin {
		return c.grantRole(revoke, admin)
	}
	g := &Grant{Revoke: revoke, Option: option}
	if c.acceptKw("all") {
		c.acceptKw("privileges")
		c.noColumns()
	} else {
		for first := true; c.err == nil && (first || c.accept(",")); first = false {
			p := c.peek()
			name := strings.ToUpper(c.label())
			if name == "TEMP" {
				name = "TEMPORARY"
			}
			g.Privileges = append(g.Privileges, Privilege{Name: name, Pos: p.pos})
			c.noColumns()
		}
	}
	c.expectKw("on")
	c.grantObjects(g)
	c.expectKw(map[bool]string{true: "from", false: "to"}[revoke])
	g.To = c.grantees()
	if !revoke {
		g.Option = c.acceptKw("with", "grant", "option")
	}
	g.Cascade = c.grantTail(revoke)
	return g
}

// isPrivileges tells GRANT of privileges from GRANT of roles: only the first has ON.
func (c *cursor) isPrivileges() bool {
	for i := c.i; i < c.end; i++ {
		if c.toks[i].isKw("on") {
			return true
		}
		if c.toks[i].isAnyKw("to", "from") {
			return false
		}
	}
	return false
}

func (c *cursor) noColumns() {
	if t := c.peek(); t.isOp("(") {
		c.lack(t.pos, "a privilege on columns", "grant it on the whole relation, or make a view of the columns")
	}
}

// grantees reads the roles after TO or FROM; GROUP in front of one is noise.
func (c *cursor) grantees() []RoleName {
	var list []RoleName
	for first := true; c.err == nil && (first || c.accept(",")); first = false {
		if c.isKw("group") {
			c.next()
		}
		list = append(list, c.roleName())
	}
	return list
}

// grantTail reads GRANTED BY and CASCADE | RESTRICT.
func (c *cursor) grantTail(revoke bool) (cascade bool) {
	if t := c.peek(); t.isKw("granted") {
		c.lack(t.pos, "GRANTED BY", "leave it out: the grant is by the current user")
	}
	if revoke && !c.acceptKw("restrict") {
		cascade = c.acceptKw("cascade")
	}
	return cascade
}

func (c *cursor) grantRole(revoke, admin bool) Statement {
	g := &GrantRole{Revoke: revoke, Option: admin, Roles: c.roleNames()}
	c.expectKw(map[bool]string{true: "from", false: "to"}[revoke])
	g.Members = c.grantees()
	if !revoke {
		g.Option = c.acceptKw("with", "admin", "option")
	}
	g.Cascade = c.grantTail(revoke)
	return g
}

// grantObjects reads what stands between ON and TO.
func (c *cursor) grantObjects(g *Grant) {
	t := c.peek()
	switch {
	case c.acceptKw("all", "tables", "in", "schema"):
		g.Kind, g.All = "TABLE", true
	case c.acceptKw("all", "functions", "in", "schema"), c.acceptKw("all", "routines", "in", "schema"):
		g.Kind, g.All = "FUNCTION", true
	case c.isKw("all"):
		c.lack(t.pos, "GRANT ON ALL "+strings.ToUpper(c.at(1).val), "ALL TABLES and ALL FUNCTIONS are there")
	case t.isAnyKw("sequence", "type", "domain", "language", "tablespace", "foreign", "large", "parameter", "procedure", "routine") && c.at(1).isWord():
		c.lack(t.pos, "GRANT ON "+strings.ToUpper(t.val), "privileges are for relations, schemas, functions and the database")
	case c.acceptKw("database"):
		g.Kind = "DATABASE"
	default:
		switch g.Kind = c.objectKind(); g.Kind {
		case "FUNCTION", "SCHEMA":
		default: // streams, lists, queries and views are relations as tables are
			g.Kind = "TABLE"
		}
	}
	for first := true; c.err == nil && (first || c.accept(",")); first = false {
		g.Names = append(g.Names, c.qualified())
		if g.Kind == "FUNCTION" && !g.All && c.peek().isOp("(") {
			c.funcParams()
		}
	}
}

func (p *printer) roles(list []RoleName) {
	for i, r := range list {
		if i > 0 {
			p.s(", ")
		}
		if r.Special != "" {
			p.s(r.Special)
			continue
		}
		if wordIs(r.Name, "public", "group") { // the words themselves mean something else
			p.s(`"`, r.Name, `"`)
			continue
		}
		p.s(QuoteIdent(r.Name))
	}
}

func (p *printer) roleOptions(list []RoleOption) {
	for _, o := range list {
		p.s(" ")
		switch o.Key {
		case "CONNECTION LIMIT":
			p.s(o.Key, " ", strconv.FormatInt(o.Limit, 10))
		case "PASSWORD", "VALID UNTIL":
			if o.Text == nil {
				p.s(o.Key, " NULL")
				break
			}
			p.s(o.Key, " ", quoteString(*o.Text))
		case "IN ROLE", "ROLE", "ADMIN":
			p.s(o.Key, " ")
			p.roles(o.Roles)
		default:
			p.s(map[bool]string{false: "NO"}[o.On], o.Key)
		}
	}
}

// role prints the statements on roles and privileges; ok is false for others.
func (p *printer) role(stmt Statement) (ok bool) {
	switch s := stmt.(type) {
	case *CreateRole:
		p.s("CREATE ROLE ")
		p.roles([]RoleName{s.Name})
		p.roleOptions(s.Options)
	case *AlterRole:
		p.s("ALTER ROLE ")
		p.roles([]RoleName{s.Name})
		p.roleOptions(s.Options)
		if s.Rename != "" {
			p.s(" RENAME TO ", QuoteIdent(s.Rename))
		}
	case *DropRole:
		p.s("DROP ROLE ", map[bool]string{true: "IF EXISTS "}[s.IfExists])
		p.roles(s.Names)
	case *GrantRole:
		p.grantHead(s.Revoke, s.Revoke && s.Option, "ADMIN OPTION FOR ")
		p.roles(s.Roles)
		p.grantTo(s.Revoke, s.Members, s.Option, s.Cascade, " WITH ADMIN OPTION")
	case *Grant:
		p.grant(s)
	default:
		return false
	}
	return true
}

func (p *printer) grantHead(revoke, option bool, words string) {
	p.s(map[bool]string{true: "REVOKE ", false: "GRANT "}[revoke])
	if option {
		p.s(words)
	}
}

func (p *printer) grantTo(revoke bool, roles []RoleName, option, cascade bool, words string) {
	p.s(map[bool]string{true: " FROM ", false: " TO "}[revoke])
	p.roles(roles)
	if option && !revoke {
		p.s(words)
	}
	if cascade {
		p.s(" CASCADE")
	}
}

func (p *printer) grant(s *Grant) {
	p.grantHead(s.Revoke, s.Revoke && s.Option, "GRANT OPTION FOR ")
	if len(s.Privileges) == 0 {
		p.s("ALL")
	}
	for i, x := range s.Privileges {
		p.s([2]string{"", ", "}[min(i, 1)], x.Name)
	}
	p.s(" ON ")
	if s.All {
		p.s("ALL ", s.Kind, "S IN SCHEMA ")
	} else {
		p.s(s.Kind, " ")
	}
	for i, n := range s.Names {
		p.s([2]string{"", ", "}[min(i, 1)])
		p.name(n)
	}
	p.grantTo(s.Revoke, s.To, s.Option, s.Cascade, " WITH GRANT OPTION")
}
