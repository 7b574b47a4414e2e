package bench

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"sallyport/bench/load"
	"sallyport/internal/gwtest"
)

// gateway is the gateway with these arguments, not yet started.
func gateway(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	return exec.CommandContext(t.Context(), program(t), args...)
}

// service starts a long-running command that says where it is on standard output or, if
// logs is set, on standard error, and returns the text that pattern finds there. At the
// end of the test it is asked to stop, once, and must end well.
func service(t *testing.T, logs bool, pattern string, cmd *exec.Cmd) []string {
	t.Helper()
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	pipe := cmd.StdoutPipe
	if logs {
		pipe = cmd.StderrPipe
	}
	stream, err := pipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 0 {
			t.Errorf("%s: %v", cmd, err)
		}
	})
	lines := bufio.NewScanner(stream)
	for want := regexp.MustCompile(pattern); lines.Scan(); {
		if m := want.FindStringSubmatch(lines.Text()); m != nil {
			return m
		}
	}
	t.Fatalf("%s has not said %q", cmd, pattern)
	return nil
}

// loaded runs bench load for a moment and returns its result. On a busy machine no operation
// may end in 200 ms: then it runs for longer.
func loaded(t *testing.T, args ...string) load.Result {
	t.Helper()
	run := func(duration string) (r load.Result) {
		all := append([]string{"load", "--json", "--warmup", "50ms", "--duration", duration, "--connections", "4"}, args...)
		code, stdout, stderr := outcome(t, all...)
		err := json.Unmarshal([]byte(stdout), &r)
		if err != nil || r.Errors > 0 || code != 0 && !r.Empty() {
			t.Fatalf("gateway %s: exit code %d, %v: %s%s", strings.Join(all, " "), code, err, stdout, stderr)
		}
		return r
	}
	r := run("200ms")
	if r.Empty() {
		r = run("5s")
	}
	if r.Empty() {
		t.Fatalf("gateway bench load %s: no operation ended in 5 s", strings.Join(args, " "))
	}
	return r
}

// benchGateway runs a gateway for *.gw.test that dials a backend directly. It returns
// where it listens and the backend's port.
func benchGateway(t *testing.T) (address, port, ca string) {
	t.Helper()
	dir := t.TempDir()
	authority := gwtest.NewCA(t)
	gwtest.WritePEM(t, dir, "gw", authority.Server(t, "*.gw.test"))
	ca = filepath.Join(dir, "ca.pem")
	authority.WriteRoot(t, ca)
	file := filepath.Join(dir, "gateway.toml")
	text := fmt.Sprintf(`
[[domain]]
name = "gw.test"
cert = "%[1]s/gw.pem"
key = "%[1]s/gw.key"
[proxy]
listen = ["127.0.0.1:0"]
[proxy.timeouts]
drain = "1s"
[wireguard]
mode = "none"
[[instance]]
app_id = "app"
address = "127.0.0.1"
[store]
path = "%[1]s"
[admin]
listen = "127.0.0.1:0"
`, dir)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	at := service(t, false, `^127\.0\.0\.1:(\d+)$`, command(t, "backend"))
	address = service(t, true, `listening for clients.* address=(\S+)`, gateway(t, "run", "--config", file))[1]
	return address, at[1], ca
}

func TestBenchRunsEveryWorkloadThroughAGateway(t *testing.T) {
	address, port, ca := benchGateway(t)
	for name, args := range map[string][]string{
		"passed through": {"--sni", "app-" + port + "s.gw.test"},
		"ended":          {"--sni", "app-" + port + ".gw.test", "--tls", "1.3", "--ca", ca},
	} {
		for _, workload := range load.Workloads {
			t.Run(name+" "+string(workload), func(t *testing.T) {
				r := loaded(t, append(args, "--target", address, "--workload", string(workload), "--bulk-connections", "2")...)
				if r.Resumed > 0 {
					t.Errorf("%d of %d handshakes resumed", r.Resumed, r.Handshakes)
				}
			})
		}
	}
}

func TestBenchResumesSessionsOfAGateway(t *testing.T) {
	address, port, _ := benchGateway(t)
	// A client that sends nothing has its ticket a second later.
	for _, version := range []string{"1.2", "1.3", "1.3 --curve x25519mlkem768", "1.3 --size 0 --warmup 1500ms"} {
		args := "--workload connect --resume --target " + address + " --sni app-" + port + ".gw.test --tls " + version
		if r := loaded(t, strings.Fields(args)...); r.Resumed+4 < r.Handshakes || r.Resumed == 0 {
			t.Errorf("TLS %s: %d of %d handshakes resumed", version, r.Resumed, r.Handshakes)
		}
	}
}

func TestBenchMeasuresTheDemo(t *testing.T) {
	const app, domain = "deadbeef111111111111111111111111deadbeef", "gw.localhost"
	at := service(t, false, `A gateway listens on (\S+) for`, gateway(t, "demo", "--listen", "127.0.0.1:0"))[1]
	echo := loaded(t, "--target", at, "--sni", app+"-7."+domain, "--tls", "1.3")
	if echo.Latency.Count == 0 {
		t.Errorf("the raw echo: %+v", echo)
	}
	// Passed through: TLS ends at the machine.
	machine := loaded(t, "--target", at, "--sni", app+"-443s."+domain, "--tls", "1.3", "--workload", "connect", "--size", "0")
	if machine.Handshakes == 0 {
		t.Errorf("the machine's TLS: %+v", machine)
	}
}

func TestBenchThatMeasuresNothingFails(t *testing.T) {
	address, port, ca := benchGateway(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close() // and nobody accepts
	other := filepath.Join(t.TempDir(), "other.pem")
	gwtest.NewCA(t).WriteRoot(t, other)
	fifo := filepath.Join(t.TempDir(), "fifo") // nobody writes into it
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args string
		code int
		says string
	}{
		{"--target 127.0.0.1:1", 1, "connection refused"},
		{"--duration 50ms --target " + ln.Addr().String(), 1, "not one operation ended"},
		{"--sni nobody.gw.test --target " + address, 1, "unrecognized name"},
		{"--sni nobody.gw.test --workload connect --target " + address, 1, "failures in a row (alert 1"},
		{"--sni app-" + port + ".gw.test --tls 1.3 --ca " + other + " --target " + address, 1, "certificate signed by unknown authority"},
		{"--sni app-" + port + ".gw.test --tls 1.3 --ca " + ca + "x --target " + address, 2, "no such file"},
		{"--sni app-" + port + ".gw.test --tls 1.3 --ca " + fifo + " --target " + address, 2, fifo + ": want a regular file"},
		{"--workload rest --target " + address, 2, "want one of"},
		{"--tls 1.1 --target " + address, 2, "want 1.2 or 1.3"},
		{"--cpu x --target " + address, 2, "want numbers"},
		{"", 2, "target"},
	} {
		args := append([]string{"load", "--warmup", "0s"}, strings.Fields(test.args)...)
		code, stdout, stderr := outcome(t, args...)
		if code != test.code || !strings.Contains(stderr, test.says) {
			t.Errorf("gateway bench load %s: exit code %d, want %d and %q; it says %s%s", test.args, code, test.code, test.says, stdout, stderr)
		}
	}
}

func TestInterruptedBenchTellsWhatThereIs(t *testing.T) {
	at := service(t, false, `^127\.0\.0\.1:\d+$`, command(t, "backend"))[0]
	cmd := command(t, "load", "--target", at, "--warmup", "0s", "--duration", "1h")
	progress, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	var summary strings.Builder
	cmd.Stdout = &summary
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	guard := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer guard.Stop()
	lines := bufio.NewScanner(progress)
	if !lines.Scan() || !strings.Contains(lines.Text(), "measuring") {
		t.Errorf("progress: %q", lines.Text())
	}
	_ = cmd.Process.Signal(syscall.SIGINT)
	_, _ = io.Copy(io.Discard, progress)
	if err := cmd.Wait(); err != nil || !strings.Contains(summary.String(), "p99") {
		t.Errorf("%v: %q", err, summary.String())
	}
}
