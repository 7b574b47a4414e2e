package ratls

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"

	"sallyport/ratls/pccs"
	"sallyport/ratls/qvl"
)

// What a Verifier remembers is bounded. Where it is full, an entry that chance picks
// makes room: a stranger can make entries, and must not know which of the others he
// throws out.
const (
	maxVerdicts = 1 << 14 // some kB each

	// keepRefusal bounds how long a refusal is remembered: a machine's certificate that
	// is not valid yet will be.
	keepRefusal = time.Minute
)

// remembered is a verdict, and all that it depends on.
type remembered struct {
	verdict    *Verdict
	err        error
	policy     *Policy
	platform   pccs.Platform
	collateral *qvl.Prepared
	until      time.Time
}

type verdictCache struct {
	mu      sync.Mutex
	entries map[[32]byte]*remembered
}

func (c *verdictCache) get(key [32]byte) *remembered {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.entries[key]
}

func (c *verdictCache) put(key [32]byte, r *remembered) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.entries == nil {
		c.entries = make(map[[32]byte]*remembered)
	}
	if len(c.entries) >= maxVerdicts {
		for k := range c.entries {
			delete(c.entries, k)
			break
		}
	}
	c.entries[key] = r
}

// digest names evidence together with its key. Each part goes in with its length:
// no two kinds of evidence have the same input.
func (e Evidence) digest() [32]byte {
	h := sha256.New()
	var front [8]byte
	for _, part := range [][]byte{e.PublicKey, e.Attestation, e.Quote, e.EventLog, []byte(e.VMConfig), []byte(e.Tag)} {
		binary.BigEndian.PutUint64(front[:], uint64(len(part)))
		h.Write(front[:])
		h.Write(part)
	}
	binary.BigEndian.PutUint64(front[:], uint64(e.Issued.Unix()))
	h.Write(front[:])
	return [32]byte(h.Sum(nil))
}
