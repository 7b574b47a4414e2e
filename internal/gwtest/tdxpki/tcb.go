package tdxpki

import (
	"encoding/hex"
	"strings"
	"time"
)

// The statuses of a TCB level, in Intel's words.
const (
	UpToDate                          = "UpToDate"
	SWHardeningNeeded                 = "SWHardeningNeeded"
	ConfigurationNeeded               = "ConfigurationNeeded"
	ConfigurationAndSWHardeningNeeded = "ConfigurationAndSWHardeningNeeded"
	OutOfDate                         = "OutOfDate"
	OutOfDateConfigurationNeeded      = "OutOfDateConfigurationNeeded"
	Revoked                           = "Revoked"
)

// The SVNs at which this world's levels begin: the same for the platform (the
// first SGX component of the PCK), the TDX module (TEETCBSVN[0]) and the QE
// (ISVSVN). Below the last one no level matches.
const (
	SVNUpToDate                          = 7
	SVNSWHardeningNeeded                 = 6
	SVNConfigurationNeeded               = 5
	SVNConfigurationAndSWHardeningNeeded = 4
	SVNOutOfDate                         = 3
	SVNOutOfDateConfigurationNeeded      = 2
	SVNRevoked                           = 1
)

// Hex is bytes that JSON has as upper case hexadecimal.
type Hex []byte

// MarshalText implements encoding.TextMarshaler.
func (h Hex) MarshalText() ([]byte, error) {
	return []byte(strings.ToUpper(hex.EncodeToString(h))), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *Hex) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

// TCBInfo is Intel's TCB info of TDX, version 3, with its members in Intel's order.
type TCBInfo struct {
	ID                      string              `json:"id"`
	Version                 int                 `json:"version"`
	IssueDate               time.Time           `json:"issueDate"`
	NextUpdate              time.Time           `json:"nextUpdate"`
	FMSPC                   Hex                 `json:"fmspc"`
	PCEID                   Hex                 `json:"pceId"`
	TCBType                 int                 `json:"tcbType"`
	TCBEvaluationDataNumber int                 `json:"tcbEvaluationDataNumber"`
	TDXModule               TDXModule           `json:"tdxModule"`
	TDXModuleIdentities     []TDXModuleIdentity `json:"tdxModuleIdentities,omitempty"`
	TCBLevels               []TCBLevel          `json:"tcbLevels"`
}

// TDXModule is who must have signed the TDX module, and how it must be set.
type TDXModule struct {
	MRSigner       Hex `json:"mrsigner"`
	Attributes     Hex `json:"attributes"`
	AttributesMask Hex `json:"attributesMask"`
}

// TDXModuleIdentity is the same for the modules of one number, with their levels.
type TDXModuleIdentity struct {
	ID string `json:"id"` // TDX_01, TDX_03
	TDXModule
	TCBLevels []SVNLevel `json:"tcbLevels"`
}

// TCBLevel is what a platform at these versions is.
type TCBLevel struct {
	TCB         TCB       `json:"tcb"`
	TCBDate     time.Time `json:"tcbDate"`
	TCBStatus   string    `json:"tcbStatus"`
	AdvisoryIDs []string  `json:"advisoryIDs,omitempty"`
}

// TCB is the least versions of a level.
type TCB struct {
	SGX    []Component `json:"sgxtcbcomponents"`
	PCESVN uint16      `json:"pcesvn"`
	TDX    []Component `json:"tdxtcbcomponents"`
}

// Component is the version of one part.
type Component struct {
	SVN      byte   `json:"svn"`
	Category string `json:"category,omitempty"`
	Type     string `json:"type,omitempty"`
}

// SVNLevel is a level of something with a single version: a module, an enclave.
type SVNLevel struct {
	TCB         SVN       `json:"tcb"`
	TCBDate     time.Time `json:"tcbDate"`
	TCBStatus   string    `json:"tcbStatus"`
	AdvisoryIDs []string  `json:"advisoryIDs,omitempty"`
}

// SVN is a single version.
type SVN struct {
	ISVSVN uint16 `json:"isvsvn"`
}

// QEIdentity is Intel's identity of the TD quoting enclave, version 2.
type QEIdentity struct {
	ID                      string     `json:"id"`
	Version                 int        `json:"version"`
	IssueDate               time.Time  `json:"issueDate"`
	NextUpdate              time.Time  `json:"nextUpdate"`
	TCBEvaluationDataNumber int        `json:"tcbEvaluationDataNumber"`
	MiscSelect              Hex        `json:"miscselect"`
	MiscSelectMask          Hex        `json:"miscselectMask"`
	Attributes              Hex        `json:"attributes"`
	AttributesMask          Hex        `json:"attributesMask"`
	MRSigner                Hex        `json:"mrsigner"`
	ISVProdID               uint16     `json:"isvprodid"`
	TCBLevels               []SVNLevel `json:"tcbLevels"`
}
