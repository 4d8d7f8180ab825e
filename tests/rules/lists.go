package rules

import (
	"fmt"
	"slices"
	"strconv"
)

// What follows is a slow model of rules that read lists: tables that are changed while events flow.

// member is a row of a list; a name that is nil is NULL.
type member struct {
	name *string
	team string
	// level is NULL where it is negative.
	level int
}

// listing is what all lists hold at one version.
type listing struct {
	watch map[string]member // table watch, by its primary key
	loose []member          // table loose: no key, names repeat and may be NULL
	small [smallLists]map[string]bool
}

// smallLists is how many tables small_<i> there are.
const smallLists = 10

func newListing() *listing {
	l := &listing{watch: map[string]member{}}
	for i := range l.small {
		l.small[i] = map[string]bool{}
	}
	return l
}

// clone copies the lists, to be changed.
func (l *listing) clone() *listing {
	c := newListing()
	for k, v := range l.watch {
		c.watch[k] = v
	}
	c.loose = append([]member(nil), l.loose...)
	for i := range l.small {
		for k := range l.small[i] {
			c.small[i][k] = true
		}
	}
	return c
}

// truth is a condition's value.
type truth int8

const (
	no truth = iota
	unknown
	yes
)

func truthOf(ok bool) truth {
	if ok {
		return yes
	}
	return no
}

func not(t truth) truth              { return yes - t }
func and(a, b truth) truth           { return min(a, b) }
func or(a, b truth) truth            { return max(a, b) }
func (e *happening) num(k int) truth { return truthOf(e.number == k) }

// in is usr IN the names of those members that pass.
func (e *happening) in(list []member, pass func(member) bool) truth {
	found := no
	for _, m := range list {
		switch {
		case !pass(m):
		case m.name == nil || e.usr == nil:
			found = max(found, unknown)
		case *m.name == *e.usr:
			return yes
		}
	}
	return found
}

func all(member) bool { return true }

// happening is an event.
type happening struct {
	id     int
	usr    *string
	number int
}

// json is the event as a line.
func (e *happening) json(ts string) string {
	usr := "null"
	if e.usr != nil {
		usr = strconv.Quote(*e.usr)
	}
	return fmt.Sprintf(`{"ts":%q,"id":%d,"usr":%s,"num":%d,"one":1}`+"\n", ts, e.id, usr, e.number)
}

// watched are the members of watch as a list, with those that have the event's name alone: none of them is NULL.
func (l *listing) watched(e *happening) []member {
	if e.usr == nil {
		list := make([]member, 0, len(l.watch))
		for _, m := range l.watch {
			list = append(list, m)
		}
		return list
	}
	if m, ok := l.watch[*e.usr]; ok {
		return []member{m}
	}
	return nil
}

// listRule is a kind of rules that read lists: the text of rule k of it, and what it finds for an event.
type listRule struct {
	sql  func(k int) string
	find func(l *listing, e *happening, k int) []string
}

// when makes a kind that is a condition over single events.
func when(where string, is func(l *listing, e *happening, k int) truth) listRule {
	return listRule{
		sql: func(k int) string { return "SELECT id FROM ev WHERE " + numbered(where, k) },
		find: func(l *listing, e *happening, k int) []string {
			if is(l, e, k) == yes {
				return []string{strconv.Itoa(e.id)}
			}
			return nil
		},
	}
}

// numbered puts a rule's number in the places of ? and a list's in those of #.
func numbered(text string, k int) string {
	var out []byte
	for i := range len(text) {
		switch text[i] {
		case '?':
			out = strconv.AppendInt(out, int64(k), 10)
		case '#':
			out = strconv.AppendInt(out, int64(k%smallLists), 10)
		default:
			out = append(out, text[i])
		}
	}
	return string(out)
}

// joined makes a kind that joins a table whose columns come out.
func joined(from, where string, is func(l *listing, e *happening, k int) []string) listRule {
	return listRule{sql: func(k int) string { return "SELECT " + numbered(from, k) + " WHERE " + numbered(where, k) }, find: is}
}

// listRules are all kinds.
func listRules() []listRule {
	return slices.Concat(conditionRules(), nestedRules(), joinRules(), valueRules())
}

// inSmall is usr IN the small list of rule k.
func inSmall(l *listing, e *happening, k int) truth {
	switch small := l.small[k%smallLists]; {
	case len(small) == 0:
		return no
	case e.usr == nil:
		return unknown
	default:
		return truthOf(small[*e.usr])
	}
}

// conditionRules ask lists as conditions of their own.
func conditionRules() []listRule {
	return []listRule{
		when("usr IN (SELECT name FROM watch) AND num = ?", func(l *listing, e *happening, k int) truth {
			return and(e.in(l.watched(e), all), e.num(k))
		}),
		when("usr IN (SELECT name FROM small_#)", inSmall),
		when("num = ? AND usr NOT IN (SELECT name FROM loose)", func(l *listing, e *happening, k int) truth {
			return and(e.num(k), not(e.in(l.loose, all)))
		}),
		when("num = ? AND usr NOT IN (SELECT name FROM small_#)", func(l *listing, e *happening, k int) truth {
			return and(e.num(k), not(inSmall(l, e, k)))
		}),
		when("num < 3 AND usr IN (SELECT name FROM loose WHERE level > 1 AND team = 'red')", func(l *listing, e *happening, _ int) truth {
			return and(truthOf(e.number < 3), e.in(l.loose, func(m member) bool { return m.level > 1 && m.team == "red" }))
		}),
		when("num = ? AND usr NOT IN (SELECT name FROM loose WHERE level > 1)", func(l *listing, e *happening, k int) truth {
			return and(e.num(k), not(e.in(l.loose, func(m member) bool { return m.level > 1 })))
		}),
		when("EXISTS (SELECT 1 FROM loose WHERE name = ev.usr AND level = ev.num) AND num <> ?", func(l *listing, e *happening, k int) truth {
			return and(not(e.num(k)), truthOf(e.in(l.loose, func(m member) bool { return m.level == e.number }) == yes))
		}),
		when("NOT EXISTS (SELECT 1 FROM watch w WHERE w.name = ev.usr AND w.team = 'red') AND num = ?", func(l *listing, e *happening, k int) truth {
			return and(e.num(k), truthOf(e.in(l.watched(e), func(m member) bool { return m.team == "red" }) != yes))
		}),
		when("usr IN (SELECT name FROM watch) AND usr NOT IN (SELECT name FROM small_#) AND num = ?", func(l *listing, e *happening, k int) truth {
			return and(and(e.in(l.watched(e), all), not(inSmall(l, e, k))), e.num(k))
		}),
	}
}

// nestedRules ask lists within other conditions.
func nestedRules() []listRule {
	return []listRule{
		when("usr IN (SELECT name FROM watch) OR num = ?", func(l *listing, e *happening, k int) truth {
			return or(e.in(l.watched(e), all), e.num(k))
		}),
		when("NOT (num <> ? OR usr IN (SELECT name FROM loose))", func(l *listing, e *happening, k int) truth {
			return not(or(not(e.num(k)), e.in(l.loose, all)))
		}),
		when("(usr NOT IN (SELECT name FROM loose WHERE level > 1) OR id % 3 = 1) AND num = ?", func(l *listing, e *happening, k int) truth {
			return and(or(not(e.in(l.loose, func(m member) bool { return m.level > 1 })), truthOf(e.id%3 == 1)), e.num(k))
		}),
		when("CASE WHEN usr IN (SELECT name FROM small_#) THEN num = ? ELSE num = ? + 1 END", func(l *listing, e *happening, k int) truth {
			if inSmall(l, e, k) == yes {
				return e.num(k)
			}
			return e.num(k + 1)
		}),
		when("(usr IN (SELECT name FROM loose)) IS NULL AND num = ?", func(l *listing, e *happening, k int) truth {
			return and(truthOf(e.in(l.loose, all) == unknown), e.num(k))
		}),
		when("num = ? AND (usr NOT IN (SELECT name FROM small_#) OR NOT EXISTS (SELECT 1 FROM watch WHERE name = usr AND team = 'red'))",
			func(l *listing, e *happening, k int) truth {
				red := truthOf(e.in(l.watched(e), func(m member) bool { return m.team == "red" }) == yes)
				return and(e.num(k), or(not(inSmall(l, e, k)), not(red)))
			}),
	}
}

// joinRules join lists.
func joinRules() []listRule {
	return []listRule{
		joined("id, w.team, w.level FROM ev JOIN watch w ON w.name = ev.usr", "w.team = 'red' AND num = ?", func(l *listing, e *happening, k int) (out []string) {
			for _, m := range l.watched(e) {
				if e.usr != nil && m.team == "red" && e.number == k {
					out = append(out, fmt.Sprintf("%d|%s|%s", e.id, m.team, level(m)))
				}
			}
			return out
		}),
		joined("id, l.level FROM ev JOIN loose l ON l.name = ev.usr", "num = ?", func(l *listing, e *happening, k int) (out []string) {
			for _, m := range l.loose {
				if e.number == k && e.usr != nil && m.name != nil && *m.name == *e.usr {
					out = append(out, fmt.Sprintf("%d|%s", e.id, level(m)))
				}
			}
			return out
		}),
	}
}

// valueRules compare rows with lists, and values of lists.
func valueRules() []listRule {
	return []listRule{
		when("(usr, num) IN (SELECT name, level FROM loose WHERE team = 'red') AND num <> ?", func(l *listing, e *happening, k int) truth {
			found := truthOf(e.usr != nil && e.in(l.loose, func(m member) bool { return m.team == "red" && m.level == e.number }) == yes)
			return and(found, not(e.num(k)))
		}),
		when("num = ? AND id % 2 < (SELECT count(*) FROM loose l WHERE l.name = ev.usr AND l.level >= ev.num)", func(l *listing, e *happening, k int) truth {
			n := 0
			for _, m := range l.loose {
				if m.name != nil && e.usr != nil && *m.name == *e.usr && m.level >= e.number {
					n++
				}
			}
			return and(e.num(k), truthOf(e.id%2 < n))
		}),
		when("num = ? AND EXISTS (SELECT 1 FROM loose l WHERE l.level > ev.num AND l.name IN (SELECT name FROM watch))", func(l *listing, e *happening, k int) truth {
			return and(e.num(k), truthOf(slices.ContainsFunc(l.loose, func(m member) bool {
				if m.name == nil || m.level <= e.number {
					return false
				}
				_, ok := l.watch[*m.name]
				return ok
			})))
		}),
		{
			sql: func(k int) string {
				return numbered("SELECT id, (SELECT max(level) FROM watch) AS top, usr IN (SELECT name FROM small_#) AS known FROM ev WHERE num = ?", k)
			},
			find: func(l *listing, e *happening, k int) []string {
				if e.number != k {
					return nil
				}
				top := member{level: -1}
				for _, m := range l.watch {
					top.level = max(top.level, m.level)
				}
				return []string{fmt.Sprintf("%d|%s|%s", e.id, level(top), [...]string{no: "f", unknown: "NULL", yes: "t"}[inSmall(l, e, k)])}
			},
		},
	}
}

func level(m member) string {
	if m.level < 0 {
		return "NULL"
	}
	return strconv.Itoa(m.level)
}
