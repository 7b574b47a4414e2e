package pccs

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

var signature = strings.Repeat("0a", signatureSize)

func TestSignedDocumentIsCutOutAsServed(t *testing.T) {
	for body, want := range map[string]string{
		`{"tcbInfo":{},"signature":"` + signature + `"}`:                                      `{}`,
		`{"signature":"` + signature + `","tcbInfo":{"b" : 1,"a":[ 2]}}`:                      `{"b" : 1,"a":[ 2]}`,
		" {\n\"tcbInfo\" :\t{\"x\":\"\\u003c<\xff}\" } ,\"signature\":\"" + signature + `"} `: "{\"x\":\"\\u003c<\xff}\" }",
		`{"tcbInfo":{"n":1.0e0,"n":01e0},"signature":"` + strings.ToUpper(signature) + `"}`:   "",
		`{"tcbInfo":{"n":1.0e0,"n":10},"signature":"` + strings.ToUpper(signature) + `"}`:     `{"n":1.0e0,"n":10}`,
	} {
		document, sig, err := parseSigned([]byte(body), "tcbInfo")
		if string(document) != want || (err == nil) != (hex.EncodeToString(sig) == signature) {
			t.Errorf("%q: %q, %x, %v", body, document, sig, err)
		}
	}
}

func TestAmbiguousAnswerIsRefused(t *testing.T) {
	for _, body := range []string{
		``, `{`, `[]`, `null`, `{}`, `"x"`, `{"tcbInfo":{}}`, `{"signature":"` + signature + `"}`,
		`{"tcbInfo":{},"signature":"` + signature + `"`,
		`{"tcbInfo":{},"signature":"` + signature + `"}x`,
		`{"tcbInfo":{},"signature":"` + signature + `"}{}`,
		`{"tcbInfo":{},"tcbInfo":{"a":1},"signature":"` + signature + `"}`,
		`{"tcbInfo":{},"signature":"` + signature + `","signature":"` + signature + `"}`,
		`{"tcbInfo":{},"TCBInfo":{},"signature":"` + signature + `"}`,
		`{"tcbinfo":{},"signature":"` + signature + `"}`,
		`{"tcbInfo":{},"signature":"` + signature + `","other":1}`,
		`{"tcbInfo":"{}","signature":"` + signature + `"}`,
		`{"tcbInfo":null,"signature":"` + signature + `"}`,
		`{"tcbInfo":{},"signature":null}`,
		`{"tcbInfo":{},"signature":"` + signature[2:] + `"}`,
		`{"tcbInfo":{},"signature":"` + signature + `00"}`,
		`{"tcbInfo":{},"signature":"x` + signature[1:] + `"}`,
		`{"tcbInfo":{},"signature":["` + signature + `"]}`,
		`{"tcbInfo":{"a":` + strings.Repeat("[", 1<<16) + `},"signature":"` + signature + `"}`,
	} {
		if document, sig, err := parseSigned([]byte(body), "tcbInfo"); err == nil || document != nil || sig != nil {
			t.Errorf("%.80q: %q, %x", body, document, sig)
		}
	}
}

func TestIssuerChainIsInOneHeader(t *testing.T) {
	const pem = "-----BEGIN CERTIFICATE-----\nA+/=\n-----END CERTIFICATE-----\n"
	escaped := url.PathEscape(pem)
	for _, x := range []struct {
		h    http.Header
		want string
	}{
		{http.Header{"B": {escaped}}, pem},
		{http.Header{"A": {escaped}}, pem},
		{http.Header{"A": {escaped}, "B": {"other"}}, pem},
		{http.Header{"A": {strings.ReplaceAll(escaped, "%2B", "+")}}, pem},
		{http.Header{"C": {escaped}}, ""},
		{http.Header{"A": {escaped, escaped}}, ""},
		{http.Header{"A": {"%"}}, ""},
		{nil, ""},
	} {
		if got, err := parseChain(x.h, "a", "b"); string(got) != x.want || (err == nil) == (x.want == "") {
			t.Errorf("%v: %q, %v", x.h, got, err)
		}
	}
}

func TestCRLIsDERorHex(t *testing.T) {
	for body, want := range map[string]string{
		"\x30\x03abc":  "\x30\x03abc",
		"3003616263":   "\x30\x03abc",
		"3003616263\n": "\x30\x03abc",
		"30F0":         "\x30\xf0",
		"30f0":         "\x30\xf0",
		"":             "",
		" \n":          "",
		"300":          "",
		"<html>":       "",
	} {
		if got, err := parseCRL([]byte(body)); string(got) != want || (err == nil) == (want == "") {
			t.Errorf("%q: %q, %v", body, got, err)
		}
	}
}

func FuzzSigned(f *testing.F) {
	f.Add([]byte(`{"tcbInfo":{"a":[1]},"signature":"` + signature + `"}`))
	f.Add([]byte(`{"signature":"` + signature + `", "tcbInfo" : {}} `))
	f.Fuzz(func(t *testing.T, body []byte) {
		document, sig, err := parseSigned(body, "tcbInfo")
		if err != nil {
			if document != nil || sig != nil {
				t.Errorf("%q, %x with %v", document, sig, err)
			}
			return
		}
		if !bytes.Contains(body, document) || len(sig) != signatureSize || !json.Valid(document) {
			t.Errorf("%q, %x", document, sig)
		}
		// Whoever reads the answer loosely sees the same document.
		var loose map[string]json.RawMessage
		if err := json.Unmarshal(body, &loose); err != nil || !bytes.Equal(loose["tcbInfo"], document) {
			t.Errorf("%q, otherwise %q, %v", document, loose["tcbInfo"], err)
		}
	})
}

func FuzzPlatform(f *testing.F) {
	f.Add("90C06F000000-platform")
	f.Fuzz(func(t *testing.T, s string) {
		if p, ok := parsePlatform(s); ok && p.String() != s || !ok && p != (Platform{}) {
			t.Errorf("%q: %s, %v", s, p, ok)
		}
	})
}
