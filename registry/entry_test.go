package registry

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/internal/vm"
	"sallyport/registry/record"
)

// Each transition of the diagram in entry.go.
func TestTransitionsOfAnEntry(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	rec := record.Record{App: "app", Key: key("one"), Evidence: record.DigestOf([]byte("evidence"))}
	wanted := vm.Spec{ID: "one", App: "app", Key: rec.Key}
	for name, c := range map[string]struct {
		do      func(e *entry)
		settled bool
		refusal string // afterwards
	}{
		"renew":                    {func(e *entry) { e.renew(now, now) }, true, ""},
		"claim":                    {func(e *entry) { e.claim(now, now) }, false, ""},
		"install of a fetch":       {func(e *entry) { e.install(rec, 2, false) }, true, ""},
		"adopt":                    {func(e *entry) { e.adopt(rec, 2) }, false, ""},
		"adopt of a refusal":       {func(e *entry) { r := rec; r.Refused = "old"; e.adopt(r, 2) }, false, "attestation: old"},
		"adopt of a revocation":    {func(e *entry) { r := rec; r.Revoked = "denied"; e.adopt(r, 2) }, false, "denied"},
		"unsettle":                 {func(e *entry) { e.unsettle() }, false, ""},
		"hide and peer":            {func(e *entry) { e.unsettle(); e.hide(); e.peer(tunnel{}) }, false, ""},
		"a verdict as before":      {func(e *entry) { e.rule("", now, now) }, true, ""},
		"a refusal":                {func(e *entry) { e.rule("old", now, now) }, false, "attestation: old"},
		"a refusal not yet stored": {func(e *entry) { e.refuse("old") }, false, "attestation: old"},
		"no verdict":               {func(e *entry) { e.undecided(now); e.postpone(now) }, true, ""},
		"held":                     {func(e *entry) { e.refuse(heldText) }, false, "attestation: " + heldText},
		"held and released":        {func(e *entry) { e.refuse(heldText); e.settle(wanted, wanted); e.release() }, false, ""},
		"released without a hold":  {func(e *entry) { e.release() }, true, ""},
		"revoke":                   {func(e *entry) { e.revoke("denied") }, false, "denied"},
		"revoked, and its verdict": {func(e *entry) { e.refuse("old"); e.revoke("denied") }, false, "denied"},
		"revoked, and admitted": {func(e *entry) {
			e.revoke("denied")
			e.settle(wanted, wanted)
			e.install(rec, 2, true)
		}, false, ""},
		"revoked, and not admitted": {func(e *entry) { e.revoke("denied"); e.install(rec, 2, false) }, false, "denied"},
		"settled by something old":  {func(e *entry) { e.settle(vm.Spec{}, wanted) }, false, ""},
		"root out of force":         {func(e *entry) { e.root(false, now) }, true, ""},
	} {
		e := newEntry("one", "app", now)
		if e.settled || e.rev != 0 {
			t.Fatal("claimed, and already more")
		}
		e.install(rec, 1, true)
		e.settle(wanted, wanted)
		if c.do(e); e.settled != c.settled || e.refusal(false) != c.refusal {
			t.Errorf("%s: settled %v, refused %q; want %v, %q", name, e.settled, e.refusal(false), c.settled, c.refusal)
		}
	}
}

// Only entry.go assigns a field of an entry or of its parts, makes an entry, or takes the address
// of a field.
func TestOnlyEntryWritesItsState(t *testing.T) {
	fset := token.NewFileSet()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var files []*ast.File
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, f)
	}
	const rogue = `package registry
func (t *table) rogue(e *entry, all []*entry) {
	e.settled = true
	e.tries++
	t.instances["one"].revoked = ""
	all[0].standing = standing{}
	e.record.Refused, e.rev = "", 1
	*e = entry{}
	_ = &e.set
}`
	f, err := parser.ParseFile(fset, "rogue.go", rogue, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]int)
	for _, at := range entryWrites(fset, append(files, f)) {
		if found[at.Filename]++; at.Filename != "entry.go" && at.Filename != "rogue.go" {
			t.Errorf("%s writes the state of an entry: add a transition to entry.go", at)
		}
	}
	if found["entry.go"] < 20 || found["rogue.go"] != 9 {
		t.Errorf("the test is blind: it finds %v, want 9 writes of rogue.go", found)
	}
}

// entryWrites finds where the files write to an entry.
func entryWrites(fset *token.FileSet, files []*ast.File) (all []token.Position) {
	info := &types.Info{Types: make(map[ast.Expr]types.TypeAndValue)}
	conf := types.Config{Importer: nothing{}, Error: func(error) {}} // what is imported does not matter
	_, _ = conf.Check("registry", fset, files, info)
	state := func(e ast.Expr) bool {
		typ := info.TypeOf(e)
		if p, ok := typ.(*types.Pointer); ok {
			typ = p.Elem()
		}
		named, ok := typ.(*types.Named)
		if !ok {
			return false
		}
		switch named.Obj().Name() {
		case "entry", "appraisal", "standing":
			return true
		}
		return false
	}
	note := func(n ast.Node) { all = append(all, fset.Position(n.Pos())) }
	written := func(e ast.Expr) {
		if star, ok := e.(*ast.StarExpr); ok && state(star.X) {
			note(e)
		}
		for { // x of x.f.g
			sel, ok := e.(*ast.SelectorExpr)
			if !ok {
				return
			}
			if state(sel.X) {
				note(e)
				return
			}
			e = sel.X
		}
	}
	for _, f := range files {
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.AssignStmt:
				for _, e := range n.Lhs {
					written(e)
				}
			case *ast.IncDecStmt:
				written(n.X)
			case *ast.UnaryExpr:
				if n.Op == token.AND {
					written(n.X)
				}
			case *ast.CompositeLit:
				if state(n) && info.TypeOf(n).(*types.Named).Obj().Name() == "entry" {
					note(n)
				}
			}
			return true
		})
	}
	return all
}

// nothing imports packages without contents.
type nothing struct{}

func (nothing) Import(path string) (*types.Package, error) {
	p := types.NewPackage(path, path[strings.LastIndex(path, "/")+1:])
	p.MarkComplete()
	return p, nil
}
