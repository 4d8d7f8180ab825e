package session

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vigil-sql/vigil/executor/sqlerr"
)

// settings are a connection's variables, under Postgres' names. Those that vigil does not act on are kept and shown, so
// that clients that set them go on. The connection's goroutine changes them; portals that run ahead read them.
type settings struct {
	defs map[string]*settingDef

	mu               sync.Mutex
	values, defaults map[string]string
	// before are the values at the start of the open transaction, kept the ones that it leaves if it commits: those of SET
	// but not of SET LOCAL. Both are nil until it changes one.
	before, kept map[string]string
	zone         *time.Location
	// changed: a reported setting may differ from what the client knows.
	changed bool
}

// reportedSettings are sent to the client whenever they change (ParameterStatus), in Postgres' spelling.
var reportedSettings = []string{"server_version", "server_encoding", "client_encoding", "application_name", "DateStyle",
	"IntervalStyle", "TimeZone", "integer_datetimes", "standard_conforming_strings", "is_superuser", "session_authorization",
	"default_transaction_read_only", "in_hot_standby"}

// transactionSettings begin each transaction with the value of the default_ setting of the name.
var transactionSettings = []string{"transaction_isolation", "transaction_read_only", "transaction_deferrable"}

// customMax bounds the settings with a dot, which users make up.
const customMax = 1000

func newSettings(version string) *settings {
	s := &settings{zone: time.UTC, defs: map[string]*settingDef{}, values: map[string]string{}}
	for _, d := range settingDefs(version) {
		s.defs[d.name] = &d
		s.values[d.name] = d.value
	}
	s.keepDefaults()
	return s
}

// keepDefaults makes the present values those that RESET returns to.
func (s *settings) keepDefaults() {
	s.defaults, s.before, s.kept = maps.Clone(s.values), nil, nil
}

func (s *settings) get(name string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lookup(strings.ToLower(name))
}

func (s *settings) lookup(name string) (string, bool) {
	if s.before == nil && slices.Contains(transactionSettings, name) { // the transaction that would begin now
		name = "default_" + name
	}
	v, ok := s.values[name]
	return v, ok
}

func (s *settings) names() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.values))
}

// resetValue is what RESET makes of a setting.
func (s *settings) resetValue(name string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.defaults[strings.ToLower(name)]
}

func (s *settings) reported() map[string]string {
	m := map[string]string{}
	for _, name := range reportedSettings {
		m[name], _ = s.get(name)
	}
	return m
}

// duration is the value of a setting in milliseconds.
func (s *settings) duration(name string) time.Duration {
	v, _ := s.get(name)
	n, err := s.defs[name].quantity(v)
	if err != nil {
		return 0
	}
	return time.Duration(n) * time.Millisecond
}

// location is the session's time zone.
func (s *settings) location() *time.Location {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.zone
}

// set changes a setting for the open transaction and, unless local, for what follows when it commits.
func (s *settings) set(name, value string, local bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	name = strings.ToLower(name)
	value, err := s.check(name, value)
	if err != nil {
		return err
	}
	s.open()
	s.apply(name, value)
	if !local {
		s.kept[name] = value
	}
	return nil
}

// force sets one that users cannot.
func (s *settings) force(name, value string, local bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open()
	if s.apply(name, value); !local {
		s.kept[name] = value
	}
}

// check gives the value as it is kept, or why it cannot be.
func (s *settings) check(name, value string) (string, error) {
	d := s.defs[name]
	switch {
	case d == nil && !strings.Contains(name, "."):
		return "", sqlerr.New(sqlerr.UndefinedObject, "unrecognized configuration parameter %q", name)
	case d == nil:
		return value, s.checkCustom(name)
	case d.fixed:
		return "", sqlerr.New(sqlerr.CantChangeParameter, "parameter %q cannot be changed", name)
	}
	switch name {
	case "timezone":
		_, text, err := settingZone(value)
		return text, err
	case "client_encoding":
		if e := strings.ToUpper(strings.ReplaceAll(strings.Trim(value, "'"), "-", "")); e != "UTF8" && e != "UNICODE" && e != "SQL_ASCII" {
			return "", d.bad(value).WithHint("vigil speaks UTF8 only.")
		}
		return "UTF8", nil
	case "datestyle":
		if !strings.HasPrefix(strings.ToUpper(value), "ISO") {
			return "", d.bad(value).WithHint("vigil prints dates in ISO style only.")
		}
		return "ISO, MDY", nil
	}
	return d.canonical(value)
}

// checkCustom checks the name of a setting that users made up.
func (s *settings) checkCustom(name string) error {
	for part := range strings.SplitSeq(name, ".") {
		for i, r := range part {
			if r != '_' && (r < 'a' || r > 'z') && r < 0x80 && (i == 0 || (r < '0' || r > '9') && r != '$') {
				part = ""
			}
		}
		if part == "" {
			return sqlerr.New(sqlerr.InvalidName, "invalid configuration parameter name %q", name).
				WithDetail("Custom parameter names must be two or more simple identifiers separated by dots.")
		}
	}
	if _, ok := s.values[name]; !ok && len(s.values) >= len(s.defs)+customMax {
		return sqlerr.New(sqlerr.ProgramLimitExceeded, "a connection cannot have more than %d settings of its own", customMax)
	}
	return nil
}

// open keeps what a rollback returns to. The caller holds mu.
func (s *settings) open() {
	if s.before != nil {
		return
	}
	for _, name := range transactionSettings {
		s.values[name] = s.values["default_"+name]
	}
	s.before, s.kept = maps.Clone(s.values), map[string]string{}
}

// begin starts a transaction block: from now its own settings are not the defaults any more.
func (s *settings) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open()
}

// end ends the open transaction.
func (s *settings) end(commit bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.before == nil {
		return
	}
	after := s.before
	if commit {
		maps.Copy(after, s.kept)
	}
	for name := range s.values {
		if _, ok := after[name]; !ok {
			after[name] = "" // a name that users made up stays
		}
	}
	s.rewindTo(after)
	s.before, s.kept = nil, nil
}

// abort returns to the values at the start of a transaction block that has failed and is still open.
func (s *settings) abort() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.before != nil {
		s.rewindTo(maps.Clone(s.before))
		s.kept = map[string]string{}
	}
}

// settingsMark is the state at a savepoint.
type settingsMark struct{ values, kept map[string]string }

// mark keeps the state for rewind.
func (s *settings) mark() settingsMark {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open()
	return settingsMark{maps.Clone(s.values), maps.Clone(s.kept)}
}

// rewind returns to a mark of the open transaction.
func (s *settings) rewind(m settingsMark) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rewindTo(maps.Clone(m.values))
	s.kept = maps.Clone(m.kept)
}

func (s *settings) rewindTo(values map[string]string) {
	for name, value := range values {
		if s.values[name] != value {
			s.apply(name, value)
		}
	}
	s.values = values
}

// apply puts a checked value into effect. The caller holds mu.
func (s *settings) apply(name, value string) {
	s.values[name] = value
	s.changed = true
	if name == "timezone" {
		s.zone, _, _ = settingZone(value) // it was checked
	}
}

// resetAll returns all settings to their defaults.
func (s *settings) resetAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.open()
	for name, value := range s.values {
		if d := s.defs[name]; d != nil && (d.fixed || strings.HasPrefix(name, "transaction_")) || name == "session_authorization" || name == "role" {
			continue
		}
		if to := s.defaults[name]; to != value {
			s.apply(name, to)
			s.kept[name] = to
		}
	}
}

// takeChanged gives the reported settings when one may have changed since the last call, nil otherwise.
func (s *settings) takeChanged() map[string]string {
	s.mu.Lock()
	changed := s.changed
	s.changed = false
	s.mu.Unlock()
	if !changed {
		return nil
	}
	return s.reported()
}
