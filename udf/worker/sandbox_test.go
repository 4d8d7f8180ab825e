//go:build linux && (amd64 || arm64)

package worker

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestMain lets the test binary be a process that confines itself and tries something.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "confined" {
		try(os.Args[2])
	}
	os.Exit(m.Run())
}

// try prints what came of an attempt after confine.
func try(what string) {
	if err := confine(); err != nil {
		fmt.Println("no sandbox:", err)
		os.Exit(0)
	}
	var err error
	switch what {
	case "open":
		_, err = os.ReadFile("/etc/passwd")
	case "write":
		err = os.WriteFile(os.DevNull, nil, 0o600)
	case "kill":
		err = syscall.Kill(os.Getppid(), 0)
	case "tgkill":
		err = unix.Tgkill(os.Getppid(), os.Getppid(), 0)
	case "fork":
		_, _, errno := unix.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
		if errno != 0 {
			err = errno
		}
	case "limit":
		err = unix.Prlimit(os.Getppid(), unix.RLIMIT_NOFILE, nil, &unix.Rlimit{})
	case "dial":
		_, err = net.Dial("tcp", "127.0.0.1:1")
	case "exec":
		err = syscall.Exec("/bin/true", []string{"true"}, nil)
	case "ptrace":
		err = syscall.PtraceAttach(os.Getppid())
	case "work": // threads and collections go on
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				runtime.LockOSThread()
				b := make([][]byte, 100)
				for i := range b {
					b[i] = make([]byte, 1<<16)
				}
				runtime.GC()
			})
		}
		wg.Wait()
	}
	fmt.Println(what, err)
	os.Exit(0)
}

func TestConfined(t *testing.T) {
	if raceBuild {
		t.Skip("the race detector runs unconfined")
	}
	for what, want := range map[string]string{
		"open": "not permitted", "write": "not permitted", "kill": "not permitted", "tgkill": "not permitted", "fork": "not permitted", "limit": "not permitted",
		"dial": "signal: bad system call", "exec": "signal: bad system call", "ptrace": "signal: bad system call", "work": "work <nil>",
	} {
		out, err := exec.Command(os.Args[0], "confined", what).CombinedOutput()
		if strings.Contains(string(out), "no sandbox") {
			t.Skipf("this kernel: %s", out)
		}
		// Landlock answers before the filter does.
		if got := fmt.Sprintf("%s%v", out, err); !strings.Contains(got, want) && !(want == "not permitted" && strings.Contains(got, "permission denied")) {
			t.Errorf("%s: %s", what, got)
		}
	}
}
