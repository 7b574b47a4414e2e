package tdxpki

import (
	"bytes"
	"encoding/hex"
	"time"
)

// ladder is the levels of everything, from the best down.
func ladder() []SVNLevel {
	return []SVNLevel{
		{TCB: SVN{SVNUpToDate}, TCBStatus: UpToDate},
		{TCB: SVN{SVNSWHardeningNeeded}, TCBStatus: SWHardeningNeeded, AdvisoryIDs: []string{"INTEL-SA-00615"}},
		{TCB: SVN{SVNConfigurationNeeded}, TCBStatus: ConfigurationNeeded, AdvisoryIDs: []string{"INTEL-SA-00289"}},
		{TCB: SVN{SVNConfigurationAndSWHardeningNeeded}, TCBStatus: ConfigurationAndSWHardeningNeeded, AdvisoryIDs: []string{"INTEL-SA-00289", "INTEL-SA-00615"}},
		{TCB: SVN{SVNOutOfDate}, TCBStatus: OutOfDate, AdvisoryIDs: []string{"INTEL-SA-01036", "INTEL-SA-01099"}},
		{TCB: SVN{SVNOutOfDateConfigurationNeeded}, TCBStatus: OutOfDateConfigurationNeeded, AdvisoryIDs: []string{"INTEL-SA-00837", "INTEL-SA-01036"}},
		{TCB: SVN{SVNRevoked}, TCBStatus: Revoked, AdvisoryIDs: []string{"INTEL-SA-01111"}},
	}
}

// svnLevels is the ladder with dates: half a year from one level to the next.
func (p *PKI) svnLevels() []SVNLevel {
	levels := ladder()
	for i := range levels {
		levels[i].TCBDate = p.Now.Add(-year - time.Duration(i)*182*day).Truncate(day)
	}
	return levels
}

// TCBInfo is the good TCB info of the world's machine. By its first SGX component
// a machine has any status (see SVNUpToDate); a machine of an older PCE (PCESVN
// 12) or microcode (TEETCBSVN[2] = 3) is one level below the best.
func (p *PKI) TCBInfo() TCBInfo {
	t := TCBInfo{
		ID: "TDX", Version: 3,
		IssueDate: p.Now.Add(-day), NextUpdate: p.Now.Add(29 * day),
		FMSPC: bytes.Clone(p.PCK.FMSPC[:]), PCEID: bytes.Clone(p.PCK.PCEID[:]),
		TCBEvaluationDataNumber: 18,
		TDXModule:               intelModule(),
		TDXModuleIdentities: []TDXModuleIdentity{
			{ID: "TDX_03", TDXModule: intelModule(), TCBLevels: p.svnLevels()},
			{ID: "TDX_01", TDXModule: intelModule(), TCBLevels: p.svnLevels()},
		},
	}
	for i, l := range p.svnLevels() {
		tcb := TCB{SGX: sgxComponents(byte(l.TCB.ISVSVN)), PCESVN: 13, TDX: tdxComponents(4)}
		if i > 0 {
			tcb.PCESVN, tcb.TDX = 11, tdxComponents(3)
		}
		t.TCBLevels = append(t.TCBLevels, TCBLevel{TCB: tcb, TCBDate: l.TCBDate, TCBStatus: l.TCBStatus, AdvisoryIDs: l.AdvisoryIDs})
	}
	return t
}

// QEIdentity is the good identity of the world's quoting enclave, masks as Intel's.
func (p *PKI) QEIdentity() QEIdentity {
	return QEIdentity{
		ID: "TD_QE", Version: 2,
		IssueDate: p.Now.Add(-day), NextUpdate: p.Now.Add(29 * day),
		TCBEvaluationDataNumber: 18,
		MiscSelect:              make(Hex, 4), MiscSelectMask: bytes.Repeat(Hex{0xff}, 4),
		Attributes:     append(Hex{0x11}, make(Hex, 15)...),
		AttributesMask: append(append(Hex{0xfb}, bytes.Repeat(Hex{0xff}, 7)...), make(Hex, 8)...),
		MRSigner:       must(hex.DecodeString(qeSigner)),
		ISVProdID:      2,
		TCBLevels:      p.svnLevels(),
	}
}

// intelModule is any module of Intel's own: its signer is written as zeros.
func intelModule() TDXModule {
	return TDXModule{MRSigner: make(Hex, 48), Attributes: make(Hex, 8), AttributesMask: bytes.Repeat(Hex{0xff}, 8)}
}

// sgxComponents are those of Intel's Sapphire Rapids, the first one chosen.
func sgxComponents(first byte) []Component {
	c := make([]Component, 16)
	copy(c, []Component{
		{first, "BIOS", "Early Microcode Update"},
		{3, "OS/VMM", "SGX Late Microcode Update"},
		{2, "OS/VMM", "TXT SINIT"},
		{2, "BIOS", ""},
		{4, "BIOS", ""},
		{1, "BIOS", ""},
		{},
		{5, "OS/VMM", "SEAMLDR ACM"},
	})
	return c
}

// tdxComponents chooses the microcode. The first two are about modules without
// an identity of their own (TEETCBSVN[1] = 0) alone.
func tdxComponents(microcode byte) []Component {
	c := make([]Component, 16)
	copy(c, []Component{
		{1, "OS/VMM", "TDX Module"},
		{0, "OS/VMM", "TDX Module"},
		{microcode, "OS/VMM", "TDX Late Microcode Update"},
	})
	return c
}
