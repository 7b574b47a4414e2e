package verify

import (
	"context"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sallyport/cmd/gateway/cli"
	"sallyport/ratls"
	"sallyport/rpc"
)

// How verify knows which system runs in a CVM. That system says which app and instance it
// is, so a report without any of these proves genuine hardware and no more:
//
//	--policy       its allow file lists the measurements of systems
//	--measurement  a system that it must be
//	--root         a KMS, which appraises a system before it issues a certificate

// systemFlags are --root and --measurement.
type systemFlags struct {
	root         string
	measurements []string
}

// wantedSystem is what they say.
type wantedSystem struct {
	rootFile     string
	roots        *x509.CertPool // nil: none
	measurements []ratls.Measurement
}

func (f *systemFlags) read() (w wantedSystem, err error) {
	for _, text := range f.measurements {
		m, err := parseMeasurement(text)
		if err != nil {
			return w, cli.Usage(fmt.Errorf("--measurement: %w", err))
		}
		w.measurements = append(w.measurements, m)
	}
	if w.rootFile = f.root; f.root != "" {
		if w.roots, err = rpc.ReadRoots(f.root); err != nil {
			return w, fmt.Errorf("--root: %w", err)
		}
	}
	return w, nil
}

// parseMeasurement reads such as mrtd=…,rtmr0=…,rtmr1=…,rtmr2=…, of which rtmr0 may be left out.
func parseMeasurement(text string) (m ratls.Measurement, err error) {
	registers := map[string]**[48]byte{"mrtd": &m.MRTD, "rtmr0": &m.RTMR0, "rtmr1": &m.RTMR1, "rtmr2": &m.RTMR2}
	for part := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		name = strings.ToLower(name)
		at := registers[name]
		if at == nil {
			return m, fmt.Errorf("%.20q: want mrtd=HEX,rtmr0=HEX,rtmr1=HEX,rtmr2=HEX, each once", part)
		}
		delete(registers, name)
		raw, err := hex.DecodeString(value)
		if err != nil || len(raw) != 48 {
			return m, fmt.Errorf("%s: want 96 hex digits", name)
		}
		*at = (*[48]byte)(raw)
	}
	if !m.NamesSystem() {
		return m, errors.New("mrtd, rtmr1 and rtmr2 are needed: without one of them any system may run")
	}
	return m, nil
}

// know adds the steps about the system, and notes what it is known by.
func (s *subject) know(ctx context.Context, v *ratls.Verifier, want wantedSystem, r *report) {
	if r.Verdict.SystemKnown {
		r.knownBy = append(r.knownBy, "policy")
	}
	if list := want.measurements; len(list) > 0 {
		td := &r.Verdict.TD
		var err error
		if !slices.ContainsFunc(list, func(m ratls.Measurement) bool { return m.Matches(td) }) {
			err = errors.New("has other measurements than those of --measurement")
		}
		r.known("measurement", "system is the one asked for", "by measurement", err)
	}
	if want.roots != nil {
		r.known("root", "issuer is the one asked for", want.rootFile, s.checkIssuer(ctx, v, want.roots))
	}
	if len(r.knownBy) == 0 {
		r.open = append(r.open, "system: any is accepted, because none is named; the app is only as certain as the system that names it")
	}
}

// checkIssuer holds the certificate against the root of a KMS.
func (s *subject) checkIssuer(ctx context.Context, v *ratls.Verifier, roots *x509.CertPool) error {
	switch {
	case s.certificate == nil:
		return errors.New("there is no certificate that a KMS could have issued: name the system by --measurement")
	case s.published:
		return errors.New("its certificate is from a public CA, which verifies no hardware: name the system by --measurement")
	}
	_, err := v.AppraisePeer(ctx, append([]*x509.Certificate{s.certificate}, s.above...), ratls.Peer{Roots: roots})
	return err
}

// known adds a step by which the system is known, if it holds.
func (r *report) known(by, name, value string, err error) {
	r.step(name, value, err)
	if err == nil {
		r.knownBy = append(r.knownBy, by)
	}
}
