package caa

import (
	"fmt"
	"slices"
	"strings"
)

// Record is a CAA record.
type Record struct {
	Name  string // with a dot at its end
	Flags uint8
	Tag   string
	Value string
}

// String is the record as a zone file has it, without a TTL.
func (r Record) String() string {
	value := strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(r.Value)
	return fmt.Sprintf(`%s IN CAA %d %s "%s"`, r.Name, r.Flags, r.Tag, value)
}

// Records are those that let one account of one authority issue for domain and its
// wildcards, by the given methods only. ca is one of its Identities. Records of
// several authorities can be joined: each permits for itself.
func Records(domain, ca, accountURI string, methods []string) ([]Record, error) {
	name, ok := domainName(domain)
	if !ok {
		return nil, fmt.Errorf("CAA records: %.80q is not a domain name", domain)
	}
	if accountURI == "" || len(methods) == 0 {
		return nil, fmt.Errorf("CAA records of %s: want an account URI and methods", name)
	}
	want := issuer{name: strings.ToLower(ca), parameters: []parameter{
		{"validationmethods", strings.Join(methods, ",")},
		{"accounturi", accountURI},
	}}
	// What does not come back the same cannot be written in a value.
	got, err := parseIssuer(want.String())
	if err != nil || got.name == "" || got.name != want.name || !slices.Equal(got.parameters, want.parameters) {
		return nil, fmt.Errorf("CAA records of %s: authority %.80q, account %.200q or methods %.80q cannot be written in a record", name, ca, accountURI, methods)
	}
	return []Record{
		{Name: name, Tag: tagIssue, Value: want.String()},
		{Name: name, Tag: tagIssueWild, Value: want.String()},
	}, nil
}
