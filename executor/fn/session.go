package fn

import (
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// Version is what version() answers: the Postgres version whose behaviour clients may rely on, and ours.
const Version = "PostgreSQL 15.0 (vigil)"

// session returns the connection's data; continuous queries have none.
func (c *Ctx) session() (*Session, error) {
	if c.Session == nil {
		return nil, sqlerr.NotSupported("a function of the connection in a continuous query", "Continuous queries run without a connection.")
	}
	return c.Session, nil
}

func sessionDefs() []Def {
	var out []Def
	name := func(get func(*Session) string) eval {
		return func(ctx *Ctx, _ values) (value, error) {
			s, err := ctx.session()
			if err != nil {
				return value{}, err
			}
			return stored(types.Name, get(s)), nil
		}
	}
	out = append(out, def("session_user", nil, tName, name(func(s *Session) string {
		if s.SessionUser != "" {
			return s.SessionUser
		}
		return s.User
	})).stable().about("The user who logged in, or that SET SESSION AUTHORIZATION named."))
	for _, n := range []string{"current_user", "user", "current_role"} {
		out = append(out, def(n, nil, tName, name(func(s *Session) string { return s.User })).stable().about("The user whose rights the statement has."))
	}
	for _, n := range []string{"current_database", "current_catalog"} {
		out = append(out, def(n, nil, tName, name(func(s *Session) string { return s.Database })).stable().about("The connection's database."))
	}
	return append(out,
		def("current_schema", nil, tName, currentSchema).stable().about("The schema that new objects go to."),
		def("current_schemas", args{types.T(types.Bool)}, types.ArrayOf(types.Name), func(ctx *Ctx, a values) (value, error) {
			s, err := ctx.session()
			if err != nil {
				return value{}, err
			}
			var list values
			if a[0].I != 0 {
				list = append(list, stored(types.Name, "pg_catalog"))
			}
			for _, name := range s.path() {
				list = append(list, stored(types.Name, name))
			}
			return types.NewArray(types.Name, list), nil
		}).stable().about("The schemas that names are searched in, with or without the implicit ones."),
		def("version", nil, tText, func(*Ctx, values) (value, error) { return text(Version) }).stable().about("The server's version."),
		def("pg_backend_pid", nil, tInt4, func(ctx *Ctx, _ values) (value, error) {
			s, err := ctx.session()
			if err != nil {
				return value{}, err
			}
			return int4(int64(s.BackendPID))
		}).stable().about("The connection's process id."),
		def("current_setting", args{tText}, tText, currentSetting).stable().about("The value of a setting."),
		def("current_setting", args{tText, tBool}, tText, currentSetting).stable().about("The value of a setting; NULL when it is unknown and the second argument is true."),
	)
}

func (s *Session) schema() string {
	if s.Schema == "" {
		return "public"
	}
	return s.Schema
}

func currentSetting(ctx *Ctx, a values) (value, error) {
	s, err := ctx.session()
	if err != nil {
		return value{}, err
	}
	if s.Settings != nil {
		if v, ok := s.Settings(a[0].S); ok {
			return text(v)
		}
	}
	if len(a) > 1 && a[1].I != 0 {
		return null(tText)
	}
	return value{}, sqlerr.New(sqlerr.UndefinedObject, "unrecognized configuration parameter \"%s\"", a[0].S)
}

// path is the schemas that names are looked up in.
func (s *Session) path() []string {
	if s.SearchPath == nil {
		return []string{s.schema()}
	}
	return s.SearchPath
}

func currentSchema(ctx *Ctx, _ values) (value, error) {
	s, err := ctx.session()
	if err != nil {
		return value{}, err
	}
	if path := s.path(); len(path) > 0 {
		return stored(types.Name, path[0]), nil
	}
	return types.Null(tName), nil
}
