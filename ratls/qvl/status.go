package qvl

import "fmt"

// A Status says how up to date a part of a platform is, in Intel's words. The
// zero value means that nothing was judged, and is no status to accept.
//
// Every status is a value: a quote of a revoked platform is verified without an
// error. Its user holds a list of the statuses that it accepts, in which Revoked
// has no place.
type Status int

// From good to bad.
const (
	UpToDate Status = iota + 1
	SWHardeningNeeded
	ConfigurationNeeded
	ConfigurationAndSWHardeningNeeded
	OutOfDate
	OutOfDateConfigurationNeeded
	Revoked
)

// ParseStatus reads one of Intel's words, in their spelling.
func ParseStatus(s string) (Status, error) {
	for st := UpToDate; st <= Revoked; st++ {
		if st.String() == s {
			return st, nil
		}
	}
	return 0, fmt.Errorf("unknown status %.40q", s)
}

// String is Intel's word, "" for the zero value.
func (s Status) String() string {
	switch s {
	case UpToDate:
		return "UpToDate"
	case SWHardeningNeeded:
		return "SWHardeningNeeded"
	case ConfigurationNeeded:
		return "ConfigurationNeeded"
	case ConfigurationAndSWHardeningNeeded:
		return "ConfigurationAndSWHardeningNeeded"
	case OutOfDate:
		return "OutOfDate"
	case OutOfDateConfigurationNeeded:
		return "OutOfDateConfigurationNeeded"
	case Revoked:
		return "Revoked"
	default:
		return ""
	}
}

// MarshalText is String.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText is ParseStatus.
func (s *Status) UnmarshalText(b []byte) error {
	parsed, err := ParseStatus(string(b))
	if err == nil {
		*s = parsed
	}
	return err
}

// merge is the status of two parts together: everything that is wrong with
// either is wrong with both, and who is out of date needs no word about software
// hardening any more. Revoked with anything is Revoked, and
// OutOfDateConfigurationNeeded (OOD+Conf) with anything better is itself.
//
//	              | UpToDate     | SWHardening  | Configuration| Conf+SWH     | OutOfDate
//	UpToDate      | UpToDate     | SWHardening  | Configuration| Conf+SWH     | OutOfDate
//	SWHardening   | SWHardening  | SWHardening  | Conf+SWH     | Conf+SWH     | OutOfDate
//	Configuration | Configuration| Conf+SWH     | Configuration| Conf+SWH     | OOD+Conf
//	Conf+SWH      | Conf+SWH     | Conf+SWH     | Conf+SWH     | Conf+SWH     | OOD+Conf
//	OutOfDate     | OutOfDate    | OutOfDate    | OOD+Conf     | OOD+Conf     | OutOfDate
//
// For the statuses that Intel defines for a TDX module and a QE (UpToDate,
// OutOfDate, Revoked) it is Intel's rule: convergeTcbStatusWithTdxModuleStatus
// and convergeTcbStatusWithQeTcbStatus of the SGX-TDX-DCAP-QuoteVerificationLibrary.
// dcap-qvl (0.5.2, tcb_info.rs) takes the worse of two; this is never better than that.
func merge(a, b Status) Status {
	const (
		hardening = 1 << iota
		configuration
		old
		revoked
	)
	faults := func(s Status) int {
		switch s {
		case UpToDate:
			return 0
		case SWHardeningNeeded:
			return hardening
		case ConfigurationNeeded:
			return configuration
		case ConfigurationAndSWHardeningNeeded:
			return configuration | hardening
		case OutOfDate:
			return old
		case OutOfDateConfigurationNeeded:
			return old | configuration
		default: // Revoked, and what was not judged
			return revoked
		}
	}
	switch f := faults(a) | faults(b); {
	case f&revoked != 0:
		return Revoked
	case f&old != 0 && f&configuration != 0:
		return OutOfDateConfigurationNeeded
	case f&old != 0:
		return OutOfDate
	case f == configuration|hardening:
		return ConfigurationAndSWHardeningNeeded
	case f == configuration:
		return ConfigurationNeeded
	case f == hardening:
		return SWHardeningNeeded
	default:
		return UpToDate
	}
}
