package customdomain

import (
	"errors"
	"strings"
	"testing"
)

func TestRecordIsAnIDAndAPortAndNothingElse(t *testing.T) {
	id := "3327603e03f5bd1f830812ca4a789277fc31f577"
	for _, tc := range []struct {
		text, want string
		err        error
	}{
		{id + ":443", id + ":443", nil},
		{"ABCdef:1", "abcdef:1", nil},
		{"a:65535", "a:65535", nil},
		{strings.Repeat("a", 63) + ":80", strings.Repeat("a", 63) + ":80", nil},
		{"", "", errForm},
		{id, "", errForm},
		{"v=spf1 -all", "", errForm},
		{":443", "", errID},
		{"a-b:443", "", errID},
		{" a:443", "", errID},
		{"10.0.0.1:443", "", errID},
		{"[::1]:443", "", errID},
		{strings.Repeat("a", 64) + ":80", "", errID},
		{"a:", "", errPort},
		{"a:0", "", errPort},
		{"a:0443", "", errPort},
		{"a:+443", "", errPort},
		{"a:-1", "", errPort},
		{"a:65536", "", errPort},
		{"a:99999999999999999999", "", errPort},
		{"a:4_3", "", errPort},
		{"a:0x1", "", errPort},
		{"a:443 ", "", errPort},
		{"a:443:1", "", errPort},
		{"a:https", "", errPort},
	} {
		got, err := parseRecord(tc.text)
		if !errors.Is(err, tc.err) || err == nil && got.String() != tc.want || err != nil && got != (Target{}) {
			t.Errorf("%q: %v, %v; want %s, %v", tc.text, got, err, tc.want, tc.err)
		}
	}
}

func TestOfSeveralRecordsTheSmallestReadableCounts(t *testing.T) {
	for _, texts := range [][]string{
		{"b:1", "a:2", "!", "v=spf1"},
		{"v=spf1", "!", "a:2", "b:1"},
	} {
		if got, err := choose(texts); err != nil || got.String() != "a:2" {
			t.Errorf("%q: %v, %v", texts, got, err)
		}
	}
}

func TestQuotesAndBlanksAroundARecordDoNotCount(t *testing.T) {
	for _, text := range []string{" a:443", "a:443\n", "\"a:443\"", " \" a:443\t\"\u00a0", "a:443\""} {
		if got, err := choose([]string{text}); err != nil || got.String() != "a:443" {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"a: 443", "a :443", "a\":\"443", "\"", " "} {
		if got, err := choose([]string{text}); !errors.Is(err, ErrBroken) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
	// Which of several counts must not depend on how they are quoted.
	if got, err := choose([]string{"\"b:1\"", "a:2"}); err != nil || got.String() != "a:2" {
		t.Errorf("%v, %v", got, err)
	}
}

func TestRecordsOfWhichNoneIsReadableAreBroken(t *testing.T) {
	long := strings.Repeat("x", 4000) + "\x1b"
	_, err := choose([]string{"\x1b[31m", long})
	if !errors.Is(err, ErrBroken) || !strings.Contains(err.Error(), `"\x1b[31m"`) {
		t.Errorf("%v", err)
	}
	if _, err = choose([]string{long}); !errors.Is(err, ErrBroken) || len(err.Error()) > 200 {
		t.Errorf("%d bytes: %v", len(err.Error()), err)
	}
}

// FuzzRecord: a Target or an error, never both; and what is read is written again
// as it was, but for the case of the id.
func FuzzRecord(f *testing.F) {
	for _, s := range []string{"3327603e03f5bd1f830812ca4a789277fc31f577:443", "A:1", "a:0", "a", ":", "a:65536"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseRecord(text)
		switch {
		case err != nil && got != (Target{}):
			t.Errorf("%v and %v", got, err)
		case err == nil && (got.Port == 0 || got.String() != strings.ToLower(text)):
			t.Errorf("%q became %q", text, got)
		}
	})
}
