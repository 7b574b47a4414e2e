package caa

import (
	"errors"
	"fmt"
	"strings"
)

// The value of issue and issuewild (RFC 8659, 4.2):
//
//	value       = *(%x21-3A / %x3C-7E)
//	parameter   = tag *WSP "=" *WSP value
//	parameters  = parameter / (parameter *WSP ";" *WSP parameters)
//	issue-value = *WSP [issuer-domain-name *WSP] [";" *WSP [parameters *WSP]]

// maxValue bounds a value, in bytes. Two parameters with the longest account URI in
// use have about 200.
const maxValue = 2048

// issuer is a parsed value: the authority that may issue, and the conditions. Without a
// name, no authority may.
type issuer struct {
	name       string // in lower case
	parameters []parameter
}

type parameter struct{ tag, value string } // the tag in lower case

// parseIssuer parses the value of issue or issuewild. An authority that cannot
// parse one must take it as if it permitted none.
func parseIssuer(text string) (issuer, error) {
	if len(text) > maxValue {
		return issuer{}, fmt.Errorf("has %d bytes: want at most %d", len(text), maxValue)
	}
	name, rest, found := strings.Cut(text, ";")
	i := issuer{name: strings.ToLower(trim(name))}
	if i.name != "" {
		for label := range strings.SplitSeq(i.name, ".") {
			if !isLabel(label) {
				return issuer{}, fmt.Errorf("%.80q is not the domain name of an authority", i.name)
			}
		}
	}
	if rest = trim(rest); !found || rest == "" {
		return i, nil
	}
	for text := range strings.SplitSeq(rest, ";") {
		p, err := parseParameter(text)
		if err != nil {
			return issuer{}, err
		}
		i.parameters = append(i.parameters, p)
	}
	return i, nil
}

func parseParameter(text string) (parameter, error) {
	if trim(text) == "" {
		return parameter{}, errors.New("an empty parameter: there is one ';' too many")
	}
	tag, value, found := strings.Cut(text, "=")
	tag, value = strings.ToLower(trim(tag)), trim(value)
	if !found || !isLabel(tag) {
		return parameter{}, fmt.Errorf("%.80q is not a parameter: want tag=value", trim(text))
	}
	for _, c := range []byte(value) {
		if c <= ' ' || c > '~' {
			return parameter{}, fmt.Errorf("parameter %s: its value has a space, or a character that is not printable ASCII", tag)
		}
	}
	return parameter{tag, value}, nil
}

// get is the value of a parameter and how often it is given.
func (i issuer) get(tag string) (value string, n int) {
	for _, p := range i.parameters {
		if p.tag == tag {
			value = p.value
			n++
		}
	}
	return value, n
}

// String is the value in the form that has no white space. Parsing it gives i.
func (i issuer) String() string {
	parts := []string{i.name}
	for _, p := range i.parameters {
		parts = append(parts, p.tag+"="+p.value)
	}
	if len(parts) == 1 && i.name == "" {
		return ";"
	}
	return strings.Join(parts, ";")
}

// trim removes WSP: spaces and tabs, no other white space.
func trim(s string) string { return strings.Trim(s, " \t") }

// isLabel reports whether s is letters and digits in lower case with hyphens between.
func isLabel(s string) bool {
	if s == "" || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}
