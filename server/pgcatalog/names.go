package pgcatalog

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/fn"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

var (
	_ fn.CatalogReader = (*Catalog)(nil)
	_ expr.RegResolver = (*Catalog)(nil)
)

func itoa(i int) string { return strconv.Itoa(i) }

// Started implements fn.CatalogReader.
func (c *Catalog) Started() types.EventTime { return c.src.Started() }

// RoleName implements fn.CatalogReader.
func (c *Catalog) RoleName(oid int64) string {
	for _, r := range c.roles() {
		if int64(roleOID(r.Number())) == oid {
			return r.Name
		}
	}
	return fmt.Sprintf("unknown (OID=%d)", oid)
}

// sqlNames are the types whose SQL name is not their pg_type.typname and that vigil has no kind for.
var sqlNames = map[string]string{"bit": "bit", "varbit": "bit varying", "time": "time without time zone", "timetz": "time with time zone"}

// TypeName implements fn.CatalogReader.
func (c *Catalog) TypeName(oid int64, mod int32, hasMod bool) string {
	if oid == 0 {
		return "-"
	}
	p := c.sys.types[uint32(oid)]
	if o, array, ok := c.composite(uint32(oid)); p == nil && ok {
		return qualify(c.namespaceName(o.space), o.name, c.visible(o)) + map[bool]string{true: "[]"}[array]
	}
	if p == nil {
		return "???"
	}
	if p.size == -1 && p.elem != 0 && strings.HasPrefix(p.name, "_") {
		return c.TypeName(int64(p.elem), mod, hasMod) + "[]"
	}
	name := p.name
	if s, ok := sqlNames[name]; ok {
		name = s
	}
	if t, ok := types.FromOID(p.oid); ok {
		name = t.String()
	}
	if p.name == "bpchar" && hasMod && mod < 0 {
		return "bpchar" // the type without a length, which "character" would not be
	}
	if !hasMod || mod < 0 {
		return name
	}
	return withModifier(p.name, name, mod)
}

// withModifier puts a modifier where it belongs in a type's name.
func withModifier(pgName, name string, mod int32) string {
	switch pgName {
	case "varchar", "bpchar":
		return fmt.Sprintf("%s(%d)", name, mod-4)
	case "numeric":
		scale := int32(uint32(mod-4)&0x7ff^0x400) - 0x400 // 11 bits with sign
		return fmt.Sprintf("%s(%d,%d)", name, (mod-4)>>16, scale)
	case "timestamp", "timestamptz", "time", "timetz":
		first, rest, _ := strings.Cut(name, " ")
		return fmt.Sprintf("%s(%d) %s", first, mod, rest)
	case "bit", "varbit":
		return fmt.Sprintf("%s(%d)", name, mod)
	case "interval":
		if p := mod & 0xffff; p != 0xffff {
			return fmt.Sprintf("%s(%d)", name, p)
		}
	}
	return name
}

// Visible implements fn.CatalogReader: names of pg_catalog and public are found without their schema.
func (c *Catalog) Visible(class string, oid int64) (visible, ok bool) {
	id := uint32(oid)
	switch class {
	case "pg_class":
		if r := c.sys.byOID[id]; r != nil {
			return r.schema == "pg_catalog", true
		}
		if k, ok := c.key(id); ok {
			return slices.Contains(c.searched(), c.space(k.t)), true
		}
		o, ok := c.object(id)
		return ok && c.visible(o), ok
	case "pg_type":
		if o, _, ok := c.composite(id); ok {
			return c.visible(o), true
		}
		_, ok := c.sys.types[id]
		return ok, ok
	case "pg_proc":
		if _, ok := c.sys.procs[id]; ok {
			return true, true
		}
		_, ok := c.FunctionText(oid)
		return ok, ok
	}
	for _, r := range c.sys.list {
		if r.name == class && r.schema == "pg_catalog" {
			at, ok := r.index["oid"]
			for _, row := range r.static {
				if ok && row[at].I == oid {
					return true, true
				}
			}
		}
	}
	return false, false
}

// Comment implements fn.CatalogReader.
func (c *Catalog) Comment(oid int64, column int) (string, bool) {
	if oid < FirstObjectOID {
		return "", false
	}
	text, ok := c.src.Snapshot().Comments(uint64(oid - FirstObjectOID))[column]
	return text, ok
}

// ViewText implements fn.CatalogReader.
func (c *Catalog) ViewText(oid int64) (string, bool) {
	o, ok := c.object(uint32(oid))
	if !ok || o.def == "" {
		return "", false
	}
	return c.queryText(o), true
}

// queryText is a continuous query's own query: what follows AS in its canonical statement.
func (c *Catalog) queryText(o object) string {
	if _, body, ok := strings.Cut(o.def, "\nAS "); ok {
		return " " + strings.TrimSpace(body)
	}
	if _, body, ok := strings.Cut(o.def, " AS "); ok {
		return " " + strings.TrimSpace(body)
	}
	return " " + o.def
}

// FunctionText implements fn.CatalogReader.
func (c *Catalog) FunctionText(oid int64) (fn.FunctionText, bool) {
	for _, f := range c.src.Snapshot().Functions() {
		if int64(userOID(f.ID)) != oid {
			continue
		}
		params := make([]string, len(f.Params))
		for i, p := range f.Params {
			params[i] = strings.TrimSpace(p.Name + " " + p.Type.String())
		}
		return fn.FunctionText{Definition: f.SQL, Arguments: strings.Join(params, ", "), Result: f.Ret.String()}, true
	}
	return fn.FunctionText{}, false
}

// RelationBytes implements fn.CatalogReader.
func (c *Catalog) RelationBytes(oid int64) (int64, bool) {
	if c.sys.byOID[uint32(oid)] != nil {
		return 0, true
	}
	o, ok := c.object(uint32(oid))
	if s, sized := c.src.(Sizer); ok && sized {
		return s.RelationBytes(o.id), true
	}
	return 0, ok
}

// DatabaseBytes implements fn.CatalogReader.
func (c *Catalog) DatabaseBytes() int64 {
	s, ok := c.src.(Sizer)
	if !ok {
		return 0
	}
	var sum int64
	for _, o := range c.objects() {
		if o.kind != 'v' {
			sum += s.RelationBytes(o.id)
		}
	}
	return sum
}

// RegLookup implements expr.RegResolver: the oid of a possibly qualified and quoted name, or of digits.
func (c *Catalog) RegLookup(kind types.Kind, name string) (int64, error) {
	if n, err := strconv.ParseUint(name, 10, 32); err == nil {
		return int64(n), nil
	}
	if name == "-" {
		return 0, nil
	}
	if kind == types.RegType {
		return c.lookupType(name)
	}
	parts, err := splitName(name)
	if err != nil {
		return 0, err
	}
	last := parts[len(parts)-1]
	schema := ""
	if len(parts) > 1 {
		schema = parts[len(parts)-2]
	}
	switch kind {
	case types.RegNamespace:
		if oid := c.namespaceOID(last); oid != 0 {
			return int64(oid), nil
		}
		return 0, sqlerr.New(sqlerr.InvalidSchemaName, "schema \"%s\" does not exist", name)
	case types.RegProc:
		return c.lookupProc(schema, last, name)
	}
	oid, err := c.lookupRelation(schema, last)
	if err != nil {
		return 0, sqlerr.New(sqlerr.UndefinedTable, "relation \"%s\" does not exist", strings.Join(parts, "."))
	}
	return oid, nil
}

func (c *Catalog) lookupProc(schema, last, name string) (int64, error) {
	if schema == "" || schema == "pg_catalog" {
		for oid, n := range c.sys.procs {
			if n == last {
				return int64(oid), nil
			}
		}
	}
	if schema == "" || schema == "public" {
		for _, f := range c.src.Snapshot().Functions() {
			if f.Name == last {
				return int64(userOID(f.ID)), nil
			}
		}
	}
	return 0, sqlerr.New(sqlerr.UndefinedFunction, "function \"%s\" does not exist", name)
}

// RegName implements expr.RegResolver: names that are found without their schema come without it; an oid that names nothing
// comes as digits, 0 as "-".
func (c *Catalog) RegName(kind types.Kind, oid int64) string {
	if oid == 0 {
		return "-"
	}
	id := uint32(oid)
	switch kind {
	case types.RegType:
		if _, _, ok := c.composite(id); ok || c.sys.types[id] != nil {
			return c.TypeName(oid, -1, false)
		}
	case types.RegNamespace:
		if n := c.namespaceName(id); n != "" {
			return quoteIdent(n)
		}
	case types.RegProc:
		if n, ok := c.sys.procs[id]; ok {
			return n
		}
		for _, f := range c.src.Snapshot().Functions() {
			if userOID(f.ID) == id {
				return quoteIdent(f.Name)
			}
		}
	case types.RegClass:
		if r := c.sys.byOID[id]; r != nil {
			return qualify(r.schema, r.name, r.schema == "pg_catalog")
		}
		if o, ok := c.object(id); ok {
			return qualify(c.namespaceName(o.space), o.name, c.visible(o))
		}
	}
	return strconv.FormatInt(oid, 10)
}

func qualify(schema, name string, visible bool) string {
	if visible {
		return quoteIdent(name)
	}
	return quoteIdent(schema) + "." + quoteIdent(name)
}

// quoteIdent quotes a name that does not read back as it is. Reserved words are not looked at.
func quoteIdent(s string) string {
	for i := 0; i < len(s); i++ {
		ch := s[i]
		if ch >= 'a' && ch <= 'z' || ch == '_' || i > 0 && (ch >= '0' && ch <= '9' || ch == '$') {
			continue
		}
		return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
	}
	if s == "" {
		return `""`
	}
	return s
}

// splitName takes a qualified name apart: parts are folded to lower case unless quoted.
func splitName(s string) ([]string, error) {
	var parts []string
	rest := strings.TrimSpace(s)
	for {
		var part string
		if strings.HasPrefix(rest, `"`) {
			var b strings.Builder
			rest = rest[1:]
			for {
				q := strings.IndexByte(rest, '"')
				if q < 0 {
					return nil, sqlerr.New(sqlerr.InvalidName, "invalid name syntax")
				}
				b.WriteString(rest[:q])
				rest = rest[q+1:]
				if !strings.HasPrefix(rest, `"`) {
					break
				}
				b.WriteByte('"')
				rest = rest[1:]
			}
			part = b.String()
		} else {
			end := strings.IndexByte(rest, '.')
			if end < 0 {
				end = len(rest)
			}
			part, rest = strings.ToLower(strings.TrimSpace(rest[:end])), rest[end:]
		}
		if part == "" {
			return nil, sqlerr.New(sqlerr.InvalidName, "invalid name syntax")
		}
		parts = append(parts, part)
		if rest == "" {
			return parts, nil
		}
		if rest[0] != '.' {
			return nil, sqlerr.New(sqlerr.InvalidName, "invalid name syntax")
		}
		rest = rest[1:]
	}
}
