package qvl

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// A qeIdentity describes the quoting enclave that Intel made ("enclave identity").
type qeIdentity struct {
	version        int
	window         window
	evaluation     uint32
	miscSelect     uint32
	miscSelectMask uint32
	attributes     [16]byte
	attributesMask [16]byte
	mrSigner       [32]byte
	isvProdID      uint16
	levels         []svnLevel // from high to low
}

type qeIdentityJSON struct {
	ID             string         `json:"id"`
	Version        int            `json:"version"`
	IssueDate      string         `json:"issueDate"`
	NextUpdate     string         `json:"nextUpdate"`
	Evaluation     *uint32        `json:"tcbEvaluationDataNumber"`
	MiscSelect     string         `json:"miscselect"`
	MiscSelectMask string         `json:"miscselectMask"`
	Attributes     string         `json:"attributes"`
	AttributesMask string         `json:"attributesMask"`
	MRSigner       string         `json:"mrsigner"`
	ISVProdID      *uint16        `json:"isvprodid"`
	Levels         []svnLevelJSON `json:"tcbLevels"`
}

// parseQEIdentity reads the identity of the QE that signs TDX quotes.
func parseQEIdentity(b []byte) (*qeIdentity, error) {
	var j qeIdentityJSON
	if err := unmarshal(b, maxDocument, &j); err != nil {
		return nil, err
	}
	switch {
	case j.ID != "TD_QE":
		return nil, fmt.Errorf("id %.40q, want TD_QE", j.ID)
	case j.Version != 2 && j.Version != 3:
		return nil, fmt.Errorf("version %d, want 2 or 3", j.Version)
	case j.Evaluation == nil:
		return nil, errors.New("no tcbEvaluationDataNumber")
	case j.ISVProdID == nil:
		return nil, errors.New("no isvprodid")
	}
	q := &qeIdentity{version: j.Version, evaluation: *j.Evaluation, isvProdID: *j.ISVProdID}
	var misc, miscMask [4]byte
	for _, f := range []struct {
		name string
		dst  []byte
		s    string
	}{
		{"miscselect", misc[:], j.MiscSelect},
		{"miscselectMask", miscMask[:], j.MiscSelectMask},
		{"attributes", q.attributes[:], j.Attributes},
		{"attributesMask", q.attributesMask[:], j.AttributesMask},
		{"mrsigner", q.mrSigner[:], j.MRSigner},
	} {
		if err := parseHex(f.name, f.dst, f.s); err != nil {
			return nil, err
		}
	}
	q.miscSelect, q.miscSelectMask = binary.LittleEndian.Uint32(misc[:]), binary.LittleEndian.Uint32(miscMask[:])
	var err error
	if q.window, err = parseWindow(j.IssueDate, j.NextUpdate); err != nil {
		return nil, err
	}
	if q.levels, err = parseSVNLevels(j.Levels); err != nil {
		return nil, err
	}
	return q, nil
}
