package qvl

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"sallyport/internal/gwtest/tdxpki"
)

// edit returns a document with the value at a path such as tcbLevels.0.tcbDate
// replaced; a nil value takes the member out.
func edit(t *testing.T, doc []byte, path string, value any) []byte {
	t.Helper()
	var root any
	if err := json.Unmarshal(doc, &root); err != nil {
		t.Fatal(err)
	}
	names := strings.Split(path, ".")
	at := root
	for _, name := range names[:len(names)-1] {
		if i, err := strconv.Atoi(name); err == nil {
			at = at.([]any)[i]
			continue
		}
		at = at.(map[string]any)[name]
	}
	last := names[len(names)-1]
	switch at := at.(type) {
	case []any:
		i, err := strconv.Atoi(last)
		if err != nil {
			t.Fatal(err)
		}
		at[i] = value
	case map[string]any:
		if _, ok := at[last]; !ok && value == nil {
			t.Fatalf("no member %s to take out", path)
		}
		if at[last] = value; value == nil {
			delete(at, last)
		}
	}
	out, err := json.Marshal(root)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// An editing is one value that a document must not have, and words of the refusal.
type editing struct {
	path  string
	value any
	words string
}

func checkEditings(t *testing.T, doc []byte, parse func([]byte) error, list []editing) {
	t.Helper()
	if err := parse(doc); err != nil {
		t.Fatal(err)
	}
	if err := parse(edit(t, doc, "somethingNew", map[string]any{"a": 1})); err != nil {
		t.Errorf("unknown member: %v", err)
	}
	for _, e := range list {
		if err := parse(edit(t, doc, e.path, e.value)); err == nil || !strings.Contains(err.Error(), e.words) {
			t.Errorf("%s = %.80v: %v, want %q", e.path, e.value, err, e.words)
		}
	}
}

func many(n int, v any) []any {
	list := make([]any, n)
	for i := range list {
		list[i] = v
	}
	return list
}

func TestTCBInfoThatIsNotUnderstoodIsRefused(t *testing.T) {
	doc := newWorld().docs.Sign().TCBInfo
	parse := func(b []byte) error { _, err := parseTCBInfo(b); return err }
	checkEditings(t, doc, parse, []editing{
		{"id", "SGX", "want TDX"},
		{"id", nil, "want TDX"},
		{"version", 2, "want 3"},
		{"version", 4, "want 3"},
		{"version", "3", "version"},
		{"tcbType", 1, "tcbType"},
		{"tcbType", nil, "tcbType"},
		{"issueDate", nil, "issueDate"},
		{"issueDate", "2026-02-18", "issueDate"},
		{"nextUpdate", "never", "nextUpdate"},
		{"fmspc", "90C06F0000", "want 12 hex digits"},
		{"fmspc", "90C06F00000g", "not hex"},
		{"fmspc", nil, "fmspc"},
		{"pceId", "00", "pceId"},
		{"tcbEvaluationDataNumber", nil, "tcbEvaluationDataNumber"},
		{"tcbEvaluationDataNumber", -1, "tcbEvaluationDataNumber"},
		{"tdxModule", nil, "no tdxModule"},
		{"tdxModule.mrsigner", "00", "mrsigner"},
		{"tdxModule.attributes", nil, "attributes"},
		{"tdxModule.attributesMask", "FF", "attributesMask"},
		{"tdxModuleIdentities.1.id", "tdx_03", "appears twice"},
		{"tdxModuleIdentities.0.mrsigner", nil, "mrsigner"},
		{"tdxModuleIdentities.0.tcbLevels", nil, "0 TCB levels"},
		{"tdxModuleIdentities.0.tcbLevels.0.tcb", map[string]any{}, "no isvsvn"},
		{"tdxModuleIdentities.0.tcbLevels.0.tcb.isvsvn", 6, "two TCB levels for isvsvn 6"},
		{"tdxModuleIdentities.0.tcbLevels.0.tcb.isvsvn", 65536, "isvsvn"},
		{"tdxModuleIdentities", many(maxIdentities+1, map[string]any{}), "TDX module identities, more than"},
		{"tcbLevels", []any{}, "0 TCB levels"},
		{"tcbLevels", many(maxLevels+1, map[string]any{}), "TCB levels, want"},
		{"tcbLevels.0.tcbStatus", "Fine", "unknown status"},
		{"tcbLevels.0.tcbStatus", nil, "unknown status"},
		{"tcbLevels.0.tcbDate", "yesterday", "tcbDate"},
		{"tcbLevels.0.tcb.pcesvn", nil, "no pcesvn"},
		{"tcbLevels.0.tcb.sgxtcbcomponents", many(15, map[string]any{"svn": 1}), "15, want 16"},
		{"tcbLevels.0.tcb.sgxtcbcomponents", many(17, map[string]any{"svn": 1}), "17, want 16"},
		{"tcbLevels.0.tcb.sgxtcbcomponents.3", map[string]any{}, "component 3 has no svn"},
		{"tcbLevels.0.tcb.sgxtcbcomponents.3.svn", 256, "svn"},
		{"tcbLevels.0.tcb.tdxtcbcomponents", nil, "tdxtcbcomponents: 0, want 16"},
		{"tcbLevels.1.advisoryIDs.0", "INTEL\x1b[31m", "advisory"},
		{"tcbLevels.1.advisoryIDs.0", "", "advisory"},
		{"tcbLevels.1.advisoryIDs.0", strings.Repeat("A", maxAdvisory+1), "advisory"},
		{"tcbLevels.1.advisoryIDs", many(maxAdvisories+1, "A"), "advisories, more than"},
	})
	w := newWorld()
	w.docs.TCBInfo.TCBLevels = append(w.docs.TCBInfo.TCBLevels, w.docs.TCBInfo.TCBLevels[0])
	if err := parse(w.docs.Sign().TCBInfo); err == nil || !strings.Contains(err.Error(), "same versions") {
		t.Errorf("two levels for the same versions: %v", err)
	}
}

func TestQEIdentityThatIsNotUnderstoodIsRefused(t *testing.T) {
	doc := newWorld().docs.Sign().QEIdentity
	parse := func(b []byte) error { _, err := parseQEIdentity(b); return err }
	checkEditings(t, doc, parse, []editing{
		{"id", "QE", "want TD_QE"},
		{"version", 1, "want 2 or 3"},
		{"version", 4, "want 2 or 3"},
		{"issueDate", nil, "issueDate"},
		{"nextUpdate", nil, "nextUpdate"},
		{"tcbEvaluationDataNumber", nil, "tcbEvaluationDataNumber"},
		{"miscselect", "0000", "miscselect"},
		{"miscselectMask", nil, "miscselectMask"},
		{"attributes", "11", "attributes"},
		{"attributesMask", nil, "attributesMask"},
		{"mrsigner", strings.Repeat("00", 31), "mrsigner"},
		{"isvprodid", nil, "isvprodid"},
		{"isvprodid", 65536, "isvprodid"},
		{"tcbLevels", nil, "0 TCB levels"},
		{"tcbLevels.0.tcb.isvsvn", nil, "no isvsvn"},
		{"tcbLevels.0.tcbStatus", "", "unknown status"},
	})
}

func TestCollateralFileThatIsNotWholeIsRefused(t *testing.T) {
	file := newWorld().docs.Sign().File()
	parse := func(b []byte) error { _, err := ParseCollateral(b); return err }
	list := []editing{{"root_ca_crl", "30z0", "not hex"}, {"pck_crl", []any{1}, "pck_crl"}}
	for _, name := range []string{
		"pck_crl_issuer_chain", "root_ca_crl", "pck_crl", "tcb_info_issuer_chain", "tcb_info", "tcb_info_signature",
		"qe_identity_issuer_chain", "qe_identity", "qe_identity_signature",
	} {
		list = append(list, editing{name, nil, name + ": missing"}, editing{name, "", name + ": missing"})
	}
	checkEditings(t, file, parse, list)
}

func TestCollateralFileIsReadAsItWasWritten(t *testing.T) {
	want := newWorld().collateral()
	file, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	byValue, err := json.Marshal(*want)
	if err != nil {
		t.Fatal(err)
	}
	for name, f := range map[string][]byte{"ours": file, "ours by value": byValue, "of the world": newWorld().docs.Sign().File()} {
		got, err := ParseCollateral(f)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if fmt.Sprintf("%x", *got) != fmt.Sprintf("%x", *want) {
			t.Errorf("%s: another collateral", name)
		}
	}
	want.TCBInfo = []byte("\xff")
	if f, err := json.Marshal(want); err == nil {
		t.Errorf("what is not UTF-8 is written as %s", f)
	}
}

func TestAmbiguousJSONIsRefused(t *testing.T) {
	for doc, words := range map[string]string{
		`{"a":1,"a":1}`:                   "twice",
		`{"a":1,"A":1}`:                   "twice",
		`{"s":1,"ſ":1}`:                   "twice",
		`[{"x":{"k":1,"b":2,"K":3}}]`:     "twice", // U+212A, the Kelvin sign
		`{"a":1}{}`:                       "more than one",
		`{"a":1} x`:                       "more than one",
		"{\"a\":\"\xff\"}":                "UTF-8",
		``:                                "EOF",
		`{"a":`:                           "EOF",
		strings.Repeat("[", maxDepth+1):   "nested",
		strings.Repeat(`{"a":`, 20) + "1": "nested",
		"[1" + strings.Repeat(",1", maxMembers) + "]": "members",
	} {
		var v any
		if err := unmarshal([]byte(doc), 1<<16, &v); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%.40s: %v, want %q", doc, err, words)
		}
	}
	var v any
	if err := unmarshal([]byte(`{"a":[{"a":1},{"a":2}],"b":null}`), 1<<16, &v); err != nil {
		t.Error(err)
	}
}

func TestLongInputIsRefused(t *testing.T) {
	checkBreaches(t, []breach{
		{"TCB info", "TCB info signature; TCB info", "", func(w *world) {
			w.changeDocs = func(d *tdxpki.Documents) { d.TCBInfo = append(d.TCBInfo, bytes.Repeat([]byte(" "), maxDocument)...) }
		}},
		{"CRL", "PCK CRL; PCK certificate revocation", "more than 1048576", func(w *world) {
			w.changeDocs = func(d *tdxpki.Documents) { d.PCKCRL = make([]byte, maxDocument+1) }
		}},
		{"chain", "TCB info issuer", "more than 32768", func(w *world) {
			w.changeDocs = func(d *tdxpki.Documents) { d.TCBInfoChain = make([]byte, maxChain+1) }
		}},
	})
	if _, err := ParseCollateral(make([]byte, MaxCollateral+1)); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("file: %v", err)
	}
}
