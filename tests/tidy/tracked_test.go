package tidy

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vigil-sql/vigil/tests/need"
)

// trackedButIgnored lists the files under version control that .gitignore leaves out: what others wrote, and what is built.
func trackedButIgnored(git, dir string) (string, error) {
	cmd := exec.Command(git, "ls-files", "--cached", "--ignored", "--exclude-standard")
	cmd.Dir = dir
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err
}

// The repository holds what we wrote, and nothing that is fetched or built.
func TestNothingIgnoredIsTracked(t *testing.T) {
	git := need.Binary(t, "git", "install git")
	list, err := trackedButIgnored(git, need.Root())
	if err != nil {
		need.Missing(t, "the git repository", "check it out with git: an archive of the sources does not tell what is under version control")
		return
	}
	if files := strings.Fields(list); len(files) > 0 {
		t.Errorf("%d files that .gitignore leaves out are under version control, the first is %s: git rm --cached them", len(files), files[0])
	}
}

// TestTrackedFires adds an ignored file to a repository of its own.
func TestTrackedFires(t *testing.T) {
	git := need.Binary(t, "git", "install git")
	dir := t.TempDir()
	for _, args := range [][]string{{"init", "-q"}, {"add", "-f", "out/x", ".gitignore"}} {
		if args[0] == "add" {
			write(t, filepath.Join(dir, ".gitignore"), "/out/\n")
			write(t, filepath.Join(dir, "out", "x"), "built")
		}
		cmd := exec.Command(git, args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	if list, err := trackedButIgnored(git, dir); err != nil || list != "out/x" {
		t.Errorf("got %q, %v", list, err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
