package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"sallyport/internal/vm"
	"sallyport/registry/store"
)

// Request is a registration as its attestation proves it.
type Request struct {
	App      vm.AppID
	Instance vm.InstanceID
	Compose  vm.ComposeHash
	Key      vm.WGKey // the guest's public key

	// Policy is what the guest reports. nil: it reports none, which says nothing; what it
	// has reported for this Compose stays. With a Compose it can only take ports away from
	// those of the compose file, which is fetched from the guest.
	Policy *vm.PortPolicy

	// Evidence proves all this: the leaf certificate in DER with its attestation, up to
	// MaxEvidence. Empty: the guest has none, or keeps it for itself. It must not be
	// written to any more.
	Evidence []byte

	// Facts are what Authorize may want to know besides.
	Facts Facts

	// Proof is the chain of the guest's certificate, which the caller has verified now.
	Proof Proof

	digest      digest // of Evidence, from admit on
	facts       string // Facts as they are stored, from admit on
	revocations uint64 // of the instance before Authorize was asked

	judged bool   // Evidence is accepted anew, from prove on
	asOf   uint64 // the demand that this answers
}

// Grant is what a guest gets.
type Grant struct {
	Spec    vm.Spec // as published; Addr is the guest's address in the tunnel
	Changed bool    // false: all was as it is
}

// Register takes an instance in, or notes that it is still there. When it returns
// without an error the guest can be reached as soon as it shakes hands. Whatever Register
// does not finish, the guest's next registration does.
func (r *Registry) Register(ctx context.Context, q Request) (g Grant, err error) {
	defer func() { r.metrics.registered(g, err) }()
	if err := r.admit(ctx, &q); err != nil {
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
	if g, ok := r.renew(q); ok { // whoever was in the lane before asked for the same
		return g, nil
	}
	if err := r.changes.take(q.Instance, time.Now()); err != nil {
		return Grant{}, err
	}
	if err := r.prove(ctx, &q); err != nil {
		return Grant{}, err
	}
	// From here on the guest's patience does not count: a change is made whole.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), applyTimeout)
	defer cancel()
	if err := r.record(ctx, q); err != nil {
		return Grant{}, err
	}
	spec, err := r.apply(ctx, q.Instance)
	if err != nil {
		return Grant{}, fmt.Errorf("%w: %w", ErrPeer, err)
	}
	if spec.Refused != "" { // another gateway has refused it meanwhile
		return Grant{}, fmt.Errorf("%w: %s", ErrEvidence, spec.Refused)
	}
	r.fetchIfUnknown(spec)
	r.o.Log.Info("instance registered", "instance", string(q.Instance), "app", string(q.App), "address", spec.Addr.String())
	if id, app, ok := r.table.sameName(q.App); ok {
		r.o.Log.Warn("an app and an instance of another app have the same id: the name leads to the app", "app", string(q.App), "instance", string(id), "its_app", string(app))
	}
	return Grant{Spec: spec, Changed: true}, nil
}

// renew answers a registration that changes nothing: every instance sends one each
// three minutes.
func (r *Registry) renew(q Request) (Grant, bool) {
	spec, ok := r.table.renew(q, time.Now())
	if ok {
		r.fetchIfUnknown(spec)
	}
	return Grant{Spec: spec}, ok
}

// maxTries bounds how often another gateway may be faster.
const maxTries = 5

// record allocates and stores. If another gateway has stored something in between that
// does not go together with it, it looks at that and tries again.
func (r *Registry) record(ctx context.Context, q Request) error {
	err := store.ErrConflict
	for try := 0; try < maxTries && errors.Is(err, store.ErrConflict); try++ {
		var c change
		if c, err = r.table.allocate(q, r.o.Node, time.Now()); err != nil {
			return err
		}
		err = r.commit(ctx, c)
	}
	if err == nil || errors.Is(err, ErrKeyTaken) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrStore, err)
}

// commit stores c, and settles in the table what came of it. After a conflict the table
// knows what stood in the way.
func (r *Registry) commit(ctx context.Context, c change) error {
	t, err := c.transaction(r.o.AddressRest)
	if err == nil && len(t.Then) > 0 {
		c.rev, err = r.o.Store.Commit(ctx, t)
	}
	if err == nil {
		r.table.install(c, time.Now().Add(r.o.AddressRest+restSlack))
		return nil
	}
	r.table.abandon(c)
	if errors.Is(err, store.ErrConflict) {
		if err := r.refresh(ctx, c); err != nil {
			return err
		}
	}
	return err
}
