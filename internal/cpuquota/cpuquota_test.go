package cpuquota

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
)

const (
	mountV2 = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 none rw,nsdelegate\n"
	mountV1 = "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:14 - cgroup none rw,cpu,cpuacct\n" +
		"33 31 0:30 / /sys/fs/cgroup/memory rw shared:15 - cgroup none rw,memory\n"
)

func TestQuotaBoundsTheCPUs(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string]string
		want  int // of 8
	}{
		{"nothing mounted", nil, 8},
		{"v2 without a limit", map[string]string{
			"proc/self/cgroup": "0::/a/b\n", "proc/self/mountinfo": mountV2,
			"sys/fs/cgroup/a/b/cpu.max": "max 100000\n",
		}, 8},
		{"v2, a fraction is not counted", map[string]string{
			"proc/self/cgroup": "0::/system.slice/gateway.service\n", "proc/self/mountinfo": mountV2,
			"sys/fs/cgroup/system.slice/gateway.service/cpu.max": "390000 100000\n",
		}, 3},
		{"v2, less than one is one", map[string]string{
			"proc/self/cgroup": "0::/\n", "proc/self/mountinfo": mountV2, "sys/fs/cgroup/cpu.max": "20000 100000\n",
		}, 1},
		{"v2, more than there are", map[string]string{
			"proc/self/cgroup": "0::/\n", "proc/self/mountinfo": mountV2, "sys/fs/cgroup/cpu.max": "10000000 100000\n",
		}, 8},
		{"v2, a group above has less", map[string]string{
			"proc/self/cgroup": "0::/slice/service\n", "proc/self/mountinfo": mountV2,
			"sys/fs/cgroup/slice/cpu.max": "200000 100000\n", "sys/fs/cgroup/slice/service/cpu.max": "400000 100000\n",
		}, 2},
		{"v2, in a container that is told its path outside", map[string]string{
			"proc/self/cgroup":      "0::/docker/0123\n",
			"proc/self/mountinfo":   "30 23 0:26 /docker/0123 /sys/fs/cgroup ro - cgroup2 cgroup rw\n",
			"sys/fs/cgroup/cpu.max": "200000 100000\n",
		}, 2},
		{"v2, outside of the namespace's root", map[string]string{
			"proc/self/cgroup": "0::/../other\n", "proc/self/mountinfo": mountV2, "sys/fs/cgroup/cpu.max": "max 100000\n",
		}, 8},
		{"v1", map[string]string{
			"proc/self/cgroup": "5:memory:/m\n4:cpu,cpuacct:/a\n0::/\n", "proc/self/mountinfo": mountV1,
			"sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us": "250000\n", "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us": "100000\n",
		}, 2},
		{"v1 without a limit", map[string]string{
			"proc/self/cgroup": "4:cpu,cpuacct:/a\n", "proc/self/mountinfo": mountV1,
			"sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us": "-1\n", "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us": "100000\n",
		}, 8},
		{"nonsense", map[string]string{
			"proc/self/cgroup": "x\n::\n0::rel\n0::/a\n", "proc/self/mountinfo": "x - y\n" + mountV2,
			"sys/fs/cgroup/a/cpu.max": "12 x\n",
		}, 8},
	} {
		root := fstest.MapFS{}
		for name, text := range c.files {
			root[name] = &fstest.MapFile{Data: []byte(text)}
		}
		if got := cpus(8, root); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
}

// The kernel's own group, with a quota of half a CPU, around a process that asks.
func TestQuotaOfARealGroup(t *testing.T) {
	const helper = "CPUQUOTA_TEST_GROUP"
	if dir := os.Getenv(helper); dir != "" {
		if err := set(filepath.Join(dir, "cgroup.procs"), "0"); err != nil {
			t.Fatal(err)
		}
		fmt.Printf("quota=%v cpus=%d\n", quota(os.DirFS("/")), CPUs())
		return
	}
	dir := groupWithQuota(t, 50_000)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestQuotaOfARealGroup$")
	cmd.Env = append(os.Environ(), helper+"="+dir)
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "quota=0.5 cpus=1") {
		t.Errorf("%v: %s", err, out)
	}
}

// groupWithQuota makes a control group with that many microseconds in each 100 ms.
func groupWithQuota(t *testing.T, microseconds int) string {
	t.Helper()
	name := fmt.Sprintf("cpuquota-test-%d", os.Getpid())
	why := []string{}
	for parent, files := range map[string]map[string]string{
		"/sys/fs/cgroup":             {"cpu.max": fmt.Sprintf("%d 100000", microseconds)},
		"/sys/fs/cgroup/cpu":         {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": strconv.Itoa(microseconds)},
		"/sys/fs/cgroup/cpu,cpuacct": {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": strconv.Itoa(microseconds)},
	} {
		dir := filepath.Join(parent, name)
		err := os.Mkdir(dir, 0o700)
		if err == nil {
			t.Cleanup(func() { _ = os.Remove(dir) })
			for file, text := range files {
				if err == nil {
					err = set(filepath.Join(dir, file), text)
				}
			}
		}
		if err == nil {
			return dir
		}
		why = append(why, err.Error())
	}
	t.Skipf("no control group with a CPU quota can be made here: %s", strings.Join(why, "; "))
	return ""
}

// set writes to a file that the kernel has made: elsewhere there is no such file.
func set(name, text string) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteString(text)
	return err
}
