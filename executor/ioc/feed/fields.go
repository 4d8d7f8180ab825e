package feed

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vigil-sql/vigil/executor/ioc"
	"github.com/vigil-sql/vigil/executor/sqlerr"
	"github.com/vigil-sql/vigil/executor/types"
)

// field is something that a record says of an indicator.
type field int

const (
	fieldValue field = iota
	fieldType
	fieldSource
	fieldConfidence
	fieldTags
	fieldFirstSeen
	fieldExpires
	fields
)

// names are what feeds call the fields, the best name first.
var names = [fields][]string{
	fieldValue:      {"value", "indicator", "ioc", "ioc_value", "indicator_value", "observable"},
	fieldType:       {"type", "ioc_type", "indicator_type"},
	fieldSource:     {"source", "feed", "provider", "reporter"},
	fieldConfidence: {"confidence", "confidence_level", "score"},
	fieldTags:       {"tags", "tag", "labels"},
	fieldFirstSeen:  {"first_seen", "firstseen", "first_seen_utc", "valid_from"},
	fieldExpires:    {"expires_at", "expires", "valid_until", "expiration"},
}

// valueNames are what feeds of one type call their values.
var valueNames = map[string][]string{
	ioc.IP: {"ip", "ip_address", "address", "dst_ip", "src_ip"}, ioc.CIDR: {"cidr", "network", "prefix", "subnet", "ip"}, ioc.Domain: {"domain", "hostname", "host", "fqdn"},
	ioc.URL: {"url", "uri"}, ioc.Hash: {"hash", "sha256", "sha256_hash", "sha1", "sha1_hash", "md5", "md5_hash"}, ioc.Email: {"email", "email_address"}, ioc.Text: {"text"},
}

// namesOf are the names of a field in a feed for a list of a type.
func namesOf(f field, kind string) []string {
	if f == fieldValue {
		return append(slices.Clip(names[f]), valueNames[kind]...)
	}
	return names[f]
}

// kinds are what feeds call the types.
var kinds = map[string]string{
	"ip": ioc.IP, "ipv4": ioc.IP, "ipv6": ioc.IP, "ipv4-addr": ioc.IP, "ipv6-addr": ioc.IP, "ip-src": ioc.IP, "ip-dst": ioc.IP, "address": ioc.IP,
	"cidr": ioc.CIDR, "network": ioc.CIDR, "subnet": ioc.CIDR, "domain": ioc.Domain, "domain-name": ioc.Domain, "hostname": ioc.Domain, "fqdn": ioc.Domain,
	"url": ioc.URL, "uri": ioc.URL, "hash": ioc.Hash, "md5": ioc.Hash, "sha1": ioc.Hash, "sha-1": ioc.Hash, "sha224": ioc.Hash, "sha256": ioc.Hash, "sha-256": ioc.Hash,
	"sha384": ioc.Hash, "sha512": ioc.Hash, "sha-512": ioc.Hash, "email": ioc.Email, "email-addr": ioc.Email, "email-src": ioc.Email, "email-dst": ioc.Email, "text": ioc.Text,
}

// other stands for a type that no list has.
const other = "other"

// set fills a field of an entry from its text; kind is what the record calls its type.
func (e *Entry) set(f field, text string, kind *string) error {
	trimmed := strings.TrimSpace(text)
	if trimmed == "" && f != fieldValue {
		return nil
	}
	var err error
	switch f {
	case fieldValue:
		e.Value = text
	case fieldType:
		if *kind = kinds[strings.ToLower(trimmed)]; *kind == "" {
			*kind = other
		}
	case fieldSource:
		e.Source = trimmed
	case fieldConfidence:
		e.Confidence, err = parseConfidence(trimmed)
	case fieldTags:
		for _, t := range strings.FieldsFunc(trimmed, func(r rune) bool { return strings.ContainsRune(";|,{}", r) }) {
			if err == nil {
				err = e.tag(strings.Trim(t, " \t\""))
			}
		}
	case fieldFirstSeen:
		e.FirstSeen, err = parseTime(trimmed)
	case fieldExpires:
		e.Expires, err = parseTime(trimmed)
	}
	return err
}

// The bounds of an entry's tags.
const (
	tagsMax   = 64
	tagLenMax = 256
)

func (e *Entry) tag(t string) error {
	switch {
	case t == "" || slices.Contains(e.Tags, t):
		return nil
	case len(t) > tagLenMax:
		return refusal("a tag is longer than %d bytes", tagLenMax)
	case len(e.Tags) == tagsMax:
		return refusal("there are more than %d tags", tagsMax)
	}
	e.Tags = append(e.Tags, strings.Clone(t))
	return nil
}

func parseConfidence(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil || n < 0 || n > 100 {
		return -1, refusal("invalid confidence: %q", short(s)).(*sqlerr.Error).WithHint("Expected a number from 0 to 100.")
	}
	return n, nil
}

var layouts = []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999Z07:00", "2006-01-02 15:04:05.999999999-07",
	"2006-01-02 15:04:05.999999999 MST", "2006-01-02 15:04:05.999999999", "2006-01-02"}

// secondsFrom is where numbers are times and no years: 1973.
const secondsFrom = 100_000_000

// parseTime reads what feeds write as times: ISO 8601 in its usual forms, in UTC where no zone is told, or seconds since 1970.
func parseTime(s string) (types.EventTime, error) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil && n >= secondsFrom && n < 1000*secondsFrom {
		return types.EventTime(n * 1e6), nil
	}
	for _, l := range layouts {
		t, err := time.Parse(l, s)
		if err == nil && t.Year() >= 1900 && (!strings.Contains(l, "MST") || t.Location() == time.UTC) {
			return types.EventTime(t.UnixMicro()), nil
		}
	}
	return 0, refusal("invalid time: %q", short(s)).(*sqlerr.Error).WithHint("Expected a time such as 2026-01-31T12:00:00Z, or seconds since 1970.")
}

func short(s string) string {
	if len(s) > 80 {
		return strings.ToValidUTF8(s[:80], "") + "..."
	}
	return s
}
