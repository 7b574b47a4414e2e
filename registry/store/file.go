package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"runtime/debug"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
)

// The pairs are in the bucket "v1". Each value in it begins with a header:
//
//	crc32c  4 bytes  of the key and of all that follows
//	rev     8 bytes  the revision that put it
//	expires 8 bytes  Unix time in milliseconds; 0 is never
//
// bbolt's pages have no checksums. The bucket "state" has one value of the same form, the
// revision and the number of pairs: a number that differs shows that a damaged page lost some.
const (
	headerSize = 4 + 8 + 8
	stateSize  = 8 + 8
	stateKey   = "state"
)

func pairsBucket() []byte { return []byte("v1") }
func stateBucket() []byte { return []byte("state") }

// file is the store within one transaction.
type file struct {
	pairs  *bolt.Bucket
	states *bolt.Bucket
	state  state
	now    time.Time
}

type state struct{ revision, count int64 }

// damagedError means that a file is readable, but not as Bolt writes it.
type damagedError struct{ error }

func (e damagedError) Unwrap() error { return e.error }

func damaged(format string, args ...any) error { return damagedError{fmt.Errorf(format, args...)} }

func newFile(tx *bolt.Tx, now time.Time) (file, error) {
	f := file{pairs: tx.Bucket(pairsBucket()), states: tx.Bucket(stateBucket()), now: now}
	if f.pairs == nil || f.states == nil {
		return file{}, damaged("it is not a store of this version of the gateway")
	}
	_, _, v, err := unseal(stateKey, f.states.Get([]byte(stateKey)))
	if err != nil {
		return file{}, err
	}
	if len(v) != stateSize {
		return file{}, damaged("the state has %d bytes, want %d", len(v), stateSize)
	}
	f.state = state{int64(binary.BigEndian.Uint64(v)), int64(binary.BigEndian.Uint64(v[8:]))}
	return f, nil
}

func (f *file) saveState() error {
	v := binary.BigEndian.AppendUint64(nil, uint64(f.state.revision))
	v = binary.BigEndian.AppendUint64(v, uint64(f.state.count))
	return f.states.Put([]byte(stateKey), seal(stateKey, f.state.revision, time.Time{}, v))
}

// get returns a copy: bbolt's memory is valid only within the transaction.
func (f *file) get(key string) (Pair, bool, error) {
	raw := f.pairs.Get([]byte(key))
	if raw == nil {
		return Pair{}, false, nil
	}
	p, alive, err := f.read(key, raw)
	return p, alive, err
}

func (f *file) read(key string, raw []byte) (p Pair, alive bool, err error) {
	p, alive, err = f.look(key, raw)
	if alive {
		p.Value = append([]byte{}, p.Value...)
	}
	return p, alive, err
}

// look is read without the copy: its value is valid only within the transaction.
func (f *file) look(key string, raw []byte) (p Pair, alive bool, err error) {
	revision, expires, value, err := unseal(key, raw)
	if err != nil || (expires != 0 && expires <= f.now.UnixMilli()) {
		return Pair{}, false, err
	}
	return Pair{Key: key, Value: value, Revision: revision}, true, nil
}

func (f *file) list(prefix string) ([]Pair, error) {
	var all []Pair
	c := f.pairs.Cursor()
	for k, v := c.Seek([]byte(prefix)); k != nil && strings.HasPrefix(string(k), prefix); k, v = c.Next() {
		p, alive, err := f.read(string(k), v)
		if err != nil {
			return nil, err
		}
		if alive {
			all = append(all, p)
		}
	}
	return all, nil
}

// commit changes nothing if a condition does not hold.
func (f *file) commit(t Txn) ([]Event, error) {
	for _, c := range t.If {
		p, _, err := f.get(c.Key)
		if err != nil {
			return nil, err
		}
		if p.Revision != c.Revision {
			return nil, ErrConflict
		}
	}
	f.state.revision++
	events := make([]Event, 0, len(t.Then))
	for _, c := range t.Then {
		if err := f.change(c); err != nil {
			return nil, err
		}
		events = append(events, Event{Pair{c.Key, c.Value, f.state.revision}})
	}
	return events, nil
}

func (f *file) change(c Change) error {
	there := f.pairs.Get([]byte(c.Key)) != nil
	if c.Value == nil {
		if there {
			f.state.count--
		}
		return f.pairs.Delete([]byte(c.Key))
	}
	if !there {
		f.state.count++
	}
	var expires time.Time
	if c.TTL > 0 {
		expires = f.now.Add(c.TTL)
	}
	return f.pairs.Put([]byte(c.Key), seal(c.Key, f.state.revision, expires, c.Value))
}

// verify reads all pairs, and returns those that have expired.
func (f *file) verify() (expired []string, err error) {
	var count int64
	err = f.pairs.ForEach(func(k, v []byte) error {
		count++
		_, alive, err := f.look(string(k), v)
		if err == nil && !alive {
			expired = append(expired, string(k))
		}
		return err
	})
	if err == nil && count != f.state.count {
		err = damaged("it has %d pairs, want %d", count, f.state.count)
	}
	return expired, err
}

func seal(key string, revision int64, expires time.Time, value []byte) []byte {
	raw := make([]byte, headerSize, headerSize+len(value))
	binary.BigEndian.PutUint64(raw[4:], uint64(revision))
	if !expires.IsZero() {
		binary.BigEndian.PutUint64(raw[12:], uint64(expires.UnixMilli()))
	}
	raw = append(raw, value...)
	binary.BigEndian.PutUint32(raw, checksum(key, raw[4:]))
	return raw
}

func unseal(key string, raw []byte) (revision, expires int64, value []byte, err error) {
	if len(raw) < headerSize || binary.BigEndian.Uint32(raw) != checksum(key, raw[4:]) {
		return 0, 0, nil, damaged("the value of %.100q is damaged", key)
	}
	return int64(binary.BigEndian.Uint64(raw[4:])), int64(binary.BigEndian.Uint64(raw[12:])), raw[headerSize:], nil
}

func checksum(key string, rest []byte) uint32 {
	table := crc32.MakeTable(crc32.Castagnoli) // the same one each time
	return crc32.Update(crc32.Checksum([]byte(key), table), table, rest)
}

// guard returns as errors what reading a damaged file can cause: bbolt panics on invalid
// pages, and the mapping of a file that is too short faults.
func guard(do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = damaged("%v", r)
		}
	}()
	return do()
}

// check checks the limits of a Store.
func (t Txn) check() error {
	if len(t.If) > maxTxn || len(t.Then) > maxTxn || len(t.Then) == 0 {
		return fmt.Errorf("store: a commit of %d conditions and %d changes, want 1 to %d changes and at most %d conditions", len(t.If), len(t.Then), maxTxn, maxTxn)
	}
	for _, c := range t.Then {
		if c.Key == "" || len(c.Key) > MaxKey || len(c.Value) > MaxValue || c.TTL < 0 {
			return fmt.Errorf("store: key %.300q with a value of %d bytes, want keys of 1 to %d bytes and values up to %d", c.Key, len(c.Value), MaxKey, MaxValue)
		}
	}
	return nil
}

func isDamaged(err error) bool {
	var d damagedError
	return errors.As(err, &d)
}
