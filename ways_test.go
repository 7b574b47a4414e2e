package sallyport_test

import (
	"go/ast"
	"os"
	"path"
	"regexp"
	"slices"
	"testing"
)

var (
	// named is a Go file in ARCHITECTURE.md, and the function in it that comes right behind.
	named = regexp.MustCompile("`([a-z0-9_/]+\\.go)`(?: `([A-Za-z.]+)`)?")

	// tableRow is a row of the folder table, folderName one of the folders in it.
	tableRow   = regexp.MustCompile("(?m)^\\| (`[^|]+`) \\|")
	folderName = regexp.MustCompile("`([a-z0-9/]+)`")
)

// ARCHITECTURE.md names the files of a connection's way and of a registration's, in order:
// a file or function that moves takes its line with it.
func TestArchitectureNamesFilesAndFunctionsThatExist(t *testing.T) {
	functions := make(map[string][]string)
	for _, s := range sources(t) {
		functions[s.name] = functionsOf(s.syntax)
	}
	found := 0
	for _, n := range named.FindAllStringSubmatch(read(t, "ARCHITECTURE.md"), -1) {
		file, function := n[1], n[2]
		if _, ok := functions[file]; !ok {
			t.Errorf("ARCHITECTURE.md names %s, which does not exist", file)
			continue
		}
		if function == "" {
			continue
		}
		if found++; !slices.Contains(functions[file], function) {
			t.Errorf("ARCHITECTURE.md names %s in %s, which has no such function", function, file)
		}
	}
	if found < 20 {
		t.Errorf("ARCHITECTURE.md names %d functions, want at least 20", found)
	}
}

// functionsOf returns the functions of a file, and the methods as Type.Method.
func functionsOf(f *ast.File) (names []string) {
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok {
			continue
		}
		name := fn.Name.Name
		if fn.Recv != nil {
			name = receiver(fn.Recv.List[0].Type) + "." + name
		}
		names = append(names, name)
	}
	return names
}

func receiver(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.StarExpr:
		return receiver(e.X)
	case *ast.IndexExpr:
		return receiver(e.X)
	case *ast.Ident:
		return e.Name
	}
	return ""
}

// The folder table of ARCHITECTURE.md names folders that exist, and every package is in it:
// by its own name, or by that of a folder above it.
func TestArchitectureNamesEveryFolder(t *testing.T) {
	var folders []string
	for _, row := range tableRow.FindAllStringSubmatch(read(t, "ARCHITECTURE.md"), -1) {
		for _, f := range folderName.FindAllStringSubmatch(row[1], -1) {
			folders = append(folders, f[1])
		}
	}
	for _, f := range folders {
		if info, err := os.Stat(f); err != nil || !info.IsDir() {
			t.Errorf("ARCHITECTURE.md has a row for %s, which is not a folder", f)
		}
	}
	missing := make(map[string]bool)
	for _, s := range sources(t) {
		dir := s.dir()
		for dir != "." && !slices.Contains(folders, dir) {
			dir = path.Dir(dir)
		}
		if dir == "." && s.dir() != "." && !missing[s.dir()] {
			missing[s.dir()] = true
			t.Errorf("ARCHITECTURE.md has no row for %s", s.dir())
		}
	}
}

// A package comment names the files of its package in the order to read them in: they exist.
func TestPackageCommentsNameFilesThatExist(t *testing.T) {
	file := regexp.MustCompile(`\b[a-z0-9_/.]+\.go\b`)
	found := 0
	for _, s := range sources(t) {
		if s.syntax.Doc == nil {
			continue
		}
		for _, name := range file.FindAllString(s.syntax.Doc.Text(), -1) {
			found++
			_, here := os.Stat(path.Join(s.dir(), name))
			_, fromRoot := os.Stat(name)
			if here != nil && fromRoot != nil {
				t.Errorf("%s: the package comment names %s, which does not exist", s.name, name)
			}
		}
	}
	if found < 100 {
		t.Errorf("package comments name %d files, want at least 100", found)
	}
}
