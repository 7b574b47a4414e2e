package verify

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"

	"sallyport/cmd/gateway/cli"
	"sallyport/ratls"
	"sallyport/ratls/pccs"
)

// What verify prints: every step in its order, what stays open, and at the end, where
// one looks, the verdict and what it proves.

// report is the outcome. Values and errors may quote hostile evidence.
type report struct {
	ratls.Report
	subject string
	open    []string // what is not proven, and why
	knownBy []string // which system runs there; none: it is not known
}

// Outcomes that have exit codes of their own. The report says why.
var (
	errUnproven  = cli.Reported("unproven", 3)
	errUndecided = cli.Reported("undecided", 4)
)

// outcome returns nil if every step holds and the system is known.
func (r *report) outcome() error {
	switch {
	case r.undecided():
		return errUndecided
	case r.Err != nil:
		return cli.ErrReported
	case len(r.knownBy) == 0:
		return errUnproven
	}
	return nil
}

// step adds a step to those of package ratls.
func (r *report) step(name, value string, err error) {
	r.Steps = append(r.Steps, ratls.Step{Name: name, Value: value, Err: err})
	if err != nil && r.Err == nil {
		r.Err = fmt.Errorf("%s: %w", name, err)
	}
}

// undecided reports whether the evidence could not be appraised.
func (r *report) undecided() bool { return errors.Is(r.Err, pccs.ErrUnavailable) }

// notApplied lists what was not reached after a step that does not hold.
func (r *report) notApplied() []string {
	ofPolicy := func(s ratls.Step) bool { return strings.HasPrefix(s.Name, "policy: ") }
	if r.Err == nil || slices.ContainsFunc(r.Steps, ofPolicy) {
		return nil
	}
	return []string{"policy: not applied, because what it is about is not proven"}
}

func (r *report) write(w io.Writer) {
	fmt.Fprintln(w, printable(r.subject))
	for _, s := range r.Steps {
		mark, words := "✓", s.Value
		if s.Err != nil {
			mark, words = "✗", strings.Replace(strings.TrimPrefix(said(s.Err), s.Name+": "), byPolicy, "refused: ", 1)
			if s.Value != "" && !strings.Contains(words, s.Value) {
				words = s.Value + ": " + words
			}
		}
		fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf("%s %-30s %s", mark, s.Name, printable(words)), " "))
	}
	for _, o := range append(r.open, r.notApplied()...) {
		name, why, _ := strings.Cut(o, ": ")
		fmt.Fprintf(w, "– %-30s %s\n", name, why)
	}
	r.writeVerdict(w)
}

func (r *report) writeVerdict(w io.Writer) {
	if r.Err != nil {
		word, failed := "REFUSED", 0
		if r.undecided() {
			word = "UNDECIDED"
		}
		for _, s := range r.Steps {
			if s.Err != nil {
				failed++
			}
		}
		text := printable(said(r.Err))
		if why, ok := strings.CutPrefix(text, byPolicy); ok {
			word, text = word+" by policy", why
		}
		fmt.Fprintf(w, "\n%s: %s", word, text)
		if failed > 1 {
			fmt.Fprintf(w, "; %d steps fail in total", failed)
		}
		fmt.Fprintln(w)
		if r.undecided() {
			fmt.Fprintln(w, "  A verdict needs Intel's collateral for this platform and time. It is fetched from Intel or from the\n"+
				"  pccs of --policy, or read from the file of --collateral.")
		}
		return
	}
	v := r.Verdict
	if r.outcome() == nil {
		fmt.Fprintf(w, "\nVERIFIED: %s, good until %s, system known by %s\n", v.TCB.Status, v.Expires.UTC().Format(time.RFC3339), strings.Join(r.knownBy, " and "))
	} else {
		fmt.Fprintf(w, "\nUNPROVEN: the hardware is genuine (%s, good until %s), but nothing that was checked identifies the\n"+
			"  system, and any system can claim what follows. Name the system by the KMS's root (--root), its measurements\n"+
			"  (--measurement), or a policy that lists mrtd, rtmr1 and rtmr2 (--policy).\n", v.TCB.Status, v.Expires.UTC().Format(time.RFC3339))
	}
	rows := []struct{ name, value string }{
		{"app", v.AppInfo.AppID.String()},
		{"instance", v.AppInfo.InstanceID.String()},
		{"compose hash", v.AppInfo.ComposeHash.String()},
		{"key provider", v.KeyProvider.String()},
		{"OS image", v.OSImage.String()},
		{"… its host says", v.AppInfo.OSImageHash.String()},
		{"device", v.AppInfo.DeviceID.String()},
		{"advisories", strings.Join(v.TCB.Advisories, ", ")},
	}
	for _, m := range measured(v) {
		rows = append(rows, struct{ name, value string }{strings.ToUpper(m.name), m.value})
	}
	rows = append(rows, struct{ name, value string }{"report data", fmt.Sprintf("%x", v.TD.ReportData)})
	for _, row := range rows {
		if row.value == "" {
			row.value = "none"
		}
		fmt.Fprintf(w, "  %-15s %s\n", row.name, printable(row.value))
	}
}

// byPolicy begins the error of a policy that refuses.
const byPolicy = "refused by policy: "

// said returns an error's text without repetitions: the name of a step in which the package
// of that name failed, and that of the policy's step in which the policy refuses.
func said(err error) string {
	text := err.Error()
	if _, why, ok := strings.Cut(text, byPolicy); ok {
		return byPolicy + why
	}
	if name, rest, ok := strings.Cut(text, ": "); ok && strings.HasPrefix(rest, name+": ") {
		return rest
	}
	return text
}

type measurement struct{ name, value string }

func measured(v *ratls.Verdict) []measurement {
	list := []measurement{{"mrtd", fmt.Sprintf("%x", v.TD.MRTD)}}
	for i, r := range v.TD.RTMR {
		list = append(list, measurement{fmt.Sprintf("rtmr%d", i), fmt.Sprintf("%x", r)})
	}
	return list
}

// printable is text for a terminal, which is not to be steered by evidence.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
}

// The report in JSON. Its members are for scripts: they may be added to, not changed.
type (
	jsonStep struct {
		Name  string `json:"name"`
		Value string `json:"value,omitempty"`
		OK    bool   `json:"ok"`
		Error string `json:"error,omitempty"`
	}
	jsonVerdict struct {
		Status       string            `json:"tcb_status"`
		Advisories   []string          `json:"advisories"`
		Evaluation   uint32            `json:"tcb_evaluation_data_number"`
		Expires      time.Time         `json:"expires"`
		AppInfo      ratls.AppInfo     `json:"app_info"`
		OSImage      string            `json:"os_image"`
		KeyProvider  string            `json:"key_provider"`
		Measurements map[string]string `json:"measurements"`
		ReportData   string            `json:"report_data"`
	}
	jsonReport struct {
		Subject   string       `json:"subject"`
		Verified  bool         `json:"verified"`
		Undecided bool         `json:"undecided,omitempty"` // not verified, and not refused
		Unproven  bool         `json:"unproven,omitempty"`  // not verified, though every step holds
		KnownBy   []string     `json:"system_known_by"`
		Error     string       `json:"error,omitempty"`
		Steps     []jsonStep   `json:"steps"`
		Open      []string     `json:"not_checked"`
		Verdict   *jsonVerdict `json:"verdict,omitempty"` // of the evidence, if that is verified
	}
)

func (r *report) writeJSON(w io.Writer) error {
	doc := jsonReport{
		Subject: r.subject, Verified: r.outcome() == nil, Undecided: r.undecided(),
		Unproven: errors.Is(r.outcome(), errUnproven), KnownBy: append([]string{}, r.knownBy...),
		Steps: []jsonStep{}, Open: append(append([]string{}, r.open...), r.notApplied()...),
	}
	if r.Err != nil {
		doc.Error = said(r.Err)
	}
	for _, s := range r.Steps {
		out := jsonStep{Name: s.Name, Value: s.Value, OK: s.Err == nil}
		if s.Err != nil {
			out.Error = s.Err.Error()
		}
		doc.Steps = append(doc.Steps, out)
	}
	if v := r.Verdict; v != nil {
		doc.Verdict = &jsonVerdict{
			Status: v.TCB.Status.String(), Advisories: append([]string{}, v.TCB.Advisories...), Evaluation: v.TCB.EvaluationNumber,
			Expires: v.Expires, AppInfo: v.AppInfo, OSImage: v.OSImage.String(), KeyProvider: v.KeyProvider.String(),
			Measurements: map[string]string{}, ReportData: fmt.Sprintf("%x", v.TD.ReportData),
		}
		for _, m := range measured(v) {
			doc.Verdict.Measurements[m.name] = m.value
		}
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(doc)
}
