package flow

import (
	"fmt"
	"testing"
)

// TestLimits: which packets of a flow, in whatever order they come, are one record.
func TestLimits(t *testing.T) {
	l := Limits{Active: 10_000, Inactive: 4_000}
	for _, c := range []struct {
		name  string
		times []int64
		want  string // first-last/packets of each record
	}{
		{"one", []int64{10_000}, "10000-10000/1"},
		{"up to the boundary", []int64{16_000, 19_999}, "16000-19999/2"},
		{"over the boundary", []int64{19_999, 20_000}, "19999-19999/1 20000-20000/1"},
		{"back over the boundary", []int64{20_000, 19_999}, "20000-20000/1 19999-19999/1"},
		{"at the gap", []int64{10_000, 14_000, 18_000}, "10000-18000/3"},
		{"beyond the gap", []int64{10_000, 14_001}, "10000-10000/1 14001-14001/1"},
		{"backwards at the gap", []int64{18_000, 14_000}, "14000-18000/2"},
		{"backwards beyond the gap", []int64{18_000, 13_999}, "18000-18000/1 13999-13999/1"},
		{"between", []int64{10_000, 12_000, 11_000}, "10000-12000/3"},
		{"before 1970", []int64{-1, 0, -10_000}, "-1--1/1 0-0/1 -10000--10000/1"},
	} {
		tab := newTable(l)
		p := packet{octets: 40, flags: 2}
		for i, at := range c.times {
			p.flags = 1 << i
			tab.add(&p, at)
		}
		got, flags := "", uint16(0)
		for i, r := range tab.records {
			if i > 0 {
				got += " "
			}
			got += fmt.Sprintf("%d-%d/%d", r.First, r.Last, r.Packets)
			if flags |= r.TCPFlags; r.Octets != 40*r.Packets {
				t.Errorf("%s: %d octets", c.name, r.Octets)
			}
		}
		if got != c.want || flags != 1<<len(c.times)-1 {
			t.Errorf("%s: got %s, want %s; flags %x", c.name, got, c.want, flags)
		}
	}
}

// TestGrowth: many flows are found again after the index has grown, and after a reset nothing is.
func TestGrowth(t *testing.T) {
	tab := newTable(Limits{Active: 1 << 40, Inactive: 1 << 40})
	const flows = 100 * slotsMin
	for range 2 {
		for range 2 {
			for i := range uint32(flows) {
				var p packet
				p.key.setV4(i, ^i)
				p.key.setRest(i, protoTCP, false, 0)
				tab.add(&p, 1)
			}
		}
		if len(tab.records) != flows || tab.records[7].Packets != 2 {
			t.Fatalf("%d records", len(tab.records))
		}
		tab.reset()
	}
	tab.reset()
	if len(tab.slots) != slotsMin || cap(tab.records) != 0 {
		t.Errorf("%d slots are kept", len(tab.slots))
	}
}
