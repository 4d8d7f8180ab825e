package arch

// row is what a package may import of ours.
type row struct {
	pkg     string
	imports []string
}

// low are the packages that everything in executor, planner, udf and server may import: types, errors, rows in bulk.
var low = []string{"executor/sqlerr", "executor/types", "executor/batch"}

// with joins lists.
func with(lists ...[]string) []string {
	var all []string
	for _, l := range lists {
		all = append(all, l...)
	}
	return all
}

// bound are the packages that the planner's stages share.
var bound = with(low, []string{
	"executor/fn", "executor/agg", "executor/window", "executor/expr", "executor/spec", "planner/parse", "planner/catalog",
})

// stores is the storage that the life of a job touches; pebblekv is chosen by server alone.
var stores = []string{"storage/kv", "storage/state", "storage/state/arena", "storage/checkpoint", "storage/meta", "storage/eventlog", "storage/results", "storage/ioc"}

// table says which package may import which of ours. A package imports only rows above its own; a new arrow is a change
// of this table, argued in review. docs/ARCHITECTURE tells why.
var table = []row{
	{"storage/kv", nil},
	{"storage/pebblekv", []string{"storage/kv"}},
	{"storage/eventlog", nil},
	{"storage/state/arena", nil},
	{"storage/state", []string{"storage/kv", "storage/state/arena"}},
	{"storage/checkpoint", []string{"storage/kv", "storage/state"}},
	{"storage/meta", []string{"storage/kv"}},
	{"storage/results", []string{"storage/kv"}},
	{"storage/ioc", []string{"storage/kv"}},

	{"executor/sqlerr", nil},
	{"executor/types", []string{"executor/sqlerr"}},
	{"executor/batch", []string{"executor/sqlerr", "executor/types"}},
	{"executor/fn", low},
	{"executor/agg", with(low, []string{"storage/state/arena"})},
	{"executor/window", low},
	{"executor/expr", with(low, []string{"executor/fn", "executor/agg", "storage/state/arena"})},
	{"executor/flow", nil},
	{"executor/codec", with(low, []string{"executor/flow"})},
	{"executor/seal", []string{"executor/sqlerr"}},
	{"executor/connector", low},
	{"executor/connector/kafka", with(low, []string{"executor/connector"})},
	{"executor/connector/postgres", with(low, []string{"executor/connector"})},
	{"executor/ioc", with(low, []string{"executor/expr", "storage/ioc"})},
	{"executor/ioc/feed", with(low, []string{"executor/ioc"})},
	{"executor/table", with(low, []string{"executor/expr", "storage/state"})},
	{"executor/predindex", with(low, []string{"executor/fn", "executor/expr"})},
	{"executor/spec", with(low, []string{"executor/agg", "executor/window", "executor/expr"})},
	{"executor/op", with(low, []string{
		"executor/fn", "executor/agg", "executor/window", "executor/expr", "executor/spec", "storage/state", "storage/state/arena",
	})},
	{"executor/task", with(low, []string{
		"executor/fn", "executor/expr", "executor/codec", "executor/connector", "executor/predindex", "executor/spec", "executor/op",
		"storage/state",
	})},
	{"executor/job", with(low, stores, []string{
		"executor/table",
		"executor/fn", "executor/agg", "executor/window", "executor/expr", "executor/codec", "executor/connector", "executor/ioc", "executor/predindex", "executor/spec",
		"executor/seal", "executor/op", "executor/task",
	})},

	// sink reads the changelogs, and keeps its cursors and dead letters, beside the engine.
	{"executor/sink", with(low, []string{"executor/codec", "executor/seal", "executor/connector", "storage/kv", "storage/meta", "storage/results"})},

	{"planner/parse", []string{"executor/sqlerr"}},
	{"planner/catalog", with(low, []string{"executor/expr", "executor/spec", "storage/meta", "planner/parse"})},
	{"planner/logical", bound},
	{"planner/bind", with(bound, []string{"planner/logical"})},
	{"planner/rules", with(bound, []string{"planner/logical"})},
	{"planner/lower", with(bound, []string{"planner/logical"})},
	{"planner", with(bound, []string{"planner/bind", "planner/logical", "planner/rules", "planner/lower"})},

	// wire is what parent and child of the JavaScript sandbox say to each other; udf runs children, worker is one. Users' aggregates
	// are kernels of agg, which udf computes.
	{"udf/wire", low},
	{"udf/worker", with(low, []string{"executor/fn", "udf/wire"})},
	{"udf", with(low, []string{"executor/agg", "executor/fn", "executor/spec", "udf/wire"})},

	{"server/pgwire", []string{"executor/sqlerr", "executor/types"}},
	{"server/auth", low},
	{"server/pgcatalog", with(bound, []string{"executor/job"})},
	// session runs bounded programs in the connection's goroutine (task, op), stores and reads rows (codec), and sees the
	// engine's results, log entries and catalogue rows, whose types are storage's.
	{"server/session", with(bound, []string{
		"executor/table",
		"executor/codec", "executor/ioc", "executor/ioc/feed", "executor/op", "executor/task", "executor/job", "executor/connector", "executor/sink", "planner", "storage/eventlog",
		"executor/seal", "storage/meta", "storage/results", "storage/ioc", "server/pgwire", "server/pgcatalog", "server/auth",
	})},
	{"server/httpapi", with(bound, []string{"planner", "executor/job", "executor/codec", "executor/sink", "server/auth", "server/session"})},
	{"server", []string{anything}},
	{"server/demo", with(low, []string{"executor/connector", "planner/parse", "server", "server/pgwire", "server/session"})},
	{"server/cmd/vigil", []string{anything}},
}

// anything stands for every row above.
const anything = "*"

// owners says which package is the only one that imports a module. A module that is not listed may be imported by one
// package, whichever it is.
var owners = map[string]string{
	"github.com/cockroachdb/pebble/v2":    "storage/pebblekv",
	"github.com/pingcap/tidb/pkg/parser":  "planner/parse",
	"github.com/twmb/franz-go":            "executor/connector/kafka",
	"github.com/seiflotfy/cuckoofilter":   "storage/ioc",
	"github.com/jackc/pgproto3/v2":        "server/pgwire",
	"github.com/dop251/goja":              "udf/worker",
	"github.com/cockroachdb/apd/v3":       "executor/types",
	"github.com/valyala/fastjson":         "executor/codec",
	"github.com/alecthomas/kong":          "server/cmd/vigil",
	"github.com/prometheus/client_golang": "server/httpapi",
	"github.com/cockroachdb/datadriven":   testsOnly,
	"github.com/bits-and-blooms/bloom/v3": testsOnly,
	"github.com/twmb/franz-go/pkg/kfake":  testsOnly,
	"github.com/jackc/pgx/v5":             "executor/connector/postgres",
}

// shared are modules that extend the standard library; any package may import them.
var shared = []string{"golang.org/x/sys", "golang.org/x/text", "golang.org/x/time"}

// testsOnly marks modules that only tests import.
const testsOnly = "tests"

// volatile are the files of deterministic packages that may draw random numbers: they define functions whose volatility is
// fn.Volatile (random, gen_random_uuid), which only bounded statements may call.
var volatile = []string{"executor/fn/hash.go", "executor/fn/math.go"}

// deterministic are the packages that must give the same results each time: they read no clock, draw no random numbers
// and start no goroutine. Time reaches them as event times and watermarks.
var deterministic = []string{
	"executor/types", "executor/batch", "executor/fn", "executor/agg", "executor/window", "executor/expr", "executor/codec",
	"executor/predindex", "executor/spec", "executor/op", "planner/parse", "planner/bind", "planner/logical", "planner/rules",
	"planner/lower", "storage/state",
}
