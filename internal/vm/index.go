package vm

import "hash/maphash"

// The index is one hash table for both kinds of id, because a name does not say
// which it holds. It is paged: the top bits of the hash choose a page, the low ones
// where in it to start, and probing stays in the page. The slots hold no ids:
// a lookup compares the id where the slot points, which it is about to read anyway. The
// hash is keyed per process, since guests influence their ids.

// slot points to an app or an instance by number. A slot that is free ends a
// probe; each page has some.
type slot struct {
	tag uint32 // low bits of the hash
	ref ref
}

// ref is the number of an app or instance, plus 1, times two; plus 1 if it is an
// instance. 0 is none.
type ref uint32

func appRef(number uint32) ref      { return ref(number+1) << 1 }
func instanceRef(number uint32) ref { return ref(number+1)<<1 | 1 }

func (r ref) isInstance() bool { return r&1 != 0 }
func (r ref) number() uint32   { return uint32(r>>1) - 1 }

const pageFill = pageSize * 7 / 8

// indexEditor makes the next version of an index.
type indexEditor struct {
	seed  maphash.Seed
	shift uint8 // page = hash >> shift
	slots editor[slot]
}

func newIndexEditor(seed maphash.Seed, shift uint8) *indexEditor {
	e := &indexEditor{seed: seed, shift: shift}
	for range 1 << (64 - shift) {
		e.slots.grow()
	}
	return e
}

// insert adds an id that is not there yet. It reports false if its page is full:
// then the index must be made again with twice the pages.
func (e *indexEditor) insert(id string, r ref) bool {
	hash := maphash.String(e.seed, id)
	page := e.slots.page(uint32(hash >> e.shift))
	used := 0
	for _, s := range page {
		if s.ref != 0 {
			used++
		}
	}
	if used >= pageFill {
		return false
	}
	put(page, slot{uint32(hash), r})
	return true
}

// remove takes out an id that is there. The rest of its page is laid out again,
// so that no probe ends early at the gap.
func (e *indexEditor) remove(id string, r ref) {
	hash := maphash.String(e.seed, id)
	page := e.slots.page(uint32(hash >> e.shift))
	old := *page
	*page = [pageSize]slot{}
	for _, s := range old {
		if s.ref != 0 && s != (slot{uint32(hash), r}) {
			put(page, s)
		}
	}
}

func put(page *page[slot], s slot) {
	i := s.tag
	for page[i%pageSize].ref != 0 {
		i++
	}
	page[i%pageSize] = s
}
