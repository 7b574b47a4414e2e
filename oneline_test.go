package sallyport_test

import (
	"go/ast"
	"testing"
)

// errors.Join puts a line break between its errors. Package oneline joins them so that
// they fit into a log line.
func TestErrorsAreJoinedOnOneLine(t *testing.T) {
	for _, s := range sources(t) {
		if s.test() {
			continue
		}
		ast.Inspect(s.syntax, func(n ast.Node) bool {
			sel, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if pkg, ok := sel.X.(*ast.Ident); ok && pkg.Name == "errors" && sel.Sel.Name == "Join" {
				t.Errorf("%s: use oneline.Join in place of errors.Join", s.name)
			}
			return true
		})
	}
}
