package codec

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vigil-sql/vigil/executor/batch"
	"github.com/vigil-sql/vigil/executor/types"
)

// columns adds the columns of a table: name, kind and field by line.
func (g *golden) columns(table string) {
	kinds := map[string]types.Kind{"text": types.Text, "int": types.Int8, "inet": types.Inet, "ts": types.TimestampTZ}
	for row := range strings.Lines(table) {
		if f := strings.Fields(row); len(f) == 3 {
			g.column(f[0], kinds[f[1]], f[2])
		}
	}
}

// check runs and compares the number of events.
func (g *golden) check(t *testing.T, prefix string, want int, differ func(e map[string]any, col string) bool) {
	t.Helper()
	events, values := g.run(t, beatsCases(t, prefix), differ)
	t.Logf("%s: %d events, %d values", prefix, events, values)
	if events != want {
		t.Errorf("%s: %d events, want %d", prefix, events, want)
	}
}

func TestAccessLogsAsBeats(t *testing.T) {
	const table = `
		@timestamp ts timestamp
		http.request.method text verb
		url.original text request
		http.version text httpversion
		http.response.status_code int response
		http.response.body.bytes int bytes
		source.address text clientip
		user.name text auth
		http.request.referrer text referrer
		user_agent.original text agent`
	differ := func(e map[string]any, col string) bool {
		line, _ := e["event.original"].(string)
		switch col {
		case "source.address": // of several addresses Filebeat takes the first, vigil's pattern the last, which the server saw
			return strings.Contains(line, ", ") || strings.Contains(line, " - - ") && len(strings.Fields(line[:strings.Index(line, " - - ")])) > 1
		case "user.name", "http.request.referrer", "user_agent.original": // - is nothing for the modules, but not everywhere
			return e[col] == nil
		}
		return false
	}
	apache := golden{format: "GROK", params: map[string]string{"pattern": "%{COMBINEDAPACHELOG}", "pattern_2": "%{COMMONAPACHELOG}",
		"pattern_4": `(?<clientip>unix:) - - \[%{HTTPDATE:timestamp}\] "%{HTTPD_REQUEST}" (?:%{INT:response}|-) (?:%{INT:bytes}|-) "%{NOTQUOTE:referrer}" "%{NOTQUOTE:agent}"`, // a socket has no address
		"pattern_3": `^\[%{HTTPDATE:timestamp}\] %{IPORHOST:clientip} %{NOTSPACE} %{NOTSPACE} "%{HTTPD_REQUEST}" (?:%{INT:bytes}|-)`}}
	apache.columns(table)
	apache.check(t, "filebeat/module/apache/access/test/", 25, differ)
	nginx := golden{format: "GROK", params: apache.params}
	nginx.columns(table)
	nginx.check(t, "filebeat/module/nginx/access/test/", 34, differ)
	ingress := golden{format: "GROK", params: map[string]string{"pattern": `^%{COMBINEDAPACHELOG} %{NUMBER:length} %{NUMBER:time} \[%{DATA:upstream}\] \[%{DATA}\] ` +
		`(?:(?<address>[^ ,]+:\d+)|-)[^\[\]]*? (?<id>[0-9a-f]{32})$`}}
	ingress.columns(table + `
		nginx.ingress_controller.upstream.name text upstream
		nginx.ingress_controller.http.request.length int length
		http.request.id text id`)
	ingress.check(t, "filebeat/module/nginx/ingress_controller/test/", 24, differ)
}

func TestErrorLogsAsBeats(t *testing.T) {
	apache := golden{format: "GROK", millis: true, params: map[string]string{"timezone": "Etc/GMT+2",
		"pattern": `^\[(?<timestamp>%{DAY} %{MONTH} %{MONTHDAY} %{TIME} %{YEAR})\] \[(?:(?<module>[^:\]]*):)?(?<level>\w+)\](?: \[pid %{INT:pid}(?::tid %{INT:tid})?\])?(?: [\w.]+\(\d+\):)?` +
			`(?: \[client (?<client>[^\]]+?)(?::(?<port>\d+))?\])? (?<text>.*)`}}
	apache.columns(`
		@timestamp ts timestamp
		apache.error.module text module
		log.level text level
		process.pid int pid
		process.thread.id int tid
		source.address text client
		message text text`)
	apache.check(t, "filebeat/module/apache/error/test/", 14, func(e map[string]any, col string) bool {
		return e["log.level"] == "trace3" && (col == "source.address" || col == "message") // Filebeat does not know the place in the source code
	})
	nginx := golden{format: "GROK", params: map[string]string{"timezone": "Etc/GMT+2",
		"pattern": `^(?<timestamp>%{YEAR}/%{MONTHNUM}/%{MONTHDAY} %{TIME}) \[%{LOGLEVEL:level}\] %{INT:pid}#%{INT:tid}: (?:\*%{INT:connection} )?(?<text>.*)`}}
	nginx.columns(`
		@timestamp ts timestamp
		log.level text level
		process.pid int pid
		process.thread.id int tid
		nginx.error.connection_id int connection
		message text text`)
	nginx.check(t, "filebeat/module/nginx/error/test/", 4, func(e map[string]any, col string) bool {
		_, multi := e["log.flags"]
		return multi && col == "message" // vigil reads lines
	})
}

func TestAuditdAsBeats(t *testing.T) {
	g := golden{format: "KV"}
	g.columns(`
		auditd.log.node text node
		process.pid int pid
		process.parent.pid int ppid
		user.audit.id text auid
		auditd.log.ses text ses
		auditd.log.subj text subj
		auditd.log.items text items
		auditd.log.syscall text syscall
		auditd.log.tty text tty
		process.exit_code int exit
		user.effective.group.id text egid
		user.filesystem.id text fsuid
		user.group.id text gid
		auditd.log.op text op
		user.terminal text terminal
		event.outcome text res
		process.executable text exe
		process.name text comm
		source.address text addr
		auditd.log.table text table
		auditd.log.entries int entries
		auditd.log.laddr text laddr
		auditd.log.rport text rport
		auditd.log.cipher text cipher
		auditd.log.tcontext text tcontext
		auditd.log.vm-ctx text vm-ctx
		user.name text acct`)
	g.check(t, "filebeat/module/auditd/log/test/", 245, func(e map[string]any, col string) bool {
		line, _ := e["event.original"].(string)
		switch col {
		case "process.executable": // Filebeat has the first argument of EXECVE there, and decodes hexadecimal texts
			return strings.Contains(line, "type=EXECVE") || strings.Contains(line, "exe=2F")
		case "user.terminal", "source.address": // ? is nothing for Filebeat
			return e[col] == nil && strings.Contains(line, "=?") || strings.Contains(line, "type=MAC_IPSEC_EVENT") // src=
		case "auditd.log.op": // a text with blanks and without quotes
			return strings.Contains(line, "op=adding ") || e[col] == nil && strings.Contains(line, "op= ")
		case "user.audit.id", "auditd.log.ses": // Filebeat calls them old_auid and new_auid
			return strings.Contains(line, "type=LOGIN")
		case "auditd.log.tty": // a word without a value is true
			return strings.Contains(line, "type=TTY")
		case "user.name": // user= of VIRT_CONTROL
			return strings.Contains(line, "msg='user=")
		}
		return false
	})
}

func TestCloudTrailAsBeats(t *testing.T) {
	g := golden{format: "JSON"}
	g.columns(`
		@timestamp ts eventTime
		aws.cloudtrail.event_version text eventVersion
		aws.cloudtrail.event_type text eventType
		aws.cloudtrail.recipient_account_id text recipientAccountId
		aws.cloudtrail.user_identity.access_key_id text userIdentity.accessKeyId
		aws.cloudtrail.user_identity.arn text userIdentity.arn
		aws.cloudtrail.user_identity.type text userIdentity.type
		aws.cloudtrail.user_identity.invoked_by text userIdentity.invokedBy
		aws.cloudtrail.user_identity.session_context.mfa_authenticated text userIdentity.sessionContext.attributes.mfaAuthenticated
		aws.cloudtrail.user_identity.session_context.creation_date text userIdentity.sessionContext.attributes.creationDate
		aws.cloudtrail.user_identity.session_context.session_issuer.arn text userIdentity.sessionContext.sessionIssuer.arn
		aws.cloudtrail.user_identity.session_context.session_issuer.type text userIdentity.sessionContext.sessionIssuer.type
		aws.cloudtrail.console_login.additional_eventdata.login_to text additionalEventData.LoginTo
		aws.cloudtrail.error_message text errorMessage
		aws.cloudtrail.error_code text errorCode
		cloud.account.id text userIdentity.accountId
		cloud.region text awsRegion
		event.action text eventName
		event.id text eventID
		event.provider text eventSource
		source.address text sourceIPAddress
		user.id text userIdentity.principalId
		user_agent.original text userAgent`)
	g.check(t, "x-pack/filebeat/module/aws/cloudtrail/test/", 41, func(e map[string]any, col string) bool {
		line, _ := e["event.original"].(string)
		switch {
		case strings.HasSuffix(col, "creation_date"): // as written here, and as a time there
			return e[col] == nil || strings.Contains(line, strings.Replace(e[col].(string), ".000Z", "Z", 1))
		case strings.Contains(line, `"digestS3Bucket"`): // digests have other fields
			return col == "@timestamp" || col == "cloud.account.id"
		}
		return false
	})
}

// TestVPCFlowAsBeats: logs of version 2 have no header line; their times are seconds, which CSV, that reads as COPY does, takes as numbers.
func TestVPCFlowAsBeats(t *testing.T) {
	const table = `
		aws.vpcflow.account_id text account-id
		aws.vpcflow.action text action
		aws.vpcflow.interface_id text interface-id
		aws.vpcflow.log_status text log-status
		aws.vpcflow.version text version
		destination.ip inet dstaddr
		destination.port int dstport
		network.bytes int bytes
		network.iana_number text protocol
		network.packets int packets
		source.ip inet srcaddr
		source.port int srcport
`
	g := golden{format: "CSV", heading: true, params: map[string]string{"delimiter": " ", "null": "-", "header": "match"}}
	g.columns(table + `
		aws.vpcflow.instance_id text instance-id
		aws.vpcflow.pkt_dstaddr text pkt-dstaddr
		aws.vpcflow.subnet_id text subnet-id
		aws.vpcflow.tcp_flags text tcp-flags
		aws.vpcflow.type text type`)
	for i := range g.cols { // the header names the columns
		g.keys, g.cols[i].Name = append(g.keys, g.cols[i].Name), g.from[i]
	}
	g.from = nil
	g.check(t, "x-pack/filebeat/module/aws/vpcflow/test/custom-", 3, nil)
	g.check(t, "x-pack/filebeat/module/aws/vpcflow/test/tcp-flag", 5, nil)
	var pattern strings.Builder
	pattern.WriteString(`^(?<version>2)`)
	for _, f := range strings.Fields("account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status") {
		pattern.WriteString(` (?:-|(?<` + f + `>\S+))`)
	}
	g = golden{format: "GROK", params: map[string]string{"pattern": pattern.String()}}
	g.columns(table + `
		event.start ts start
		event.end ts end`)
	g.check(t, "x-pack/filebeat/module/aws/vpcflow/test/accept", 4, nil)
	g.check(t, "x-pack/filebeat/module/aws/vpcflow/test/ipv6", 1, nil)
	g.check(t, "x-pack/filebeat/module/aws/vpcflow/test/no-data", 2, nil)
}

// asaPatterns read the header of ASA's messages, and the connections of the usual ones.
func asaPatterns() map[string]string {
	const head = `^(?:<\d+>)?(?:(?<timestamp>%{MONTH} +%{MONTHDAY}(?: %{YEAR})? %{TIME})(?: EDT)?(?: <IP>)?(?: (?<host>[^\s:%<]+))?(?: (?<program>[^\s\[]+)\[(?<pid>\d+)\])? ?:? )?%(?:ASA|FTD)-(?:\w+-)?(?<severity>\d)-(?<id>\d+):? `
	const from, to = `(?<sif>[^\s:]+):(?:(?<src>%{IP})|[^\s/]+)(?:/(?<spt>\d+))?`, `(?<dif>[^\s:]+):(?:(?<dst>%{IP})|[^\s/]+)(?:/(?<dpt>\d+))?`
	return map[string]string{"timezone": "Etc/GMT+2",
		"pattern":   head + `Built \w+ (?:TCP|UDP) connection (?<connection>\d+) for ` + from + ` .*?\) to ` + to,
		"pattern_2": head + `Teardown (?:TCP|UDP) connection (?<connection>\d+) for ` + from + `\S*(?: \S+)? to ` + to + `\S*(?: \S+)? duration \S+ bytes (?<bytes>\d+)`,
		"pattern_3": head + `(?:Built|Teardown) dynamic \w+ translation from ` + from + `\S* to ` + to,
		"pattern_4": head + `Deny (?:protocol )?\w+ src ` + from + `\S*(?: \S+)? dst ` + to + `.* by access-group "(?<rule>[^"]+)"`,
		"pattern_5": head + `access-list (?<rule>\S+) \S+ \w+ (?<sif>[^/\s]+)/(?:(?<src>%{IP})|[^\s(]+)\((?<spt>\d+)\)\S* -> (?<dif>[^/\s]+)/(?:(?<dst>%{IP})|[^\s(]+)\((?<dpt>\d+)\)`,
		"pattern_6": head + `(?:Built|Teardown) (?:\w+ )?ICMP connection for faddr (?<dst>%{IP})/\S+ gaddr \S+ laddr (?<src>%{IP})/`,
		"pattern_7": head + `Deny TCP \(no connection\) from (?<src>%{IP})/(?<spt>\d+) to (?<dst>%{IP})/(?<dpt>\d+) flags .* on interface (?<sif>\S+)`,
		"pattern_8": head + `(?:Built|Teardown) local-host (?<sif>[^\s:]+):(?<src>%{IP})`,
		"pattern_9": head + `%{GREEDYDATA}`,
	}
}

func TestASAAsBeats(t *testing.T) {
	g := golden{format: "GROK", params: asaPatterns(), arrival: time.Date(2019, 7, 1, 0, 0, 0, 0, time.UTC)}
	g.columns(`
		event.severity int severity
		cisco.asa.message_id text id
		host.hostname text host
		process.name text program
		process.pid int pid
		cisco.asa.source_interface text sif
		source.ip inet src
		source.port int spt
		cisco.asa.destination_interface text dif
		destination.ip inet dst
		destination.port int dpt
		network.bytes int bytes
		cisco.asa.connection_id text connection
		cisco.asa.rule_name text rule`)
	g.check(t, "x-pack/filebeat/module/cisco/asa/test/", 304, func(e map[string]any, col string) bool {
		if col == "process.name" {
			return e[col] == "<IP>" // a placeholder, no program
		}
		switch e["cisco.asa.message_id"] {
		case "302013", "302014", "302015", "302016", "305011", "305012", "106023", "106100", "302020", "302021", "106015", "609001", "609002":
			return false
		}
		return col != "event.severity" && col != "cisco.asa.message_id" && col != "host.hostname" && col != "process.pid"
	})
}

// TestFail2banOthers: the labelled lines of other programs give the address of fail2ban's labels, also where a client put others into the line.
func TestFail2banOthers(t *testing.T) {
	for _, c := range []struct {
		name, pattern, pattern2 string
		lines                   int
	}{
		{"apache-auth", `\[(?:client|remote) \[?%{IP:addr}\]?(?::\d+)?\] `, "", 41},
		{"mysqld-auth", `Access denied for user '.*'@'(?<addr>[^']+)'(?: \(using password: \w+\))?`, "", 16},
		{"nginx-http-auth", `^.*, client: %{IP:addr}, server: `, "", 17},
		{"postfix", `(?:from|warning:) [^\[\s]*\[%{IP:addr}\]`, `does not resolve to address %{IP:addr}: `, 58},
		{"xrdp", `ip=(?:::ffff:)?%{IP:addr} time=\d+$`, "", 6},
	} {
		params := map[string]string{"pattern": c.pattern}
		if c.pattern2 != "" {
			params["pattern_2"] = c.pattern2
		}
		lines, equal := fail2banFile(t, c.name, params)
		t.Logf("%s: %d lines, %d equal", c.name, lines, equal)
		if lines != c.lines || equal != lines {
			t.Errorf("%s: %d lines, %d equal", c.name, lines, equal)
		}
	}
}

// fail2banFile compares the lines that a label calls a match and says the address of.
func fail2banFile(t *testing.T, name string, params map[string]string) (lines, equal int) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("..", "..", "..", "shared", "data", "events", "fail2ban", name))
	if err != nil {
		t.Skip("../shared/data/events/fail2ban is missing; put the shared material beside the checkout")
	}
	s := &types.Schema{Cols: []types.Column{benchColumn("addr", types.Text)}}
	d := newDecoder(t, "GROK", Options{Schema: s, TimeCol: -1, Params: params})
	var label struct {
		Match bool
		Host  string
	}
	for text := range bytes.Lines(data) {
		if _, js, ok := bytes.Cut(text, []byte("failJSON:")); ok {
			label.Match, label.Host = false, ""
			_ = json.Unmarshal(js, &label) // a label that is no JSON labels nothing
			continue
		}
		if text[0] == '#' || !label.Match || label.Host == "" {
			continue
		}
		label.Match = false
		lines++
		b := batch.New(s, nil)
		var rej []Reject
		if d.Decode(text, b, 1, &rej); b.N == 1 && b.Cols[0].Value(0).Text() == label.Host {
			equal++
		} else {
			t.Logf("%s: %q: %d rows, want %s", name, text, b.N, label.Host)
		}
	}
	return lines, equal
}

// TestZeekLogs: the fields of Zeek's own tab-separated logs are those between the tabs.
func TestZeekLogs(t *testing.T) {
	files, _ := filepath.Glob(filepath.Join("..", "..", "..", "shared", "data", "net", "expected", "*.zeek.*.log"))
	if len(files) == 0 {
		t.Skip("../shared/data/net/expected is missing; put the shared material beside the checkout")
	}
	rows, values := 0, 0
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		var fields []string
		var want [][]string
		for text := range strings.Lines(string(data)) {
			text = strings.TrimSuffix(text, "\n")
			if rest, ok := strings.CutPrefix(text, "#fields\t"); ok {
				fields = strings.Split(rest, "\t")
			} else if !strings.HasPrefix(text, "#") {
				want = append(want, strings.Split(text, "\t"))
			}
		}
		s := &types.Schema{}
		for _, name := range fields {
			s.Cols = append(s.Cols, benchColumn(strings.ReplaceAll(name, ".", "_"), types.Text))
		}
		if len(fields) == 0 {
			continue // a log in JSON
		}
		b := batch.New(s, nil)
		var rej []Reject
		newDecoder(t, "ZEEK", Options{Schema: s, TimeCol: -1, From: fields}).Decode(data, b, len(want)+1, &rej)
		if b.N != len(want) || len(rej) > 0 {
			t.Fatalf("%s: %d rows, want %d, rejects %v", f, b.N, len(want), rej)
		}
		for i, row := range want {
			rows++
			for c, text := range row {
				if text == "(empty)" {
					text = ""
				}
				if null := text == "-"; null != b.Cols[c].IsNull(i) || !null && string(b.Cols[c].Bytes(i)) != text && !strings.Contains(text, `\x`) {
					t.Errorf("%s: row %d: %s is %q, want %q", f, i, fields[c], b.Cols[c].Bytes(i), text)
				}
				values++
			}
		}
	}
	t.Logf("%d logs, %d rows, %d values", len(files), rows, values)
	if rows < 100 {
		t.Errorf("only %d rows", rows)
	}
}
