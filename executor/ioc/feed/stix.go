package feed

import (
	"encoding/json"
	"strings"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// stixObject is what is read of a STIX object.
type stixObject struct {
	Type           string   `json:"type"`
	ID             string   `json:"id"`
	Name           string   `json:"name"`
	Pattern        string   `json:"pattern"`
	PatternType    string   `json:"pattern_type"`
	ValidFrom      string   `json:"valid_from"`
	ValidUntil     string   `json:"valid_until"`
	Confidence     *int64   `json:"confidence"`
	Labels         []string `json:"labels"`
	IndicatorTypes []string `json:"indicator_types"`
	Revoked        bool     `json:"revoked"`
	CreatedBy      string   `json:"created_by_ref"`
}

// authorsMax bounds the identities that are kept to name sources; those of the others are their ids.
const authorsMax = 10_000

// stixReader reads bundles. authors are the names of the identities that came before.
type stixReader struct {
	*document
	authors map[string]string
}

// stix reads bundles, or single objects.
func (f *reader) stix() error {
	r := &stixReader{f.document(), map[string]string{}}
	return r.roots(func() error {
		// What is no bundle is an object by itself; its keys are held until its end.
		single, line := map[string]json.RawMessage{}, r.in.line
		held := 0
		err := r.object(func(key string) error {
			if key == "objects" {
				return r.array(key, r.element)
			}
			raw, _, err := r.raw()
			if held += len(key) + len(raw); err == nil && held > objectMax {
				err = sqlerr.New(sqlerr.ProgramLimitExceeded, "line %d: a part of the JSON document is larger than %d bytes", r.in.line, objectMax)
			}
			single[key] = raw
			return err
		})
		if err != nil || string(single["type"]) == `"bundle"` {
			return err
		}
		raw, err := json.Marshal(single)
		if err != nil {
			return damaged("%v", err)
		}
		return r.add(raw, line)
	})
}

func (r *stixReader) element() error {
	raw, line, err := r.raw()
	if err != nil {
		return err
	}
	return r.add(raw, line)
}

// add takes an object.
func (r *stixReader) add(raw json.RawMessage, line int64) error {
	var kind struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(raw, &kind); err != nil {
		return r.f.refuse(line, string(raw), jsonError(err))
	}
	if kind.Type != "indicator" && kind.Type != "identity" {
		return nil
	}
	var o stixObject
	if err := json.Unmarshal(raw, &o); err != nil {
		return r.f.refuse(line, string(raw), jsonError(err))
	}
	if kind.Type == "indicator" {
		return r.indicator(&o, line)
	}
	if len(r.authors) < authorsMax && o.Name != "" {
		r.authors[strings.Clone(o.ID)] = strings.Clone(o.Name)
	}
	return nil
}

func (r *stixReader) indicator(o *stixObject, line int64) error {
	if o.Revoked {
		r.f.stats.Inactive++
		return nil
	}
	refuse := func(err error) error { return r.f.refuse(line, o.Pattern, err) }
	if o.PatternType != "" && o.PatternType != "stix" {
		return refuse(refusal("a pattern of type %q is not one of STIX", short(o.PatternType)))
	}
	e := Entry{Confidence: -1, Line: line, Source: o.CreatedBy}
	if name := r.authors[o.CreatedBy]; name != "" {
		e.Source = name
	}
	if o.Confidence != nil {
		if e.Confidence = *o.Confidence; e.Confidence < 0 || e.Confidence > 100 {
			return refuse(refusal("invalid confidence: %d", e.Confidence))
		}
	}
	err := e.addTags(append(o.Labels, o.IndicatorTypes...))
	if err == nil && o.ValidFrom != "" {
		e.FirstSeen, err = parseTime(o.ValidFrom)
	}
	if err == nil && o.ValidUntil != "" {
		e.Expires, err = parseTime(o.ValidUntil)
	}
	if err != nil {
		return refuse(err)
	}
	found, err := parsePattern(o.Pattern)
	if err != nil {
		return refuse(err)
	}
	for _, x := range found {
		if x.why != nil {
			err = refuse(x.why)
		} else {
			e.Value = x.value
			err = r.f.emit(e, x.kind)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
