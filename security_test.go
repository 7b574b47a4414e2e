package sallyport_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// testName is a test in docs/security.md: its package's folder and its name.
var testName = regexp.MustCompile("`((?:[a-z0-9]+/)*[a-z0-9]+)\\.(Test[A-Za-z0-9]+)`")

// docs/security.md says which test shows each promise: a test that was renamed or removed
// takes its row with it, or is put in its place.
func TestSecurityTableNamesTestsThatExist(t *testing.T) {
	text, err := os.ReadFile("docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	sources := make(map[string]string) // of a package's tests
	named := testName.FindAllStringSubmatch(string(text), -1)
	for _, n := range named {
		folder, name := n[1], n[2]
		if _, read := sources[folder]; !read {
			sources[folder] = testsOf(t, folder)
		}
		if !strings.Contains(sources[folder], "\nfunc "+name+"(t *testing.T) {") {
			t.Errorf("docs/security.md names %s of ./%s, which is not there", name, folder)
		}
	}
	if mentioned := strings.Count(string(text), ".Test"); len(named) == 0 || mentioned != len(named) {
		t.Errorf("%d tests are named, of which %d can be read: want `folder.TestName`", mentioned, len(named))
	}
	for i, row := range strings.Split(section(string(text), "## What gives trust, and what takes it back"), "\n") {
		if i > 1 && strings.HasPrefix(row, "|") && !testName.MatchString(row) {
			t.Errorf("no test shows %q", row)
		}
	}
}

// section is the table below a heading.
func section(text, heading string) string {
	_, text, _ = strings.Cut(text, heading+"\n\n")
	text, _, _ = strings.Cut(text, "\n\n")
	return text
}

// testsOf is the text of a package's tests.
func testsOf(t *testing.T, folder string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all.WriteByte('\n')
		all.Write(text)
	}
	return all.String()
}
