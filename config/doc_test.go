package config

import (
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The package comment has a table of the sections and the files that read them.
func TestPackageCommentListsTheSections(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string]string) // by section
	for _, line := range regexp.MustCompile(`(?m)^//\t([a-z_, ]+?)  +([a-z]+\.go)`).FindAllStringSubmatch(string(doc), -1) {
		for section := range strings.SplitSeq(line[1], ", ") {
			files[section] = line[2]
		}
	}
	var sections []string
	for f := range reflect.TypeFor[Config]().Fields() {
		sections = append(sections, f.Tag.Get("toml"))
	}
	slices.Sort(sections)
	if d := cmp.Diff(sections, slices.Sorted(maps.Keys(files))); d != "" {
		t.Errorf("-sections +package comment:\n%s", d)
	}
	for section, file := range files {
		text, err := os.ReadFile(file)
		reader := regexp.MustCompile("(?i)func read" + strings.ReplaceAll(section, "_", "") + `s?\(`)
		if err != nil || !reader.Match(text) {
			t.Errorf("%s does not read section %s (%v)", file, section, err)
		}
	}
}
