package fn

import (
	"strings"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// aclWords are the privileges by their letters in access lists.
var aclWords = map[byte]string{'a': "INSERT", 'r': "SELECT", 'w': "UPDATE", 'd': "DELETE", 'D': "TRUNCATE", 'x': "REFERENCES", 't': "TRIGGER",
	'X': "EXECUTE", 'U': "USAGE", 'C': "CREATE", 'T': "TEMPORARY", 'c': "CONNECT"}

// aclDefaults are, by the kind of object, what all may do and what the owner may do until something is granted.
var aclDefaults = map[string][2]string{"r": {"", "arwdDxt"}, "s": {"", "rwU"}, "f": {"X", "X"}, "n": {"", "UC"}, "d": {"Tc", "CTc"}, "T": {"U", "U"},
	"l": {"U", "U"}, "c": {"", ""}}

func aclDefault(ctx *Ctx, a values) (value, error) {
	r, err := ctx.catalog()
	if err != nil {
		return value{}, err
	}
	d, ok := aclDefaults[a[0].S]
	if !ok {
		return value{}, sqlerr.New(sqlerr.InvalidParameterValue, "unrecognized object type abbreviation: %s", a[0].S)
	}
	owner := r.RoleName(a[1].I)
	var list values
	if d[0] != "" {
		list = append(list, types.NewText("="+d[0]+"/"+owner))
	}
	if d[1] != "" {
		list = append(list, types.NewText(owner+"="+d[1]+"/"+owner))
	}
	return types.NewArray(types.Text, list), nil
}

// roleFinder is implemented by catalogues that find a role's oid by its name.
type roleFinder interface {
	RoleOID(name string) (oid int64, ok bool)
}

// aclExplode is the table function of that name: one row for each privilege of each entry.
func aclExplode() SetDef {
	tOID := types.T(types.OID)
	return SetDef{Name: "aclexplode", Args: args{tTextArray}, Doc: "The entries of an access list, one row for each privilege.",
		Cols: cols(col("grantor", tOID), col("grantee", tOID), col("privilege_type", tText), col("is_grantable", tBool)),
		Eval: func(ctx *Ctx, a values, emit func(values) error) error {
			list, err := types.DecodeArray(types.Text, a[0].S)
			if err != nil {
				return err
			}
			r, err := ctx.catalog()
			if err != nil {
				return err
			}
			find, ok := r.(roleFinder)
			if !ok {
				return sqlerr.NotSupported("aclexplode on this connection", "")
			}
			for _, item := range list {
				if err := explodeItem(find, item.S, emit); err != nil {
					return err
				}
			}
			return nil
		}}
}

// explodeItem reads one entry: grantee=privileges/grantor.
func explodeItem(find roleFinder, item string, emit func(values) error) error {
	grantee, rest, ok := aclName(item)
	privileges, by, ok2 := strings.Cut(strings.TrimPrefix(rest, "="), "/")
	grantor, end, ok3 := aclName(by)
	if !ok || !ok2 || !ok3 || end != "" || !strings.HasPrefix(rest, "=") {
		return sqlerr.New(sqlerr.InvalidTextRepresentation, "malformed access list entry: %q", item)
	}
	oids := values{types.NewInt(types.OID, 0), types.NewInt(types.OID, 0)}
	for i, name := range []string{grantor, grantee} {
		if name == "" {
			continue // PUBLIC
		}
		if oids[i].I, ok = find.RoleOID(name); !ok {
			return sqlerr.New(sqlerr.UndefinedObject, "role \"%s\" does not exist", name)
		}
	}
	for i := 0; i < len(privileges); i++ {
		word, ok := aclWords[privileges[i]]
		if !ok {
			return sqlerr.New(sqlerr.InvalidTextRepresentation, "invalid mode character in access list entry: %q", item)
		}
		option := i+1 < len(privileges) && privileges[i+1] == '*'
		if option {
			i++
		}
		if err := emit(values{oids[0], oids[1], types.NewText(word), types.NewBool(option)}); err != nil {
			return err
		}
	}
	return nil
}

// aclName reads a role's name, which may be in quotes, up to "=" or the end.
func aclName(s string) (name, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		if i := strings.IndexByte(s, '='); i >= 0 {
			return s[:i], s[i:], true
		}
		return s, "", true
	}
	for i := 1; i < len(s); i++ {
		if s[i] != '"' {
			continue
		}
		if i+1 < len(s) && s[i+1] == '"' {
			i++
			continue
		}
		return strings.ReplaceAll(s[1:i], `""`, `"`), s[i+1:], true
	}
	return "", "", false
}
