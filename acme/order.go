package acme

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/mholt/acmez/v3/acme"

	"sallyport/internal/backoff"
	"sallyport/internal/oneline"
)

// An order, from its first request to the certificate (RFC 8555, 7.4):
//
//	open → (pending) authorize → (ready) finalize → (processing) wait → (valid) download
//
// It is taken up where it stands: Issue reads its state from the authority and goes
// on from there, whichever gateway began it. A failure that is ours leaves the order open for
// the next try; one that the authority has ended is dropped.

// order is one at one authority.
type order struct {
	m        *Manager
	at       *authority
	pending  *pending // nil in a rehearsal: nothing to be remembered
	name     string
	replaces *x509.Certificate // the certificate that it renews, nil if none
	csr      *x509.CertificateRequest
	ended    func(context.Context, error) // called before an order is dropped; nil in a rehearsal

	account acme.Account
	state   acme.Order
}

// maxRounds bounds the states that an order may go through.
const maxRounds = 8

// errOrderEnded means that the authority will not go on with an order.
var errOrderEnded = errors.New("the order has failed")

// errPreflight: the order would not succeed, and was not made.
var errPreflight = errors.New("nothing was ordered")

// run brings the order to its end and returns the chain in PEM.
func (o *order) run(ctx context.Context) (acme.Certificate, error) {
	if err := o.open(ctx); err != nil {
		return acme.Certificate{}, err
	}
	for range maxRounds {
		var err error
		switch o.state.Status {
		case acme.StatusPending:
			err = o.authorize(ctx)
		case acme.StatusReady:
			err = o.finalize(ctx)
		case acme.StatusProcessing:
			err = o.wait(ctx)
		case acme.StatusValid:
			return o.download(ctx)
		default:
			err = fmt.Errorf("order %s is %q: %w%s", o.state.Location, o.state.Status, errOrderEnded, problemOf(o.state.Error))
		}
		if err != nil {
			return acme.Certificate{}, o.failed(ctx, err)
		}
	}
	return acme.Certificate{}, fmt.Errorf("order %s makes no progress: it is %q", o.state.Location, o.state.Status)
}

// open takes up the order that is under way, or makes one.
func (o *order) open(ctx context.Context) (err error) {
	if o.account, err = o.m.account(ctx, o.at); err != nil {
		return err
	}
	if o.pending != nil && o.pending.order(o.at) != "" {
		o.state.Location = o.pending.order(o.at)
		err := o.refresh(ctx)
		if err == nil && o.state.Status != acme.StatusInvalid {
			o.m.opts.Log.Info("order continued", "name", o.name, "order", o.state.Location, "status", o.state.Status)
			return nil
		}
		if err != nil && !refused(err) {
			return err
		}
		if err := o.pending.setOrder(ctx, o.at, ""); err != nil {
			return err
		}
	}
	if err := o.preflight(ctx); err != nil {
		return err
	}
	return o.create(ctx)
}

// preflight asks whether the order can succeed, before it counts at the authority.
func (o *order) preflight(ctx context.Context) error {
	if o.m.opts.Preflight == nil {
		return nil
	}
	dir, err := o.at.client.GetDirectory(ctx)
	if err != nil {
		return fmt.Errorf("directory %s: %w", o.at.Directory, err)
	}
	q := Order{Name: o.name, Challenge: o.m.challenge(), Directory: o.at.Directory, Account: o.account.Location}
	if dir.Meta != nil {
		q.Identities = dir.Meta.CAAIdentities
	}
	if err := o.m.opts.Preflight(ctx, q); err != nil {
		return fmt.Errorf("%w for %s: %w", errPreflight, o.name, err)
	}
	return nil
}

func (o *order) create(ctx context.Context) error {
	wanted := acme.Order{Profile: o.at.Profile, Identifiers: []acme.Identifier{{Type: "dns", Value: o.name}}}
	if o.replaces != nil {
		id, err := acme.ARIUniqueIdentifier(o.replaces)
		if err != nil {
			return fmt.Errorf("identify the certificate to be renewed: %w", err)
		}
		wanted.Replaces = id
	}
	ask := func() (acme.Order, error) {
		o.m.metrics.orders.Inc()
		return o.at.client.NewOrder(ctx, o.account, wanted)
	}
	state, err := ask()
	if is(err, acme.ProblemTypeAccountDoesNotExist) {
		if err := o.m.forgetAccount(ctx, o.at); err != nil {
			return err
		}
		if o.account, err = o.m.account(ctx, o.at); err != nil {
			return err
		}
		state, err = ask()
	}
	if p := (acme.Problem{}); wanted.Replaces != "" && errors.As(err, &p) && p.Type != acme.ProblemTypeRateLimited {
		// To replace is an offer, not the purpose: the authority may say that it was
		// replaced already, or fail (5xx) because it does not find what it has issued,
		// as Pebble does for serial numbers that DER begins with 00.
		wanted.Replaces = ""
		state, err = ask()
	}
	if err == nil && state.Location == "" {
		err = errors.New("the answer has no address")
	}
	if err != nil {
		return fmt.Errorf("new order for %s at %s: %w", o.name, o.at.Directory, err)
	}
	o.state = state
	if o.pending == nil {
		return nil
	}
	return o.pending.setOrder(ctx, o.at, state.Location)
}

func (o *order) refresh(ctx context.Context) error {
	var err error
	if o.state, err = o.at.client.GetOrder(ctx, o.account, acme.Order{Location: o.state.Location}); err != nil {
		return fmt.Errorf("order %s: %w", o.state.Location, err)
	}
	return nil
}

func (o *order) finalize(ctx context.Context) error {
	address := o.state.Location
	state, err := o.at.client.FinalizeOrder(ctx, o.account, o.state, o.csr.Raw)
	if err != nil {
		err = fmt.Errorf("finalize order %s: %w", address, err)
		if refused(err) || state.Status == acme.StatusInvalid {
			err = fmt.Errorf("%w: %w", errOrderEnded, err)
		}
		return err
	}
	o.state, o.state.Location = state, address
	return nil
}

// wait is for an order that an earlier process has finalized.
func (o *order) wait(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	for try := 1; o.state.Status == acme.StatusProcessing; try++ {
		if err := sleep(ctx, backoff.Double(time.Second, 30*time.Second, try)); err != nil {
			return fmt.Errorf("order %s is processed: %w", o.state.Location, err)
		}
		if err := o.refresh(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (o *order) download(ctx context.Context) (acme.Certificate, error) {
	chains, err := o.at.client.GetCertificateChain(ctx, o.account, o.state.Certificate)
	if err != nil {
		return acme.Certificate{}, fmt.Errorf("download certificate of order %s: %w", o.state.Location, err)
	}
	if len(chains) == 0 {
		return acme.Certificate{}, o.failed(ctx, fmt.Errorf("order %s has no certificate: %w", o.state.Location, errOrderEnded))
	}
	if _, err := checkChain(chains[0].ChainPEM, o.name, o.csr.PublicKey, time.Now()); err != nil {
		return acme.Certificate{}, o.failed(ctx, fmt.Errorf("certificate of order %s: %w: %w", o.state.Location, errOrderEnded, err))
	}
	return chains[0], nil
}

// failed forgets the order if it cannot be gone on with.
func (o *order) failed(ctx context.Context, err error) error {
	if o.pending == nil || !errors.Is(err, errOrderEnded) {
		return err
	}
	o.ended(ctx, err)
	return oneline.Join(err, o.pending.setOrder(ctx, o.at, ""))
}

// refused reports whether the authority has said no to this order, as against not now
// or nothing at all.
func refused(err error) bool {
	var p acme.Problem
	if !errors.As(err, &p) || p.Status >= 500 {
		return false
	}
	return p.Type != acme.ProblemTypeRateLimited && p.Type != acme.ProblemTypeBadNonce && p.Type != acme.ProblemTypeServerInternal
}

func is(err error, problem string) bool {
	var p acme.Problem
	return errors.As(err, &p) && p.Type == problem
}

func problemOf(p *acme.Problem) string {
	if p == nil {
		return ""
	}
	return ": " + p.Error()
}
