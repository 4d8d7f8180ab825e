package bench

import (
	"bytes"
	"fmt"
	"sort"
	"time"

	"github.com/valyala/fastjson"
)

// baseline is the demonstration rule as a programmer would write it for this one purpose: fastjson with a reused parser,
// a Go map per window, no lateness, no durability. It returns the alerts as sorted text.
func baseline(lines []byte) []string {
	type key struct{ user, dst string }
	var p fastjson.Parser
	counts := map[key]int{}
	var window int64
	var alerts []string
	flush := func() {
		for k, n := range counts {
			if n > deniedMax {
				alerts = append(alerts, fmt.Sprintf("%d %s %s %d", window*windowSeconds, k.user, k.dst, n))
			}
		}
		clear(counts)
	}
	for len(lines) > 0 {
		end := bytes.IndexByte(lines, '\n')
		line := lines[:end]
		lines = lines[end+1:]
		v, err := p.ParseBytes(line)
		if err != nil {
			continue
		}
		at, err := time.Parse(time.RFC3339Nano, string(v.GetStringBytes("ts")))
		if err != nil {
			continue
		}
		if w := at.Unix() / windowSeconds; w != window {
			flush()
			window = w
		}
		if string(v.GetStringBytes("action")) == "denied" {
			counts[key{string(v.GetStringBytes("username")), string(v.GetStringBytes("dst"))}]++
		}
	}
	flush()
	sort.Strings(alerts)
	return alerts
}
