package tunnel

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strconv"
	"time"

	"sallyport/bench/load"
	"sallyport/bench/peers"
	"sallyport/bench/report"
	"sallyport/bench/trial"
	"sallyport/internal/oneline"
)

// Options say how the tunnel is measured.
type Options struct {
	trial.Plan // the gateway's tunnel runs on the proxy's CPU too, the CVM on that of the load
	// Self is the program with the parts (trial.Part) of the site. "load" takes load.Options
	// and prints its load.Result as JSON. "cvm" takes a CVM: it opens its end of the tunnel
	// and serves package backend's protocol in it. "crowd" takes a Crowd: it is instances
	// that register, and prints how many were when it is ended.
	Self string
	// Certify makes an authority of instances in a directory that it makes, and the certificate
	// of the gateway's API there, rpc.pem and rpc.key. It returns the authority's file.
	Certify func(dir, host string) (authority string, err error)
}

// Check fills in the defaults and returns what is wrong.
func (o *Options) Check() error { return o.Plan.Check(Names(), time.Hour) }

// Names are those of the workloads.
func Names() []string {
	var names []string
	for _, j := range workloads() {
		names = append(names, j.workload.Name)
	}
	return names
}

// A job is one run: its way to the CVM, and what it does there.
type job struct {
	workload report.Workload
	load     load.Options
	joining  float64 // registrations a second meanwhile
	longer   int     // times the usual duration; 0: once
}

// probe is the smallest job through the gateway.
func probe() job {
	return job{load: load.Options{
		Target: clientsAt, Workload: load.Request, Size: small, Connections: 1, Duration: 10 * time.Millisecond,
	}}
}

// small is the size of a request in bytes.
const small = 64

func workloads() []job {
	request := load.Options{Workload: load.Request, Size: small, Connections: 50}
	paced := request
	paced.Rate = 2000
	return []job{
		{
			workload: report.Workload{Name: "tunnel-bulk-down", Title: "bulk from the CVM, 8 connections", Unit: report.Gigabyte},
			load:     load.Options{Workload: load.Download, Size: small, Connections: 8},
		},
		{
			workload: report.Workload{Name: "tunnel-bulk-up", Title: "bulk to the CVM, 8 connections", Unit: report.Gigabyte},
			load:     load.Options{Workload: load.Upload, Size: small, Connections: 8},
		},
		{
			workload: report.Workload{Name: "tunnel-request", Title: "request/reply 64 B, 50 connections", Unit: report.Operation},
			load:     request,
		},
		{
			workload: report.Workload{Name: "tunnel-request-paced", Title: "2,000 requests/s of 64 B on 50 connections", Unit: report.Operation},
			load:     paced,
		},
		{
			workload: report.Workload{Name: "tunnel-request-registrations", Title: "the same, beside 200 registrations/s of new instances", Unit: report.Operation},
			load:     paced, joining: 200, longer: 2, // 10,000 instances in three rounds
		},
	}
}

// Run measures each workload through the gateway and past it, in turn. The gateway's
// process is metered in both: past it, that is its tunnel alone.
func Run(ctx context.Context, o Options) (*report.Results, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	results := &report.Results{Head: trial.NewHead()}
	results.Versions[peers.Gateway] = o.Version
	s := &site{opts: &o}
	err := s.open(ctx)
	if err == nil {
		err = s.ready(ctx)
	}
	if err == nil {
		err = s.rounds(ctx, results)
	}
	results.Ended = time.Now().UTC().Truncate(time.Second)
	return results, oneline.Join(err, s.close())
}

func (s *site) rounds(ctx context.Context, results *report.Results) error {
	ways := []struct{ name, target string }{{peers.Gateway, clientsAt}, {report.BareTunnel, fmt.Sprintf("%s:%d", cvmTunnel, cvmPort)}}
	for _, j := range workloads() {
		if !s.opts.Has(j.workload.Name) {
			continue
		}
		results.Workloads = append(results.Workloads, j.workload)
		for round := range s.opts.Rounds {
			for i := range ways {
				way := ways[(i+round)%len(ways)]
				j.load.Target, j.load.Duration = way.target, s.opts.Duration*time.Duration(max(j.longer, 1))
				run := report.Run{Workload: j.workload.Name, Proxy: way.name, Round: round}
				if err := s.measure(ctx, j, &run); err != nil {
					return fmt.Errorf("%s, %s: %w", j.workload.Name, way.name, err)
				}
				results.Runs = append(results.Runs, run)
				s.opts.Progress(fmt.Sprintf("%-18s %-12s %d  %s", run.Workload, run.Proxy, round+1, report.Line(j.workload, run)))
			}
		}
	}
	return nil
}

// measure makes one run, and has instances register meanwhile if the job says so.
func (s *site) measure(ctx context.Context, j job, run *report.Run) (err error) {
	if j.joining == 0 {
		run.Result, err = s.load(ctx, j)
		return err
	}
	crowd, err := s.startCrowd(j.joining)
	if err != nil {
		return err
	}
	run.Result, err = s.load(ctx, j)
	err = oneline.Join(err, crowd.Stop())
	if err != nil {
		return err
	}
	if run.Registrations, err = strconv.Atoi(crowd.Output()); err != nil {
		return fmt.Errorf("instances could not register: %s", crowd.Output())
	}
	return nil
}

// maxResult bounds what the generator prints.
const maxResult = 1 << 20

// load runs the generator at the edge.
func (s *site) load(ctx context.Context, j job) (*load.Result, error) {
	o := j.load
	o.ServerName, o.PID, o.CPUs, o.Warmup = appName, s.gateway.PID, []int{s.opts.LoadCPU}, o.Duration/4
	args, err := trial.Part("load", o)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute+2*o.Duration) // connecting may take one
	defer cancel()
	cmd := exec.CommandContext(ctx, s.opts.Self, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := s.edge.Do(cmd.Start); err != nil {
		return nil, err
	}
	if err := cmd.Wait(); err != nil {
		return nil, fmt.Errorf("%w: %.300s", err, errs.Bytes())
	}
	var r load.Result
	if err := json.Unmarshal(out.Bytes()[:min(out.Len(), maxResult)], &r); err != nil {
		return nil, fmt.Errorf("the generator's result: %w", err)
	}
	return &r, nil
}
