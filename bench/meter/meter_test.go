package meter

import (
	"bufio"
	"math"
	"os"
	"os/exec"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// burn uses CPU time of this process.
func burn(d time.Duration) {
	for from := Own(); Own()-from < d; {
		for x := 1.0; x < 1e4; x++ {
			_ = math.Sqrt(x)
		}
	}
}

// rusage is the same figure from another source of the kernel's.
func rusage(t *testing.T) time.Duration {
	t.Helper()
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		t.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

func take(t *testing.T, pid int) Sample {
	t.Helper()
	s, err := Take(pid)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestCPUTimeIsWhatTheProcessUsed(t *testing.T) {
	pid := os.Getpid()
	burn(200 * time.Millisecond)
	low := rusage(t)
	s := take(t, pid)
	high := rusage(t)
	const lag = 30 * time.Millisecond // getrusage of the threads that are running lags behind
	if s.Process < low-lag || s.Process > high+lag {
		t.Errorf("%v, getrusage has %v to %v", s.Process, low, high)
	}
	burn(200 * time.Millisecond)
	after := take(t, pid)
	if used := after.Process - s.Process; used < 200*time.Millisecond {
		t.Errorf("%v of process time in which 200 ms were burnt", used)
	}
	if used := after.Machine - s.Machine; used < 100*time.Millisecond {
		t.Errorf("%v of machine time in which 200 ms were burnt", used)
	}
	if used := after.User - s.User; used < 100*time.Millisecond {
		t.Errorf("%v of user time in which 200 ms were burnt", used)
	}
}

func TestDescriptorsAndMemoryAreCounted(t *testing.T) {
	before := take(t, os.Getpid())
	const files, size = 50, 64 << 20
	for range files {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
	}
	memory, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE|unix.MAP_POPULATE)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(memory) }()
	after := take(t, os.Getpid())
	if n := after.Descriptors - before.Descriptors; n < files {
		t.Errorf("%d more descriptors", n)
	}
	if n := after.RSS - before.RSS; n < size*9/10 || n > size*2 {
		t.Errorf("%d more bytes of memory, %d were taken", n, size)
	}
}

func TestDescendantsAreCounted(t *testing.T) {
	// A shell with a shell with a third one, each waiting for its child.
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `sh -c 'sh -c "echo up; read x"; :'; :`)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		in.Close()
		_ = cmd.Wait()
	}()
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	pid := cmd.Process.Pid
	if n := len(descendants(pid)); n != 2 {
		t.Errorf("%d descendants", n)
	}
	var alone Sample
	if err := alone.add(pid); err != nil {
		t.Fatal(err)
	}
	if all := take(t, pid); all.RSS <= alone.RSS || all.Descriptors != 3*alone.Descriptors {
		t.Errorf("alone %+v, with descendants %+v", alone, all)
	}
}

func TestNoProcessIsAnError(t *testing.T) {
	if s, err := Take(1 << 22); err == nil { // above the kernel's largest pid
		t.Errorf("%+v", s)
	}
}

func TestNameOfAProgramDoesNotShiftItsTimes(t *testing.T) {
	for name, stat := range map[string]string{
		"plain":       "12 (gateway) S 1 2 3 4 5 6 7 8 9 10 150 25 0 0",
		"parentheses": "12 (a) S 9 (b) c) S 1 2 3 4 5 6 7 8 9 10 150 25 0 0",
	} {
		user, system := userSystem([]byte(stat))
		if user != 1500*time.Millisecond || system != 250*time.Millisecond {
			t.Errorf("%s: %v, %v", name, user, system)
		}
	}
}

func TestIdleAndStolenTimeIsNotBusy(t *testing.T) {
	//                  user nice system idle iowait irq softirq steal guest guest_nice
	if got := busy("cpu  1 20 300 99999 99999 4000 50000 99999 99999 99999"); got != 54321*tick {
		t.Errorf("got %d ticks", got/tick)
	}
}

func FuzzProcFiles(f *testing.F) {
	f.Add([]byte("12 (gateway) S 1 2 3 4 5 6 7 8 9 10 150 25 0 0"))
	f.Add([]byte("Name:\tx\nVmRSS:\t  1234 kB\n"))
	f.Add([]byte("cpu  1 2 3 4 5 6 7 8"))
	f.Fuzz(func(_ *testing.T, b []byte) { // none may panic
		userSystem(b)
		rss(b)
		busy(string(b))
	})
}
