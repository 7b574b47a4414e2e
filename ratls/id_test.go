package ratls

import (
	"strings"
	"testing"
)

func TestIDsSurviveTheirText(t *testing.T) {
	if got, err := ParseAppID(strings.ToUpper(testApp.String())); err != nil || got != testApp {
		t.Errorf("%v, %v, want %v", got, err, testApp)
	}
	if got, err := ParseInstanceID(testInstance.String()); err != nil || got != testInstance {
		t.Errorf("%v, %v, want %v", got, err, testInstance)
	}
	hash := Hash{1, 31: 255}
	if got, err := ParseHash(hash.String()); err != nil || got != hash {
		t.Errorf("%v, %v, want %v", got, err, hash)
	}
}

func TestBadIDIsRefused(t *testing.T) {
	for s, want := range map[string]string{
		"":                             "0 characters, want 40 hex digits",
		strings.Repeat("a", 39):        "39 characters, want 40 hex digits",
		strings.Repeat("a", 42):        "42 characters, want 40 hex digits",
		"0x" + strings.Repeat("a", 38): "not hex",
		strings.Repeat("a", 39) + "g":  "not hex",
		strings.Repeat("0", 40):        "all zero",
	} {
		app, err := ParseAppID(s)
		if !app.IsZero() {
			t.Errorf("%q is %v", s, app)
		}
		wantError(t, err, "app id: "+want)
		instance, err := ParseInstanceID(s)
		if !instance.IsZero() {
			t.Errorf("%q is %v", s, instance)
		}
		wantError(t, err, "instance id: "+want)
	}
	hash, err := ParseHash(strings.Repeat("f", 63) + "x")
	if !hash.IsZero() {
		t.Errorf("%v", hash)
	}
	wantError(t, err, "hash: not hex")
}
