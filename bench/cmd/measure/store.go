package main

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"os"
	"path/filepath"

	"golang.org/x/sync/errgroup"

	"sallyport/internal/oneline"
	"sallyport/internal/vm"
	"sallyport/registry"
	"sallyport/registry/store"
)

// fillStore registers instances in a gateway's store, each of an app of its own, as if
// they had come to a gateway that is not there.
func fillStore(ctx context.Context, dir string, instances int) (err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	db, err := store.OpenBolt(filepath.Join(dir, "registry.db"))
	if err != nil {
		return err
	}
	defer func() { err = oneline.Join(err, db.Close()) }()
	// The network of bench/peers/gateway.cfg.tmpl.
	r, err := registry.Open(ctx, registry.Options{
		Store: db, Publisher: nobody{},
		Network: netip.MustParsePrefix("10.0.0.1/8"), Pool: netip.MustParsePrefix("10.64.0.0/14"),
	})
	if err != nil {
		return err
	}
	all, ctx := errgroup.WithContext(ctx)
	all.SetLimit(64) // the store commits together what waits together
	for i := range instances {
		all.Go(func() error {
			_, err := r.Register(ctx, instanceNumber(i))
			return err
		})
	}
	return all.Wait()
}

// instanceNumber returns the registration of an instance of its own.
func instanceNumber(i int) registry.Request {
	policy := vm.OpenPolicy()
	q := registry.Request{Policy: &policy}
	binary.BigEndian.PutUint64(q.Key[:], uint64(i)+1)
	var id [20]byte
	binary.BigEndian.PutUint64(id[12:], uint64(i))
	id[0] = 0xa
	q.App = vm.AppID(hex.EncodeToString(id[:]))
	id[0] = 0xb
	q.Instance = vm.InstanceID(hex.EncodeToString(id[:]))
	return q
}

// nobody is a Publisher without a data plane.
type nobody struct{}

func (nobody) Upsert(...vm.Spec)       {}
func (nobody) Remove(...vm.InstanceID) {}
