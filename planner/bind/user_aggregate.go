package bind

import (
	"github.com/vigil-sql/vigil/executor/agg"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/parse"
)

// userAggregate finds the user's aggregate that is called; nil when there is none of the name.
func (s *scalar) userAggregate(f *parse.FuncCall) (*agg.Def, error) {
	if f.Name.Schema != "" && f.Name.Schema != catalog.Public {
		return nil, nil
	}
	u := s.env.Catalog.Function(f.Name.Name)
	if u == nil || !u.Aggregate {
		return nil, nil
	}
	if p := s.env.Permit; p != nil {
		if err := p.Call(u); err != nil {
			return nil, err
		}
	}
	if u.State == catalog.Deactivated && !s.env.Stored {
		return nil, sqlerr.New(sqlerr.ObjectNotInPrerequisite, "aggregate %q is deactivated: %s", u.Name, u.Reason).At(f.Pos).
			WithHint("ALTER FUNCTION %s ACTIVATE brings it back.", u.Name)
	}
	if s.continuous && u.Volatility == "VOLATILE" {
		return nil, unsupported(f.Pos, "the volatile aggregate "+u.Name+" in a continuous query", "Declare it IMMUTABLE.")
	}
	s.deps.Functions = addOnce(s.deps.Functions, u.ID)
	d := s.userAggs[u.ID]
	if d == nil {
		k := agg.Script{Runner: s.env.Aggregates, ID: u.ID, Name: u.Name, Ret: plain(u.Ret)}
		for _, p := range u.Params {
			k.Args = append(k.Args, plain(p.Type))
		}
		d = k.DefOf()
		if s.userAggs == nil {
			s.userAggs = map[uint64]*agg.Def{}
		}
		s.userAggs[u.ID] = d
	}
	return d, nil
}
