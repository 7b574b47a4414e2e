package trial

import (
	"os"
	"runtime"
	"strings"
	"time"

	"sallyport/bench/report"

	"golang.org/x/sys/unix"
)

// NewHead is the head of a measurement that begins now.
func NewHead() report.Head {
	return report.Head{Machine: machine(), Started: time.Now().UTC().Truncate(time.Second), Versions: map[string]string{}}
}

// machine returns where the figures come from. What cannot be read is left out.
func machine() report.Machine {
	m := report.Machine{CPUs: runtime.NumCPU()}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.Kernel = unix.ByteSliceToString(u.Release[:]) + " " + unix.ByteSliceToString(u.Machine[:])
	}
	var s unix.Sysinfo_t
	if unix.Sysinfo(&s) == nil {
		m.Memory = int64(s.Totalram) * int64(s.Unit)
	}
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == "model name" {
				m.CPU = strings.TrimSpace(value)
				break
			}
		}
	}
	return m
}
