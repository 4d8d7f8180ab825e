package fn

import (
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// notifyDefs are notifications as functions.
func notifyDefs() []Def {
	return []Def{
		def("pg_notify", args{tText, tText}, tVoid, pgNotify).volatile().onNull().
			about("Sends a notification to the connections that LISTEN to a channel, when the transaction commits."),
	}
}

func pgNotify(ctx *Ctx, a values) (value, error) {
	s, err := ctx.session()
	if err != nil {
		return value{}, err
	}
	if s.Notify == nil {
		return value{}, sqlerr.NotSupported("pg_notify in this place", "Use NOTIFY.")
	}
	return value{Type: tVoid}, s.Notify(a[0].S, a[1].S) // NULL counts as an empty string
}

func listeningChannels(ctx *Ctx, _ values, emit func(values) error) error {
	s, err := ctx.session()
	if err != nil || s.Channels == nil {
		return err
	}
	for _, name := range s.Channels() {
		if err := emit(values{types.NewText(name)}); err != nil {
			return err
		}
	}
	return nil
}
