package sallyport_test

import (
	"fmt"
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A word is one that texts for operators and newcomers avoid. The list is short on
// purpose: every entry has a better word in almost every sentence, and unless excludes
// the sentences in which it is right.
type word struct {
	avoid, unless *regexp.Regexp
	instead       string
}

var words = []word{
	{regexp.MustCompile(`(?i)\b(tells?|told|telling)\b`), regexp.MustCompile(`(?i)\btell(s|ing)? .*\bapart\b`), "print, report, notify, show or send"},
	{regexp.MustCompile(`(?i)\b(is|are|was|were) no \w+`), regexp.MustCompile(`(?i)\bthere (is|are|was|were) no |\b(is|are|was|were) no (longer|more)\b`), "is not"},
	{regexp.MustCompile(`(^|[.;:] +)[Ww]ho [a-z]+ [^?]*$`), nil, "a subject: the client that …, an instance that …"},
	{regexp.MustCompile(`(?i)\b(have|has|had) (it|them|this) be\b`), nil, "the active verb"},
	{regexp.MustCompile(`(?i)\b(is|are) there twice\b`), nil, "appears twice"},
	{regexp.MustCompile(`(?i)\banew\b`), nil, "again"},
	{regexp.MustCompile(`(?i)\bbut for\b`), nil, "except for"},
	{regexp.MustCompile(`(?i)\bmend(s|ed|ing)?\b`), nil, "fix, repair or restore"},
}

// cvm is for texts in which a machine is a CVM. Benchmarks and development have other machines.
var cvm = word{
	regexp.MustCompile(`(?i)\bmachines?\b`),
	regexp.MustCompile(`(?i)\b(virtual|this|whole|same|one) machines?\b`),
	"CVM, VM, instance or server",
}

func TestDocumentsUsePlainWords(t *testing.T) {
	for _, doc := range documents(t) {
		list := words
		if doc != "CONTRIBUTING.md" && doc != "docs/performance.md" {
			list = append(slices.Clip(list), cvm)
		}
		for n, line := range strings.Split(read(t, doc), "\n") {
			checkWords(t, fmt.Sprintf("%s:%d", doc, n+1), prose(line), list)
		}
	}
}

// The example configuration and the files for packagers are read by operators too.
func TestExamplesUsePlainWords(t *testing.T) {
	for _, name := range []string{"config/gateway.example.toml", "dist/gateway.service", "Dockerfile"} {
		for block := range strings.SplitSeq(read(t, name), "\n#\n") {
			var text []string
			for line := range strings.Lines(block) {
				if comment, ok := strings.CutPrefix(line, "# "); ok {
					text = append(text, comment)
				}
			}
			checkWords(t, name, strings.Join(text, ""), append(slices.Clip(words), cvm))
		}
	}
}

// Errors, log lines, and the texts of commands are what an operator sees.
func TestMessagesUsePlainWords(t *testing.T) {
	for _, s := range sources(t) {
		if s.test() {
			continue
		}
		for text, at := range messages(s.syntax) {
			checkWords(t, s.name+": "+at, text, words)
		}
		for text, at := range helpTexts(s.syntax) {
			checkWords(t, s.name+": "+at, text, append(slices.Clip(words), cvm))
		}
	}
}

func TestPackageCommentsUsePlainWords(t *testing.T) {
	for _, s := range sources(t) {
		if s.test() || s.syntax.Doc == nil {
			continue
		}
		checkWords(t, s.name, s.syntax.Doc.Text(), words)
	}
}

// checkWords reports each word of the list in a text. Paragraphs may be wrapped.
func checkWords(t *testing.T, place, text string, list []word) {
	t.Helper()
	for paragraph := range strings.SplitSeq(text, "\n\n") {
		checkParagraph(t, place, strings.Join(strings.Fields(paragraph), " "), list)
	}
}

func checkParagraph(t *testing.T, place, text string, list []word) {
	t.Helper()
	for _, w := range list {
		for _, at := range w.avoid.FindAllStringIndex(text, -1) {
			around := text[max(0, at[0]-20):min(len(text), at[1]+20)]
			if w.unless == nil || !w.unless.MatchString(around) {
				t.Errorf("%s: %q: write %s", place, strings.TrimSpace(around), w.instead)
			}
		}
	}
}

// prose is a line of Markdown without code.
func prose(line string) string {
	if strings.HasPrefix(line, "    ") {
		return ""
	}
	return regexp.MustCompile("`[^`]*`").ReplaceAllString(line, "code")
}

// messages yields the texts of a file's errors and log lines.
func messages(f *ast.File) func(yield func(text, at string) bool) {
	return func(yield func(text, at string) bool) {
		ast.Inspect(f, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			sel, ok := call.Fun.(*ast.SelectorExpr)
			if !ok || len(call.Args) == 0 {
				return true
			}
			switch sel.Sel.Name {
			case "New", "Errorf", "Debug", "Info", "Warn", "Error", "Log", "Fprintf", "Fprintln":
				for _, arg := range call.Args {
					if text, ok := literal(arg); ok && !yield(text, sel.Sel.Name) {
						return false
					}
				}
			}
			return true
		})
	}
}

// helpTexts yields what --help prints: Short and Long of commands, and the usage of flags.
func helpTexts(f *ast.File) func(yield func(text, at string) bool) {
	return func(yield func(text, at string) bool) {
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.KeyValueExpr:
				if key, ok := n.Key.(*ast.Ident); ok && (key.Name == "Short" || key.Name == "Long") {
					if text, ok := literal(n.Value); ok && !yield(text, key.Name) {
						return false
					}
				}
			case *ast.CallExpr:
				sel, ok := n.Fun.(*ast.SelectorExpr)
				if ok && strings.HasSuffix(sel.Sel.Name, "Var") && len(n.Args) > 2 {
					if text, ok := literal(n.Args[len(n.Args)-1]); ok && !yield(text, sel.Sel.Name) {
						return false
					}
				}
			}
			return true
		})
	}
}

// literal returns the value of a string literal, or of a sum of them.
func literal(e ast.Expr) (string, bool) {
	switch e := e.(type) {
	case *ast.BasicLit:
		if e.Kind != token.STRING {
			return "", false
		}
		text, err := strconv.Unquote(e.Value)
		return text, err == nil
	case *ast.BinaryExpr:
		a, okA := literal(e.X)
		b, okB := literal(e.Y)
		return a + b, okA || okB
	}
	return "", false
}

// The list finds what it is for, and leaves good sentences alone.
func TestWordsLeaveGoodSentencesAlone(t *testing.T) {
	for text, avoided := range map[string]bool{
		"the authority tells no account URI":                        true,
		"%s is no DNS name: want labels of letters":                 true,
		"its tunnel is up; who falls out of it is refused":          true,
		"reads the file anew":                                       true,
		"entry 3 is there twice":                                    true,
		"There is no app with this id, and there are no instances":  false,
		"the file is no longer readable":                            false,
		"errors tell the two apart":                                 false,
		"A guest is the software that registers. Who may register?": false,
		"the owner, who sets the record, decides":                   false,
	} {
		found := slices.ContainsFunc(words, func(w word) bool {
			return w.avoid.MatchString(text) && (w.unless == nil || !w.unless.MatchString(text))
		})
		if found != avoided {
			t.Errorf("%q: found %v, want %v", text, found, avoided)
		}
	}
}
