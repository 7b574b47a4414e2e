package registry

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/internal/vm"
	"sallyport/registry/store"
)

// A process registers, re-keys, judges and removes instances as fast as it can, saying before and
// after each what it does, and is killed at a random moment. What it said "done" to must
// hold in the next process; what it began may.

const (
	killedStore = "REGISTRY_TEST_STORE" // in the environment of the process to be killed
	killedRound = "REGISTRY_TEST_ROUND"
	killsVar    = "REGISTRY_KILLS" // how many kills; default 60
)

func TestMain(m *testing.M) {
	if path := os.Getenv(killedStore); path != "" {
		if err := registerUntilKilled(path, os.Getenv(killedRound)); err != nil {
			fmt.Println("error", err)
		}
		return
	}
	m.Run()
}

func killOptions() Options {
	return Options{
		ChangeInterval: -1, // it changes as fast as it can

		OwnKey: key("gateway"), Network: netip.MustParsePrefix("10.8.0.1/16"), Pool: netip.MustParsePrefix("10.8.0.0/16"),
		RecycleAfter: time.Nanosecond, // every instance may be removed
		AddressRest:  time.Hour,
		Appraise: func(ctx context.Context, _ vm.InstanceID, _ vm.AppID, _ []byte) error {
			if ctx.Value(strict{}) != nil && rand.IntN(2) == 0 {
				return errOutOfDate
			}
			return nil
		},
	}
}

// strict marks a context in which evidence may be refused.
type strict struct{}

func registerUntilKilled(path, round string) error {
	db, err := store.OpenBolt(path)
	if err != nil {
		return err
	}
	o := killOptions()
	o.Store, o.Tunnel, o.Publisher = db, newDevice(), newBoard()
	r, err := Open(context.Background(), o)
	if err != nil {
		return err
	}
	var workers sync.WaitGroup
	for w := range 8 {
		workers.Go(func() {
			random := rand.New(rand.NewPCG(rand.Uint64(), 0))
			for n := 0; ; n++ {
				id := vm.InstanceID(fmt.Sprintf("w%di%d", w, random.IntN(10)))
				var err error
				switch random.IntN(8) {
				case 0:
					err = r.removeAndSay(id)
				case 1, 2:
					err = r.appraiseAndSay(id)
				default:
					err = r.registerAndSay(id, fmt.Sprintf("%s/%d", round, n))
				}
				if err != nil {
					fmt.Println("error", err)
				}
			}
		})
	}
	workers.Wait()
	return nil
}

// What is said is one write each: lines of several goroutines do not mix.

func (r *Registry) removeAndSay(id vm.InstanceID) error {
	fmt.Printf("try %s -\n", id)
	err := r.remove(context.Background(), id, nil)
	if err == nil {
		fmt.Printf("done %s - -\n", id)
	}
	return err
}

func (r *Registry) appraiseAndSay(id vm.InstanceID) error {
	if _, rev := r.table.stored(id); rev == 0 {
		return nil
	}
	fmt.Printf("appraise %s\n", id)
	err := r.reappraise(context.WithValue(context.Background(), strict{}, true), id)
	if err == nil {
		fmt.Printf("appraised %s %v\n", id, r.table.refusal(id) != "")
	}
	return err
}

func (r *Registry) registerAndSay(id vm.InstanceID, name string) error {
	q := proven("app", string(id), name)
	q.Key = key(string(id) + name)
	fmt.Printf("try %s %s\n", id, q.Key)
	g, err := r.Register(context.Background(), q)
	if err == nil {
		fmt.Printf("done %s %s %s\n", id, q.Key, g.Spec.Addr)
	}
	return err
}

// said is what the killed processes said of one instance last. "-" is none.
type said struct {
	done, addr string
	tried      string // begun, and not done; "" is nothing
	refused    bool
	appraising bool // begun, and not done
}

func TestNothingAcknowledgedIsLostByKill(t *testing.T) {
	kills := 60
	if testing.Short() {
		kills = 10
	}
	if n, err := strconv.Atoi(os.Getenv(killsVar)); err == nil {
		kills = n
	}
	path := t.TempDir() + "/registry.db"
	all := make(map[vm.InstanceID]said)
	changes := 0
	for round := range kills {
		lines := killAtRandom(t, path, round)
		for _, line := range lines {
			changes += hear(t, all, line)
		}
		inspect(t, path, all)
		if t.Failed() {
			t.Fatalf("after kill %d of %d", round+1, kills)
		}
	}
	t.Logf("%d kills, %d acknowledged changes", kills, changes)
	if changes < kills {
		t.Error("hardly anything was acknowledged: the test tests nothing")
	}
}

// killAtRandom runs a process for a while after its first answer, and returns what it said.
func killAtRandom(t *testing.T, path string, round int) []string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), killedStore+"="+path, fmt.Sprintf("%s=%d", killedRound, round))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var lines []string
	var timer *time.Timer
	for scanner := bufio.NewScanner(out); scanner.Scan(); {
		lines = append(lines, scanner.Text())
		if timer == nil {
			timer = time.AfterFunc(rand.N(20*time.Millisecond), func() { _ = cmd.Process.Kill() })
		}
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != -1 {
		t.Fatalf("it was to be killed: %v\n%s\n%s", err, strings.Join(lines, "\n"), stderr.String())
	}
	return lines
}

// hear notes a line, and returns how many changes it acknowledges.
func hear(t *testing.T, all map[vm.InstanceID]said, line string) int {
	t.Helper()
	f := strings.Fields(line)
	switch {
	case len(f) == 3 && f[0] == "try":
		s := all[vm.InstanceID(f[1])]
		s.tried = f[2]
		all[vm.InstanceID(f[1])] = s
		return 0
	case len(f) == 4 && f[0] == "done":
		before := all[vm.InstanceID(f[1])]
		if before.addr != "" && before.addr != "-" && f[3] != "-" && before.addr != f[3] {
			t.Errorf("%s moved from %s to %s", f[1], before.addr, f[3])
		}
		all[vm.InstanceID(f[1])] = said{done: f[2], addr: f[3]} // what is new is not refused
		return 1
	case len(f) == 2 && f[0] == "appraise":
		s := all[vm.InstanceID(f[1])]
		s.appraising = true
		all[vm.InstanceID(f[1])] = s
		return 0
	case len(f) == 3 && f[0] == "appraised":
		s := all[vm.InstanceID(f[1])]
		s.appraising, s.refused = false, f[2] == "true"
		all[vm.InstanceID(f[1])] = s
		return 1
	}
	t.Errorf("it says %q", line)
	return 0
}

// inspect starts a gateway on the file and compares it with what was said. What is found
// is what holds from now on.
func inspect(t *testing.T, path string, all map[vm.InstanceID]said) {
	t.Helper()
	g := &rig{path: path, opts: killOptions()}
	g.open(t)
	defer g.store.Close()
	g.consistent(t)
	served := g.board.all()
	for id, s := range all {
		now := said{done: "-", addr: "-"}
		if spec, ok := served[id]; ok {
			now = said{done: spec.Key.String(), addr: spec.Addr.String(), refused: spec.Refused != ""}
		}
		if s.done == "" {
			s.done, s.addr = "-", "-"
		}
		switch {
		case now.done != s.done && now.done != s.tried:
			t.Errorf("%s has the key %s, acknowledged was %s, tried %s", id, now.done, s.done, s.tried)
		case now.addr != s.addr && now.addr != "-" && s.addr != "-":
			t.Errorf("%s has the address %s, acknowledged was %s", id, now.addr, s.addr)
		case now.refused != s.refused && s.tried == "" && !s.appraising:
			t.Errorf("%s is refused: %v, acknowledged was %v", id, now.refused, s.refused)
		}
		all[id] = now
	}
	for id := range served {
		if _, ok := all[id]; !ok {
			t.Errorf("%s is served, but was never registered", id)
		}
	}
}
