package acme

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"
)

// Proving control of a name (RFC 8555, 7.5). One type of challenge is used per name;
// others, of types unknown too, are left alone.

// cleanUpTimeout bounds taking challenges and locks back after an attempt has ended.
const cleanUpTimeout = 30 * time.Second

// maxAuthorizations of an order for one name.
const maxAuthorizations = 4

// cleanUpContext works after the end of ctx, for a while.
func cleanUpContext(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), cleanUpTimeout)
}

// authorize solves what the order still asks for, and reads its new state.
func (o *order) authorize(ctx context.Context) error {
	if n := len(o.state.Authorizations); n > maxAuthorizations {
		return fmt.Errorf("order %s wants %d authorizations: %w", o.state.Location, n, errOrderEnded)
	}
	for _, address := range o.state.Authorizations {
		a, err := o.at.client.GetAuthorization(ctx, o.account, address)
		if err != nil {
			return fmt.Errorf("authorization %s: %w", address, err)
		}
		a.Location = address
		if a.Status != acme.StatusValid {
			if err := o.solve(ctx, a); err != nil {
				return err
			}
		}
	}
	return o.refresh(ctx)
}

// solve answers one challenge and waits for the authority's verdict.
func (o *order) solve(ctx context.Context, a acme.Authorization) (err error) {
	c, err := o.m.choose(a)
	if err != nil {
		return err
	}
	solver := o.m.solver(c.Type)
	defer func() {
		ctx, cancel := cleanUpContext(ctx)
		defer cancel()
		if e := solver.CleanUp(ctx, c); e != nil { // the certificate does not suffer by it
			o.m.opts.Log.Warn("challenge was not removed: if its record stays, remove it by hand", "name", o.name, "challenge", c.Type, "error", e)
		}
	}()
	if err := solver.Present(ctx, c); err != nil {
		return fmt.Errorf("present %s for %s: %w", c.Type, o.name, err)
	}
	if w, ok := solver.(acmez.Waiter); ok {
		if err := w.Wait(ctx, c); err != nil {
			return fmt.Errorf("wait for %s of %s to be seen: %w", c.Type, o.name, err)
		}
	}
	if c.Status == acme.StatusPending { // else an earlier process has asked already
		if _, err := o.at.client.InitiateChallenge(ctx, o.account, c); err != nil {
			return fmt.Errorf("ask for validation of %s by %s: %w", o.name, c.Type, err)
		}
	}
	a.Status = "" // what was read is old
	if _, err := o.at.client.PollAuthorization(ctx, o.account, a); err != nil {
		err = fmt.Errorf("validation of %s by %s: %w", o.name, c.Type, err)
		if p := (acme.Problem{}); errors.As(err, &p) && p.Resource != nil {
			err = fmt.Errorf("%w: %w", errOrderEnded, err)
		}
		return err
	}
	return nil
}

// choose picks the challenge that is configured.
func (m *Manager) choose(a acme.Authorization) (acme.Challenge, error) {
	if a.Status != acme.StatusPending {
		return acme.Challenge{}, fmt.Errorf("authorization %s is %q: %w", a.Location, a.Status, errOrderEnded)
	}
	want := m.challenge()
	var offered []string
	for _, c := range a.Challenges {
		if c.Type == want && c.Token != "" {
			return c, nil
		}
		offered = append(offered, c.Type)
	}
	return acme.Challenge{}, fmt.Errorf("authorization %s offers %s, not %s", a.Location, strings.Join(offered, ", "), want)
}

// challenge is the type that proves control of names.
func (m *Manager) challenge() string {
	if m.opts.DNS01 != nil {
		return acme.ChallengeTypeDNS01
	}
	return acme.ChallengeTypeTLSALPN01
}

func (m *Manager) solver(challenge string) acmez.Solver {
	if challenge == acme.ChallengeTypeDNS01 {
		return m.opts.DNS01
	}
	return m.opts.TLSALPN01
}
