package predindex

import (
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/executor/types"
)

// TestAutomaton: it finds what a search text by text finds.
func TestAutomaton(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	random := func(n int) string {
		var b strings.Builder
		for range 1 + rng.IntN(n) {
			b.WriteString([]string{"a", "b", "a", "b", "c", "é", `\`}[rng.IntN(7)])
		}
		return b.String()
	}
	found, overlapping := 0, 0
	for range 200 {
		texts := make([]acText, 1+rng.IntN(60))
		for i := range texts {
			texts[i] = acText{literal{text: random(5), atStart: rng.IntN(5) == 0, atEnd: rng.IntN(5) == 0, whole: rng.IntN(2) == 0}, uint32(i)}
		}
		a := newAutomaton(texts)
		for range 50 {
			value := random(12)
			ascii := isASCII([]byte(value))
			upper := strings.ToUpper(value)
			if !ascii {
				upper = value
			}
			var want []hit
			for i, x := range texts {
				at := strings.Index(value, x.text)
				ok := at >= 0
				switch {
				case x.atStart && x.atEnd:
					ok = value == x.text
				case x.atStart:
					ok = strings.HasPrefix(value, x.text)
				case x.atEnd:
					ok = strings.HasSuffix(value, x.text)
				}
				if ok {
					want = append(want, hit{uint32(i), x.whole && ascii})
				}
			}
			got := a.scan([]byte(upper), ascii, nil)
			slices.SortFunc(got, func(x, y hit) int { return int(x.list) - int(y.list) })
			if got = slices.Compact(got); !slices.Equal(got, want) {
				t.Fatalf("%q in %v:\n got %v\nwant %v", value, texts, got, want)
			}
			found += len(want)
			if len(want) > 3 {
				overlapping++
			}
		}
	}
	if found < 10_000 || overlapping < 1000 {
		t.Fatalf("%d found, %d times several", found, overlapping)
	}
}

// TestIntervals: it finds what asking each interval finds.
func TestIntervals(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 100 {
		list := make([]interval, rng.IntN(50))
		for i := range list {
			lo := int64(rng.IntN(40))
			list[i] = interval{lo, lo + int64(rng.IntN(10)), uint32(i)}
			switch rng.IntN(6) {
			case 0:
				list[i].lo = math.MinInt64
			case 1:
				list[i].hi = math.MaxInt64
			}
		}
		tree := newIntervals(slices.Clone(list))
		for _, x := range []int64{math.MinInt64, -1, 0, 7, 20, 39, 48, 60, math.MaxInt64} {
			var want []uint32
			for _, iv := range list {
				if iv.lo <= x && x <= iv.hi {
					want = append(want, iv.list)
				}
			}
			var got []uint32
			for _, h := range tree.stab(x, nil) {
				got = append(got, h.list)
			}
			if slices.Sort(got); !slices.Equal(got, want) {
				t.Fatalf("%d in %v: got %v, want %v", x, list, got, want)
			}
		}
	}
}

// TestIntTable: it finds every integer that was put and no other, in a full table too.
func TestIntTable(t *testing.T) {
	for _, n := range []int{0, 1, 2, 3, 100, 1000} {
		table := newIntTable(n)
		for i := range n {
			table.put(int64(i)*int64(i)*7-50, uint32(i))
		}
		for i := range n {
			if got := table.get(int64(i)*int64(i)*7 - 50); got != uint32(i)+1 {
				t.Fatalf("%d: got %d", i, got)
			}
		}
		if got := table.get(-51); got != 0 {
			t.Fatalf("got %d for what was not put", got)
		}
	}
}

// TestRegexLiterals: what is known of a pattern's matches, as texts of which one is needed.
func TestRegexLiterals(t *testing.T) {
	for _, c := range []struct {
		pattern string
		want    []string
	}{
		{`Demo V[0-9]*`, []string{"demo v"}},
		{`(foo|barbar)x`, []string{"foox", "barbarx"}},
		{`a[bc]d`, []string{"abd", "acd"}},
		{`abc|d`, nil},
		{`.*`, nil},
		{`(?i)PowerShell`, []string{"powershell"}},
		{`(?i)é`, nil},
		{`cmd\.exe\s+/c.*whoami`, []string{"cmd.exe"}},
		{`^abc$`, []string{"abc"}},
		{`(abc)?defg`, []string{"abcdefg", "defg"}},
		{`(abcdef)+x`, []string{"abcdef"}},
		{`ſun`, []string{"sun"}},
	} {
		var got []string
		for _, l := range regexLiterals(c.pattern) {
			got = append(got, l.text)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.pattern, got, c.want)
		}
	}
}

// TestEstimatesChoose: of two conditions the one that a sample shows to be rarer is looked up.
func TestEstimatesChoose(t *testing.T) {
	g := newGen(t, 3)
	sample := g.rows(200)
	for row := range sample.N {
		sample.Cols[colN].I64[row] = 5 // everybody has n = 5
	}
	sample.Cols[colN].Nulls = nil
	n := atomOf(compareN(5), false)
	image := atomOf(like(colImage, "%powershell.exe", true), false)
	for _, c := range []struct {
		est  *Estimates
		want *atom
	}{{NewEstimates(nil), image}, {NewEstimates(sample), image}} {
		p := New(and(compareN(5), like(colImage, "%powershell.exe", true)), nil)
		if a, _ := choose(p, c.est); len(a.atoms) != 1 || a.atoms[0].key != c.want.key {
			t.Errorf("chose %v", a.atoms[0].key)
		}
	}
	if common, rare := NewEstimates(sample).of(n), NewEstimates(nil).of(n); common < 0.9 || rare > 0.1 {
		t.Errorf("estimates %g with a sample, %g without", common, rare)
	}
	if p := New(compareN(5), nil); true {
		if _, which := choose(p, NewEstimates(sample)); which >= 0 {
			t.Error("what all rows have is looked up")
		}
	}
}

// TestNetworks: containment as the operators << and <<= say, for addresses of both families.
func TestNetworks(t *testing.T) {
	g := newGen(t, 9)
	var nets networks
	var list []string
	lists := uint32(0)
	for i := range 60 {
		net := g.addr()
		if got := nets.add(net, i%2 == 0, func() uint32 { lists++; return lists - 1 }); got == lists-1 && int(got) == len(list) {
			list = append(list, net)
		}
	}
	if len(list) < 20 {
		t.Fatalf("%d networks", len(list))
	}
	seen := 0
	for range 500 {
		a := g.addr()
		got := map[uint32]bool{}
		for _, h := range nets.find([]byte(a), nil) {
			got[h.list] = true
		}
		for _, grp := range nets.groups {
			for _, id := range grp.nets {
				want := types.InetContains(list[id], a, grp.strict)
				if got[id] != want {
					t.Fatalf("%x in %x: %v", a, list[id], got[id])
				}
				if want {
					seen++
				}
			}
		}
	}
	if seen < 100 {
		t.Fatalf("%d containments", seen)
	}
}

// TestEqualTexts: a text equals itself and none that differs in one byte or in length.
func TestEqualTexts(t *testing.T) {
	for n := range 30 {
		text := []byte("abcdefghijklmnopqrstuvwxyz0123")[:n]
		is := test{atom: &atom{text: string(text)}}
		is.compare(is.text)
		if !is.equals(text) {
			t.Errorf("%q is not itself", text)
		}
		for i := range text {
			text[i] ^= 1
			if is.equals(text) {
				t.Errorf("%q equals %q", text, is.text)
			}
			text[i] ^= 1
		}
		if is.equals(append(text, 0)) || n > 0 && is.equals(text[:n-1]) {
			t.Errorf("a longer or shorter text equals %q", text)
		}
	}
}
