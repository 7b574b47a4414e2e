package qvl

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A tcbInfo rates the platforms of one kind (FMSPC) by the versions of their parts.
type tcbInfo struct {
	window     window
	fmspc      [6]byte
	pceID      [2]byte
	evaluation uint32
	module     module            // TDX 1.0
	modules    map[string]module // later ones, by their id in upper case: TDX_01, …
	levels     []tcbLevel        // from high to low
}

// A module describes a TDX module that Intel made.
type module struct {
	mrSigner       [48]byte
	attributes     [8]byte
	attributesMask [8]byte
	levels         []svnLevel // from high to low; none for TDX 1.0
}

// A tcbLevel is a rating, and the versions that a platform must have for it.
type tcbLevel struct {
	sgx    [16]byte // CPUSVN, decomposed
	tdx    [16]byte // TEE_TCB_SVN
	pceSVN uint16
	Level
}

type tcbInfoJSON struct {
	ID         string         `json:"id"`
	Version    int            `json:"version"`
	IssueDate  string         `json:"issueDate"`
	NextUpdate string         `json:"nextUpdate"`
	FMSPC      string         `json:"fmspc"`
	PCEID      string         `json:"pceId"`
	TCBType    *int           `json:"tcbType"`
	Evaluation *uint32        `json:"tcbEvaluationDataNumber"`
	Module     *moduleJSON    `json:"tdxModule"`
	Modules    []moduleJSON   `json:"tdxModuleIdentities"`
	Levels     []tcbLevelJSON `json:"tcbLevels"`
}

type moduleJSON struct {
	ID             string         `json:"id"`
	MRSigner       string         `json:"mrsigner"`
	Attributes     string         `json:"attributes"`
	AttributesMask string         `json:"attributesMask"`
	Levels         []svnLevelJSON `json:"tcbLevels"`
}

type tcbLevelJSON struct {
	TCB struct {
		SGX    []svnJSON `json:"sgxtcbcomponents"`
		TDX    []svnJSON `json:"tdxtcbcomponents"`
		PCESVN *uint16   `json:"pcesvn"`
	} `json:"tcb"`
	levelJSON
}

type svnJSON struct {
	SVN *uint8 `json:"svn"`
}

// parseTCBInfo reads the TCB info for TDX of one kind of platform.
func parseTCBInfo(b []byte) (*tcbInfo, error) {
	var j tcbInfoJSON
	if err := unmarshal(b, maxDocument, &j); err != nil {
		return nil, err
	}
	switch {
	case j.ID != "TDX":
		return nil, fmt.Errorf("id %.40q, want TDX", j.ID)
	case j.Version != 3:
		return nil, fmt.Errorf("version %d, want 3", j.Version)
	case j.TCBType == nil || *j.TCBType != 0:
		return nil, errors.New("tcbType is not 0, the only known type")
	case j.Evaluation == nil:
		return nil, errors.New("no tcbEvaluationDataNumber")
	case j.Module == nil:
		return nil, errors.New("no tdxModule")
	}
	t := &tcbInfo{evaluation: *j.Evaluation}
	if err := parseHex("fmspc", t.fmspc[:], j.FMSPC); err != nil {
		return nil, err
	}
	if err := parseHex("pceId", t.pceID[:], j.PCEID); err != nil {
		return nil, err
	}
	var err error
	if t.window, err = parseWindow(j.IssueDate, j.NextUpdate); err != nil {
		return nil, err
	}
	if t.module, err = j.Module.parse(); err != nil {
		return nil, fmt.Errorf("tdxModule: %w", err)
	}
	if t.modules, err = parseModules(j.Modules); err != nil {
		return nil, err
	}
	if t.levels, err = parseTCBLevels(j.Levels); err != nil {
		return nil, err
	}
	return t, nil
}

func (j moduleJSON) parse() (m module, err error) {
	if err := parseHex("mrsigner", m.mrSigner[:], j.MRSigner); err != nil {
		return module{}, err
	}
	if err := parseHex("attributes", m.attributes[:], j.Attributes); err != nil {
		return module{}, err
	}
	if err := parseHex("attributesMask", m.attributesMask[:], j.AttributesMask); err != nil {
		return module{}, err
	}
	return m, nil
}

func parseModules(list []moduleJSON) (map[string]module, error) {
	if len(list) > maxIdentities {
		return nil, fmt.Errorf("%d TDX module identities, more than %d", len(list), maxIdentities)
	}
	modules := make(map[string]module, len(list))
	for _, j := range list {
		m, err := j.parse()
		if err == nil {
			m.levels, err = parseSVNLevels(j.Levels)
		}
		id := strings.ToUpper(j.ID)
		if _, twice := modules[id]; err == nil && twice {
			err = errors.New("appears twice")
		}
		if err != nil {
			return nil, fmt.Errorf("TDX module identity %.40q: %w", j.ID, err)
		}
		modules[id] = m
	}
	return modules, nil
}

// parseTCBLevels returns the levels in the order of Intel's library, whatever their order in
// the document: by SGX components, PCESVN, TDX components, the highest first.
func parseTCBLevels(list []tcbLevelJSON) ([]tcbLevel, error) {
	if len(list) == 0 || len(list) > maxLevels {
		return nil, fmt.Errorf("%d TCB levels, want 1 to %d", len(list), maxLevels)
	}
	levels := make([]tcbLevel, len(list))
	for i, j := range list {
		var err error
		if levels[i], err = j.parse(); err != nil {
			return nil, fmt.Errorf("TCB level %d: %w", i, err)
		}
	}
	slices.SortFunc(levels, func(a, b tcbLevel) int { return b.compare(a) })
	for i := range levels[1:] {
		if levels[i].compare(levels[i+1]) == 0 {
			return nil, errors.New("two TCB levels for the same versions")
		}
	}
	return levels, nil
}

func (j tcbLevelJSON) parse() (tcbLevel, error) {
	level, err := j.levelJSON.parse()
	if err != nil {
		return tcbLevel{}, err
	}
	if j.TCB.PCESVN == nil {
		return tcbLevel{}, errors.New("no pcesvn")
	}
	l := tcbLevel{pceSVN: *j.TCB.PCESVN, Level: level}
	if err := parseComponents(&l.sgx, j.TCB.SGX); err != nil {
		return tcbLevel{}, fmt.Errorf("sgxtcbcomponents: %w", err)
	}
	if err := parseComponents(&l.tdx, j.TCB.TDX); err != nil {
		return tcbLevel{}, fmt.Errorf("tdxtcbcomponents: %w", err)
	}
	return l, nil
}

func parseComponents(dst *[16]byte, list []svnJSON) error {
	if len(list) != len(dst) {
		return fmt.Errorf("%d, want %d", len(list), len(dst))
	}
	for i, c := range list {
		if c.SVN == nil {
			return fmt.Errorf("component %d has no svn", i)
		}
		dst[i] = *c.SVN
	}
	return nil
}

func (l tcbLevel) compare(m tcbLevel) int {
	return cmp.Or(
		bytes.Compare(l.sgx[:], m.sgx[:]),
		cmp.Compare(l.pceSVN, m.pceSVN),
		bytes.Compare(l.tdx[:], m.tdx[:]),
	)
}
