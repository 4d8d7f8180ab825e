package codec

import "strings"

// ecsFields are the fields of a format that the Elastic Common Schema calls by a column's name; none unless the stream is normalized.
func (o *Options) ecsFields(format, column string) []string {
	if o.Normalize != "ecs" {
		return nil
	}
	return ecsNames[format][strings.ReplaceAll(strings.ToLower(column), ".", "_")]
}

// ecsNames says by format and ECS name, with underscores for the points, which fields hold it; the later ones count when a record has several.
var ecsNames = map[string]map[string][]string{
	"SYSLOG": {
		"@timestamp": {"timestamp"}, "log_syslog_facility_name": {"facility"}, "log_syslog_facility_code": {"facility"},
		"log_syslog_severity_name": {"severity"}, "log_syslog_severity_code": {"severity"}, "log_syslog_priority": {"priority"},
		"log_syslog_hostname": {"hostname"}, "log_syslog_appname": {"app_name"}, "log_syslog_procid": {"proc_id"},
		"log_syslog_msgid": {"msg_id"}, "log_syslog_structured_data": {"structured_data"}, "log_syslog_version": {"version"},
		"log_level": {"severity"}, "host_hostname": {"hostname"}, "host_name": {"hostname"}, "process_name": {"app_name"}, "process_pid": {"proc_id"},
		"event_code": {"msg_id"},
	},
}
