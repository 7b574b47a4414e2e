package vm

import "slices"

// A paged is an immutable array in pages of 64. Its next version, made by an
// editor, shares all pages but the ones written to: changing a few of 100,000
// entries costs a few pages and one copy of the list of pages (12 kB).
type paged[T any] struct {
	pages []*page[T]
}

const pageSize = 64

type page[T any] = [pageSize]T

func (p paged[T]) at(i uint32) T {
	return p.pages[i/pageSize][i%pageSize]
}

// editor makes the next version of a paged. It has one owner.
type editor[T any] struct {
	now    paged[T]
	shared bool                  // now.pages is published too
	own    map[*page[T]]struct{} // pages made since the last publish, so nobody else reads them
}

// publish returns the array as it is now; what is written later does not show in it.
func (e *editor[T]) publish() paged[T] {
	e.shared = true
	clear(e.own)
	return e.now
}

// set writes entry i, for which there is a page afterwards.
func (e *editor[T]) set(i uint32, v T) {
	for int(i/pageSize) >= len(e.now.pages) {
		e.grow()
	}
	e.page(i / pageSize)[i%pageSize] = v
}

// page returns page n to be written to.
func (e *editor[T]) page(n uint32) *page[T] {
	p := e.now.pages[n]
	if _, own := e.own[p]; !own {
		e.unshare()
		c := *p
		p = &c
		e.own[p] = struct{}{}
		e.now.pages[n] = p
	}
	return p
}

// grow appends an empty page.
func (e *editor[T]) grow() {
	e.unshare()
	p := new(page[T])
	e.own[p] = struct{}{}
	e.now.pages = append(e.now.pages, p)
}

func (e *editor[T]) unshare() {
	if e.own == nil {
		e.own = make(map[*page[T]]struct{})
	}
	if e.shared {
		e.now.pages = slices.Clone(e.now.pages)
		e.shared = false
	}
}
