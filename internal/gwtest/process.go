package gwtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// maxLogShown is what a failed test prints of a process's output: its end.
const maxLogShown = 8 << 10

// Process is a program that runs on a host until the test ends.
type Process struct {
	Name string

	cmd  *exec.Cmd
	out  Buffer
	done chan struct{}
	err  error // after done
}

// Start runs cmd on h. Its output is shown if the test fails; it is killed when
// the test ends, or the test process does.
func (h *Host) Start(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	p := &Process{Name: filepath.Base(cmd.Path), cmd: cmd, done: make(chan struct{})}
	if cmd.Stdout == nil {
		cmd.Stdout = &p.out
	}
	cmd.Stderr = &p.out
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	cmd.WaitDelay = time.Second // a child that escaped may hold its output open
	if err := h.Do(cmd.Start); err != nil {
		t.Fatalf("start %s on %s: %v", p.Name, h.name, err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		children := descendants(p.PID())
		p.Signal(t, syscall.SIGKILL)
		for _, pid := range children {
			_ = syscall.Kill(pid, syscall.SIGKILL) // it may have ended by itself
		}
		<-p.done
		if t.Failed() {
			t.Logf("--- %s on %s:\n%s", p.Name, h.name, p.tail())
		}
	})
	return p
}

// descendants are the processes that pid has started, and they. A daemon such as
// sshd gives each of its sessions a group of its own, so that the group of pid does
// not reach them.
func descendants(pid int) (all []int) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil // it has ended
	}
	for field := range strings.FieldsSeq(string(b)) {
		if child, err := strconv.Atoi(field); err == nil {
			all = append(append(all, child), descendants(child)...)
		}
	}
	return all
}

// Output runs a program on h to its end and returns what it printed, both
// streams; stdin is its input.
func (h *Host) Output(ctx context.Context, stdin string, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	cmd.WaitDelay = time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := h.Do(cmd.Start)
	if err == nil {
		err = cmd.Wait()
	}
	if err != nil {
		return out.String(), fmt.Errorf("%s: %w", name, err)
	}
	return out.String(), nil
}

// PID is the process's id, also after its end.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Signal sends s; a process that has ended already ignores it.
func (p *Process) Signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Errorf("signal %s to %s: %v", s, p.Name, err)
	}
}

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Wait waits for the end of the process and returns how it ended, or an error
// when it has not by then.
func (p *Process) Wait(limit time.Duration) error {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	select {
	case <-p.done:
		return p.err
	case <-timer.C:
		return fmt.Errorf("%s still runs after %s", p.Name, limit)
	}
}

// Log is everything that the process has printed so far.
func (p *Process) Log() string { return p.out.String() }

func (p *Process) tail() string {
	s := p.Log()
	if len(s) > maxLogShown {
		s = "…" + s[len(s)-maxLogShown:]
	}
	return s
}
