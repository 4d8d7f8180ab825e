// Package bench holds the benchmarks that compare vigil with straightforward programs in one run. Figures are CPU time of
// the process per event, on one core; only ratios are asserted.
package bench

import (
	"fmt"
	"math/rand"
	"time"
)

// Seconds of event time per window of the demonstration rule, and the count above which it alerts.
const (
	windowSeconds = 5
	deniedMax     = 10
)

// demoEvents makes n JSON lines of about 290 bytes with ten fields, of which the demonstration rule needs four: event time
// in order, 100 k events a second, 2,000 users and 500 destinations, one event in ten denied; a few users are attacked.
func demoEvents(n int) []byte {
	rng := rand.New(rand.NewSource(42))
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	out := make([]byte, 0, n*300)
	for i := range n {
		at := start.Add(time.Duration(i) * 10 * time.Microsecond)
		user, dst, action := rng.Intn(2000), rng.Intn(500), "granted"
		if rng.Intn(10) == 0 {
			action = "denied"
		}
		if rng.Intn(50) == 0 {
			user, action = rng.Intn(40), "denied"
			dst = user % 7
		}
		out = fmt.Appendf(out, `{"ts":"%s","event_id":"%016x%016x","host":"ws-%04d.corp.example","username":"user%04d","src_ip":"10.%d.%d.%d",`+
			`"dst":"10.200.%d.%d","action":"%s","bytes":%d,"detail":"session %x opened by service account through gateway","severity":%d}`+"\n",
			at.Format("2006-01-02T15:04:05.000000Z"), rng.Uint64(), rng.Uint64(), rng.Intn(3000), user, rng.Intn(256), rng.Intn(256),
			rng.Intn(256), dst/250, dst%250, action, rng.Intn(1<<20), rng.Uint32(), rng.Intn(10))
	}
	return out
}
