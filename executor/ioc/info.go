package ioc

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/vigil-sql/vigil/executor/types"
)

// Info is what is known of an entry beside its value; times are microseconds. It is kept as JSON.
type Info struct {
	Source     *string  `json:"source,omitempty"`
	Confidence *int64   `json:"confidence,omitempty"`
	Tags       []string `json:"tags,omitempty"`
	// FirstSeen is when the source saw it first, AddedAt when it came into the list.
	FirstSeen *int64 `json:"first_seen,omitempty"`
	ExpiresAt *int64 `json:"expires_at,omitempty"`
	AddedAt   int64  `json:"added_at"`
}

// Append gives the stored form.
func (i *Info) Append() ([]byte, error) { return json.Marshal(i) }

// ExpiresOf is when an entry expires, by its stored form; 0: never.
func ExpiresOf(stored []byte) int64 {
	if !bytes.Contains(stored, []byte(`"expires_at"`)) {
		return 0
	}
	i, err := DecodeInfo(stored)
	if err != nil || i.ExpiresAt == nil {
		return 0
	}
	return max(*i.ExpiresAt, 1) // what ended before 1970 has ended
}

// DecodeInfo reads the stored form.
func DecodeInfo(data []byte) (i Info, err error) {
	if err = json.Unmarshal(data, &i); err != nil {
		err = fmt.Errorf("what is known of an indicator is damaged: %w", err)
	}
	return i, err
}

// infoText is what ioc_info says of an entry, as jsonb has it: value, type, digest (of hashes) and the fields of Info that
// are known, times as text in UTC.
func infoText(kind, entry string, stored []byte) string {
	field := func(dst []byte, name string, v []byte) []byte {
		dst = append(types.AppendJSONString(append(dst, ", "...), name), ": "...)
		return append(dst, v...)
	}
	text := func(s string) []byte { return types.AppendJSONString(nil, s) }
	out := append([]byte(`{"value": `), text(entry)...)
	out = field(out, "type", text(kind))
	if kind == Hash {
		out = field(out, "digest", text(HashKind(entry)))
	}
	if i, err := DecodeInfo(stored); err == nil {
		if i.Source != nil {
			out = field(out, "source", text(*i.Source))
		}
		if i.Confidence != nil {
			out = field(out, "confidence", fmt.Append(nil, *i.Confidence))
		}
		if len(i.Tags) > 0 {
			tags := []byte{'['}
			for n, t := range i.Tags {
				if n > 0 {
					tags = append(tags, ", "...)
				}
				tags = types.AppendJSONString(tags, t)
			}
			out = field(out, "tags", append(tags, ']'))
		}
		for _, at := range []struct {
			name string
			at   *int64
		}{{"first_seen", i.FirstSeen}, {"expires_at", i.ExpiresAt}, {"added_at", &i.AddedAt}} {
			if at.at != nil && *at.at != 0 {
				out = field(out, at.name, text(types.NewTime(types.EventTime(*at.at)).Text()))
			}
		}
	}
	canonical, err := types.CanonicalJSON(string(append(out, '}')))
	if err != nil {
		return string(append(out, '}'))
	}
	return canonical
}
