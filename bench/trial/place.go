package trial

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"

	"sallyport/internal/descriptors"
)

// Confine pins every thread of this process to one CPU, so that neither the generator
// nor the collector works where the proxy is measured. New threads inherit it. release
// gives the threads their CPUs back.
func Confine(cpu int) (release func() error, err error) {
	var before, set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return nil, fmt.Errorf("read this process's CPUs: %w", err)
	}
	set.Set(cpu)
	if err := pinThreads(&set); err != nil {
		return nil, fmt.Errorf("pin to CPU %d: %w", cpu, err)
	}
	// Two loops that hold their thread, and the coordinator beside them.
	procs := runtime.GOMAXPROCS(4)
	return func() error {
		runtime.GOMAXPROCS(procs)
		return pinThreads(&before)
	}, nil
}

// pinThreads pins the threads that there are; those that are made meanwhile inherit
// what their maker had, so it looks until there is no new one.
func pinThreads(set *unix.CPUSet) error {
	done := map[string]bool{}
	for {
		tasks, err := os.ReadDir("/proc/self/task")
		if err != nil {
			return err
		}
		fresh := 0
		for _, t := range tasks {
			if done[t.Name()] {
				continue
			}
			done[t.Name()] = true
			fresh++
			tid, _ := strconv.Atoi(t.Name())
			if err := unix.SchedSetaffinity(tid, set); err != nil && !errors.Is(err, unix.ESRCH) {
				return err
			}
		}
		if fresh == 0 {
			return nil
		}
	}
}

// enough is room for 8,000 clients and as many backends, in this process and in
// a proxy.
const enough = 1 << 16

// RaiseLimit raises the limit of descriptors, of this process and of those that it
// starts, as far as it may, and returns how many connections a gateway then has room for:
// two descriptors each, and its shares for other things.
func RaiseLimit() (connections int, err error) {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0, fmt.Errorf("read the limit of descriptors: %w", err)
	}
	if l.Cur < enough {
		up := syscall.Rlimit{Cur: enough, Max: max(l.Max, enough)}
		if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &up) != nil {
			up = syscall.Rlimit{Cur: l.Max, Max: l.Max} // without CAP_SYS_RESOURCE the hard limit is the limit
			if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &up); err != nil {
				return 0, fmt.Errorf("raise the limit of descriptors: %w", err)
			}
		}
		l = up
	}
	b, err := descriptors.Divide(int(l.Cur), descriptors.Needs{Loops: 1, Listeners: 1, PerConnection: 2})
	return b.Connections, err
}
