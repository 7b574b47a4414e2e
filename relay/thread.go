package relay

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// thread finds out what a loop's thread does.
type thread struct {
	id        int
	goroutine string // its number, as stacks tell it
}

// self is the calling goroutine and its thread.
func self() thread {
	var head [64]byte // "goroutine 7 [running]:"
	words := strings.Fields(string(head[:runtime.Stack(head[:], false)]))
	return thread{id: unix.Gettid(), goroutine: words[1]}
}

// rawCalls are the system calls of sys.go, of which the scheduler does not know.
var rawCalls = []int{
	unix.SYS_RECVFROM, unix.SYS_SENDTO, unix.SYS_SPLICE, unix.SYS_ACCEPT4, unix.SYS_CONNECT, unix.SYS_SHUTDOWN, unix.SYS_CLOSE,
	unix.SYS_SETSOCKOPT, unix.SYS_GETSOCKOPT, unix.SYS_IOCTL, unix.SYS_EPOLL_PWAIT,
}

// doing says whether the thread runs or waits in the kernel, and what its goroutine
// does.
//
// To take a stack the runtime stops all goroutines. It cannot stop one that waits in a
// raw system call, and would stop the others for as long. Then there is no stack.
func (t thread) doing() (state, stack string) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/syscall", t.id)) // proc_pid_syscall(5)
	word, _, _ := strings.Cut(strings.TrimSpace(string(b)), " ")
	nr, notANumber := strconv.Atoi(word)
	switch {
	case err != nil:
		state = "unknown: " + err.Error()
	case notANumber != nil:
		state = word // running
	case nr < 0:
		return "waits in the kernel, in no system call", ""
	case slices.Contains(rawCalls, nr):
		return "waits in the kernel, in system call " + word, ""
	default:
		state = "waits in system call " + word
	}
	return state, t.stack()
}

// maxStack bounds what goes to the log.
const maxStack = 16 << 10

// stack is that of the goroutine and of those of its coroutines that run.
func (t thread) stack() string {
	const each = 2 << 10 // a stack's text is seldom longer; what does not fit is not told
	all := make([]byte, min(max(64<<10, runtime.NumGoroutine()*each), 16<<20))
	all = all[:runtime.Stack(all, true)]
	var ours [][]byte
	for s := range bytes.SplitSeq(all, []byte("\n\n")) {
		if t.owns(s) {
			ours = append(ours, s)
		}
	}
	text := bytes.Join(ours, []byte("\n\n"))
	return string(text[:min(len(text), maxStack)])
}

// owns reports whether s is the stack of t's goroutine, or of a coroutine that it has
// made and that is not idle.
func (t thread) owns(s []byte) bool {
	if bytes.HasPrefix(s, []byte("goroutine "+t.goroutine+" ")) {
		return true
	}
	head, _, _ := bytes.Cut(s, []byte("\n"))
	at := bytes.LastIndex(s, []byte("created by iter.Pull"))
	return at >= 0 && !bytes.Contains(head, []byte("[coroutine")) &&
		bytes.Contains(s[at:], []byte(" in goroutine "+t.goroutine+"\n"))
}
