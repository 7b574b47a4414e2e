package tdx

// MaxQuote is the size in bytes above which Parse looks at nothing. Real quotes
// have about 5 kB.
const MaxQuote = 64 << 10

// A Quote is what the quoting enclave of a machine says about one of its trust
// domains (TDs), as it was parsed: nothing in it is verified yet.
type Quote struct {
	Version int // 4 or 5
	Header  Header
	TD      Report // what the quote is about
	QE      EnclaveReport
	// PCKChain is the certification data: the certificate of the platform's
	// provisioning certification key, its intermediate, and the root, in DER.
	PCKChain [][]byte

	signed      []byte // what signature covers: the header, the descriptor of version 5, the TD's report
	signature   [64]byte
	key         [64]byte // the attestation key, made by the QE
	qeSigned    []byte   // the QE's report as it was signed
	qeSignature [64]byte
	qeAuth      []byte // what the QE bound together with key
}

// Header is the front of a quote.
type Header struct {
	QEVendor [16]byte // always Intel's
	UserData [20]byte // the QE's id of the platform, in the first 16 bytes
}

// Report says what runs in a TD ("TDREPORT" of the Intel TDX module, as quoted).
type Report struct {
	TEETCBSVN      [16]byte // versions of the TDX module's parts: [0] its ISVSVN, [1] its number, [2] SEAM loader
	MRSeam         [48]byte // the TDX module
	MRSignerSeam   [48]byte // who signed it; zero: Intel
	SeamAttributes uint64
	TDAttributes   uint64 // see the Attribute constants
	XFAM           uint64
	MRTD           [48]byte // the TD's initial memory: its firmware
	MRConfigID     [48]byte
	MROwner        [48]byte
	MROwnerConfig  [48]byte
	RTMR           [4][48]byte
	ReportData     [64]byte // chosen by who asked for the quote
	// TDX 1.5 only (HasService): the second set of versions, and the service TDs bound.
	HasService  bool
	TEETCBSVN2  [16]byte
	MRServiceTD [48]byte
}

// EnclaveReport is the report of the quoting enclave (an SGX REPORT body).
type EnclaveReport struct {
	CPUSVN     [16]byte
	MiscSelect uint32
	Attributes [16]byte
	MREnclave  [32]byte
	MRSigner   [32]byte
	ISVProdID  uint16
	ISVSVN     uint16
	ReportData [64]byte
}
