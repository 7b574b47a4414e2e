package rfc2136

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/miekg/dns"
)

// fudge is how far the clocks may differ, in seconds (RFC 8945, 10, recommends it).
const fudge = 300

// exchange signs m, sends it by TCP, and returns the answer if it is signed too. The
// answer comes with the error where its code is what is wrong.
func (p *Provider) exchange(ctx context.Context, m *dns.Msg) (*dns.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	var d net.Dialer
	c, err := d.DialContext(ctx, "tcp", p.server)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	m.SetTsig(p.key.name, p.key.algorithm, fudge, time.Now().Unix())
	client := dns.Client{Net: "tcp", Timeout: p.timeout, TsigSecret: map[string]string{p.key.name: p.key.secret}}
	answer, _, err := client.ExchangeWithConnContext(ctx, m, &dns.Conn{Conn: c})
	if ctx.Err() != nil {
		return nil, fmt.Errorf("server %s: %w", p.server, context.Cause(ctx))
	}
	if refusal := p.refusal(answer); refusal != nil {
		return nil, fmt.Errorf("server %s: %w", p.server, refusal)
	}
	switch {
	case err != nil:
		return nil, fmt.Errorf("server %s: %w", p.server, err)
	case answer.IsTsig() == nil:
		return nil, fmt.Errorf("server %s: its answer with code %s is not signed", p.server, dns.RcodeToString[answer.Rcode])
	case !answer.Response || answer.Opcode != m.Opcode:
		return nil, fmt.Errorf("server %s: it does not answer the question", p.server)
	case answer.Rcode != dns.RcodeSuccess:
		return answer, fmt.Errorf("server %s: %w", p.server, explain(answer.Rcode))
	}
	return answer, nil
}

// refusal explains an answer about the signature, or that the zone is not the
// server's: one code means both. It need not be signed itself (RFC 8945, 5.2); it can
// only make things fail.
func (p *Provider) refusal(answer *dns.Msg) error {
	if answer == nil || answer.Rcode != dns.RcodeNotAuth {
		return nil
	}
	var code uint16
	if t := answer.IsTsig(); t != nil {
		code = t.Error
	}
	switch code {
	case dns.RcodeBadKey:
		return fmt.Errorf("it does not know the key %s with %s: check key name and algorithm", p.key.name, p.key.algorithm)
	case dns.RcodeBadSig:
		return fmt.Errorf("it has another secret for the key %s: check the secret file", p.key.name)
	case dns.RcodeBadTime:
		return fmt.Errorf("its clock and the gateway's differ by more than %d s: set the clocks", fudge)
	}
	return errors.New("NOTAUTH: it is not authoritative for the zone: give the zone's primary server")
}

// explain returns the meaning of the code of an answer to an update (RFC 2136, 3).
func explain(code int) error {
	switch code {
	case dns.RcodeRefused:
		return errors.New("REFUSED: the key may not do this: permit it by update-policy or allow-update of the zone")
	case dns.RcodeNotZone:
		return errors.New("NOTZONE: the name is outside the zone")
	case dns.RcodeYXRrset:
		return errors.New("YXRRSET: the name is an alias (CNAME): remove it, or keep challenges where it points to")
	}
	return fmt.Errorf("it answered with code %d %s", code, dns.RcodeToString[code])
}
