package bind

import (
	"strings"

	"github.com/vigil-sql/vigil/executor/expr"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/parse"
)

// inIOC binds x IN IOC list.
func (s *scalar) inIOC(e *parse.InIOC) (expr.Expr, error) {
	out := &expr.InIOC{Not: e.Not}
	for _, n := range e.Lists {
		name, err := s.iocList(n)
		if err != nil {
			return nil, err
		}
		out.Lists = append(out.Lists, name)
	}
	var err error
	out.X, err = s.indicator(e.X, "argument of IN IOC")
	return out, err
}

// iocList is the catalogue's name of a list that may be read; what is bound depends on it.
func (s *scalar) iocList(n parse.Name) (string, error) {
	r, err := (&fromBinder{binder: s.binder}).lookup(n)
	l, ok := r.(*catalog.IOCList)
	if err != nil || !ok {
		return "", sqlerr.New(sqlerr.UndefinedObject, "IOC list %q does not exist", n.Name).At(n.Pos).
			WithHint("SHOW IOC LISTS names those that exist; CREATE IOC LIST makes one.")
	}
	if p := s.env.Permit; p != nil {
		if err := p.Read(l); err != nil {
			return "", err
		}
	}
	s.deps.Lists = addOnce(s.deps.Lists, l.Name)
	return l.Name, nil
}

// indicator binds a value that a list is asked for.
func (s *scalar) indicator(e parse.Expr, what string) (expr.Expr, error) {
	x, err := s.term(e)
	if err != nil {
		return nil, err
	}
	out, err := s.textIfUnknown(x)
	if err != nil {
		return nil, err
	}
	switch t := out.Type(); {
	case t.Kind == types.Inet || t.Kind == types.CIDR || t.Kind == types.Text || t.Kind == types.Varchar:
	case t.Kind.IsText():
		return s.implicit(term{out, x.pos}, textType)
	case t.Kind == types.Array && (t.Elem == types.Text || t.Elem == types.Varchar || t.Elem == types.Inet || t.Elem == types.CIDR):
	default:
		return nil, sqlerr.New(sqlerr.DatatypeMismatch, "%s must be type text or inet, not type %s", what, t).At(x.pos).
			WithHint("Cast it to text.")
	}
	return out, nil
}

// iocEntry binds ioc_match('list', x), ioc_info('list', x) and ioc_version('list'). The list is named when the statement is planned, because what is planned
// depends on it.
func (s *scalar) iocEntry(f *parse.FuncCall) (expr.Expr, error) {
	name := f.Name.Name
	version := name == "ioc_version"
	if version && len(f.Args) != 1 {
		return nil, sqlerr.New(sqlerr.SyntaxError, "ioc_version takes the name of an IOC list").At(f.Pos).WithHint("ioc_version('bad_ips').")
	}
	if !version && len(f.Args) != 2 {
		return nil, sqlerr.New(sqlerr.SyntaxError, "%s takes the name of an IOC list and a value", name).At(f.Pos).
			WithHint("%s('bad_ips', src_ip).", name)
	}
	lit, ok := f.Args[0].(*parse.String)
	if !ok {
		return nil, sqlerr.New(sqlerr.FeatureNotSupported, "the list of %s must be a literal", name).At(start(f.Args[0])).
			WithHint("Write its name in quotes: %s.", map[bool]string{true: "ioc_version('bad_ips')", false: name + "('bad_ips', src_ip)"}[version])
	}
	list := parse.Name{Name: lit.V, Pos: lit.Position()}
	if schema, bare, ok := strings.Cut(lit.V, "."); ok {
		list.Schema, list.Name = schema, bare
	}
	full, err := s.iocList(list)
	if err != nil {
		return nil, err
	}
	if version {
		return &expr.IOCEntry{X: &expr.Const{Val: types.Null(types.T(types.Text))}, List: full, Version: true}, nil
	}
	x, err := s.indicator(f.Args[1], "argument of "+name)
	if err != nil {
		return nil, err
	}
	return &expr.IOCEntry{X: x, List: full, Info: name == "ioc_info"}, nil
}
