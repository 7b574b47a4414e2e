package exec

import (
	"context"
	"errors"
	"fmt"
	osexec "os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"sallyport/internal/oneline"
)

const (
	maxOutput = 2048 // bytes of the program's output that an error repeats
	// pipeDelay is for what left the process group and keeps the output open.
	pipeDelay = time.Second
)

// run runs the program once. The whole process group is killed before its leader is
// waited for: until then no other process can have its id.
func (p *Provider) run(ctx context.Context, c change) error {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var out tail
	cmd := osexec.Command(p.program, append(slices.Clip(p.args), c.action, c.name, c.value, c.zone)...) //nolint:noctx // it is killed below, with its group
	cmd.Env = append(slices.Clip(p.env), c.env()...)
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = pipeDelay
	if err := cmd.Start(); err != nil {
		return err
	}
	kill := func() {
		unix.Kill(-cmd.Process.Pid, unix.SIGKILL) //nolint:errcheck // it only fails if there is none
		unix.Kill(cmd.Process.Pid, unix.SIGKILL)  //nolint:errcheck // the same; it may have left its group
	}
	killed := make(chan struct{})
	stop := context.AfterFunc(ctx, func() { defer close(killed); kill() })
	err := untilEnd(cmd.Process.Pid)
	late := !stop()
	if late {
		<-killed
	}
	kill()
	if waitErr := cmd.Wait(); !errors.Is(waitErr, osexec.ErrWaitDelay) {
		err = oneline.Join(err, waitErr)
	}
	switch {
	case err != nil && late:
		return fmt.Errorf("%w, killed%s", context.Cause(ctx), &out)
	case err != nil:
		return fmt.Errorf("%w%s", err, &out)
	}
	return nil
}

// untilEnd waits until the process has ended, and leaves it to be waited for.
func untilEnd(pid int) error {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

// tail keeps the end of what is written to it.
type tail struct{ kept []byte }

// Write implements io.Writer.
func (t *tail) Write(b []byte) (int, error) {
	t.kept = append(t.kept, b[max(0, len(b)-maxOutput):]...)
	if over := len(t.kept) - maxOutput; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
	}
	return len(b), nil
}

// String is the output for the end of an error, in quotes, so that no control
// character reaches a terminal.
func (t *tail) String() string {
	text := strings.TrimSpace(string(t.kept))
	if text == "" {
		return ""
	}
	return fmt.Sprintf(": %q", text)
}
