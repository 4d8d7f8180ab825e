package session

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/planner/parse"
	"github.com/vigil-sql/vigil/server/pgwire"
)

// settings are a connection's variables, under Postgres' names. Those that vigil does not act on are kept and shown, so
// that clients that set them go on.
type settings struct {
	values, defaults map[string]string
	zone             *time.Location
	timeout          time.Duration
}

// reportedSettings are sent to the client whenever they change (ParameterStatus), in Postgres' spelling.
var reportedSettings = []string{"server_version", "server_encoding", "client_encoding", "application_name", "DateStyle",
	"IntervalStyle", "TimeZone", "integer_datetimes", "standard_conforming_strings", "is_superuser", "session_authorization",
	"default_transaction_read_only", "in_hot_standby"}

// readOnlySettings cannot be set.
var readOnlySettings = map[string]bool{"server_version": true, "server_version_num": true, "server_encoding": true,
	"integer_datetimes": true, "is_superuser": true, "max_identifier_length": true, "in_hot_standby": true, "lc_collate": true, "lc_ctype": true}

func newSettings(version string) *settings {
	s := &settings{zone: time.UTC, values: map[string]string{
		"server_version": "15.0 (vigil " + version + ")", "server_version_num": "150000", "server_encoding": "UTF8",
		"client_encoding": "UTF8", "application_name": "", "datestyle": "ISO, MDY", "intervalstyle": "postgres", "timezone": "UTC",
		"integer_datetimes": "on", "standard_conforming_strings": "on", "is_superuser": "on", "session_authorization": "vigil",
		"default_transaction_read_only": "off", "in_hot_standby": "off", "max_identifier_length": "63", "search_path": `"$user", public`,
		"transaction_isolation": "read committed", "default_transaction_isolation": "read committed", "transaction_read_only": "off",
		"statement_timeout": "0", "lock_timeout": "0", "idle_in_transaction_session_timeout": "0", "idle_session_timeout": "0",
		"extra_float_digits": "1", "client_min_messages": "notice", "bytea_output": "hex", "row_security": "on", "password_encryption": "scram-sha-256",
		"synchronize_seqscans": "on", "lc_collate": "C", "lc_ctype": "C", "lc_messages": "C", "lc_monetary": "C", "lc_numeric": "C",
		"lc_time": "C", "jit": "off", "check_function_bodies": "on", "xmloption": "content", "default_tablespace": "", "default_table_access_method": "heap",
		"transaction_deferrable": "off", "quote_all_identifiers": "off", "escape_string_warning": "on", "role": "none", "work_mem": "64MB",
	}}
	s.keepDefaults()
	return s
}

// keepDefaults makes the present values those that RESET returns to.
func (s *settings) keepDefaults() { s.defaults = maps.Clone(s.values) }

func (s *settings) get(name string) (string, bool) {
	v, ok := s.values[strings.ToLower(name)]
	return v, ok
}

func (s *settings) names() []string { return slices.Sorted(maps.Keys(s.values)) }

func (s *settings) reported() map[string]string {
	m := map[string]string{}
	for _, name := range reportedSettings {
		m[name], _ = s.get(name)
	}
	return m
}

// set changes a setting; names with a dot are a user's own.
func (s *settings) set(name, value string) error {
	name = strings.ToLower(name)
	if _, ok := s.values[name]; !ok && !strings.Contains(name, ".") {
		return sqlerr.New(sqlerr.UndefinedObject, "unrecognized configuration parameter %q", name)
	}
	if readOnlySettings[name] {
		return sqlerr.New(sqlerr.InvalidParameterValue, "parameter %q cannot be changed", name)
	}
	bad := func() *sqlerr.Error {
		return sqlerr.New(sqlerr.InvalidParameterValue, "invalid value for parameter %q: %q", name, value)
	}
	switch name {
	case "timezone":
		zone, err := time.LoadLocation(zoneName(value))
		if err != nil {
			return bad()
		}
		s.zone = zone
	case "client_encoding":
		if e := strings.ToUpper(strings.ReplaceAll(strings.Trim(value, "'"), "-", "")); e != "UTF8" && e != "UNICODE" && e != "SQL_ASCII" {
			return bad().WithHint("vigil speaks UTF8 only.")
		}
		value = "UTF8"
	case "datestyle":
		if !strings.HasPrefix(strings.ToUpper(value), "ISO") {
			return bad().WithHint("vigil prints dates in ISO style only.")
		}
		value = "ISO, MDY"
	case "intervalstyle":
		if strings.ToLower(value) != "postgres" {
			return bad().WithHint("vigil prints intervals in postgres style only.")
		}
	case "standard_conforming_strings":
		if v := strings.ToLower(value); v != "on" && v != "true" && v != "1" {
			return bad().WithHint("In vigil a backslash in '...' is always a backslash.")
		}
	case "statement_timeout":
		d, ok := milliseconds(value)
		if !ok {
			return bad()
		}
		s.timeout = d
	}
	s.values[name] = value
	return nil
}

// zoneName maps the spellings that clients use to names of the time zone database.
func zoneName(v string) string {
	switch strings.ToUpper(v) {
	case "UTC", "GMT", "Z", "ETC/UTC":
		return "UTC"
	case "LOCAL":
		return "invalid/local" // a server's own zone means nothing to a client
	}
	return v
}

// milliseconds reads a duration as Postgres writes it: a bare number is milliseconds.
func milliseconds(v string) (time.Duration, bool) {
	v = strings.TrimSpace(v)
	for _, u := range []struct {
		suffix string
		unit   time.Duration
	}{{"ms", time.Millisecond}, {"min", time.Minute}, {"s", time.Second}, {"h", time.Hour}, {"d", 24 * time.Hour}, {"", time.Millisecond}} {
		if rest, ok := strings.CutSuffix(v, u.suffix); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(rest), 10, 32)
			return time.Duration(n) * u.unit, err == nil && n >= 0
		}
	}
	return 0, false
}

// set runs SET and RESET.
func (s *Session) set(st *parse.Set, out pgwire.Output) (string, error) {
	tag := "SET"
	if st.All {
		for name, value := range s.settings.defaults {
			if !readOnlySettings[name] && s.settings.values[name] != value {
				if err := s.change(name, value, out); err != nil {
					return "", err
				}
			}
		}
		return "RESET", nil
	}
	name, value := strings.ToLower(st.Name), strings.Join(st.Values, ", ")
	if st.Reset {
		value = s.settings.defaults[name]
		if len(st.Values) == 0 {
			tag = "RESET"
		}
	}
	return tag, s.change(name, value, out)
}

func (s *Session) change(name, value string, out pgwire.Output) error {
	if err := s.settings.set(name, value); err != nil {
		return err
	}
	for _, r := range reportedSettings {
		if strings.EqualFold(r, name) {
			out.ParameterStatus(r, s.settings.values[name])
		}
	}
	return nil
}
