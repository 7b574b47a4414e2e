package exec

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/libdns/libdns"
	"github.com/miekg/dns"
)

// Options configure a Provider. Only Program is required.
type Options struct {
	Program string   // its absolute path; there is no shell in between
	Args    []string // in front of the action
	Env     []string // names of variables of the gateway's environment that it gets

	// Timeout is for one run; 0 is 1 minute.
	Timeout time.Duration
}

// Provider runs the program. Its methods may be called concurrently, and so may the
// program.
type Provider struct {
	program string
	args    []string
	env     []string
	timeout time.Duration
}

var (
	_ libdns.RecordAppender = (*Provider)(nil)
	_ libdns.RecordDeleter  = (*Provider)(nil)
)

// New makes a Provider. It reads the environment, and fails if the program cannot be
// run, or if its group or everybody may write to it.
func New(o Options) (*Provider, error) {
	if !filepath.IsAbs(o.Program) {
		return nil, fmt.Errorf("exec: program %.80q: want an absolute path", o.Program)
	}
	info, err := os.Stat(o.Program)
	if err != nil {
		return nil, fmt.Errorf("exec: program: %w", err)
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0 {
		return nil, fmt.Errorf("exec: program %s: is not an executable file: run chmod +x on it", o.Program)
	}
	if info.Mode().Perm()&0o022 != 0 {
		return nil, fmt.Errorf("exec: program %s: others may change what the gateway runs: run chmod go-w on it", o.Program)
	}
	p := &Provider{program: o.Program, args: o.Args, timeout: cmp.Or(o.Timeout, time.Minute)}
	for _, name := range append([]string{"PATH", "HOME", "TMPDIR", "TZ", "LANG"}, o.Env...) {
		if value, ok := os.LookupEnv(name); ok {
			p.env = append(p.env, name+"="+value)
		}
	}
	return p, nil
}

// AppendRecords runs the program with "present" for each record. Only TXT records
// can be given.
func (p *Provider) AppendRecords(ctx context.Context, zone string, records []libdns.Record) ([]libdns.Record, error) {
	return records, p.each(ctx, "present", zone, records)
}

// DeleteRecords runs the program with "cleanup" for each record. Only TXT records
// can be given.
func (p *Provider) DeleteRecords(ctx context.Context, zone string, records []libdns.Record) ([]libdns.Record, error) {
	return records, p.each(ctx, "cleanup", zone, records)
}

func (p *Provider) each(ctx context.Context, action, zone string, records []libdns.Record) error {
	for _, r := range records {
		txt, ok := r.(libdns.TXT)
		if !ok {
			return fmt.Errorf("exec: %s record: the program is asked for TXT records only", r.RR().Type)
		}
		c := change{action: action, name: dns.CanonicalName(libdns.AbsoluteName(txt.Name, zone)), value: txt.Text, zone: dns.CanonicalName(zone)}
		if err := c.check(); err != nil {
			return fmt.Errorf("exec: %w", err)
		}
		if err := p.run(ctx, c); err != nil {
			return fmt.Errorf("exec: %s %s %s: %w", p.program, action, c.name, err)
		}
	}
	return nil
}

// change is one request to the program.
type change struct{ action, name, value, zone string }

// check keeps from the program what it does not expect: it may well be a shell
// script.
func (c change) check() error {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789-_"
	if strings.Trim(c.name+c.zone, letters+".") != "" || strings.HasPrefix(c.name, "-") {
		return fmt.Errorf("%.80q cannot be passed to the program: want a domain name", c.name)
	}
	if c.value == "" || strings.Trim(strings.ToLower(c.value), letters) != "" {
		return errors.New("the value is not that of a challenge")
	}
	return nil
}

func (c change) env() []string {
	return []string{"DNS01_ACTION=" + c.action, "DNS01_NAME=" + c.name, "DNS01_VALUE=" + c.value, "DNS01_ZONE=" + c.zone}
}
