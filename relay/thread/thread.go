// Package thread reports what another thread of the process is doing: whether it runs, in
// which system call it waits, and where its goroutine is.
package thread

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"sallyport/internal/nonblock"
)

// A Thread is a goroutine that is locked to its thread. It may be asked from any goroutine.
type Thread struct {
	id        int
	goroutine string // its number, as stacks show it
}

// Self returns the calling goroutine and its thread.
func Self() Thread {
	var head [64]byte // "goroutine 7 [running]:"
	words := strings.Fields(string(head[:runtime.Stack(head[:], false)]))
	return Thread{id: unix.Gettid(), goroutine: words[1]}
}

// Doing reports whether the thread runs or waits in the kernel, and the stack of its
// goroutine.
//
// To take a stack the runtime stops all goroutines. It cannot stop one that waits in a raw
// system call, and would stop all others for as long. In that case there is no stack.
func (t Thread) Doing() (state, stack string) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/syscall", t.id)) // proc_pid_syscall(5)
	word, _, _ := strings.Cut(strings.TrimSpace(string(b)), " ")
	nr, notANumber := strconv.Atoi(word)
	switch {
	case err != nil:
		state = "unknown: " + err.Error()
	case notANumber != nil:
		state = word // running
	case nr < 0:
		return "waits in the kernel, outside a system call", ""
	case nonblock.Raw(nr):
		return "waits in the kernel, in system call " + word, ""
	default:
		state = "waits in system call " + word
	}
	return state, t.stack()
}

// maxStack bounds what goes to the log.
const maxStack = 16 << 10

// stack returns the stacks of the goroutine and of its running coroutines.
func (t Thread) stack() string {
	const each = 2 << 10 // a stack's text is seldom longer; the rest is left out
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
func (t Thread) owns(s []byte) bool {
	if bytes.HasPrefix(s, []byte("goroutine "+t.goroutine+" ")) {
		return true
	}
	head, _, _ := bytes.Cut(s, []byte("\n"))
	at := bytes.LastIndex(s, []byte("created by iter.Pull"))
	return at >= 0 && !bytes.Contains(head, []byte("[coroutine")) &&
		bytes.Contains(s[at:], []byte(" in goroutine "+t.goroutine+"\n"))
}
