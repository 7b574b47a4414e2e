package compare

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport/bench/backend"
	"sallyport/bench/load"
	"sallyport/bench/peers"
	"sallyport/bench/report"
	"sallyport/bench/trial"
	"sallyport/internal/oneline"
)

// A Suite is a list of workloads.
type Suite struct {
	Name      string
	workloads []workload
}

// Names are those of the workloads.
func (s Suite) Names() []string {
	var names []string
	for _, w := range s.workloads {
		names = append(names, w.Name)
	}
	return names
}

// Options say how a suite is run.
type Options struct {
	trial.Plan
	Install bool // install the peers that are missing (peers.Install)
	// Before is another binary of the gateway, which takes the place of all peers.
	Before, BeforeVersion string
	Suite                 Suite
	// Fill makes a store with so many registered instances in dir. Only workloads of
	// Growth need it.
	Fill   func(ctx context.Context, dir string, instances int) error
	Warmup time.Duration
	Shrink int // divides the number of connections above 1,000; default 1
}

// domain is what the names of the comparison are below. Nothing looks it up.
const domain = "gw.test"

const (
	maxDuration = time.Hour
	// crowd is how many connections are never fewer, by Shrink.
	crowd = 1000
)

// Check fills in the defaults and says what is wrong.
func (o *Options) Check() error {
	o.Shrink = max(o.Shrink, 1)
	needsFill := slices.ContainsFunc(o.Suite.workloads, func(w workload) bool { return w.others > 0 })
	switch {
	case needsFill && o.Fill == nil:
		return fmt.Errorf("suite %s needs stores with instances in them (Fill)", o.Suite.Name)
	case o.Warmup < 0 || o.Warmup > maxDuration:
		return fmt.Errorf("warm-up: want up to %s", maxDuration)
	}
	return o.Plan.Check(o.Suite.Names(), maxDuration)
}

// Run runs a suite. It pins the whole process while it does, so only one may run at a
// time. If ctx ends, it returns what there is so far beside the error.
func Run(ctx context.Context, o Options) (*report.Results, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	results := &report.Results{Head: trial.NewHead()}
	room, err := trial.RaiseLimit()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "gateway-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	c := &comparison{Options: o, results: results, room: room, site: &peers.Site{Dir: dir, Gateway: o.Gateway, Before: o.Before, CPU: o.ProxyCPU}}
	if err := c.site.Certify(domain); err != nil {
		return nil, err
	}
	c.findPeers(ctx)
	release, err := trial.Confine(o.LoadCPU)
	if err != nil {
		return nil, err
	}
	err = oneline.Join(c.beside(ctx), release())
	results.Ended = time.Now().UTC().Truncate(time.Second)
	return results, err
}

// comparison is a suite that runs.
type comparison struct {
	Options
	site    *peers.Site
	forms   map[string]peers.Form // that this machine has
	room    int                   // connections that the limit of descriptors has room for
	results *report.Results
}

// findPeers finds the peers that can take part.
func (c *comparison) findPeers(ctx context.Context) {
	c.results.Versions[peers.Gateway] = c.Version
	if c.Before != "" {
		c.results.Versions[peers.Before] = c.BeforeVersion
		c.forms = map[string]peers.Form{
			peers.Gateway: {Name: peers.Gateway, Program: peers.Gateway},
			peers.Before:  {Name: peers.Before, Program: peers.Before},
		}
		return
	}
	missing := peers.Missing()
	if c.Install && len(missing) > 0 {
		c.Progress("installing " + strings.Join(missing, " and "))
		if err := peers.Install(ctx); err != nil {
			c.results.Notes = append(c.results.Notes, err.Error())
		}
		missing = peers.Missing()
	}
	c.forms = map[string]peers.Form{}
	for _, f := range peers.Forms() {
		if slices.Contains(missing, f.Program) {
			continue
		}
		c.forms[f.Name] = f
		if _, known := c.results.Versions[f.Program]; !known && f.Program != peers.Gateway {
			c.results.Versions[f.Program] = peers.Version(ctx, f.Program)
		}
	}
	for _, name := range missing {
		c.results.Notes = append(c.results.Notes, name+" is not installed and takes no part")
	}
}

// beside runs the workloads with the backend beside them.
func (c *comparison) beside(ctx context.Context) error {
	server, err := backend.Listen(netip.MustParseAddrPort("127.0.0.1:0"))
	if err != nil {
		return err
	}
	c.site.Backend = server.Addr()
	ctx, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() {
		defer cancel()
		ended <- server.Run(ctx, c.LoadCPU)
	}()
	err = c.workloads(ctx)
	cancel()
	return oneline.Join(err, <-ended)
}

func (c *comparison) workloads(ctx context.Context) error {
	for _, w := range c.Suite.workloads {
		if !c.Has(w.Name) {
			continue
		}
		c.results.Workloads = append(c.results.Workloads, w.Workload)
		if w.load.Connections > c.room {
			w.load.Connections = c.room
			c.results.Notes = append(c.results.Notes, fmt.Sprintf("%s had %d connections: the limit of descriptors has room for no more", w.Name, c.room))
		}
		if w.share > 0 {
			w.load.Rate = w.share * c.peak()
			if w.load.Rate == 0 {
				c.results.Notes = append(c.results.Notes, w.Name+" needs the peak of "+report.PassRequest50)
				continue
			}
		}
		if err := c.rounds(ctx, w); err != nil {
			return err
		}
	}
	return nil
}

// rounds runs one workload, A B C, then B C A …
func (c *comparison) rounds(ctx context.Context, w workload) error {
	var forms []peers.Form
	for _, name := range append(slices.Clone(w.forms), peers.Before) {
		if f, ok := c.forms[name]; ok {
			forms = append(forms, f)
		}
	}
	for round := range c.Rounds {
		for i := range forms {
			f := forms[(i+round)%len(forms)]
			run := report.Run{Workload: w.Name, Proxy: f.Name, Round: round, Rate: w.load.Rate}
			result, err := c.measure(ctx, w, f)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if run.Result = result; err != nil {
				run.Result, run.Error = nil, err.Error()
			}
			c.results.Runs = append(c.results.Runs, run)
			c.Progress(progress(w, run))
		}
	}
	return nil
}

// measure makes one run.
func (c *comparison) measure(ctx context.Context, w workload, f peers.Form) (*load.Result, error) {
	store, err := c.store(ctx, w.others)
	if err != nil {
		return nil, err
	}
	p, err := c.site.Start(ctx, f, store)
	if err != nil {
		return nil, err
	}
	o := w.load
	o.Target, o.ServerName = p.Passthrough.String(), c.site.Passed()
	if o.TLS != 0 {
		o.Target, o.ServerName = p.Terminated.String(), c.site.Ended()
	}
	if o.Connections > crowd {
		o.Connections = max(o.Connections/c.Shrink, crowd)
	}
	o.Duration, o.Warmup, o.CPUs, o.PID = c.Duration, c.Warmup*time.Duration(max(w.settle, 1)), []int{c.LoadCPU}, p.PID
	result, err := load.Run(ctx, o)
	return result, oneline.Join(err, p.Stop())
}

// store is a directory with the store of so many instances, made once; "" is none.
func (c *comparison) store(ctx context.Context, instances int) (string, error) {
	if instances == 0 {
		return "", nil
	}
	dir := filepath.Join(c.site.Dir, "store-"+strconv.Itoa(instances))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if err := c.Fill(ctx, dir, instances); err != nil {
		return "", oneline.Join(fmt.Errorf("fill a store with %d instances: %w", instances, err), os.RemoveAll(dir))
	}
	return dir, nil
}

// peak is the highest rate of a peer so far, in operations a second; without peers that
// of both gateways.
func (c *comparison) peak() float64 {
	var most float64
	for _, p := range c.results.Proxies(report.PassRequest50) {
		if p != peers.Gateway || c.Before != "" || len(c.forms) == 1 {
			most = max(most, c.results.Figure(report.PassRequest50, p, report.Rate).Median)
		}
	}
	return most
}

func progress(w workload, run report.Run) string {
	head := fmt.Sprintf("%-32s %-18s %d", w.Name, run.Proxy, run.Round+1)
	if run.Error != "" {
		return head + "  " + run.Error
	}
	return head + "  " + report.Line(w.Workload, run)
}
