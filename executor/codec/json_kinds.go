package codec

import "strings"

var eveDef = Def{
	Name: "EVE",
	Doc:  "Suricata's EVE log: JSON, where columns such as alert_signature and dns_rrname are found within the objects alert, dns, .. No options.",
	New: func(o Options) (Decoder, error) {
		if err := onlyParams("EVE", o.Params); err != nil {
			return nil, err
		}
		return newJSONDecoder(o, "EVE")
	},
}

var windowsDef = Def{
	Name: "WINDOWS",
	Doc: "Windows events as JSON: flattened, nested as Event.System and Event.EventData, or as Winlogbeat writes them. Columns of the usual fields need no " +
		"capital letters (eventid, targetusername). No options.",
	New: func(o Options) (Decoder, error) {
		if err := onlyParams("WINDOWS", o.Params); err != nil {
			return nil, err
		}
		return newJSONDecoder(o, "WINDOWS")
	},
}

// eveObjects are the objects of EVE records.
var eveObjects = []string{"alert", "anomaly", "app_layer", "dhcp", "dns", "email", "fileinfo", "flow", "ftp", "http", "ikev2", "krb5", "metadata", "modbus", "mqtt",
	"netflow", "nfs", "rdp", "rfb", "smb", "smtp", "snmp", "ssh", "stats", "tcp", "tftp", "tls", "tunnel", "vlan"}

// windowsFields are the usual fields of Windows events and Sysmon's.
var windowsFields = strings.Fields(`EventID Channel Computer Provider_Name EventRecordID TimeCreated Level Task Opcode Keywords Version Hostname SourceName
	SubjectUserSid SubjectUserName SubjectDomainName SubjectLogonId TargetUserSid TargetUserName TargetDomainName TargetLogonId TargetServerName
	LogonType LogonProcessName AuthenticationPackageName WorkstationName LogonGuid IpAddress IpPort Status SubStatus FailureReason ProcessId ProcessName
	NewProcessId NewProcessName ParentProcessName ParentProcessId CommandLine ParentCommandLine Image ParentImage User UtcTime ProcessGuid ParentProcessGuid Hashes
	IntegrityLevel CurrentDirectory OriginalFileName Product Company Description SourceImage TargetImage GrantedAccess CallTrace TargetFilename TargetObject Details EventType
	SourceIp SourcePort SourceHostname DestinationIp DestinationPort DestinationHostname Protocol Initiated QueryName QueryResults QueryStatus ImageLoaded Signed Signature
	ShareName ShareLocalPath RelativeTargetName AccessMask AccessList ObjectName ObjectType ServiceName ServiceFileName TicketOptions TicketEncryptionType PreAuthType
	AccountName ClientName ClientAddress SessionName Application Direction SourceAddress DestAddress DestPort ScriptBlockText ScriptBlockId Path HostApplication Message`)

// jsonAliases are the paths by which a column without FROM is found besides its own name.
func jsonAliases(format, column string) []string {
	switch format {
	case "ZEEK":
		return zeekAlias(column)
	case "EVE":
		for _, o := range eveObjects {
			if rest, ok := strings.CutPrefix(column, o+"_"); ok {
				return []string{o + "." + rest}
			}
		}
		if column == "ts" {
			return []string{"timestamp"}
		}
	case "WINDOWS":
		return windowsPaths(column)
	}
	return nil
}

// windowsPaths are the places of a field of Windows events.
func windowsPaths(column string) []string {
	name := column
	for _, f := range windowsFields {
		if strings.EqualFold(f, column) {
			name = f
		}
	}
	q := `"` + strings.ReplaceAll(name, `"`, `""`) + `"`
	paths := []string{q, "Event.System." + q, "Event.EventData." + q, "Event.UserData." + q, "winlog." + q, "winlog.event_data." + q}
	switch name {
	case "EventID":
		paths = append(paths, `Event.System.EventID."#text"`, "winlog.event_id", "event.code")
	case "TimeCreated", "ts":
		paths = append(paths, `Event.System.TimeCreated."#attributes".SystemTime`, "TimeCreated", `"@timestamp"`)
	case "Provider_Name":
		paths = append(paths, `Event.System.Provider."#attributes".Name`, "winlog.provider_name", "SourceName")
	case "Computer":
		paths = append(paths, "winlog.computer_name", "Hostname")
	case "Channel":
		paths = append(paths, "winlog.channel")
	}
	return paths
}
