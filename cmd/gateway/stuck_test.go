package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"sallyport/cmd/gateway/cli"
	"sallyport/config"
	"sallyport/gateway"
	"sallyport/internal/gwtest"
)

// stuck is the variable that has the test binary be stuckMain.
const stuck = "STUCK_GATEWAY"

// stuckMain is the program with a bug: a loop that logs how a connection ended never comes back.
func stuckMain(file string) int {
	cfg, err := config.Load(file)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return cli.ExitUsage
	}
	log, _, flush := cli.NewLogger(os.Stderr, cfg.Log)
	defer flush()
	log = slog.New(stuckHandler{log.Handler()})
	g, err := gateway.New(context.Background(), cfg, log)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return cli.ExitUsage
	}
	ctx, stop := cli.UntilSignal(context.Background(), func() {
		cli.EndSoon(log)
		g.Abort()
	})
	defer stop()
	if err := g.Run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return cli.ExitFailed
	}
	return cli.ExitDone
}

// stuckHandler keeps forever whoever logs the end of a connection.
type stuckHandler struct{ slog.Handler }

func (h stuckHandler) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == "connection" {
		select {}
	}
	return h.Handler.Handle(ctx, r)
}

func TestStuckLoopFailsReadinessAndTheSecondSIGTERMEndsIt(t *testing.T) {
	stderr, err := os.CreateTemp(t.TempDir(), "log")
	if err != nil {
		t.Fatal(err)
	}
	defer stderr.Close()
	t.Setenv(stuck, "1")
	s := newLogSite(t, stderr)
	ready := func() string {
		resp, err := http.Get("http://" + s.admin + "/readyz")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(resp.StatusCode, " ", string(b))
	}
	if got := ready(); got != "200 ok\n" {
		t.Errorf("before: %q", got)
	}
	c, err := net.Dial("tcp", s.clients)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write(gwtest.Hello{ServerName: "app.gw.test"}.Record()); err != nil {
		t.Fatal(err)
	}
	gwtest.Await(t, "the gateway is not ready", func() bool {
		got := ready()
		return strings.HasPrefix(got, "503 ") && strings.Contains(got, "loop 0 is stuck")
	})
	for range 2 {
		if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		gwtest.Await(t, "it is told that it drains", func() bool { return strings.Contains(read(t, stderr), "msg=draining") })
	}
	select {
	case err := <-s.end:
		if code := s.cmd.ProcessState.ExitCode(); code != cli.ExitFailed {
			t.Errorf("%v, exit code %d, want %d: systemd must start it again", err, code, cli.ExitFailed)
		}
	case <-time.After(25 * time.Second): // before the watchdog ends it by itself
		t.Error("the second SIGTERM does not end a gateway with a stuck loop")
	}
	if log := read(t, stderr); !strings.Contains(log, "stuckHandler") {
		t.Errorf("the log does not say where the loop is stuck:\n%s", log)
	}
}

func read(t *testing.T, f *os.File) string {
	t.Helper()
	b, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
