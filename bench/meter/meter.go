package meter

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A Sample is what was used up to one moment.
type Sample struct {
	At          time.Time
	Process     time.Duration // CPU time of the process and its children, to the ns
	User        time.Duration // ticks (10 ms) in which the process was found outside of the kernel …
	System      time.Duration // … and in it
	Machine     time.Duration // CPU time of everything on the machine, interrupts included; 10 ms steps
	RSS         int64         // bytes
	Descriptors int
}

// tick is the unit of /proc: USER_HZ is 100 on every Linux that we run on.
const tick = 10 * time.Millisecond

// maxProcesses bounds a process with its descendants.
const maxProcesses = 1024

// Take samples pid with its descendants, and the machine. Pid 0 stands for none. Of
// a descendant that ends in between only its own time is missing.
func Take(pid int) (Sample, error) {
	s := Sample{At: time.Now()}
	var err error
	if s.Machine, err = machine(); err != nil || pid == 0 {
		return s, err
	}
	if err := s.add(pid); err != nil {
		return s, err
	}
	for _, child := range descendants(pid) {
		_ = s.add(child) // it may have ended
	}
	return s, nil
}

// Own is the CPU time of this process, without its children.
func Own() time.Duration {
	var ts unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &ts) // it cannot fail
	return time.Duration(ts.Nano())
}

func (s *Sample) add(pid int) error {
	// CPUCLOCK_SCHED of a process, as clock_getcpuclockid(3) makes it: precise, where
	// /proc/PID/stat counts ticks.
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|2), &ts); err != nil {
		return fmt.Errorf("CPU clock of process %d: %w", pid, err)
	}
	s.Process += time.Duration(ts.Nano())
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return err
	}
	user, system := userSystem(stat)
	s.User += user
	s.System += system
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return err
	}
	s.RSS += rss(status)
	fds, err := descriptors(pid)
	s.Descriptors += fds
	return err
}

// descriptors counts what pid has open. Since Linux 6.2 the size of its directory is that;
// reading thousands of entries takes milliseconds, in which a load on this CPU stands
// still.
func descriptors(pid int) (int, error) {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	if info, err := os.Stat(dir); err == nil && info.Size() > 0 {
		return int(info.Size()), nil
	}
	list, err := os.ReadDir(dir)
	return len(list), err
}

// userSystem takes utime and stime from /proc/PID/stat. The name of the
// program, in parentheses, may have any byte.
func userSystem(stat []byte) (user, system time.Duration) {
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 13 {
		return 0, 0
	}
	u, _ := strconv.ParseInt(fields[11], 10, 64)
	k, _ := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(u) * tick, time.Duration(k) * tick
}

// rss takes the resident memory from /proc/PID/status.
func rss(status []byte) int64 {
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kB, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return kB << 10
		}
	}
	return 0
}

func machine() (time.Duration, error) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return 0, err
	}
	line, _, _ := strings.Cut(string(stat), "\n")
	return busy(line), nil
}

// busy adds up the first line of /proc/stat: user, nice, system, idle, iowait, irq,
// softirq; not idle nor iowait, nor what a hypervisor took or guests had (they are in user).
func busy(line string) time.Duration {
	var sum int64
	fields := strings.Fields(line)
	for _, i := range [...]int{1, 2, 3, 6, 7} {
		if i < len(fields) {
			n, _ := strconv.ParseInt(fields[i], 10, 64)
			sum += n
		}
	}
	return time.Duration(sum) * tick
}

// descendants are the children of pid, their children and so on.
func descendants(pid int) []int {
	found := []int{pid}
	for i := 0; i < len(found) && len(found) < maxProcesses; i++ {
		tasks, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", found[i]))
		for _, t := range tasks {
			list, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", found[i], t.Name()))
			for field := range strings.FieldsSeq(string(list)) {
				if n, err := strconv.Atoi(field); err == nil {
					found = append(found, n)
				}
			}
		}
	}
	return found[1:]
}
