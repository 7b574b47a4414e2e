package cli

import (
	"math"
	"os"
	"runtime"
	"runtime/debug"

	"sallyport/internal/cpuquota"
)

const (
	garbagePercent = 50
	heapFloor      = 64 << 20 // half of it is the room for garbage
)

// TuneRuntime gives so many loops of the relay what they need of the Go runtime, until
// the returned function is called; 0 is a loop for each CPU.
//
// A P for each loop besides those of the CPUs: a loop keeps its own while it waits for a
// moment, and must not find that the control plane and the garbage collector have all of
// them when it comes back from a longer wait.
//
// A floor for the heap: with a live heap of a few MiB the garbage of handshakes would be
// collected 50 times a second. The ballast is never touched, so it costs address space
// and no memory. With GOMEMLIMIT there is none: the runtime counts it as memory that is
// used, and would collect the more often the closer the limit is.
//
// Above the floor garbage may be half of what is live: with 7,000 idle connections that
// end here it takes 6.2 to 6.6 kB for each, where the runtime's default (as much as is
// live) takes 8.1 to 9.3. GOGC of the environment has precedence.
func TuneRuntime(loops int) (release func()) {
	if loops == 0 {
		loops = cpuquota.CPUs()
	}
	procs := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(procs + loops)
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(garbagePercent)
	}
	var ballast []byte
	if debug.SetMemoryLimit(-1) == math.MaxInt64 { // no limit
		ballast = make([]byte, heapFloor)
	}
	return func() {
		runtime.KeepAlive(ballast)
		runtime.GOMAXPROCS(procs)
	}
}
