package hostile

import (
	"context"
	"fmt"
	"slices"
	"time"

	"sallyport/bench/peers"
	"sallyport/bench/trial"
	"sallyport/internal/oneline"
)

// Options say how attacks are measured.
type Options struct {
	trial.Plan
	// Self is the program that attacks: it has a part "attack" (trial.Part), which takes
	// attack.Options and prints its attack.Result as JSON when it is ended.
	Self   string
	Hasten int // divides the time that attacks have to take hold; default 1
}

// Check fills in the defaults and says what is wrong.
func (o *Options) Check() error {
	o.Hasten = max(o.Hasten, 1)
	return o.Plan.Check(Names(), time.Minute)
}

// Run measures every attack. It pins the whole process while it does, so only one may
// run at a time. If ctx ends, it returns what there is so far beside the error.
func Run(ctx context.Context, o Options) (results *Results, err error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	if _, err := trial.RaiseLimit(); err != nil {
		return nil, err
	}
	release, err := trial.Confine(o.LoadCPU)
	if err != nil {
		return nil, err
	}
	defer func() { err = oneline.Join(err, release()) }()
	s, err := open(ctx, o)
	if err != nil {
		return nil, err
	}
	c := &comparison{Options: o, site: s, results: &Results{Head: trial.NewHead()}}
	c.findPeers(ctx)
	err = oneline.Join(c.attacks(ctx), s.close())
	c.results.Ended = time.Now().UTC().Truncate(time.Second)
	return c.results, err
}

// comparison is all attacks on all proxies.
type comparison struct {
	Options
	site    *site
	proxies []string
	results *Results
}

func (c *comparison) findPeers(ctx context.Context) {
	c.proxies = []string{peers.Gateway}
	c.results.Versions[peers.Gateway] = c.Version
	if slices.Contains(peers.Missing(), peers.HAProxy) {
		c.results.Notes = append(c.results.Notes, "haproxy is not installed and takes no part")
		return
	}
	c.proxies = append(c.proxies, peers.HAProxy)
	c.results.Versions[peers.HAProxy] = peers.Version(ctx, peers.HAProxy)
}

func (c *comparison) attacks(ctx context.Context) error {
	for _, a := range assaults() {
		if !c.Has(a.Name) {
			continue
		}
		a.settle /= time.Duration(c.Hasten)
		c.results.Attacks = append(c.results.Attacks, a.Attack)
		for round := range c.Rounds {
			for i := range c.proxies {
				run := OneRun{Attack: a.Name, Proxy: c.proxies[(i+round)%len(c.proxies)], Round: round}
				err := c.measure(ctx, &a, &run)
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				if err != nil {
					run = OneRun{Attack: a.Name, Proxy: run.Proxy, Round: round, Error: err.Error()}
				}
				c.results.Runs = append(c.results.Runs, run)
				c.Progress(run.String())
			}
		}
	}
	return nil
}

// quietWarmup is what honest clients have before they are measured without an attack.
const quietWarmup = 300 * time.Millisecond

// measure makes one run: a new proxy, honest clients alone, honest clients beside the attack.
func (c *comparison) measure(ctx context.Context, a *assault, run *OneRun) error {
	p, err := c.site.start(ctx, a.form(run.Proxy))
	if err != nil {
		return err
	}
	alone := func() error { return nil }
	if run.Quiet, err = c.site.honest(ctx, p, quietWarmup, alone); err != nil {
		return oneline.Join(fmt.Errorf("without the attack: %w", err), p.Stop())
	}
	attacker := &attacker{site: c.site, options: c.site.aim(a, run.Proxy, p)}
	run.Beside, err = c.site.honest(ctx, p, a.settle, attacker.begin)
	if err != nil {
		err = fmt.Errorf("beside the attack: %w", err)
	}
	did, stopErr := attacker.end()
	run.Did = did
	select {
	case <-p.Ended():
		err = oneline.Join(err, fmt.Errorf("the proxy has ended: %s", p.Output()))
	default:
	}
	return oneline.Join(err, stopErr, p.Stop())
}
