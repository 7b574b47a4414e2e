package config

import (
	"errors"
	"slices"
	"sort"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// The tree of a file: its tables and values, each with its place.
//
// The tree is made from go-toml's parser rather than by its decoder, because
// the decoder stops at the first value of a wrong type and keeps no positions of
// the keys that it accepts. TOML's rules about defining a key twice are the
// decoder's, so they are kept here (https://toml.io/en/v1.0.0#table).

// maxDepth bounds the parts of a key, and the nesting of values. The deepest key
// of the schema has 3 parts.
const maxDepth = 8

// position is a place in the file, from 1; the column counts bytes.
type position struct{ line, column int }

// node is a table or a value.
type node struct {
	kind  unstable.Kind
	at    position         // of its key, or of the value if it is in an array
	text  string           // a scalar, decoded
	items []*node          // of an Array or an ArrayTable
	keys  map[string]*node // of a Table
	made  origin           // of a Table
	used  bool             // somebody asked for it
	bad   bool             // of a wrong type: what is in it means nothing
}

// origin is how a table came to be; it decides what may still be added to it.
type origin uint8

const (
	byParent origin = iota // [a.b] made a; [a] may still come
	byHeader               // [a]
	byDotted               // a.b = 1 made a
	byInline               // a = {…}: complete
)

func newTable(at position, made origin) *node {
	return &node{kind: unstable.Table, at: at, made: made}
}

func (n *node) put(key string, child *node) *node {
	if n.keys == nil {
		n.keys = make(map[string]*node)
	}
	n.keys[key] = child
	return child
}

type treeBuilder struct {
	*report
	parser  unstable.Parser
	lines   []int // offset of each line's first byte
	root    *node
	current *node  // the table that keys go to
	path    string // of current, with a dot at its end
	depth   int    // of the value being read
}

// parseTree reads data. It returns nil if data is no TOML; problems go to r.
func parseTree(data []byte, r *report) *node {
	root := newTable(position{1, 1}, byHeader)
	b := &treeBuilder{report: r, root: root, current: root, lines: []int{0}}
	for i, c := range data {
		if c == '\n' {
			b.lines = append(b.lines, i+1)
		}
	}
	b.parser.Reset(slices.Clip(data)) // Range counts capacities
	for b.parser.NextExpression() {
		switch e := b.parser.Expression(); e.Kind {
		case unstable.KeyValue:
			b.keyValue(b.current, b.path, e)
		default:
			b.header(e)
		}
	}
	if err := b.parser.Error(); err != nil {
		b.errs = nil
		b.syntax(err)
		return nil
	}
	return root
}

func (b *treeBuilder) syntax(err error) {
	at := position{1, 1}
	if p, ok := errors.AsType[*unstable.ParserError](err); ok {
		at = b.place(b.parser.Range(p.Highlight))
	}
	b.add(at, "", "%v", err)
}

func (b *treeBuilder) place(r unstable.Range) position {
	offset := int(r.Offset)
	line := sort.SearchInts(b.lines, offset+1)
	return position{line, offset - b.lines[line-1] + 1}
}

// header enters [a.b] or [[a.b]]. After a problem the keys that follow go to a
// table nobody reads, so that one mistake is told once.
func (b *treeBuilder) header(e *unstable.Node) {
	parts, at := b.key(e.Key())
	b.path = strings.Join(parts, ".") + "."
	b.current = newTable(at, byHeader)
	if len(parts) > maxDepth {
		b.tooDeep(at, strings.TrimSuffix(b.path, "."))
		return
	}
	parent := b.root
	for i, part := range parts[:len(parts)-1] {
		child := parent.keys[part]
		switch {
		case child == nil:
			child = parent.put(part, newTable(at, byParent))
		case child.kind == unstable.ArrayTable:
			child = child.items[len(child.items)-1]
		case child.kind != unstable.Table || child.made == byInline:
			b.twice(at, strings.Join(parts[:i+1], "."), child)
			return
		}
		parent = child
	}
	name := parts[len(parts)-1]
	if e.Kind == unstable.ArrayTable {
		b.appendTable(parent, name, at)
		return
	}
	switch old := parent.keys[name]; {
	case old == nil:
		parent.put(name, b.current)
	case old.kind == unstable.Table && old.made == byParent:
		old.made, old.at = byHeader, at
		b.current = old
	default:
		b.twice(at, strings.Join(parts, "."), old)
	}
}

// appendTable enters [[name]].
func (b *treeBuilder) appendTable(parent *node, name string, at position) {
	list := parent.keys[name]
	switch {
	case list == nil:
		list = parent.put(name, &node{kind: unstable.ArrayTable, at: at})
	case list.kind != unstable.ArrayTable:
		b.twice(at, strings.TrimSuffix(b.path, "."), list)
		return
	}
	list.items = append(list.items, b.current)
}

// keyValue enters a.b = value below t, whose path is path.
func (b *treeBuilder) keyValue(t *node, path string, e *unstable.Node) {
	parts, at := b.key(e.Key())
	full := path + strings.Join(parts, ".")
	if len(parts) > maxDepth {
		b.tooDeep(at, full)
		return
	}
	for _, part := range parts[:len(parts)-1] {
		child := t.keys[part]
		switch {
		case child == nil:
			child = t.put(part, newTable(at, byDotted))
		case child.kind != unstable.Table || child.made != byDotted:
			b.twice(at, full, child)
			return
		}
		t = child
	}
	name := parts[len(parts)-1]
	if old := t.keys[name]; old != nil {
		b.twice(at, full, old)
		return
	}
	t.put(name, b.value(e.Value(), full, at))
}

// value reads what is right of '='; key and at are those of its key.
func (b *treeBuilder) value(e *unstable.Node, key string, at position) *node {
	n := &node{kind: e.Kind, at: at}
	b.depth++
	defer func() { b.depth-- }()
	if b.depth > maxDepth {
		b.tooDeep(at, key)
		return n
	}
	switch e.Kind {
	case unstable.InlineTable:
		n.kind, n.made = unstable.Table, byInline
		for it := e.Children(); it.Next(); {
			b.keyValue(n, key+".", it.Node())
		}
	case unstable.Array:
		for it := e.Children(); it.Next(); {
			child, place := it.Node(), at
			if child.Raw.Length > 0 { // go-toml gives arrays in arrays no range
				place = b.place(child.Raw)
			}
			n.items = append(n.items, b.value(child, key, place))
		}
	default:
		n.text = string(e.Data)
	}
	return n
}

// key is the parts of a key and the place of its first.
func (b *treeBuilder) key(it unstable.Iterator) ([]string, position) {
	var parts []string
	var at position
	for it.Next() {
		n := it.Node()
		if len(parts) == 0 {
			at = b.place(n.Raw)
		}
		parts = append(parts, string(n.Data))
	}
	return parts, at
}

func (b *treeBuilder) twice(at position, key string, first *node) {
	b.add(at, clean(key), "is defined a second time; the first is at line %d", first.at.line)
}

func (b *treeBuilder) tooDeep(at position, key string) {
	b.add(at, clean(key), "is nested more than %d levels deep; no key is", maxDepth)
}
