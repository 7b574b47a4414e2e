package sallyport_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// link is a link of a Markdown document to a file or heading of this repository.
var link = regexp.MustCompile(`\]\(([^)#:]*)(#[^)]*)?\)`)

// A link in a document leads to a file that exists, and to a heading that it has.
func TestLinksInDocumentsResolve(t *testing.T) {
	found := 0
	for _, doc := range documents(t) {
		for _, l := range link.FindAllStringSubmatch(read(t, doc), -1) {
			found++
			target := doc
			if l[1] != "" {
				target = filepath.Join(filepath.Dir(doc), l[1])
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s links to %s: %v", doc, l[1], err)
				continue
			}
			if l[2] != "" && !hasHeading(read(t, target), l[2]) {
				t.Errorf("%s links to %s, and %s has no such heading", doc, l[1]+l[2], target)
			}
		}
	}
	if found < 20 {
		t.Errorf("found %d links in the documents, want at least 20", found)
	}
}

// README.md is the first page that a newcomer reads: it stays short, and docs/ has the rest.
func TestReadmeIsShort(t *testing.T) {
	if lines := strings.Count(read(t, "README.md"), "\n"); lines > 150 {
		t.Errorf("README.md has %d lines, want at most 150: move a task to docs/", lines)
	}
}

// Every document in docs/ can be found from README.md.
func TestReadmeLinksEveryDocument(t *testing.T) {
	readme := read(t, "README.md")
	for _, doc := range documents(t) {
		if filepath.Dir(doc) == "docs" && !strings.Contains(readme, "("+doc+")") {
			t.Errorf("README.md has no link to %s", doc)
		}
	}
}

// A metric in a document exists.
func TestMetricsInDocumentsExist(t *testing.T) {
	var code strings.Builder
	for _, s := range sources(t) {
		if !s.test() {
			code.WriteString(read(t, s.name))
		}
	}
	for _, doc := range documents(t) {
		for _, metric := range regexp.MustCompile(`\bgateway_[a-z_]+`).FindAllString(read(t, doc), -1) {
			if !strings.Contains(code.String(), metric) {
				t.Errorf("%s names %s, which is not in the code", doc, metric)
			}
		}
	}
}

// documents returns the Markdown documents for users and contributors.
func documents(t *testing.T) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"*.md", "docs/*.md"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, names...)
	}
	if len(all) < 2 {
		t.Fatal("found no documents")
	}
	return all
}

// hasHeading reports whether a Markdown text has a heading with the anchor that GitHub gives it.
func hasHeading(text, anchor string) bool {
	dropped := regexp.MustCompile(`[^a-z0-9 _-]`)
	for line := range strings.Lines(text) {
		title, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " ")
		if !ok || !strings.HasPrefix(line, "#") {
			continue
		}
		id := dropped.ReplaceAllString(strings.ToLower(strings.TrimSpace(title)), "")
		if "#"+strings.ReplaceAll(id, " ", "-") == anchor {
			return true
		}
	}
	return false
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
