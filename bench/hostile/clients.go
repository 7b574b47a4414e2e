package hostile

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"sync"
	"time"

	"sallyport/bench/attack"
	"sallyport/bench/load"
	"sallyport/bench/peers"
	"sallyport/bench/trial"
	"sallyport/internal/oneline"
)

// What honest clients do, all in all.
const (
	requestRate, requestConns = 500, 16
	connectRate, connectConns = 100, 100
	small, reply              = 64, 100 // bytes
)

// honest has honest clients work beside whatever else there is, and measures them after a
// warm-up. begin is called when their connections are up.
func (s *site) honest(ctx context.Context, p *peers.Process, warmup time.Duration, begin func() error) (*Honest, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	common := load.Options{
		Target: p.Passthrough.String(), ServerName: s.peers.Passed(), Size: small, ReplySize: reply,
		Endure: true, Warmup: warmup, Duration: s.duration, CPUs: []int{s.loadCPU}, PID: p.PID, Within: s.edge.Do,
	}
	requests, connects := common, common
	requests.Workload, requests.Rate, requests.Connections = load.Request, requestRate, requestConns
	requests.Started = func() {
		if err := begin(); err != nil {
			cancel(err)
		}
	}
	connects.Workload, connects.Rate, connects.Connections = load.Connect, connectRate, connectConns
	var h Honest
	var first, second error
	var both sync.WaitGroup
	both.Go(func() { h.Requests, first = load.Run(ctx, requests) })
	both.Go(func() { h.Connections, second = load.Run(ctx, connects) })
	both.Wait()
	if err := oneline.Join(first, second); err != nil {
		return nil, err
	}
	return &h, nil
}

// attacker is a process that attacks a proxy.
type attacker struct {
	site    *site
	options attack.Options
	process *peers.Process
}

func (a *attacker) begin() error {
	args, err := trial.Part("attack", a.options)
	if err != nil {
		return err
	}
	return a.site.edge.Do(func() (err error) {
		a.process, err = peers.Launch(a.site.loadCPU, a.site.self, args...)
		return err
	})
}

// end ends the attack and returns what it has done.
func (a *attacker) end() (*attack.Result, error) {
	if a.process == nil || a.process.PID == 0 {
		return nil, nil
	}
	if err := a.process.Stop(); err != nil {
		return nil, err
	}
	var did attack.Result
	if err := json.Unmarshal([]byte(a.process.Output()), &did); err != nil {
		return nil, fmt.Errorf("the attack says: %s", a.process.Output())
	}
	return &did, nil
}

// flags are those of gateway bench load for an attack; those that have no value are left out.
func flags(o attack.Options) []string {
	args := []string{
		"--workload=" + string(o.Form), "--connections=" + strconv.Itoa(o.Connections),
		"--rate=" + strconv.FormatFloat(o.Rate, 'f', -1, 64),
	}
	if o.BulkRate > 0 {
		args = append(args, "--bulk-rate="+strconv.FormatFloat(o.BulkRate/1e6, 'f', -1, 64))
	}
	if o.Burst > 0 {
		args = append(args, "--burst="+strconv.Itoa(o.Burst))
	}
	if o.TLS && o.Form == attack.Hold {
		args = append(args, "--tls=1.3")
	}
	return args
}
