package fn

import (
	"slices"
	"testing"
)

func TestKeywords(t *testing.T) {
	got, err := callSet(t, "pg_get_keywords", nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 460 {
		t.Errorf("%d keywords", len(got))
	}
	for _, want := range []string{"select|R|t|reserved|can be bare label", "abort|U|t|unreserved|can be bare label",
		"left|T|t|reserved (can be function or type name)|can be bare label", "char|C|f|unreserved (cannot be function or type name)|requires AS"} {
		if !slices.Contains(got, want) {
			t.Errorf("no %s", want)
		}
	}
}
