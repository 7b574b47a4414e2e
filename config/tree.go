package config

import (
	"errors"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// The tree of a file: its tables and values, each with its place.
//
// The tree is made from go-toml's parser, because its decoder stops at the first value
// of a wrong type and keeps no positions of the keys that it accepts. Only the decoder
// has TOML's rules about defining a key twice (https://toml.io/en/v1.0.0#table), so it
// reads the file too, and takes no value.

// maxDepth bounds the parts of a key, and the nesting of values. The deepest key
// of the schema has 3 parts.
const maxDepth = 8

// position is a place in the file, from 1; the column counts bytes.
type position struct{ line, column int }

// node is a table or a value.
type node struct {
	kind    unstable.Kind
	at      position         // of its key, or of the value if it is in an array
	text    string           // a scalar, decoded
	items   []*node          // of an Array or an ArrayTable
	keys    map[string]*node // of a Table
	implied bool             // a Table without a header of its own: [a.b] implies a
	used    bool             // a section has asked for it
	bad     bool             // of a wrong type: its contents mean nothing
}

func newTable(at position) *node { return &node{kind: unstable.Table, at: at} }

// put sets a key that is not set yet. The second of two definitions is reported by
// refuseSecond and not read.
func (n *node) put(key string, child *node) *node {
	if n.keys == nil {
		n.keys = make(map[string]*node)
	}
	if n.keys[key] == nil {
		n.keys[key] = child
	}
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

// parseTree reads data. It returns nil if data is not TOML; problems go to r.
func parseTree(data []byte, r *report) *node {
	root := newTable(position{1, 1})
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
	b.refuseSecond(data)
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

// refuseSecond reports the first key or table that is defined twice, in the words of
// go-toml.
func (b *treeBuilder) refuseSecond(data []byte) {
	var nothing struct{}
	err := toml.Unmarshal(data, &nothing)
	if err == nil {
		return
	}
	at := position{1, 1}
	if d, ok := errors.AsType[*toml.DecodeError](err); ok {
		at.line, at.column = d.Position()
	}
	problem := strings.TrimPrefix(err.Error(), "toml: ")
	if quoted := show(problem); quoted != strconv.Quote(problem) || len(quoted) != len(problem)+2 {
		problem = quoted // it repeats a name of the file
	}
	b.add(at, "", "%s", problem)
}

// last returns the table that keys below n belong to: the last of a list.
func (n *node) last() *node {
	if n.kind == unstable.ArrayTable {
		return n.items[len(n.items)-1]
	}
	return n
}

// header enters [a.b] or [[a.b]]. After a problem the keys that follow go to a table
// that is not read, so that one mistake is reported once.
func (b *treeBuilder) header(e *unstable.Node) {
	parts, at := b.key(e.Key())
	b.path = strings.Join(parts, ".") + "."
	b.current = newTable(at)
	if len(parts) > maxDepth {
		b.tooDeep(at, strings.TrimSuffix(b.path, "."))
		return
	}
	parent := b.root
	for _, part := range parts[:len(parts)-1] {
		parent = parent.enter(part, at)
	}
	name := parts[len(parts)-1]
	if e.Kind == unstable.ArrayTable {
		parent.put(name, &node{kind: unstable.ArrayTable, at: at})
		if list := parent.keys[name]; list.kind == unstable.ArrayTable {
			list.items = append(list.items, b.current)
		}
		return
	}
	b.current = parent.enter(name, at)
	if b.current.implied {
		b.current.implied, b.current.at = false, at
	}
}

// enter returns the table of this name below n: the last of a list, or a new one. If
// the name is that of a value, the table is not part of the tree.
func (n *node) enter(name string, at position) *node {
	child := n.keys[name]
	if child == nil {
		child = n.put(name, newTable(at))
		child.implied = true
	}
	if child = child.last(); child.kind != unstable.Table {
		return newTable(at)
	}
	return child
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
		t = t.enter(part, at)
		t.implied = false
	}
	t.put(parts[len(parts)-1], b.value(e.Value(), full, at))
}

// value reads the right side of '='; key and at are those of its key.
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
		n.kind = unstable.Table
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

// key returns the parts of a key and the place of the first.
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

func (b *treeBuilder) tooDeep(at position, key string) {
	b.add(at, clean(key), "is nested more than %d levels deep", maxDepth)
}
