package session

import (
	"strings"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/parse"
	"github.com/vigil-sql/vigil/server/auth"
	"github.com/vigil-sql/vigil/server/pgwire"
)

// roleOptions gives a role the attributes that a statement names; memberships are the caller's.
func (s *scope) roleOptions(r *catalog.Role, list []parse.RoleOption, out pgwire.Output) error {
	flags := map[string]*bool{"SUPERUSER": &r.Super, "CREATEDB": &r.CreateDB, "CREATEROLE": &r.CreateRole, "INHERIT": &r.Inherit,
		"LOGIN": &r.Login, "REPLICATION": &r.Replication, "BYPASSRLS": &r.BypassRLS}
	for _, o := range list {
		if f := flags[o.Key]; f != nil {
			*f = o.On
			continue
		}
		switch o.Key {
		case "CONNECTION LIMIT":
			if o.Limit < -1 || o.Limit > 1<<31-1 {
				return sqlerr.New(sqlerr.InvalidParameterValue, "invalid connection limit: %d", o.Limit).At(o.Pos)
			}
			r.ConnLimit = int(o.Limit)
		case "PASSWORD":
			v, err := verifierOf(o, out)
			if err != nil {
				return err
			}
			r.Password = v
		case "VALID UNTIL":
			v, err := types.ParseText(types.T(types.TimestampTZ), *o.Text, s.by.TextFormat())
			if err != nil {
				return sqlerr.As(err)
			}
			until := types.EventTime(v.I)
			r.ValidUntil = &until
		}
	}
	return nil
}

// verifierOf is what is kept of a password; a verifier is kept as it is. The password itself goes nowhere else.
func verifierOf(o parse.RoleOption, out pgwire.Output) (string, error) {
	switch {
	case o.Text == nil:
		return "", nil
	case *o.Text == "":
		out.Notice(notice("00000", "empty string is not a valid password, clearing password"))
		return "", nil
	case strings.HasPrefix(*o.Text, "md5") && len(*o.Text) == len("md5")+32:
		return "", sqlerr.NotSupported("an MD5 password", "Give the password itself, or its SCRAM-SHA-256 verifier.").At(o.Pos)
	}
	if v, ok := auth.ParseVerifier(*o.Text); ok {
		return v.String(), nil
	}
	return auth.NewVerifier(*o.Text).String(), nil
}
