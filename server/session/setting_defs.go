package session

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
	"github.com/vigil-sql/vigil/planner/parse"
)

// settingDef is one setting: its value at the start and what it may be.
type settingDef struct {
	name, value string
	// unit is "ms" or "kB" for integers of a quantity, "int" for others; empty: not an integer.
	unit     string
	min, max int64
	// values are those of an enumeration, one of which is meant case-insensitively; "bool" alone is a boolean.
	values []string
	// only: other values are Postgres' and are not there.
	only bool
	// fixed settings cannot be set.
	fixed bool
}

var boolean = []string{"bool"}

var isolationLevels = []string{"serializable", "repeatable read", "read committed", "read uncommitted"}

// settingDefs is the table of all settings, under Postgres' names.
func settingDefs(version string) []settingDef {
	list := []settingDef{
		{name: "server_version", value: "15.0 (vigil " + version + ")", fixed: true}, {name: "server_version_num", value: "150000", fixed: true},
		{name: "server_encoding", value: "UTF8", fixed: true}, {name: "integer_datetimes", value: "on", fixed: true},
		{name: "is_superuser", value: "on", fixed: true}, {name: "in_hot_standby", value: "off", fixed: true},
		{name: "max_identifier_length", value: "63", fixed: true}, {name: "max_index_keys", value: "32", fixed: true}, {name: "lc_collate", value: "C", fixed: true}, {name: "lc_ctype", value: "C", fixed: true},
		{name: "client_encoding", value: "UTF8"}, {name: "application_name"}, {name: "datestyle", value: "ISO, MDY"},
		{name: "intervalstyle", value: "postgres", values: []string{"postgres", "postgres_verbose", "sql_standard", "iso_8601"}, only: true},
		{name: "timezone", value: "UTC"}, {name: "standard_conforming_strings", value: "on", values: boolean, only: true},
		{name: "session_authorization", value: "vigil"}, {name: "role", value: "none"}, {name: "search_path", value: `"$user", public`},
		{name: "transaction_isolation", value: "read committed", values: isolationLevels},
		{name: "default_transaction_isolation", value: "read committed", values: isolationLevels},
		{name: "client_min_messages", value: "notice", values: []string{"debug5", "debug4", "debug3", "debug2", "debug1", "log", "notice", "warning", "error"}},
		{name: "bytea_output", value: "hex", values: []string{"hex", "escape"}, only: true},
		{name: "password_encryption", value: "scram-sha-256", values: []string{"scram-sha-256", "md5"}, only: true},
		{name: "xmloption", value: "content", values: []string{"content", "document"}},
		{name: "synchronous_commit", value: "on", values: []string{"local", "remote_write", "remote_apply", "on", "off"}},
		{name: "plan_cache_mode", value: "auto", values: []string{"auto", "force_generic_plan", "force_custom_plan"}},
		{name: keySetting},
		{name: "default_tablespace"}, {name: "default_table_access_method", value: "heap"}, {name: "temp_tablespaces"},
		{name: "extra_float_digits", value: "1", unit: "int", min: -15, max: 3},
		{name: "work_mem", value: "64MB", unit: "kB", min: 64, max: math.MaxInt32},
		{name: "maintenance_work_mem", value: "64MB", unit: "kB", min: 1024, max: math.MaxInt32},
	}
	for _, name := range []string{"statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "idle_session_timeout"} {
		list = append(list, settingDef{name: name, value: "0", unit: "ms", max: math.MaxInt32})
	}
	for _, name := range []string{"lc_messages", "lc_monetary", "lc_numeric", "lc_time"} {
		list = append(list, settingDef{name: name, value: "C"})
	}
	for _, name := range []string{"row_security", "synchronize_seqscans", "check_function_bodies", "escape_string_warning"} {
		list = append(list, settingDef{name: name, value: "on", values: boolean})
	}
	for _, name := range []string{"transaction_read_only", "transaction_deferrable", "default_transaction_read_only", "default_transaction_deferrable",
		"jit", "quote_all_identifiers"} {
		list = append(list, settingDef{name: name, value: "off", values: boolean})
	}
	return list
}

// canonical is a value as SHOW prints it, or why it is none.
func (d *settingDef) canonical(value string) (string, error) {
	switch {
	case d.unit != "":
		n, err := d.quantity(value)
		return printQuantity(n, d.unit), err
	case len(d.values) == 1:
		on, ok := settingBool(value)
		if !ok {
			return "", sqlerr.New(sqlerr.InvalidParameterValue, "parameter %q requires a Boolean value", d.name)
		}
		value = map[bool]string{true: "on", false: "off"}[on]
	case d.values != nil:
		value = strings.ToLower(value)
		found := false
		for _, v := range d.values {
			found = found || v == value
		}
		if !found {
			return "", d.bad(value).WithHint("Available values: %s.", strings.Join(d.values, ", "))
		}
	}
	if d.only && value != d.value {
		return "", sqlerr.NotSupported(fmt.Sprintf("%s = %s", d.name, value), fmt.Sprintf("The value is %s.", d.value))
	}
	return value, nil
}

func (d *settingDef) bad(value string) *sqlerr.Error {
	return sqlerr.New(sqlerr.InvalidParameterValue, "invalid value for parameter %q: %q", d.name, value)
}

// settingBool reads a boolean as settings take it: any unambiguous prefix of the words.
func settingBool(v string) (on, ok bool) {
	v = strings.ToLower(v)
	switch {
	case v == "":
		return false, false
	case v == "1", strings.HasPrefix("true", v), strings.HasPrefix("yes", v), v == "on":
		return true, true
	case v == "0", strings.HasPrefix("false", v), strings.HasPrefix("no", v), strings.HasPrefix("off", v) && len(v) > 1:
		return false, true
	}
	return false, false
}

// settingUnit is a unit of time or memory, in terms of the base unit.
type settingUnit struct {
	name   string
	factor float64
}

// settingUnits are those of a base unit, smallest first.
var settingUnits = map[string][]settingUnit{
	"ms": {{"us", 1e-3}, {"ms", 1}, {"s", 1e3}, {"min", 60e3}, {"h", 3600e3}, {"d", 86400e3}},
	"kB": {{"B", 1.0 / 1024}, {"kB", 1}, {"MB", 1 << 10}, {"GB", 1 << 20}, {"TB", 1 << 30}},
}

// quantity reads a number with or without a unit, in the base unit.
func (d *settingDef) quantity(value string) (int64, error) {
	v := strings.TrimSpace(value)
	end := strings.IndexFunc(v, func(r rune) bool { return !strings.ContainsRune("0123456789.+-", r) })
	if end < 0 {
		end = len(v)
	}
	f, err := strconv.ParseFloat(v[:end], 64)
	if err != nil {
		return 0, d.bad(value)
	}
	if name := strings.TrimSpace(v[end:]); name != "" {
		found := false
		for _, u := range settingUnits[d.unit] {
			if u.name == name {
				f, found = f*u.factor, true
			}
		}
		if !found {
			err := d.bad(value)
			switch d.unit {
			case "ms":
				err = err.WithHint(`Valid units for this parameter are "us", "ms", "s", "min", "h", and "d".`)
			case "kB":
				err = err.WithHint(`Valid units for this parameter are "B", "kB", "MB", "GB", and "TB".`)
			}
			return 0, err
		}
	}
	n := math.RoundToEven(f)
	if n < math.MinInt32 || n > math.MaxInt32 {
		return 0, d.bad(value).WithHint("Value exceeds integer range.")
	}
	if n < float64(d.min) || n > float64(d.max) {
		unit := ""
		if d.unit != "int" {
			unit = " " + d.unit
		}
		return 0, sqlerr.New(sqlerr.InvalidParameterValue, "%d%s is outside the valid range for parameter %q (%d .. %d)", int64(n), unit, d.name, d.min, d.max)
	}
	return int64(n), nil
}

// printQuantity writes a number with the largest unit that divides it.
func printQuantity(n int64, base string) string {
	best := settingUnit{factor: 1}
	for _, u := range settingUnits[base] {
		if u.factor >= 1 && n != 0 && n%int64(u.factor) == 0 {
			best = u
		}
	}
	return strconv.FormatInt(n/int64(best.factor), 10) + best.name
}

// settingZone reads a value of TimeZone: a name, hours east of UTC, or INTERVAL '..'; it returns the value as SHOW prints it.
func settingZone(value string) (*time.Location, string, error) {
	bad := sqlerr.New(sqlerr.InvalidParameterValue, "invalid value for parameter \"TimeZone\": %q", value)
	if len(value) > len("interval") && strings.EqualFold(value[:len("interval")], "interval") {
		text := strings.Trim(value[len("interval"):], " '")
		v, err := types.ParseText(types.T(types.Interval), text, nil)
		if err != nil {
			return nil, "", bad
		}
		bad.Message = fmt.Sprintf("invalid value for parameter \"TimeZone\": \"INTERVAL '%s'\"", v.Text())
		iv, err := types.DecodeInterval(v.S)
		switch {
		case err != nil:
			return nil, "", bad
		case iv.Months != 0:
			return nil, "", bad.WithDetail("Cannot specify months in time zone interval.")
		case iv.Days != 0:
			return nil, "", bad.WithDetail("Cannot specify days in time zone interval.")
		}
		return fixedZone(int(iv.Micros / 1e6))
	}
	if _, offset, ok := strings.Cut(value, ">"); ok && value[0] == '<' { // as fixedZone names it
		var h, m, sec int
		if n, _ := fmt.Sscanf(offset[min(1, len(offset)):], "%d:%d:%d", &h, &m, &sec); n == 0 || h > 167 {
			return nil, "", bad
		}
		east := -(h*3600 + m*60 + sec)
		if offset[0] == '-' {
			east = -east
		}
		return fixedZone(east)
	}
	if hours, err := strconv.ParseFloat(strings.TrimSpace(value), 64); err == nil {
		if math.Abs(hours) > 167 {
			return nil, "", bad.WithDetail("UTC timezone offset is out of range.")
		}
		return fixedZone(int(hours * 3600))
	}
	loc, err := types.Zone(value)
	if err != nil {
		return nil, "", bad
	}
	if loc == time.UTC {
		if upper := strings.ToUpper(value); upper == "UTC" || upper == "GMT" {
			return loc, upper, nil
		}
		return loc, value, nil
	}
	if name := loc.String(); strings.EqualFold(name, value) {
		value = name
	}
	return loc, value, nil
}

// fixedZone is a zone by its seconds east of UTC, named as Postgres does: <-08>+08.
func fixedZone(seconds int) (*time.Location, string, error) {
	part := func(n int) string {
		sign := "+"
		if n < 0 {
			sign, n = "-", -n
		}
		text := fmt.Sprintf("%s%02d", sign, n/3600)
		if n%3600 != 0 {
			text += fmt.Sprintf(":%02d", n/60%60)
		}
		if n%60 != 0 {
			text += fmt.Sprintf(":%02d", n%60)
		}
		return text
	}
	name := "<" + part(seconds) + ">" + part(-seconds)
	return time.FixedZone(name, seconds), name, nil
}

// settingValue joins the values of SET into one: only lists take several, and search_path quotes its names.
func settingValue(name string, values []string) (string, error) {
	switch name {
	case "search_path":
		quoted := make([]string, len(values))
		for i, v := range values {
			quoted[i] = parse.QuoteIdent(v)
		}
		return strings.Join(quoted, ", "), nil
	case "datestyle", "temp_tablespaces":
		return strings.Join(values, ", "), nil
	}
	if len(values) != 1 {
		return "", sqlerr.New(sqlerr.InvalidParameterValue, "SET %s takes only one argument", name)
	}
	return values[0], nil
}
