package bind

import (
	"strings"
	"time"

	"github.com/vigil-sql/vigil/executor/spec"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/planner/parse"
)

// iocTypes are the kinds of indicators.
var iocTypes = []string{"cidr", "domain", "email", "hash", "ip", "text", "url"}

// iocModes are the values of the option match, by type, the usual one first: how executor/ioc compares a list's values.
var iocModes = map[string][]string{"domain": {"subdomains", "exact"}, "url": {"exact", "prefix"}}

// IOCOptions is what CREATE IOC LIST says of how a list is filled.
type IOCOptions struct {
	// All are the options as they were written.
	All map[string]string
	// Refresh is how often the list is made what its source has, ExpireAfter how long an entry is valid of which nothing is said; microseconds,
	// 0: not at all, for ever.
	Refresh, ExpireAfter int64
}

// What refresh and expire_after may be, microseconds.
const (
	refreshMin = int64(10 * time.Second / time.Microsecond)
	refreshMax = int64(366 * 24 * time.Hour / time.Microsecond)
	expireMin  = int64(time.Minute / time.Microsecond)
	expireMax  = 100 * refreshMax
)

// IOCList binds CREATE IOC LIST.
func IOCList(st *parse.CreateIOC, id uint64) (*spec.IOCList, *IOCOptions, error) {
	if !oneOf(st.Type, iocTypes...) {
		return nil, nil, sqlerr.New(sqlerr.UndefinedObject, "IOC type %q does not exist", st.Type).At(st.Name.Pos).
			WithHint("Known types: %s.", strings.Join(iocTypes, ", "))
	}
	l := &spec.IOCList{ID: id, Name: st.Name.Name, Type: st.Type}
	opts := &IOCOptions{All: map[string]string{}}
	for _, o := range st.Options {
		switch o.Key {
		case "match":
			modes := iocModes[st.Type]
			if modes == nil {
				return nil, nil, sqlerr.New(sqlerr.InvalidParameterValue, "an IOC list of type %s has no option \"match\"", st.Type).At(o.Pos).
					WithHint("Lists of type domain and url have it.")
			}
			if !oneOf(o.Value, modes...) {
				return nil, nil, badOption(o, strings.Join(modes, " or "))
			}
			l.Match = o.Value
		case "source", "format", "columns":
		case "delimiter":
			if len(o.Value) != 1 || strings.Contains("\"\r\n#", o.Value) || o.Value[0] >= 0x80 {
				return nil, nil, badOption(o, "one character")
			}
		case "refresh":
			var err error
			if opts.Refresh, err = DurationText(o.Value); err != nil || opts.Refresh < refreshMin || opts.Refresh > refreshMax {
				return nil, nil, badOption(o, "a duration from '10 seconds' to '366 days', such as '1 hour'")
			}
		case "expire_after":
			var err error
			if opts.ExpireAfter, err = DurationText(o.Value); err != nil || opts.ExpireAfter < expireMin || opts.ExpireAfter > expireMax {
				return nil, nil, badOption(o, "a duration from '1 minute' to '36600 days', such as '30 days'")
			}
		default:
			return nil, nil, unknownOption(o, "columns", "delimiter", "expire_after", "format", "match", "refresh", "source")
		}
		opts.All[o.Key] = o.Value
	}
	for _, o := range st.Options {
		if opts.All["source"] == "" && oneOf(o.Key, "format", "columns", "delimiter", "refresh") {
			return nil, nil, sqlerr.New(sqlerr.InvalidParameterValue, "option %q of an IOC list without a source", o.Key).At(o.Pos).
				WithHint("It says how the source is read: source = 'file:///path' or 'https://..'.")
		}
	}
	return l, opts, nil
}
