package examples

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// noon is when the examples begin.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// fields are the columns of an event.
type fields map[string]any

// timed is an event with its time, before it becomes a line.
type timed struct {
	at time.Time
	f  fields
}

// lines puts events in the order in which they arrive, each up to some delay after its time, with one at the end that closes
// all windows.
func lines(rng *rand.Rand, events []timed, delay time.Duration, end fields) []string {
	type arrival struct {
		at   time.Time
		line string
	}
	list := make([]arrival, len(events))
	for i, e := range events {
		list[i] = arrival{e.at.Add(time.Duration(rng.Int64N(int64(delay)))), line(e.at, e.f)}
	}
	slices.SortStableFunc(list, func(a, b arrival) int { return a.at.Compare(b.at) })
	out := make([]string, 0, len(list)+1)
	for _, a := range list {
		out = append(out, a.line)
	}
	return append(out, line(noon.Add(3*time.Hour), end))
}

func line(at time.Time, f fields) string {
	all := fields{"ts": at.Format("2006-01-02T15:04:05.000000Z")}
	for k, v := range f {
		all[k] = v
	}
	data, err := json.Marshal(all)
	if err != nil {
		panic(err)
	}
	return string(data)
}

func stamp(at time.Time) string { return at.UTC().Format("2006-01-02 15:04:05.999999+00") }

func bruteForce() example {
	rng := rand.New(rand.NewPCG(1, 1))
	var list []timed
	logon := func(at time.Duration, user, src, action string) {
		list = append(list, timed{noon.Add(at), fields{"username": user, "dst": "db-1", "src_ip": src, "action": action}})
	}
	for i := range 200 {
		action := "granted"
		if rng.IntN(10) == 0 {
			action = "denied"
		}
		logon(time.Duration(i)*300*time.Millisecond, fmt.Sprintf("user%02d", rng.IntN(40)), fmt.Sprintf("10.0.0.%d", rng.IntN(40)), action)
	}
	for i := range 14 {
		logon(10*time.Second+time.Duration(i)*350*time.Millisecond, "root", "203.0.113.9", "denied") // 14 from 12:00:10
	}
	for i := range 11 {
		logon(25*time.Second+time.Duration(i)*450*time.Millisecond, "admin", fmt.Sprintf("203.0.113.%d", 20+i%3), "denied") // 11 from 12:00:25
	}
	for i := range 10 {
		logon(40*time.Second+time.Duration(i)*400*time.Millisecond, "backup", "203.0.113.9", "denied") // ten are none too many
	}
	for i := range 20 {
		logon(30*time.Second+time.Duration(i)*time.Second, "slow", "203.0.113.9", "denied") // five a window
	}
	return example{dir: "brute-force", query: "brute_force",
		events: map[string][]string{"auth": lines(rng, list, 4*time.Second, fields{"username": "end", "action": "granted"})},
		rows:   []string{stamp(noon.Add(10*time.Second)) + "|root|db-1|14|1", stamp(noon.Add(25*time.Second)) + "|admin|db-1|11|3"}}
}

func unknownAccounts() example {
	rng := rand.New(rand.NewPCG(2, 1))
	var list []timed
	add := func(at time.Duration, product, user, message string) {
		list = append(list, timed{noon.Add(at), fields{"product": product, "UserName": user, "destinationAddress": "10.1.0.5", "message": message}})
	}
	const unknown = "KDC: The specified user does not exist. (0x6)"
	for i := range 12 {
		message := unknown
		if i%3 == 0 {
			message = "KDC: THE SPECIFIED USER DOES NOT EXIST. (0x6)"
		}
		add(time.Duration(i)*5*time.Second, "Kerberos Server", "sysadm1n", message) // twelve in the first minute
		add(time.Duration(i)*5*time.Second, "LDAP Server", "sysadm1n", unknown)
	}
	for i := range 18 {
		add(90*time.Second+time.Duration(i)*10*time.Second/3, "Kerberos Server", "guest7", unknown) // nine in each of two minutes
	}
	for i := range 60 {
		add(time.Duration(i)*4*time.Second, "Kerberos Server", fmt.Sprintf("user%02d", rng.IntN(20)), "KDC: ticket granted")
	}
	return example{dir: "unknown-accounts", query: "unknown_accounts",
		events: map[string][]string{"kerberos": lines(rng, list, 8*time.Second, fields{"product": "Kerberos Server", "message": "KDC: ticket granted"})},
		rows:   []string{stamp(noon) + "|sysadm1n|10.1.0.5|12|Several login attempts with non existing accounts"}}
}

func rdpHijack() example {
	rng := rand.New(rand.NewPCG(3, 1))
	var client, server []timed
	open := func(at time.Duration, id int, user, ip string) {
		client = append(client, timed{noon.Add(at), fields{"session_id": id, "username": user, "client_ip": ip, "server": "ts-1"}})
	}
	event := func(at time.Duration, id int, user, ip string, number int) {
		server = append(server, timed{noon.Add(at), fields{"session_id": id, "username": user, "source_ip": ip, "event_id": number}})
	}
	for i := range 60 {
		user, ip := fmt.Sprintf("user%02d", i%25), fmt.Sprintf("10.2.0.%d", i%25)
		at := time.Duration(i) * time.Minute
		open(at, 1000+i, user, ip)
		event(at+2*time.Second, 1000+i, user, ip, 4624)
		if rng.IntN(2) == 0 {
			event(at+time.Duration(rng.IntN(15))*time.Minute, 1000+i, user, ip, 4778) // comes back from where it was opened
		}
	}
	minute := time.Minute
	event(12*minute, 1005, "mallory", "10.9.9.9", 4778)                  // seven minutes after it was opened
	event(30*minute, 1010, "mallory", "10.9.9.9", 4778)                  // twenty minutes, to the microsecond
	event(40*minute+time.Microsecond, 1020, "mallory", "10.9.9.9", 4778) // a microsecond too late
	event(25*minute, 1030, "mallory", "10.9.9.9", 4778)                  // the client's clock is five minutes ahead
	var rows []string
	for _, h := range []struct {
		opened, taken int
		id            int
	}{{5, 12, 1005}, {10, 30, 1010}, {30, 25, 1030}} {
		n := (h.id - 1000) % 25
		rows = append(rows, fmt.Sprintf("%s|%s|%d|user%02d|10.2.0.%d|mallory|10.9.9.9", stamp(noon.Add(time.Duration(h.opened)*minute)),
			stamp(noon.Add(time.Duration(h.taken)*minute)), h.id, n, n))
	}
	return example{dir: "rdp-hijack", query: "rdp_hijack", rows: rows, events: map[string][]string{
		"rdp_client": lines(rng, client, 20*time.Second, fields{"session_id": 0}),
		"rdp_server": lines(rng, server, 20*time.Second, fields{"session_id": 0, "event_id": 0})}}
}

// netflowAnomaly computes the baseline itself, minute by minute.
func netflowAnomaly() example {
	rng := rand.New(rand.NewPCG(6, 1))
	var list []timed
	hosts := []string{"10.3.0.1", "10.3.0.2", "10.3.0.3"}
	var rows []string
	for h, ip := range hosts {
		var past [][3]float64
		for m := range 30 {
			flows, size := 4+rng.IntN(4), 600
			switch {
			case h == 0 && m == 20:
				size = 9000
			case h == 1 && m == 24:
				flows = 60
			case h == 2 && m == 4:
				flows = 40
			}
			var sum [3]float64
			start := noon.Add(time.Duration(m) * time.Minute)
			for range flows {
				packets := 5 + rng.IntN(20)
				bytes := packets * (size + rng.IntN(200))
				sum = [3]float64{sum[0] + float64(bytes), sum[1] + float64(packets), sum[2] + 1}
				list = append(list, timed{start.Add(time.Duration(rng.IntN(59_000_000)) * time.Microsecond),
					fields{"src_ip": ip, "dst_ip": fmt.Sprintf("10.4.0.%d", rng.IntN(200)), "bytes": bytes, "packets": packets}})
			}
			if by, alert := beyond(past, sum); alert && len(past) >= 10 {
				rows = append(rows, fmt.Sprintf("%s|%s|%v|%v|%v|%s|%s|%s", stamp(start), ip, int(sum[0]), int(sum[1]), int(sum[2]), by[0], by[1], by[2]))
			}
			past = append(past, sum)
		}
	}
	return example{dir: "netflow-anomaly", query: "flow_anomalies", rows: rows,
		events: map[string][]string{"flows": lines(rng, list, 8*time.Second, fields{"src_ip": "10.3.0.9", "bytes": 0, "packets": 0})}}
}

// beyond tells which of the sums are beyond the mean plus three times the standard deviation of the past.
func beyond(past [][3]float64, sum [3]float64) (by [3]string, alert bool) {
	for i := range sum {
		mean, square := 0.0, 0.0
		for _, p := range past {
			mean += p[i] / float64(len(past))
		}
		for _, p := range past {
			square += (p[i] - mean) * (p[i] - mean) / float64(len(past))
		}
		by[i] = "f"
		if sum[i] > mean+3*math.Sqrt(square) {
			by[i], alert = "t", true
		}
	}
	return by, alert
}
