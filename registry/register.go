package registry

import (
	"context"
	"fmt"
	"time"

	"sallyport/internal/vm"
	"sallyport/registry/record"
)

// Request is a registration as its attestation proves it.
type Request struct {
	App      vm.AppID
	Instance vm.InstanceID
	Compose  vm.ComposeHash
	Key      vm.WGKey // the guest's public key

	// Policy is what the guest reports. nil: it reports none, and its last report for this
	// Compose stays. With a Compose it can only close ports that the compose file opens, which
	// is fetched from the guest.
	Policy *vm.PortPolicy

	// Evidence proves all this: the leaf certificate in DER with its attestation, up to
	// MaxEvidence. Empty: the guest shows none. The caller must not change it afterwards.
	Evidence []byte

	// Facts are further app info for Authorize.
	Facts Facts

	// Proof is the chain of the guest's certificate, which the caller has just verified.
	Proof Proof
}

// registration is a Request on its way through the steps.
type registration struct {
	Request

	digest      record.Digest // of Evidence, from admit on
	facts       string        // Facts as a record has them, from admit on
	revocations uint64        // of the instance before the decision of admit

	appraised bool   // Evidence was appraised and accepted, from prove on
	asOf      uint64 // in answer to this demand
}

// Facts are the rest of the attested app info.
type Facts = record.Facts

// Grant is the answer to a registration.
type Grant struct {
	Spec    vm.Spec // as published; Addr is the guest's address in the tunnel
	Changed bool    // false: everything was so before
}

// Register registers an instance, or notes that it is still there. When it returns without an
// error the guest can be reached as soon as its tunnel has a handshake. The guest's next
// registration finishes what Register does not.
func (r *Registry) Register(ctx context.Context, request Request) (g Grant, err error) {
	defer func() { r.metrics.registered(g, err) }()
	q := &registration{Request: request}
	if err := r.admit(ctx, q); err != nil {
		return Grant{}, err
	}
	if g, ok := r.renew(q); ok {
		return g, nil
	}
	leave, err := r.lanes.enter(ctx, q.Instance)
	if err != nil {
		return Grant{}, err
	}
	defer leave()
	if g, ok := r.renew(q); ok { // the registration before in the lane was the same
		return g, nil
	}
	return r.register(ctx, q)
}

// register is Register for a registration that changes something, in the lane of its instance.
func (r *Registry) register(ctx context.Context, q *registration) (Grant, error) {
	if err := r.changes.take(q.Instance, time.Now()); err != nil {
		return Grant{}, err
	}
	if err := r.prove(ctx, q); err != nil {
		return Grant{}, err
	}
	// From here on the guest may leave: a change is completed.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), applyTimeout)
	defer cancel()
	if err := r.store(ctx, q); err != nil {
		return Grant{}, err
	}
	spec, err := r.apply(ctx, q.Instance)
	if err != nil {
		return Grant{}, fmt.Errorf("%w: %w", ErrPeer, err)
	}
	if spec.Refused != "" { // another node has refused it meanwhile
		return Grant{}, fmt.Errorf("%w: %s", ErrEvidence, spec.Refused)
	}
	r.fetchIfUnknown(spec)
	r.o.Log.Info("instance registered", "instance", string(q.Instance), "app", string(q.App), "address", spec.Addr.String())
	if app, ok := r.table.sameName(q.App); ok {
		r.o.Log.Warn("an app and an instance of another app have the same id: the name leads to the app", "app", string(q.App), "instance", string(q.App), "its_app", string(app))
	}
	return Grant{Spec: spec, Changed: true}, nil
}

// renew answers a registration that changes nothing: every instance sends one every three
// minutes.
func (r *Registry) renew(q *registration) (Grant, bool) {
	spec, ok := r.table.renew(q, time.Now())
	if ok {
		r.fetchIfUnknown(spec)
	}
	return Grant{Spec: spec}, ok
}

// renew notes that an instance has registered, if nothing about it has changed.
func (t *table) renew(q *registration, now time.Time) (s vm.Spec, ok bool) {
	t.with(q.Instance, func(e *entry) {
		ok = e.settled && e.record.Node == t.o.Node && e.refusal(t.o.RequireEvidence) == "" && matches(e, q, now)
		if ok {
			e.renew(now, now.Add(t.o.AuthorizeInterval))
			s = t.specLocked(e)
		}
	})
	return s, ok
}

// matches reports whether q has what is stored of e.
func matches(e *entry, q *registration, now time.Time) bool {
	switch {
	case e.app != q.App, e.record.Key != q.Key, e.record.Compose != q.Compose:
	case q.Policy != nil && *q.Policy != e.record.Policy:
	case len(q.Evidence) > 0 && q.digest != e.record.Evidence:
	case q.revocations != e.revocations, e.record.Facts != q.facts:
	case e.record.Root != q.Proof.Root, e.record.Until != storedUntil(e, q, now):
	default:
		return true
	}
	return false
}
