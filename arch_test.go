// The tests of this file hold the picture of ARCHITECTURE.md: imports point
// down, siblings meet in gateway/... alone, and files stay readable. They read
// the sources themselves: the answer of a `go list` would be cached.
package sallyport_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	module   = "sallyport"
	maxLines = 400 // about 300 is the aim
)

// A source is one file of the module.
type source struct {
	name   string // with slashes, from the module's root
	syntax *ast.File
	lines  int
}

func (s source) dir() string  { return path.Dir(s.name) }
func (s source) test() bool   { return strings.HasSuffix(s.name, "_test.go") }
func (s source) place() layer { return layerOf(s.dir()) }

// A layer imports only what is below it.
type layer int

const (
	bottom  layer = iota // internal/...: no sibling, nothing above
	sibling              // config, router, relay, …: internal alone
	room                 // gateway/NAME: one decision of the gateway, of siblings
	house                // gateway: joins rooms and siblings
	top                  // cmd/..., bench/cmd/...: the commands
	outside              // the root, e2e: tests, imported by nobody
)

func layerOf(dir string) layer {
	if strings.HasPrefix(dir, "bench/cmd/") {
		return top
	}
	switch first, _, _ := strings.Cut(dir, "/"); first {
	case "internal":
		return bottom
	case "gateway":
		if dir == first {
			return house
		}
		return room
	case "cmd":
		return top
	case ".", "e2e":
		return outside
	}
	return sibling
}

func TestImportsPointDown(t *testing.T) {
	for _, s := range sources(t) {
		for _, dep := range ours(s) {
			from, to := s.place(), layerOf(dep)
			switch {
			case dep == s.dir(): // an external test of the package itself
			case isTestKit(dep) && !isTestKit(s.dir()) && !s.test() && s.dir() != "e2e":
				t.Errorf("%s imports %s, which is for tests", s.name, dep)
			case to == bottom:
			case from >= room && from <= top && to < from:
			case from == top && to == top && inside(dep, s.dir()) && mayUse(command(s.dir()), command(dep)):
			case from == sibling && to == sibling && inside(dep, s.dir()):
			default:
				t.Errorf("%s imports %s: siblings import internal/... only, rooms of the gateway siblings, and commands cmd/gateway/cli; join them above", s.name, dep)
			}
		}
	}
}

// command returns the name of the command whose folder dir is. It is "" for the program
// itself, which joins its commands.
func command(dir string) string {
	if parts := strings.Split(dir, "/"); len(parts) > 2 {
		return parts[2]
	}
	return ""
}

// mayUse reports whether a command's folder may import one of another: only what all share.
func mayUse(command, other string) bool {
	return command == "" || other == command || other == "cli"
}

// isTestKit reports whether dir is the kit of the tests or one of its folders.
func isTestKit(dir string) bool {
	return dir == "internal/gwtest" || strings.HasPrefix(dir, "internal/gwtest/")
}

// inside reports whether dep is a part of dir: a package may have its own folders.
func inside(dep, dir string) bool {
	a, _, _ := strings.Cut(dep, "/")
	b, _, _ := strings.Cut(dir, "/")
	return a == b
}

// The engine moves bytes for anybody. What it may use is listed, so that no
// application creeps in with a library.
func TestRelayUsesLittle(t *testing.T) {
	allowed := []string{module + "/internal/", module + "/relay/", "golang.org/x/sys/", "github.com/prometheus/client_golang/"}
	for _, s := range sources(t) {
		if s.test() || !inside(s.dir(), "relay") {
			continue
		}
		for _, dep := range imports(s) {
			isStd := !strings.Contains(strings.Split(dep, "/")[0], ".") && !strings.HasPrefix(dep, module+"/")
			if !isStd && !slices.ContainsFunc(allowed, func(a string) bool { return strings.HasPrefix(dep, a) }) {
				t.Errorf("%s imports %s", s.name, dep)
			}
		}
	}
}

func TestEveryPackageSaysWhatItIs(t *testing.T) {
	said := map[string]bool{}
	for _, s := range sources(t) {
		if !s.test() {
			said[s.dir()] = said[s.dir()] || s.syntax.Doc != nil
		}
	}
	for dir, ok := range said {
		if !ok {
			t.Errorf("package %s has no doc comment: write %s/doc.go", dir, dir)
		}
	}
}

func TestFilesAreShort(t *testing.T) {
	for _, s := range sources(t) {
		if s.lines > maxLines && !ast.IsGenerated(s.syntax) {
			t.Errorf("%s has %d lines, more than %d: one file, one concept", s.name, s.lines, maxLines)
		}
	}
}

// A package is read as a whole: one that is larger has rooms in it.
func TestPackagesAreSmall(t *testing.T) {
	const maxFiles, maxTotal = 26, 4500
	larger := map[string]bool{
		"relay": true, // the engine: what a loop's thread does to a connection is one state
	}
	files, lines := map[string]int{}, map[string]int{}
	for _, s := range sources(t) {
		if !s.test() && !ast.IsGenerated(s.syntax) {
			files[s.dir()]++
			lines[s.dir()] += s.lines
		}
	}
	for dir := range files {
		if !larger[dir] && (files[dir] > maxFiles || lines[dir] > maxTotal) {
			t.Errorf("package %s has %d files with %d lines, more than %d or %d: give a part of it a folder", dir, files[dir], lines[dir], maxFiles, maxTotal)
		}
	}
}

func TestNothingRunsBeforeMain(t *testing.T) {
	for _, s := range sources(t) {
		if ast.IsGenerated(s.syntax) {
			continue
		}
		for _, d := range s.syntax.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.Name == "init" {
				t.Errorf("%s has an init function", s.name)
			}
		}
	}
}

func TestOnlyMainEndsTheProcess(t *testing.T) {
	for _, s := range sources(t) {
		if s.place() == top || s.test() {
			continue
		}
		ast.Inspect(s.syntax, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if pkg, ok := sel.X.(*ast.Ident); ok && pkg.Name == "os" && sel.Sel.Name == "Exit" {
				t.Errorf("%s calls os.Exit: return an error", s.name)
			}
			return true
		})
	}
}

// TestImageHasTheGoOfTheModule holds what go.mod names and what the image is
// built with together: crypto/tls and net/http get their security fixes with it.
func TestImageHasTheGoOfTheModule(t *testing.T) {
	mod, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+\.\d+)$`).FindSubmatch(mod)
	if version == nil {
		t.Fatal("go.mod names no patch release of Go")
	}
	image, err := os.ReadFile("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	if want := "FROM golang:" + string(version[1]) + "-"; !strings.Contains(string(image), want) {
		t.Errorf("Dockerfile has no %q: build the image with the Go of go.mod", want)
	}
}

// sources reads every Go file of the module, and fails where there is none: a
// rule that saw nothing has not been held.
func sources(t *testing.T) []source {
	t.Helper()
	var all []source
	fset := token.NewFileSet()
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata"):
			return filepath.SkipDir
		case d.IsDir() || filepath.Ext(name) != ".go":
			return nil
		}
		f, err := parser.ParseFile(fset, name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		all = append(all, source{filepath.ToSlash(name), f, fset.File(f.Pos()).LineCount()})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 2 {
		t.Fatal("found no source")
	}
	return all
}

func imports(s source) []string {
	var deps []string
	for _, i := range s.syntax.Imports {
		if p, err := strconv.Unquote(i.Path.Value); err == nil {
			deps = append(deps, p)
		}
	}
	return deps
}

// ours lists the folders of this module that s imports.
func ours(s source) []string {
	var dirs []string
	for _, p := range imports(s) {
		if d, ok := strings.CutPrefix(p, module+"/"); ok {
			dirs = append(dirs, d)
		}
	}
	return dirs
}
