package corpus

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"sort"
)

// entry is one distinct statement of a client with what PostgreSQL answered.
type entry struct {
	Client     string
	Kind       string
	Protocol   string
	SQL        string
	Action     string     `json:"tool_action"`
	ParamSets  [][]param  `json:"param_sets"`
	Results    []answer   `json:"results"`
	Formats    []string   `json:"result_formats"`
	MaxRows    []int      `json:"max_rows"`
	Reproduced bool       `json:"rows_reproduced"`
	Startup    []startups `json:"startup_parameter_sets"`
}

type startups map[string]string

// param is one parameter as it was bound. Values in binary of types without text are hexadecimal octets ("\x..").
type param struct {
	OID    uint32
	Format int16
	Value  *string
}

// answer is the result of one statement of a query string.
type answer struct {
	Tag     *string
	NRows   int
	Columns []column
	Rows    [][]*string
	Error   string
	Copy    string
	// Volatile rows and those with oids of users' objects differ from run to run.
	Volatile bool
	UserOID  bool `json:"mentions_user_oid"`
}

type column struct {
	Name string
	OID  uint32
	Mod  int32 `json:"typmod"`
}

// readCorpus gives the entries by client, in the order they were recorded.
func readCorpus(dir string) (clients []string, entries map[string][]entry, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.jsonl"))
	if err != nil {
		return nil, nil, err
	}
	entries = map[string][]entry{}
	for _, name := range files {
		f, err := os.Open(name)
		if err != nil {
			return nil, nil, err
		}
		sc := bufio.NewScanner(f)
		sc.Buffer(nil, 64<<20)
		for sc.Scan() {
			var e entry
			if err := json.Unmarshal(sc.Bytes(), &e); err != nil {
				return nil, nil, err
			}
			entries[e.Client] = append(entries[e.Client], e)
		}
		if err := sc.Err(); err != nil {
			return nil, nil, err
		}
		if err := f.Close(); err != nil {
			return nil, nil, err
		}
	}
	for c := range entries {
		clients = append(clients, c)
	}
	sort.Strings(clients)
	return clients, entries, nil
}
