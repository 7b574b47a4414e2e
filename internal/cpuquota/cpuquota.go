// Package cpuquota returns how many CPUs this process may keep busy: those on which it may
// run, or fewer if the quota of its control group is less. It reads cgroup v2 and v1, in a
// container or outside.
package cpuquota

import (
	"bufio"
	"bytes"
	"io/fs"
	"math"
	"os"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// CPUs is the number of CPUs that may be busy all the time, at least 1.
//
// A fraction of a CPU is not counted: of a quota of 1.5, two busy threads use up the 150 ms
// of each period of 100 ms after 75, and then nothing of the process runs for 25. What is
// left over serves the rest of the process. (The runtime rounds up, and to 2 at least.)
func CPUs() int { return cpus(runtime.NumCPU(), os.DirFS("/")) }

func cpus(n int, root fs.FS) int {
	quota := quota(root)
	return max(1, min(n, int(min(quota, 1<<20))))
}

// quota returns how many CPUs the control group may use, in the mean; +Inf if it has no
// limit, or none that can be read.
func quota(root fs.FS) float64 {
	least := math.Inf(1)
	for _, g := range groups(root) {
		// The limit of each group above holds too. What is not there is above a container's
		// mount, or has no limit.
		for dir := g.path; ; dir = path.Dir(dir) {
			if q, ok := g.read(root, path.Join(g.mount, dir)); ok {
				least = min(least, q)
			}
			if dir == "/" {
				break
			}
		}
	}
	return least
}

// group is a control group of this process that may limit its CPU.
type group struct {
	mount string // of the hierarchy, without the slash in front
	path  string // below the mount
	read  func(root fs.FS, dir string) (float64, bool)
}

// groups are the process's groups in all hierarchies that limit CPU: one, unless the
// machine uses both versions.
func groups(root fs.FS) (list []group) {
	in := memberships(root)
	eachLine(root, "proc/self/mountinfo", func(line string) {
		// 32 31 0:29 /root /sys/fs/cgroup/cpu rw shared:1 - cgroup none rw,cpu (proc(5))
		before, after, _ := strings.Cut(line, " - ")
		place, kind := strings.Fields(before), strings.Fields(after)
		if len(place) < 5 || len(kind) < 3 {
			return
		}
		g := group{mount: strings.TrimPrefix(place[4], "/")}
		var at string
		switch {
		case kind[0] == "cgroup2":
			at, g.read = in[""], readV2
		case kind[0] == "cgroup" && slices.Contains(strings.Split(kind[2], ","), "cpu"):
			at, g.read = in["cpu"], readV1
		}
		if at == "" {
			return
		}
		// A container may see its own part of the tree alone, and its path in the whole.
		g.path = path.Clean("/" + strings.TrimPrefix(at, strings.TrimSuffix(place[3], "/")))
		list = append(list, g)
	})
	return list
}

// memberships are the paths of the process's groups, by controller; "" is version 2.
func memberships(root fs.FS) map[string]string {
	in := map[string]string{}
	eachLine(root, "proc/self/cgroup", func(line string) {
		// 0::/path or 4:cpu,cpuacct:/path (cgroups(7))
		fields := strings.SplitN(line, ":", 3)
		if len(fields) < 3 || !strings.HasPrefix(fields[2], "/") {
			return
		}
		for name := range strings.SplitSeq(fields[1], ",") {
			in[name] = fields[2]
		}
	})
	return in
}

// readV2 reads cpu.max: "150000 100000", or "max 100000".
func readV2(root fs.FS, dir string) (float64, bool) {
	quota, period, _ := strings.Cut(value(root, dir, "cpu.max"), " ")
	return ratio(quota, period)
}

// readV1 reads cpu.cfs_quota_us, -1 for no limit, and cpu.cfs_period_us.
func readV1(root fs.FS, dir string) (float64, bool) {
	return ratio(value(root, dir, "cpu.cfs_quota_us"), value(root, dir, "cpu.cfs_period_us"))
}

func ratio(quota, period string) (float64, bool) {
	q, err := strconv.ParseInt(quota, 10, 64)
	p, err2 := strconv.ParseInt(period, 10, 64)
	if err != nil || err2 != nil || q <= 0 || p <= 0 {
		return 0, false
	}
	return float64(q) / float64(p), true
}

func value(root fs.FS, dir, name string) string {
	b, err := fs.ReadFile(root, path.Join(dir, name))
	if err != nil {
		return "" // no limit here
	}
	return strings.TrimSpace(string(b))
}

func eachLine(root fs.FS, name string, f func(line string)) {
	b, err := fs.ReadFile(root, name)
	if err != nil {
		return // no /proc: nothing to know
	}
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		f(s.Text())
	}
}
