package policy

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"sallyport/internal/vm"
)

const (
	agentPort   = 8090
	infoTimeout = 10 * time.Second
	maxInfo     = 1 << 20 // bytes of an answer; a compose file has a few kB
	maxInfoHead = 16 << 10
)

// errPrivate is the answer of an app that does not publish its compose file. Anything can answer
// so: it opens no port, unless the operator takes it for an open policy, as dstack's gateway does.
var errPrivate = errors.New("the agent does not publish the compose file (public_tcbinfo is false): to open the ports that such guests report, set [registry] private_compose = \"open\"")

// refusedError is an answer that another try would not improve.
type refusedError struct{ error }

func (e refusedError) Unwrap() error { return e.error }

func refused(format string, args ...any) error { return refusedError{fmt.Errorf(format, args...)} }

// agent asks guests' agents.
type agent struct{ client http.Client }

// newAgent returns an agent that connects to the given address only, by dial: no proxy, no
// redirect.
func newAgent(dial func(context.Context, netip.AddrPort) (net.Conn, error)) *agent {
	if dial == nil {
		dial = func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", to.String())
		}
	}
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, to string) (net.Conn, error) {
			addr, err := netip.ParseAddrPort(to)
			if err != nil {
				return nil, err
			}
			return dial(ctx, addr)
		},
		DisableKeepAlives:      true,
		DisableCompression:     true, // a small answer must not become a large one
		MaxResponseHeaderBytes: maxInfoHead,
	}
	return &agent{http.Client{
		Transport:     transport,
		Timeout:       infoTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// policy asks the agent at addr for the port policy of its compose file.
func (a *agent) policy(ctx context.Context, addr netip.Addr, compose vm.ComposeHash) (vm.PortPolicy, error) {
	url := fmt.Sprintf("http://%s/prpc/Info?json", netip.AddrPortFrom(addr, agentPort))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader("null"))
	if err != nil {
		return vm.PortPolicy{}, err
	}
	res, err := a.client.Do(req)
	if err != nil {
		return vm.PortPolicy{}, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return vm.PortPolicy{}, fmt.Errorf("the agent answered with status %d", res.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, maxInfo+1))
	if err != nil {
		return vm.PortPolicy{}, err
	}
	return policyOfInfo(body, compose)
}

// policyOfInfo reads an answer. Every error is a refusedError.
func policyOfInfo(body []byte, compose vm.ComposeHash) (vm.PortPolicy, error) {
	if len(body) > maxInfo {
		return vm.PortPolicy{}, refused("the answer is longer than %d bytes", maxInfo)
	}
	var info struct {
		TCBInfo *string `json:"tcb_info"`
	}
	if err := json.Unmarshal(body, &info); err != nil {
		return vm.PortPolicy{}, refused("the answer is not JSON: %w", err)
	}
	if info.TCBInfo == nil {
		return vm.PortPolicy{}, refused("the answer has no tcb_info")
	}
	if *info.TCBInfo == "" {
		return vm.PortPolicy{}, refusedError{errPrivate}
	}
	var tcb struct {
		AppCompose string `json:"app_compose"`
	}
	if err := json.Unmarshal([]byte(*info.TCBInfo), &tcb); err != nil {
		return vm.PortPolicy{}, refused("tcb_info: %w", err)
	}
	if got := vm.ComposeHash(sha256.Sum256([]byte(tcb.AppCompose))); got != compose {
		return vm.PortPolicy{}, refused("app_compose has the hash %s, but %s is attested", got, compose)
	}
	return policyOfCompose(tcb.AppCompose)
}

// policyOfCompose reads port_policy of an app-compose.json; without one all ports are open.
func policyOfCompose(text string) (vm.PortPolicy, error) {
	var fields map[string]json.RawMessage // exact names: Go's structs ignore case, guests do not
	if err := json.Unmarshal([]byte(text), &fields); err != nil {
		return vm.PortPolicy{}, refused("app_compose: %w", err)
	}
	var stated *struct {
		Restrict bool `json:"restrict_mode"`
		Ports    []struct {
			Port  uint16 `json:"port"`
			Proxy bool   `json:"pp"`
		} `json:"ports"`
	}
	if raw, ok := fields["port_policy"]; ok {
		if err := json.Unmarshal(raw, &stated); err != nil {
			return vm.PortPolicy{}, refused("port_policy of app_compose: %w", err)
		}
	}
	if stated == nil {
		return vm.OpenPolicy(), nil
	}
	rules := make([]vm.PortRule, 0, len(stated.Ports))
	for _, p := range stated.Ports {
		rules = append(rules, vm.PortRule{Port: p.Port, Proxy: p.Proxy})
	}
	policy, err := vm.NewPortPolicy(stated.Restrict, rules)
	if err != nil {
		return vm.PortPolicy{}, refusedError{err}
	}
	return policy, nil
}

func isRefused(err error) bool {
	var r refusedError
	return errors.As(err, &r)
}
