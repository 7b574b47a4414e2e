package trial

import (
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

func TestEveryThreadIsConfinedAndReleased(t *testing.T) {
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		t.Fatal(err)
	}
	if before.Count() < 2 {
		t.Skip("needs two CPUs")
	}
	release, err := Confine(0)
	if err != nil {
		t.Fatal(err)
	}
	for tid, n := range threads(t) {
		if n != 1 {
			t.Errorf("thread %d may run on %d CPUs", tid, n)
		}
	}
	if err := release(); err != nil {
		t.Fatal(err)
	}
	for tid, n := range threads(t) {
		if n != before.Count() {
			t.Errorf("thread %d may run on %d CPUs afterwards", tid, n)
		}
	}
}

// threads returns on how many CPUs each thread of this process may run.
func threads(t *testing.T) map[int]int {
	t.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	all := map[int]int{}
	for _, task := range tasks {
		tid, _ := strconv.Atoi(task.Name())
		var set unix.CPUSet
		if unix.SchedGetaffinity(tid, &set) == nil {
			all[tid] = set.Count()
		}
	}
	return all
}
