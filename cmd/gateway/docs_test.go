package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sallyport/config"
)

// Every gateway command in the documents exists, with its flags.
func TestCommandsInDocumentsExist(t *testing.T) {
	found := 0
	for name, text := range documents(t) {
		for _, line := range commandLines(text) {
			found++
			checkCommand(t, name, line)
		}
	}
	if found < 20 {
		t.Errorf("found %d commands in the documents, want at least 20", found)
	}
}

func checkCommand(t *testing.T, name, line string) {
	t.Helper()
	words := strings.Fields(line)[1:]
	cmd, rest, err := newRoot().Find(words)
	if err != nil || !cmd.HasParent() {
		t.Errorf("%s: %q: no such command: %v", name, line, err)
		return
	}
	for _, w := range rest {
		flag, isFlag := strings.CutPrefix(w, "--")
		flag, _, _ = strings.Cut(strings.TrimRight(flag, ".,;:"), "=")
		if isFlag && flag != "help" && cmd.Flags().Lookup(flag) == nil {
			t.Errorf("%s: %q: %s has no flag --%s", name, line, cmd.CommandPath(), flag)
		}
	}
}

// commandLines returns the lines of code, and the code in sentences, that run gateway.
func commandLines(text string) (lines []string) {
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		code := regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(line, -1)
		if strings.HasPrefix(line, "    ") {
			line, _, _ = strings.Cut(line, "    #")
			line, _, _ = strings.Cut(line, " # ")
			code = [][]string{{"", strings.TrimSpace(line)}}
		}
		for _, c := range code {
			if strings.HasPrefix(c[1], "gateway ") {
				lines = append(lines, c[1])
			}
		}
	}
	return lines
}

// Every key in an example of a configuration exists, in its section.
func TestKeysInDocumentsExist(t *testing.T) {
	known := keys(config.Example)
	found := 0
	for name, text := range documents(t) {
		for block := range strings.SplitSeq(text, "\n\n") {
			if !strings.HasPrefix(strings.TrimLeft(block, " \n"), "[") {
				continue
			}
			for key := range keys(block) {
				if found++; !known[key] {
					t.Errorf("%s: the example configuration has no %s", name, key)
				}
			}
		}
	}
	if found < 15 {
		t.Errorf("found %d keys in the documents, want at least 15", found)
	}
}

// keys returns the keys of a configuration, with their sections. A key may be commented out.
// Sections with a capital letter are of WireGuard's own files.
func keys(text string) map[string]bool {
	all := make(map[string]bool)
	section := ""
	for line := range strings.Lines(text) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "#")
		if header := regexp.MustCompile(`^\[+([A-Za-z0-9_.]+)\]`).FindStringSubmatch(line); header != nil {
			section = header[1]
		} else if key := regexp.MustCompile(`^([a-z0-9_.]+) +=`).FindStringSubmatch(line); key != nil && section != "" && section == strings.ToLower(section) {
			all[section+"."+key[1]] = true
		}
	}
	return all
}

// documents returns the documents for operators, by name.
func documents(t *testing.T) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, pattern := range []string{"../../*.md", "../../docs/*.md", "../../bench/*.md"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			text, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			all[name] = string(text)
		}
	}
	if len(all) < 5 {
		t.Fatalf("found %d documents", len(all))
	}
	return all
}
