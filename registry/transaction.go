package registry

import (
	"time"

	"sallyport/internal/vm"
	"sallyport/registry/store"
)

// restSlack is how much longer an address rests in memory than in the store, so that
// its mark is gone there when it is handed out.
const restSlack = time.Second

// transaction is the change in the store's words. Its conditions make key, address
// and instance unique among all who share the store. It is empty if nothing changes.
func (c change) transaction(rest time.Duration) (store.Txn, error) {
	if c.rev > 0 && c.old == c.next && c.evidence == nil {
		return store.Txn{}, nil
	}
	value, err := encodeRecord(c.next)
	if err != nil {
		return store.Txn{}, err
	}
	t := store.Txn{
		If:   []store.Condition{{Key: instanceKey(c.id), Revision: c.rev}},
		Then: []store.Change{{Key: instanceKey(c.id), Value: value}},
	}
	if c.evidence != nil {
		t.Then = append(t.Then, store.Change{Key: evidenceKey(c.id), Value: c.evidence})
	}
	holder := []byte(c.id)
	if c.old.Key != c.next.Key {
		t.If = append(t.If, store.Condition{Key: wgKeyKey(c.next.Key)})
		t.Then = append(t.Then, store.Change{Key: wgKeyKey(c.next.Key), Value: holder})
		if c.rev > 0 {
			t.Then = append(t.Then, store.Change{Key: wgKeyKey(c.old.Key)})
		}
	}
	if c.old.Addr != c.next.Addr {
		t.If = append(t.If, store.Condition{Key: addrKey(c.next.Addr)})
		t.Then = append(t.Then, store.Change{Key: addrKey(c.next.Addr), Value: holder})
		if c.rev > 0 {
			t.Then = append(t.Then, tombstone(c.old, rest))
		}
	}
	return t, nil
}

// removal deletes an instance with its evidence. Its address is marked as resting, and its
// app's name as taken.
func removal(id vm.InstanceID, r record, rev int64, rest time.Duration) store.Txn {
	t := store.Txn{
		If:   []store.Condition{{Key: instanceKey(id), Revision: rev}},
		Then: []store.Change{{Key: instanceKey(id)}, {Key: wgKeyKey(r.Key)}, tombstone(r, rest)},
	}
	if r.Evidence != (digest{}) {
		t.Then = append(t.Then, store.Change{Key: evidenceKey(id)})
	}
	t.Then = append(t.Then, store.Change{Key: appKey(r.App), Value: []byte{'1'}})
	return t
}

func tombstone(r record, rest time.Duration) store.Change {
	return store.Change{Key: addrKey(r.Addr), Value: encodeResting(time.Now().Add(rest)), TTL: rest}
}
