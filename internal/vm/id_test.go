package vm

import (
	"strings"
	"testing"
)

func TestIDsAreFoldedAndChecked(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"deadbeef", "deadbeef"},
		{"DeadBEEF01", "deadbeef01"},
		{"Z", "z"},
		{strings.Repeat("a", 63), strings.Repeat("a", 63)},
		{strings.Repeat("a", 64), ""},
		{"", ""},
		{"a-b", ""},
		{"a_b", ""},
		{"a.b", ""},
		{"é", ""},
		{"a\x00", ""},
	} {
		app, err := ParseAppID(c.in)
		if string(app) != c.want || (err == nil) != (c.want != "") {
			t.Errorf("ParseAppID(%q) = %q, %v, want %q", c.in, app, err, c.want)
		}
		inst, err := ParseInstanceID(c.in)
		if string(inst) != c.want || (err == nil) != (c.want != "") {
			t.Errorf("ParseInstanceID(%q) = %q, %v, want %q", c.in, inst, err, c.want)
		}
	}
}

func TestLabelsOfEqualTextAreEqual(t *testing.T) {
	long, _ := ParseLabel("aaaa")
	a, _ := ParseLabel([]byte("AB1"))
	b, _ := ParseLabel("ab1")
	if a != b || a == long || a.String() != "ab1" {
		t.Errorf("labels %v, %v and %v", a, b, long)
	}
}

func TestKeysAndHashesSurviveTheirText(t *testing.T) {
	key := WGKey{1, 2, 31: 255}
	if got, err := ParseWGKey(key.String()); err != nil || got != key {
		t.Errorf("ParseWGKey(%v) = %v, %v", key, got, err)
	}
	hash := ComposeHash{1, 2, 31: 255}
	if got, err := ParseComposeHash(strings.ToUpper(hash.String())); err != nil || got != hash {
		t.Errorf("ParseComposeHash(%v) = %v, %v", hash, got, err)
	}
	for _, s := range []string{"", "00", strings.Repeat("0", 66), strings.Repeat("x", 64)} {
		if got, err := ParseComposeHash(s); err == nil || !got.IsZero() {
			t.Errorf("ParseComposeHash(%q) = %v, want an error", s, got)
		}
	}
	for _, s := range []string{
		"", "AA==", strings.Repeat("A", 43) + "=", strings.Repeat("A", 44), // the all-zero key; 33 bytes
		strings.Repeat("A", 42) + "B=", // bits beyond the 32nd byte
	} {
		if got, err := ParseWGKey(s); err == nil || !got.IsZero() {
			t.Errorf("ParseWGKey(%q) = %v, want an error", s, got)
		}
	}
}
