package config

import (
	"strings"
	"testing"
)

func TestUnknownKeys(t *testing.T) {
	checkProblems(t, []problemCase{
		{name: "near miss", file: "[proxy]\nmax_conections = 1\nListen = []\nlopos = 1", want: []string{
			`f:6:1: proxy.max_conections: unknown key; did you mean "max_connections"?`,
			`f:7:1: proxy.Listen: unknown key; did you mean "listen"?`,
			`f:8:1: proxy.lopos: unknown key; did you mean "loops"?`,
		}},
		{name: "key of another table", file: "[proxy]\nidle = \"1m\"", want: []string{
			`f:6:1: proxy.idle: unknown key; did you mean "proxy.timeouts.idle"?`,
		}},
		{name: "nothing like it", file: "[store]\nengine = \"etcd\"", want: []string{
			`f:6:1: store.engine: unknown key; known here: path`,
		}},
		{name: "a table is reported once, not key by key", file: "[wiregaurd]\na = 1\nb = 2", want: []string{
			`f:5:2: wiregaurd: unknown key; did you mean "wireguard"?`,
		}},
		{name: "control characters", file: "\"a\\u001b[31m\" = 1", want: []string{
			`f:5:1: "domain.a\x1b[31m": unknown key; known here: acme, cert, include_apex, key, name, ratls, wildcard`,
		}},
		{name: "in an inline table", file: "[proxy]\ntimeouts = { hello = \"1s\", idel = \"1s\" }", want: []string{
			`f:6:28: proxy.timeouts.idel: unknown key; did you mean "idle"?`,
		}},
	})
}

func TestSyntaxErrorIsOneProblemWithItsPlace(t *testing.T) {
	checkProblems(t, []problemCase{
		{name: "no value", file: "[proxy]\nx = 1\nloops =\n", want: []string{
			`f:7:8: unexpected character U+000A at start of value`,
		}},
		{name: "open string at the end", file: "[store]\npath = \"a", want: []string{
			`f:6:9: unterminated basic string`,
		}},
		{name: "no UTF-8", file: "[store]\n# \xff\n", want: []string{
			`f:6:3: invalid UTF-8 character in comment`,
		}},
	})
}

func TestKeyDefinedTwice(t *testing.T) {
	checkProblems(t, []problemCase{
		{name: "value", file: "[proxy]\nloops = 1\nloops = 2", want: []string{
			`f:7:1: key loops is already defined`,
		}},
		{name: "value, behind letters of several bytes", file: "[proxy]\ntimeouts = { \"é\" = 1 }\n \"timeouts\".idle = 2", want: []string{
			`f:6:14: "proxy.timeouts.é": unknown key; known here: connect, drain, handshake, hedge, hello, idle`,
			`f:7:2: key timeouts is already defined`,
			`f:7:2: proxy.timeouts.idle: want a string, have a whole number`,
		}},
		{name: "table", file: "[proxy]\n[log]\n[proxy]\nloops = -1", want: []string{
			`f:7:2: table proxy already exists`,
			`f:8:1: proxy.loops: -1 is out of range: want 0 to 1024`,
		}},
		{name: "table, after its sub-table", file: "[proxy.timeouts]\n[proxy]\nloops = 1"},
		{name: "table, after a dotted key", file: "[proxy]\ntimeouts.hello = \"1s\"\n[proxy.timeouts]\nidle = \"1s\"", want: []string{
			`f:7:2: table timeouts already exists as defined by a dotted key`,
		}},
		{name: "dotted key, after a table", file: "[proxy.timeouts]\n[proxy]\ntimeouts.hello = \"1s\"", want: []string{
			`f:7:1: key timeouts is already defined`,
		}},
		{name: "dotted keys of one table", file: "[proxy]\ntimeouts.hello = \"1s\"\ntimeouts.idle = \"1s\""},
		{name: "inline table is complete", file: "[proxy]\ntimeouts = {}\n[proxy.timeouts.x]", want: []string{
			`f:7:2: key timeouts already exists as a value`,
			`f:7:2: proxy.timeouts.x: unknown key; known here: connect, drain, handshake, hedge, hello, idle`,
		}},
		{name: "in an inline table", file: "[proxy]\ntimeouts = { idle = \"1s\", idle = \"1s\" }", want: []string{
			`f:6:1: key idle is already defined`,
		}},
		{name: "list and tables", file: "[log]\n[[log]]", want: []string{
			`f:6:3: key log already exists as a table, but should be an array table`,
		}},
		{name: "table where a value is", file: "[log]\nlevel = \"info\"\n[log.level.x]", want: []string{
			`f:7:2: key level already exists as a value`,
		}},
		{name: "control characters", file: "[log]\n\"level\\u001b[31m\" = 1\n\"level\\u001b[31m\" = 1", want: []string{
			`f:6:1: "log.level\x1b[31m": unknown key; known here: access, format, level`,
			`f:7:1: "key level\x1b[31m is already defined"`,
		}},
		{name: "beside other problems", file: "[log]\nlevel = \"info\"\nlevel = \"debug\"\nformat = 7\n[store]\npaht = \"x\"", want: []string{
			`f:7:1: key level is already defined`,
			`f:8:1: log.format: want a string, have a whole number`,
			`f:10:1: store.paht: unknown key; did you mean "path"?`,
		}},
	})
}

func TestTablesOfTheWrongShape(t *testing.T) {
	checkProblems(t, []problemCase{
		{name: "tables where one is wanted", file: "[[proxy]]", want: []string{
			`f:5:3: proxy: want one table, [proxy], have a list of tables`,
		}},
		{name: "value where a table is wanted", whole: true, file: "log = \"debug\"\n" + smallest, want: []string{
			`f:1:1: log: want one table, [log], have a string`,
		}},
		{name: "tables in a list", whole: true, file: `domain = [{ name = "a.example", cert = "c", key = "k" }, 7]`, want: []string{
			`f:1:58: domain: want tables, [[domain]], have a whole number`,
		}},
		{name: "deep key", file: "a" + strings.Repeat(".a", maxDepth) + " = 1", want: []string{
			`f:5:1: domain.a.a.a.a.a.a.a.a.a: is nested more than 8 levels deep`,
		}},
		{name: "deep table", file: "[a" + strings.Repeat(".a", maxDepth) + "]", want: []string{
			`f:5:2: a.a.a.a.a.a.a.a.a: is nested more than 8 levels deep`,
		}},
		{name: "deep value", file: "[store]\npath = " + strings.Repeat("[", 9) + strings.Repeat("]", 9), want: []string{
			`f:6:1: store.path: is nested more than 8 levels deep`,
			`f:6:1: store.path: want a string, have a list`,
		}},
	})
}
