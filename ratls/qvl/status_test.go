package qvl

import (
	"slices"
	"testing"

	"sallyport/internal/gwtest/tdxpki"
)

// statuses are all, from good to bad, with the SVN at which the world's platform,
// module and QE have them.
var statuses = []struct {
	Status
	svn byte
}{
	{UpToDate, tdxpki.SVNUpToDate},
	{SWHardeningNeeded, tdxpki.SVNSWHardeningNeeded},
	{ConfigurationNeeded, tdxpki.SVNConfigurationNeeded},
	{ConfigurationAndSWHardeningNeeded, tdxpki.SVNConfigurationAndSWHardeningNeeded},
	{OutOfDate, tdxpki.SVNOutOfDate},
	{OutOfDateConfigurationNeeded, tdxpki.SVNOutOfDateConfigurationNeeded},
	{Revoked, tdxpki.SVNRevoked},
}

// intel is the rule of Intel's library for the statuses of a module or a QE,
// written again from its two converge functions.
func intel(platform, part Status) Status {
	switch {
	case part == Revoked:
		return Revoked
	case part == OutOfDate && (platform == UpToDate || platform == SWHardeningNeeded):
		return OutOfDate
	case part == OutOfDate && (platform == ConfigurationNeeded || platform == ConfigurationAndSWHardeningNeeded):
		return OutOfDateConfigurationNeeded
	}
	return platform
}

func TestMergeIsIntels(t *testing.T) {
	for _, platform := range statuses {
		for _, part := range []Status{UpToDate, OutOfDate, Revoked} {
			if got, want := merge(platform.Status, part), intel(platform.Status, part); got != want {
				t.Errorf("%s and %s: %s, want %s", platform, part, got, want)
			}
		}
	}
}

func TestMergeIsNeverBetterThanAPart(t *testing.T) {
	for _, a := range statuses {
		if got := merge(a.Status, a.Status); got != a.Status {
			t.Errorf("%s with itself: %s", a, got)
		}
		if got := merge(a.Status, 0); got != Revoked {
			t.Errorf("%s with what was not judged: %s", a, got)
		}
		for _, b := range statuses {
			ab := merge(a.Status, b.Status)
			if ab < max(a.Status, b.Status) { // dcap-qvl's rule: the worse one
				t.Errorf("%s and %s: %s", a, b, ab)
			}
			if ba := merge(b.Status, a.Status); ba != ab {
				t.Errorf("%s and %s: %s, but %s the other way", a, b, ab, ba)
			}
			for _, c := range statuses {
				if x, y := merge(ab, c.Status), merge(a.Status, merge(b.Status, c.Status)); x != y {
					t.Errorf("%s, %s, %s: %s or %s", a, b, c, x, y)
				}
			}
		}
	}
}

// Each status of each part, alone: the whole has it too, with its date and advisories.
func TestStatusOfEachPartCounts(t *testing.T) {
	for _, s := range statuses {
		for part, set := range map[string]func(w *world) func(*Result) Level{
			"platform": func(w *world) func(*Result) Level {
				w.recertify(func(p *tdxpki.PCK) { p.Components[0] = s.svn })
				return func(r *Result) Level { return r.Platform }
			},
			"module": func(w *world) func(*Result) Level {
				w.quote.TD.TEETCBSVN[0] = s.svn
				return func(r *Result) Level { return r.Module }
			},
			"QE": func(w *world) func(*Result) Level {
				w.quote.QE.ISVSVN = uint16(s.svn)
				return func(r *Result) Level { return r.QE }
			},
		} {
			t.Run(part+" "+s.String(), func(t *testing.T) {
				w := newWorld()
				level := set(w)
				r, err := w.verify(t)
				if err != nil {
					t.Fatal(err)
				}
				l := level(r)
				if r.Status != s.Status || l.Status != s.Status || l.Date.IsZero() {
					t.Errorf("%s, part %s", r.Status, l)
				}
				if !slices.Equal(r.Advisories, l.Advisories) || (len(l.Advisories) == 0) != (s.Status == UpToDate) {
					t.Errorf("advisories %v, of the part %v", r.Advisories, l.Advisories)
				}
			})
		}
	}
}

// All pairs of platform and module: whatever the module is, a revoked platform is
// revoked, which is what other verifiers get wrong.
func TestStatusesOfPlatformAndModuleMerge(t *testing.T) {
	for _, platform := range statuses {
		for _, module := range statuses {
			w := newWorld()
			w.recertify(func(p *tdxpki.PCK) { p.Components[0] = platform.svn })
			w.quote.TD.TEETCBSVN[0] = module.svn
			r, err := w.verify(t)
			if err != nil {
				t.Fatal(err)
			}
			if want := merge(platform.Status, module.Status); r.Status != want || r.Platform.Status != platform.Status || r.Module.Status != module.Status {
				t.Errorf("%s and %s: %s, want %s", platform, module, r.Status, want)
			}
			if platform.Status == Revoked && r.Status != Revoked {
				t.Errorf("revoked platform with module %s: %s", module, r.Status)
			}
		}
	}
}

func TestAllThreePartsMerge(t *testing.T) {
	w := newWorld()
	w.recertify(func(p *tdxpki.PCK) { p.Components[0] = tdxpki.SVNOutOfDate })
	w.quote.TD.TEETCBSVN[0] = tdxpki.SVNConfigurationAndSWHardeningNeeded
	w.quote.QE.ISVSVN = tdxpki.SVNOutOfDateConfigurationNeeded
	r, err := w.verify(t)
	if err != nil {
		t.Fatal(err)
	}
	if r.Status != OutOfDateConfigurationNeeded {
		t.Errorf("%s", r.Status)
	}
	want := []string{"INTEL-SA-00289", "INTEL-SA-00615", "INTEL-SA-00837", "INTEL-SA-01036", "INTEL-SA-01099"}
	if !slices.Equal(r.Advisories, want) {
		t.Errorf("advisories %v, want %v", r.Advisories, want)
	}
}

func TestStatusIsWrittenInIntelsWords(t *testing.T) {
	for _, s := range statuses {
		text, err := s.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var again Status
		if err := again.UnmarshalText(text); err != nil || again != s.Status {
			t.Errorf("%s is read as %s, %v", text, again, err)
		}
	}
	for _, s := range []string{"", "uptodate", "TDRelaunchAdvised"} {
		if got, err := ParseStatus(s); err == nil {
			t.Errorf("%q is read as %s", s, got)
		}
	}
}
