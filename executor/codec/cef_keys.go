package codec

// cefKeys are the names of CEF's dictionary that have a short form, in lower case: full name -> the key in events.
var cefKeys = map[string]string{
	"deviceaction": "act", "applicationprotocol": "app", "baseeventcount": "cnt", "bytesin": "in", "bytesout": "out",
	"destinationaddress": "dst", "destinationhostname": "dhost",
	"destinationmacaddress": "dmac", "destinationntdomain": "dntdom", "destinationport": "dpt", "destinationprocessid": "dpid",
	"destinationprocessname": "dproc", "destinationuserid": "duid", "destinationusername": "duser", "destinationuserprivileges": "dpriv",
	"destinationgeolatitude": "dlat", "destinationgeolongitude": "dlong",
	"deviceaddress": "dvc", "devicehostname": "dvchost", "devicemacaddress": "dvcmac", "deviceprocessid": "dvcpid",
	"devicereceipttime": "rt", "devicetimezone": "dtz", "deviceeventcategory": "cat",
	"endtime": "end", "starttime": "start", "eventoutcome": "outcome", "filename": "fname", "filesize": "fsize", "message": "msg",
	"requesturl": "request", "sourceaddress": "src", "sourcegeolatitude": "slat", "sourcegeolongitude": "slong", "sourcehostname": "shost",
	"sourcemacaddress": "smac", "sourcentdomain": "sntdom", "sourceport": "spt", "sourceprocessid": "spid", "sourceprocessname": "sproc",
	"sourceuserid": "suid", "sourceusername": "suser", "sourceuserprivileges": "spriv", "transportprotocol": "proto",
	"agentaddress": "agt", "agenthostname": "ahost", "agentid": "aid", "agentmacaddress": "amac", "agentreceipttime": "art",
	"agenttimezone": "atz", "agenttype": "at", "agentversion": "av",
	"devicecustomipv6address1": "c6a1", "devicecustomipv6address1label": "c6a1label", "devicecustomipv6address2": "c6a2",
	"devicecustomipv6address2label": "c6a2label", "devicecustomipv6address3": "c6a3", "devicecustomipv6address3label": "c6a3label",
	"devicecustomipv6address4": "c6a4", "devicecustomipv6address4label": "c6a4label",
	"devicecustomfloatingpoint1": "cfp1", "devicecustomfloatingpoint1label": "cfp1label", "devicecustomfloatingpoint2": "cfp2",
	"devicecustomfloatingpoint2label": "cfp2label", "devicecustomfloatingpoint3": "cfp3", "devicecustomfloatingpoint3label": "cfp3label",
	"devicecustomfloatingpoint4": "cfp4", "devicecustomfloatingpoint4label": "cfp4label",
	"devicecustomnumber1": "cn1", "devicecustomnumber1label": "cn1label", "devicecustomnumber2": "cn2", "devicecustomnumber2label": "cn2label",
	"devicecustomnumber3": "cn3", "devicecustomnumber3label": "cn3label",
	"devicecustomstring1": "cs1", "devicecustomstring1label": "cs1label", "devicecustomstring2": "cs2", "devicecustomstring2label": "cs2label",
	"devicecustomstring3": "cs3", "devicecustomstring3label": "cs3label", "devicecustomstring4": "cs4", "devicecustomstring4label": "cs4label",
	"devicecustomstring5": "cs5", "devicecustomstring5label": "cs5label", "devicecustomstring6": "cs6", "devicecustomstring6label": "cs6label",
}
