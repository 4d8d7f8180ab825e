package codec

import "strings"

// ecsFields are the fields of a format that the Elastic Common Schema calls by a column's name; none unless the stream is normalized.
func (o *Options) ecsFields(format, column string) []string {
	if o.Normalize != "ecs" {
		return nil
	}
	return ecsNames[format][strings.ReplaceAll(strings.ToLower(column), ".", "_")]
}

// ecsNames says by format and ECS name, with underscores for the points, which fields hold it; names in lower case but for the formats that are JSON.
var ecsNames = map[string]map[string][]string{
	"SYSLOG": {
		"@timestamp": {"timestamp"}, "log_syslog_facility_name": {"facility"}, "log_syslog_facility_code": {"facility"},
		"log_syslog_severity_name": {"severity"}, "log_syslog_severity_code": {"severity"}, "log_syslog_priority": {"priority"},
		"log_syslog_hostname": {"hostname"}, "log_syslog_appname": {"app_name"}, "log_syslog_procid": {"proc_id"},
		"log_syslog_msgid": {"msg_id"}, "log_syslog_structured_data": {"structured_data"}, "log_syslog_version": {"version"},
		"log_level": {"severity"}, "host_hostname": {"hostname"}, "host_name": {"hostname"}, "process_name": {"app_name"}, "process_pid": {"proc_id"},
		"event_code": {"msg_id"},
	},
	"CEF": {
		"@timestamp": {"rt"}, "source_ip": {"src", "c6a2"}, "source_port": {"spt"}, "source_mac": {"smac"}, "source_domain": {"shost"}, "source_user_name": {"suser"},
		"source_user_id": {"suid"}, "source_bytes": {"in"}, "source_nat_ip": {"sourcetranslatedaddress"}, "source_nat_port": {"sourcetranslatedport"},
		"source_process_name": {"sproc"}, "source_service_name": {"sourceservicename"},
		"destination_ip": {"dst", "c6a3"}, "destination_port": {"dpt"}, "destination_mac": {"dmac"}, "destination_domain": {"dhost"}, "destination_user_name": {"duser"},
		"destination_user_id": {"duid"}, "destination_bytes": {"out"}, "destination_nat_ip": {"destinationtranslatedaddress"},
		"destination_nat_port": {"destinationtranslatedport"}, "destination_service_name": {"destinationservicename"},
		"network_transport": {"proto"}, "network_protocol": {"app"}, "event_action": {"act"}, "event_code": {"signature_id"}, "event_outcome": {"outcome"},
		"event_start": {"start"}, "event_end": {"end"}, "event_id": {"eventid"}, "message": {"msg"}, "file_name": {"fname"}, "file_path": {"filepath"},
		"file_size": {"fsize"}, "file_hash": {"filehash"}, "url_original": {"request"}, "http_request_method": {"requestmethod"},
		"http_request_referrer": {"requestcontext"}, "user_agent_original": {"requestclientapplication"}, "observer_vendor": {"device_vendor"},
		"observer_product": {"device_product"}, "observer_version": {"device_version"}, "observer_hostname": {"dvchost"}, "observer_ip": {"dvc"},
		"observer_ingress_interface_name": {"deviceinboundinterface"}, "observer_egress_interface_name": {"deviceoutboundinterface"}, "rule_name": {"name"},
		"host_hostname": {"hostname"},
	},
	"LEEF": {
		"@timestamp": {"devtime"}, "source_ip": {"src"}, "source_port": {"srcport"}, "source_mac": {"srcmac"}, "source_bytes": {"srcbytes"}, "source_packets": {"srcpackets"},
		"source_nat_ip": {"srcpostnat"}, "source_nat_port": {"srcpostnatport"}, "destination_ip": {"dst"}, "destination_port": {"dstport"}, "destination_mac": {"dstmac"},
		"destination_bytes": {"dstbytes"}, "destination_packets": {"dstpackets"}, "destination_nat_ip": {"dstpostnat"}, "destination_nat_port": {"dstpostnatport"},
		"user_name": {"usrname"}, "user_domain": {"domain"}, "network_transport": {"proto"}, "event_code": {"event_id"}, "event_category": {"cat"}, "event_severity": {"sev"},
		"event_action": {"action"}, "observer_vendor": {"vendor"}, "observer_product": {"product"}, "observer_version": {"product_version"},
		"url_original": {"url"}, "host_hostname": {"hostname"},
	},
	"KV": {
		"@timestamp": {"eventtime", "ts", "timestamp"}, "source_ip": {"src", "srcip"}, "source_port": {"spt", "srcport"}, "destination_ip": {"dst", "dstip"},
		"destination_port": {"dpt", "dstport"}, "source_bytes": {"sentbyte"}, "destination_bytes": {"rcvdbyte"}, "network_transport": {"proto"}, "network_protocol": {"service"},
		"observer_ingress_interface_name": {"in", "srcintf"}, "observer_egress_interface_name": {"out", "dstintf"}, "observer_name": {"devname"}, "event_action": {"action"},
		"event_duration": {"duration"}, "event_code": {"logid"}, "user_name": {"user"}, "rule_id": {"policyid"}, "log_level": {"level"}, "message": {"msg"},
		"host_hostname": {"hostname"}, "process_name": {"app_name"}, "process_pid": {"proc_id"},
	},
	"ZEEK": {
		"@timestamp": {"ts"}, "source_ip": {"id.orig_h", "src"}, "source_port": {"id.orig_p"}, "destination_ip": {"id.resp_h", "dst"}, "destination_port": {"id.resp_p"},
		"source_bytes": {"orig_ip_bytes"}, "destination_bytes": {"resp_ip_bytes"}, "source_packets": {"orig_pkts"}, "destination_packets": {"resp_pkts"},
		"network_transport": {"proto"}, "network_protocol": {"service"}, "event_id": {"uid"}, "event_duration": {"duration"}, "dns_question_name": {"query"},
		"dns_question_type": {"qtype_name"}, "dns_response_code": {"rcode_name"}, "http_request_method": {"method"}, "http_response_status_code": {"status_code"},
		"url_original": {"uri"}, "url_domain": {"host"}, "user_agent_original": {"user_agent"}, "http_request_referrer": {"referrer"}, "user_name": {"username"},
		"tls_client_server_name": {"server_name"}, "tls_cipher": {"cipher"}, "rule_name": {"note"}, "event_dataset": {"_path"},
	},
	"EVE": {
		"@timestamp": {"timestamp"}, "source_ip": {"src_ip"}, "source_port": {"src_port"}, "destination_ip": {"dest_ip"}, "destination_port": {"dest_port"},
		"network_transport": {"proto"}, "network_protocol": {"app_proto"}, "event_kind": {"event_type"}, "event_severity": {"alert.severity"}, "rule_id": {"alert.signature_id"},
		"rule_name": {"alert.signature"}, "rule_category": {"alert.category"}, "event_action": {"alert.action"}, "source_bytes": {"flow.bytes_toserver"},
		"destination_bytes": {"flow.bytes_toclient"}, "source_packets": {"flow.pkts_toserver"}, "destination_packets": {"flow.pkts_toclient"},
		"dns_question_name": {"dns.rrname"}, "dns_question_type": {"dns.rrtype"}, "url_domain": {"http.hostname"}, "url_original": {"http.url"},
		"http_request_method": {"http.http_method"}, "http_response_status_code": {"http.status"}, "user_agent_original": {"http.http_user_agent"},
		"tls_client_server_name": {"tls.sni"}, "file_name": {"fileinfo.filename"}, "file_size": {"fileinfo.size"}, "observer_ingress_interface_name": {"in_iface"},
	},
	"WINDOWS": {
		"@timestamp": {"TimeCreated", "UtcTime", `"@timestamp"`}, "event_code": {"EventID", "Event.System.EventID", `Event.System.EventID."#text"`, "winlog.event_id"},
		"host_name": {"Hostname", "Computer", "Event.System.Computer", "winlog.computer_name"}, "source_ip": windowsECS("IpAddress", "SourceIp", "SourceAddress"),
		"source_port": windowsECS("IpPort", "SourcePort"), "destination_ip": windowsECS("DestinationIp", "DestAddress"), "destination_port": windowsECS("DestinationPort", "DestPort"),
		"user_name": windowsECS("SubjectUserName", "TargetUserName"), "user_domain": windowsECS("SubjectDomainName", "TargetDomainName"),
		"user_target_name": windowsECS("TargetUserName"), "process_executable": windowsECS("ProcessName", "NewProcessName", "Image"),
		"process_command_line": windowsECS("CommandLine"), "process_pid": windowsECS("ProcessId"), "process_parent_executable": windowsECS("ParentProcessName", "ParentImage"),
		"process_parent_command_line": windowsECS("ParentCommandLine"), "file_path": windowsECS("TargetFilename"), "registry_path": windowsECS("TargetObject"),
		"dns_question_name": windowsECS("QueryName"), "service_name": windowsECS("ServiceName"), "event_provider": {"Provider_Name", "SourceName"},
		"winlog_channel": {"Channel", "Event.System.Channel"}, "winlog_logon_type": windowsECS("LogonType"),
	},
}

// windowsECS are the places of fields of Windows events; of several that a record has the last one counts.
func windowsECS(fields ...string) (paths []string) {
	for _, f := range fields {
		paths = append(paths, f, "Event.EventData."+f, "winlog.event_data."+f)
	}
	return paths
}
