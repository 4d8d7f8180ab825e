package tidy

import (
	"io/fs"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/tests/source"
)

// TestTree checks the repository.
func TestTree(t *testing.T) {
	text, err := os.ReadFile("allow.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range applyAllowances(check(t, source.Root(t)), string(text)) {
		t.Error(v)
	}
}

// TestEveryCheckFires runs the checks on trees that break one rule each.
func TestEveryCheckFires(t *testing.T) {
	fired := map[string]bool{}
	for _, f := range source.Fixtures(t, "testdata/bad/*.txt") {
		t.Run(f.Name, func(t *testing.T) {
			var got []string
			for _, v := range check(t, f.Tree) {
				got = append(got, v.String())
				fired[v.check] = true
			}
			if len(f.Want) == 0 || !slices.Equal(got, f.Want) {
				t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(f.Want, "\n  "))
			}
		})
	}
	for _, name := range checkNames {
		if !fired[name] {
			t.Errorf("no fixture makes %q fire", name)
		}
	}
}

// TestAllowances: an entry covers its violation, needs a reason, and must be needed.
func TestAllowances(t *testing.T) {
	violations := []violation{{"init", "a.go", "init", "no init functions"}, {"init", "b.go", "init", "no init functions"}}
	allow := "# comment\n\ninit a.go init   a library wants it\ninit c.go init   gone\ninit b.go init\n"
	want := []string{
		"init b.go init: no init functions",
		`allow.txt: "init b.go init" has no reason`,
		`allow.txt: "init c.go init" is not needed any more`,
	}
	if got := applyAllowances(violations, allow); !slices.Equal(got, want) {
		t.Errorf("got %q\nwant %q", got, want)
	}
}

// applyAllowances takes the allowed violations away and adds what is wrong with the list.
func applyAllowances(violations []violation, allow string) []string {
	allowed := map[string]bool{} // key -> used
	var list []string
	for line := range strings.Lines(allow) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] == "#" {
			continue
		}
		key := strings.Join(fields[:min(3, len(fields))], " ")
		if len(fields) < 4 {
			list = append(list, `allow.txt: "`+key+`" has no reason`)
			continue
		}
		allowed[key] = false
	}
	for _, v := range violations {
		if _, ok := allowed[v.key()]; ok {
			allowed[v.key()] = true
			continue
		}
		list = append(list, v.String())
	}
	for key, used := range allowed {
		if !used {
			list = append(list, `allow.txt: "`+key+`" is not needed any more`)
		}
	}
	slices.SortStableFunc(list, func(a, b string) int {
		return strings.Compare(strings.TrimPrefix(a, "allow.txt"), strings.TrimPrefix(b, "allow.txt"))
	})
	slices.SortStableFunc(list, func(a, b string) int {
		return boolInt(strings.HasPrefix(a, "allow.txt")) - boolInt(strings.HasPrefix(b, "allow.txt"))
	})
	return list
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

// check returns the violations of a tree, sorted.
func check(t *testing.T, root fs.FS) []violation {
	t.Helper()
	files, err := source.Load(root)
	if err != nil {
		t.Fatal(err)
	}
	c := checker{documented: map[string]bool{}, methods: map[string]map[string]bool{}}
	for _, f := range files {
		c.interfaces(f)
	}
	for _, f := range files {
		c.file(f)
	}
	c.packageDocs(files)
	err = source.Walk(root, func(path string, text []byte) error {
		c.words(path, text)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(c.found, func(a, b violation) int { return strings.Compare(a.String(), b.String()) })
	return slices.CompactFunc(c.found, func(a, b violation) bool { return a == b })
}
