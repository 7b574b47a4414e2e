package config

import (
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/pelletier/go-toml/v2"
)

// uncommented is the example with all of its keys live.
func uncommented() string {
	return regexp.MustCompile(`(?m)^#([a-z0-9_]+ = |\[)`).ReplaceAllString(Example, "$1")
}

func TestExampleIsAValidFile(t *testing.T) {
	if _, err := Parse("gateway.example.toml", []byte(Example)); err != nil {
		t.Fatal(err)
	}
}

func TestExampleShowsTheDefaults(t *testing.T) {
	short, long := parse(t, Example), parse(t, uncommented())
	ignore := cmpopts.IgnoreFields(Config{}, "Instances") // has no default
	if d := cmp.Diff(short, long, addresses, ignore, cmpopts.EquateEmpty()); d != "" {
		t.Errorf("a commented key is not the default (-default +example):\n%s", d)
	}
}

func TestExampleShowsTheDerivedInstanceID(t *testing.T) {
	given := parse(t, uncommented())
	derived := parse(t, regexp.MustCompile(`(?m)^instance_id = .*$`).ReplaceAllString(uncommented(), ""))
	if d := cmp.Diff(derived.Instances, given.Instances, addresses); d != "" || len(given.Instances) != 1 {
		t.Errorf("-derived +example:\n%s", d)
	}
}

func TestExampleHasEveryKeyAndNoOther(t *testing.T) {
	var tree map[string]any
	if err := toml.Unmarshal([]byte(uncommented()), &tree); err != nil {
		t.Fatal(err)
	}
	inExample := keysOf(tree, "")
	inConfig := fieldsOf(reflect.TypeFor[Config](), "")
	slices.Sort(inExample)
	slices.Sort(inConfig)
	if d := cmp.Diff(inConfig, inExample); d != "" {
		t.Errorf("-Config +gateway.example.toml:\n%s", d)
	}
}

// keysOf is the full names of the values in a decoded file.
func keysOf(tree map[string]any, path string) (keys []string) {
	for k, v := range tree {
		switch v := v.(type) {
		case map[string]any:
			keys = append(keys, keysOf(v, path+k+".")...)
		case []any:
			if len(v) > 0 {
				if t, ok := v[0].(map[string]any); ok {
					keys = append(keys, keysOf(t, path+k+".")...)
					continue
				}
			}
			keys = append(keys, path+k)
		default:
			keys = append(keys, path+k)
		}
	}
	return keys
}

// fieldsOf is the full names of the keys that a struct holds, by its tags.
func fieldsOf(s reflect.Type, path string) (keys []string) {
	for f := range s.Fields() {
		tag := f.Tag.Get("toml")
		t := f.Type
		if f.Anonymous { // its keys are the struct's own
			keys = append(keys, fieldsOf(t, path)...)
			continue
		}
		if t.Kind() == reflect.Slice {
			t = t.Elem()
		}
		if t.Kind() == reflect.Struct && strings.Contains(describe(t), "toml:") {
			keys = append(keys, fieldsOf(t, path+tag+".")...)
			continue
		}
		keys = append(keys, path+tag)
	}
	return keys
}

// describe is the tags of a struct's fields in one string.
func describe(s reflect.Type) (tags string) {
	for f := range s.Fields() {
		tags += string(f.Tag)
	}
	return tags
}
