package qvl

import "fmt"

// A Status is Intel's rating of how up to date a part of a platform is. The zero value means
// that nothing was rated; never accept it.
//
// A status is a value, not an error: Verify returns no error for a quote of a revoked
// platform. The caller must compare it with the statuses that it accepts. Never accept
// Revoked.
type Status int

// The statuses, from good to bad.
const (
	UpToDate Status = iota + 1
	SWHardeningNeeded
	ConfigurationNeeded
	ConfigurationAndSWHardeningNeeded
	OutOfDate
	OutOfDateConfigurationNeeded
	Revoked
)

// ParseStatus returns the status with this name, in Intel's spelling.
func ParseStatus(s string) (Status, error) {
	for st := UpToDate; st <= Revoked; st++ {
		if st.String() == s {
			return st, nil
		}
	}
	return 0, fmt.Errorf("unknown status %.40q", s)
}

// String returns Intel's name, "" for the zero value.
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

// MarshalText returns the text of String.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what ParseStatus reads.
func (s *Status) UnmarshalText(b []byte) error {
	parsed, err := ParseStatus(string(b))
	if err == nil {
		*s = parsed
	}
	return err
}

// merge returns the status of two parts together: every fault of either is a fault of both,
// and OutOfDate includes the need for software hardening. Revoked with anything is Revoked,
// and OutOfDateConfigurationNeeded (OOD+Conf) with anything better is itself.
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
