package exec

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/libdns/libdns"
	"golang.org/x/sys/unix"
)

var challenge = libdns.TXT{Name: "_acme-challenge.GW", Text: "-Value_0"}

// program makes a Provider of a shell script. The script has $dir, a folder of the
// test's own.
func program(t *testing.T, text string, o Options) (p *Provider, dir string) {
	t.Helper()
	dir = t.TempDir()
	o.Program = filepath.Join(dir, "program")
	if err := os.WriteFile(o.Program, []byte("#!/bin/sh\ndir="+dir+"\n"+text), 0o700); err != nil {
		t.Fatal(err)
	}
	p, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return p, dir
}

func present(t *testing.T, p *Provider) error {
	t.Helper()
	_, err := p.AppendRecords(t.Context(), "example.com.", []libdns.Record{challenge})
	return err
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

func mustFail(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error: want one about %q", words)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("error %q does not say %q", err, w)
		}
	}
}

func TestProgramGetsArgumentsAndVariables(t *testing.T) {
	t.Setenv("WANTED", "yes")
	t.Setenv("UNWANTED", "yes")
	const script = `echo "$*" >>$dir/args
echo "$DNS01_ACTION $DNS01_NAME $DNS01_VALUE $DNS01_ZONE $WANTED$UNWANTED $(pwd) $(cat)" >>$dir/env`
	p, dir := program(t, script, Options{Args: []string{"first", "a b"}, Env: []string{"WANTED", "MISSING"}})
	if err := present(t, p); err != nil {
		t.Fatal(err)
	}
	if _, err := p.DeleteRecords(t.Context(), "example.com.", []libdns.Record{challenge}); err != nil {
		t.Fatal(err)
	}
	const rest = " _acme-challenge.gw.example.com. -Value_0 example.com."
	if got, want := read(t, dir, "args"), "first a b present"+rest+"\nfirst a b cleanup"+rest; got != want {
		t.Errorf("arguments are\n%s\nwant\n%s", got, want)
	}
	if got, want := read(t, dir, "env"), "present"+rest+" yes / \ncleanup"+rest+" yes /"; got != want {
		t.Errorf("variables are\n%q\nwant\n%q", got, want)
	}
}

func TestFailureTellsStatusAndOutput(t *testing.T) {
	p, _ := program(t, `echo out; printf 'err\033[31m\n' >&2; exit 3`, Options{})
	mustFail(t, present(t, p), "present _acme-challenge.gw.example.com.", "exit status 3", `"out\nerr\x1b[31m"`)
}

func TestOutputIsBounded(t *testing.T) {
	p, _ := program(t, `head -c 1000000 /dev/zero | tr '\0' x; echo the end; exit 1`, Options{})
	err := present(t, p)
	mustFail(t, err, "the end")
	if n := len(err.Error()); n > maxOutput+500 {
		t.Errorf("the error has %d bytes", n)
	}
}

func TestProgramThatHangsIsKilledWithItsChildren(t *testing.T) {
	p, dir := program(t, "sleep 1000 & echo $! >$dir/child.new; echo waiting; mv $dir/child.new $dir/child; wait", Options{Timeout: 20 * time.Second})
	ctx, cancel := context.WithCancelCause(t.Context())
	stopping := errors.New("stopping")
	defer whenExists(t, filepath.Join(dir, "child"), func() { cancel(stopping) })()
	_, err := p.AppendRecords(ctx, "example.com.", []libdns.Record{challenge})
	if !errors.Is(err, stopping) {
		t.Errorf("got %v", err)
	}
	mustFail(t, err, "killed", "waiting")
	mustBeGone(t, read(t, dir, "child"))
}

func TestProgramIsKilledWhenItsTimeIsOver(t *testing.T) {
	p, _ := program(t, "sleep 1000", Options{Timeout: 50 * time.Millisecond})
	err := present(t, p)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	mustFail(t, err, "killed")
}

// It would be killed at a moment that nobody knows.
func TestNothingIsStartedAfterTheEnd(t *testing.T) {
	p, dir := program(t, "touch $dir/ran; sleep 20", Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 { // it may be killed in time
		if _, err := p.AppendRecords(ctx, "example.com.", []libdns.Record{challenge}); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "ran")); err == nil {
		t.Error("the program was run")
	}
}

// The child keeps the output open, too: nobody waits for that.
func TestChildLeftBehindIsKilled(t *testing.T) {
	p, dir := program(t, "sleep 1000 & echo $! >$dir/child", Options{})
	if err := present(t, p); err != nil {
		t.Error(err)
	}
	mustBeGone(t, read(t, dir, "child"))
}

func TestChildThatLeftTheGroupHoldsNobodyUp(t *testing.T) {
	p, dir := program(t, "setsid sleep 1000 & echo $! >$dir/child; exit 0", Options{})
	if err := present(t, p); err != nil {
		t.Error(err)
	}
	pid, err := strconv.Atoi(read(t, dir, "child"))
	if err != nil {
		t.Fatal(err)
	}
	unix.Kill(pid, unix.SIGKILL) //nolint:errcheck // it may be gone with its group, before it left that
}

// A program may leave the group that it was put in: it is killed by its own id, too.
func TestProgramThatLeftItsGroupIsKilled(t *testing.T) {
	p, dir := program(t, `exec perl -e 'setpgrp(0, getpgrp(getppid)) or die; open F, ">", "'$dir'/left.new"; close F; rename "'$dir'/left.new", "'$dir'/left"; sleep 20'`, Options{Timeout: time.Minute})
	ctx, cancel := context.WithCancelCause(t.Context())
	stopping := errors.New("stopping")
	defer whenExists(t, filepath.Join(dir, "left"), func() { cancel(stopping) })()
	_, err := p.AppendRecords(ctx, "example.com.", []libdns.Record{challenge})
	if !errors.Is(err, stopping) {
		t.Errorf("got %v", err)
	}
}

// whenExists calls f once the file is there. The returned func ends it.
func whenExists(t *testing.T, file string, f func()) func() {
	t.Helper()
	stop, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-stop:
				return
			}
			if _, err := os.Stat(file); err == nil {
				f()
				return
			}
		}
	}()
	return func() { close(stop); <-ended }
}

// mustBeGone waits until the process has no life: at most for its parent, init, to
// take note of its death.
func mustBeGone(t *testing.T, pid string) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	giveUp := time.After(10 * time.Second)
	for {
		b, err := os.ReadFile("/proc/" + pid + "/stat")
		if err != nil || strings.Contains(string(b), ") Z ") {
			return
		}
		select {
		case <-tick.C:
		case <-giveUp:
			t.Fatalf("process %s lives: %s", pid, b)
		}
	}
}

func TestRecordsThatNoProgramIsGiven(t *testing.T) {
	p, dir := program(t, "touch $dir/ran", Options{})
	for _, r := range []libdns.Record{
		libdns.CAA{Name: "gw", Tag: "issue", Value: ";"},
		libdns.RR{Name: "gw", Type: "TXT", Data: "x"},
		libdns.TXT{Name: "gw", Text: ""},
		libdns.TXT{Name: "gw", Text: "a b"},
		libdns.TXT{Name: "gw", Text: "$(reboot)"},
		libdns.TXT{Name: "$(reboot)", Text: "x"},
		libdns.TXT{Name: "a;b", Text: "x"},
		libdns.TXT{Name: "-a", Text: "x"},
	} {
		if _, err := p.AppendRecords(t.Context(), "example.com.", []libdns.Record{r}); err == nil {
			t.Errorf("%+v is given", r)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "ran")); err == nil {
		t.Error("the program was run")
	}
}

func TestOptionsAreChecked(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	open := filepath.Join(dir, "open")
	if err := os.WriteFile(open, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(open, 0o722); err != nil { // beyond the umask
		t.Fatal(err)
	}
	for program, want := range map[string]string{
		open:                       "chmod go-w",
		"":                         "absolute path",
		"program":                  "absolute path",
		filepath.Join(dir, "none"): "no such file",
		file:                       "chmod +x",
		dir:                        "not an executable file",
	} {
		_, err := New(Options{Program: program})
		mustFail(t, err, want)
	}
}

func TestProgramThatIsNoneIsAnError(t *testing.T) {
	p, dir := program(t, "", Options{})
	if err := os.WriteFile(filepath.Join(dir, "program"), []byte("\x00"), 0o700); err != nil {
		t.Fatal(err)
	}
	mustFail(t, present(t, p), "exec format error")
}
