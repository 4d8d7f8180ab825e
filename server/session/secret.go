package session

import (
	"context"
	"slices"

	"github.com/vigil-sql/vigil/executor/connector"
	"github.com/vigil-sql/vigil/executor/job"
	"github.com/vigil-sql/vigil/executor/seal"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/planner/catalog"
	"github.com/vigil-sql/vigil/planner/parse"
)

// The secrets of streams and sinks are sealed wherever their text is: in the catalogue, on disk, in backups. What runs knows them in
// clear, from the options of the statement.

// secrets tells which options of which connectors are secret, and has the key.
type secrets struct {
	keys    *seal.Keys
	sinks   []connector.SinkDef
	sources []connector.Def
}

// ofSink and ofStream tell whether an option of a connector is secret.
func (x *secrets) ofSink(name, option string) bool {
	for i := range x.sinks {
		if x.sinks[i].Name == name {
			return x.sinks[i].Secret(option)
		}
	}
	return option != "connector" // of one that is not there all are
}

func (x *secrets) ofStream(name, option string) bool {
	for i := range x.sources {
		if x.sources[i].Name == name {
			return slices.Contains(x.sources[i].Secrets, option)
		}
	}
	return false
}

// each gives the secret ones of options to fn, which replaces their values.
func (x *secrets) each(list []parse.Option, secret func(name, option string) bool, fn func(option, value string) (string, error)) ([]parse.Option, error) {
	name := ""
	for _, o := range list {
		if o.Key == "connector" {
			name = o.Value
		}
	}
	out := slices.Clone(list)
	for i, o := range out {
		if !secret(name, o.Key) {
			continue
		}
		value, err := fn(o.Key, o.Value)
		if err != nil {
			return nil, err
		}
		if value != o.Value {
			out[i].Value, out[i].Bare = value, false
		}
	}
	return out, nil
}

// sealed are options as they are written down.
func (x *secrets) sealed(list []parse.Option, secret func(name, option string) bool) ([]parse.Option, error) {
	return x.each(list, secret, x.keys.Seal)
}

// opened are options as they were given. Those for which the key is missing stay sealed: whoever needs them will tell.
func (x *secrets) opened(list []parse.Option, secret func(name, option string) bool) []parse.Option {
	out, _ := x.each(list, secret, func(option, value string) (string, error) { // it returns no error
		if plain, err := x.keys.Open(option, value); err == nil {
			return plain, nil
		}
		return value, nil
	})
	return out
}

// hidden are options as they are shown.
func (x *secrets) hidden(list []parse.Option, secret func(name, option string) bool) []parse.Option {
	out, _ := x.each(list, secret, func(string, string) (string, error) { return masked, nil }) // it returns no error
	return out
}

// notSealed refuses values that only we make.
func notSealed(list []parse.Option) error {
	for _, o := range list {
		if seal.Sealed(o.Value) {
			return sqlerr.New(sqlerr.InvalidParameterValue, "the value of option %q is one that vigil makes", o.Key).At(o.Pos).
				WithHint("Give the value itself: vigil seals it.")
		}
	}
	return nil
}

// streamSQL is a stream's text as it is written down.
func (s *Server) streamSQL(st *parse.CreateStream) (string, error) {
	x := *st
	var err error
	x.Options, err = s.secrets.sealed(st.Options, s.secrets.ofStream)
	return parse.Print(&x), err
}

// streamText is a stream's text without its secrets.
func (s *Server) streamText(c *catalog.Stream) string {
	list, err := parse.Parse(c.SQL)
	if err != nil || len(list) == 0 {
		return c.SQL // it was printed by us
	}
	st, ok := list[0].Stmt.(*parse.CreateStream)
	if !ok {
		return c.SQL
	}
	st.Options = s.secrets.hidden(st.Options, s.secrets.ofStream)
	return parse.Print(st)
}

// sinkSQL is a sink's text as it is written down.
func (s *Server) sinkSQL(st *parse.CreateSink) (string, error) {
	x := *st
	var err error
	x.Options, err = s.secrets.sealed(st.Options, s.secrets.ofSink)
	return parse.Print(&x), err
}

// masked is what is shown in the place of a secret.
const masked = "********"

// sinkText is a sink's text without its secrets.
func (s *Server) sinkText(k *catalog.Sink) string {
	def := *k.Def
	def.Options = s.secrets.hidden(def.Options, s.secrets.ofSink)
	return parse.Print(&def)
}

// sealStored seals what an earlier version wrote down in clear, or what was written before there was a key.
func (s *Server) sealStored(objects []job.Object) error {
	if s.secrets.keys == nil {
		return nil
	}
	var ch job.Change
	for i := range objects {
		m := &objects[i].Meta
		var text string
		switch r := s.cat.Snapshot().ByID(m.ID).(type) {
		case *catalog.Stream:
			text = r.SQL
		case *catalog.Sink:
			text = r.SQL
		default:
			continue
		}
		if before, err := parse.Parse(m.SQL); err == nil && inClear(s, before) {
			ch.Alter = append(ch.Alter, object(m.Kind, m.ID, m.Name, text, nil))
		}
	}
	if len(ch.Alter) == 0 {
		return nil
	}
	return s.eng.Apply(context.Background(), ch)
}

// inClear reports that a stored text has a secret in clear.
func inClear(s *Server, list []parse.Parsed) bool {
	open := false
	look := func(_, value string) (string, error) {
		open = open || !seal.Sealed(value)
		return value, nil
	}
	for _, p := range list {
		switch st := p.Stmt.(type) {
		case *parse.CreateStream:
			_, _ = s.secrets.each(st.Options, s.secrets.ofStream, look) // it returns no error
		case *parse.CreateSink:
			_, _ = s.secrets.each(st.Options, s.secrets.ofSink, look) // it returns no error
		}
	}
	return open
}
