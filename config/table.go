package config

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2/unstable"
)

// Typed reading of a table. A section asks for each of its keys once, with its
// default and its parser; a key that is never asked for is unknown. So the
// schema is written down only once, in the sections' readers.
//
// A value that is wrong is reported at once and read as the zero value. Checks
// across keys pass over zero values: one mistake is reported once.

// table is a table of the schema, in the file or not.
type table struct {
	*report
	asked map[string]bool // full names of all keys asked for, shared by all tables
	path  string          // with a dot at its end; "" for the root
	node  *node           // nil if the file does not have it
	at    position        // of its header; of the table around it if it has none
}

func newRoot(root *node, r *report) table {
	return table{report: r, asked: make(map[string]bool), node: root, at: root.at}
}

// get asks for key. It is nil if the file does not have it.
func (t table) get(key string) *node {
	t.asked[t.path+key] = true
	if t.node == nil || t.node.keys[key] == nil {
		return nil
	}
	n := t.node.keys[key]
	n.used = true
	return n
}

// has reports whether key is in the file.
func (t table) has(key string) bool { return t.get(key) != nil }

// place is where a problem of key is shown: a missing key at its table.
func (t table) place(key string) position {
	if n := t.get(key); n != nil {
		return n.at
	}
	return t.at
}

// fail reports a problem of key.
func (t table) fail(key, format string, args ...any) {
	t.add(t.place(key), t.path+key, format, args...)
}

// failItem reports a problem of the member i of a list, if the file has it.
func (t table) failItem(key string, i int, format string, args ...any) {
	at := t.place(key)
	if n := t.get(key); n != nil && i < len(n.items) {
		at = n.items[i].at
	}
	t.add(at, t.path+key, format, args...)
}

// wrongType reports that n is not what key wants.
func (t table) wrongType(n *node, key, want string) {
	n.bad = true
	t.add(n.at, t.path+key, "want %s, have %s", want, kindName(n.kind))
}

// sub is the table [key].
func (t table) sub(key string) table {
	s := table{report: t.report, asked: t.asked, path: t.path + key + ".", at: t.at}
	n := t.get(key)
	switch {
	case n == nil:
	case n.kind == unstable.Table:
		s.node, s.at = n, n.at
	default:
		t.wrongType(n, key, "one table, ["+t.path+key+"]")
	}
	return s
}

// subs are the tables [[key]], at most limit of them.
func (t table) subs(key string, limit int) []table {
	n := t.get(key)
	if n == nil {
		return nil
	}
	want := "tables, [[" + t.path + key + "]]"
	if n.kind != unstable.ArrayTable && n.kind != unstable.Array {
		t.wrongType(n, key, want)
		return nil
	}
	if len(n.items) > limit {
		n.bad = true
		t.fail(key, "has %d members: want at most %d", len(n.items), limit)
		return nil
	}
	var list []table
	for _, item := range n.items {
		if item.kind != unstable.Table {
			t.wrongType(item, key, want)
			continue
		}
		list = append(list, table{report: t.report, asked: t.asked, path: t.path + key + ".", node: item, at: item.at})
	}
	return list
}

// text reads a string, byDefault if it is not there, and parses it.
func text[T any](t table, key, byDefault string, parse func(string) (T, error)) T {
	n := t.get(key)
	if n == nil {
		n = &node{kind: unstable.String, at: t.at, text: byDefault}
	}
	return parseNode(t, key, n, parse)
}

// optional is text without a default: the zero value if it is not there.
func optional[T any](t table, key string, parse func(string) (T, error)) (v T) {
	if n := t.get(key); n != nil {
		v = parseNode(t, key, n, parse)
	}
	return v
}

// required is text that must be there; want says what it is.
func required[T any](t table, key, want string, parse func(string) (T, error)) T {
	if !t.has(key) {
		t.fail(key, "is missing: want %s", want)
	}
	return optional(t, key, parse)
}

// maxList bounds the members of a list.
const maxList = 4096

// list reads strings, byDefault if it is not there. It has as many members as
// the file gives, so that failItem finds them.
func list[T any](t table, key string, byDefault []string, parse func(string) (T, error)) []T {
	n := t.get(key)
	if n == nil {
		n = &node{kind: unstable.Array}
		for _, s := range byDefault {
			n.items = append(n.items, &node{kind: unstable.String, text: s})
		}
	}
	if n.kind != unstable.Array {
		t.wrongType(n, key, `a list of strings, ["…", "…"]`)
		return nil
	}
	if len(n.items) > maxList {
		t.fail(key, "has %d members: want at most %d", len(n.items), maxList)
		return nil
	}
	var values []T
	for _, item := range n.items {
		values = append(values, parseNode(t, key, item, parse))
	}
	return values
}

func parseNode[T any](t table, key string, n *node, parse func(string) (T, error)) (v T) {
	if n.kind != unstable.String {
		t.wrongType(n, key, "a string")
		return v
	}
	v, err := parse(n.text)
	if err != nil {
		t.add(n.at, t.path+key, "%v", err)
		var zero T
		return zero
	}
	return v
}

// count reads a number from low to high.
func (t table) count(key string, byDefault, low, high int) int {
	n := t.get(key)
	if n == nil {
		return byDefault
	}
	if n.kind != unstable.Integer {
		t.wrongType(n, key, "a whole number")
		return 0
	}
	v, err := strconv.ParseInt(n.text, 0, 64)
	if err != nil || v < int64(low) || v > int64(high) {
		t.fail(key, "%s is out of range: want %d to %d", clean(n.text), low, high)
		return 0
	}
	return int(v)
}

// limit reads a number from 0.
func (t table) limit(key string, byDefault int) int {
	return t.count(key, byDefault, 0, math.MaxInt32)
}

// flag reads true or false.
func (t table) flag(key string, byDefault bool) bool {
	n := t.get(key)
	if n == nil {
		return byDefault
	}
	if n.kind != unstable.Bool {
		t.wrongType(n, key, "true or false")
		return false
	}
	return n.text == "true"
}

// duration reads a time span that must be more than nothing.
func (t table) duration(key, byDefault string) time.Duration {
	return text(t, key, byDefault, parseDuration)
}

// reportUnknown reports the keys of the file that no section asked for.
func (t table) reportUnknown() {
	for _, key := range slices.Sorted(maps.Keys(t.node.keys)) {
		if t.full() {
			return
		}
		n := t.node.keys[key]
		if !n.used {
			t.add(n.at, clean(t.path+key), "unknown key; %s", suggest(t.path, key, t.asked))
			continue
		}
		if n.bad {
			continue
		}
		if n.kind == unstable.Table {
			t.under(key, n).reportUnknown()
		}
		for _, item := range n.items {
			if !item.bad {
				t.under(key, item).reportUnknown()
			}
		}
	}
}

func (t table) under(key string, n *node) table {
	return table{report: t.report, asked: t.asked, path: t.path + key + ".", node: n, at: n.at}
}

func kindName(k unstable.Kind) string {
	switch k {
	case unstable.String:
		return "a string"
	case unstable.Integer:
		return "a whole number"
	case unstable.Float:
		return "a number with a fraction"
	case unstable.Bool:
		return "true or false"
	case unstable.Array:
		return "a list"
	case unstable.Table:
		return "a table"
	case unstable.ArrayTable:
		return "a list of tables"
	default:
		return fmt.Sprintf("a %s", strings.ToLower(k.String()))
	}
}
