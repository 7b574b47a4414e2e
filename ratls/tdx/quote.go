package tdx

// MaxQuote bounds a quote for Parse, in bytes. Real quotes have about 5 kB.
const MaxQuote = 64 << 10

// A Quote is the statement of a platform's quoting enclave about one of its trust domains
// (TDs), as it was parsed. Nothing in it is verified.
type Quote struct {
	Version int // 4 or 5
	Header  Header
	TD      Report // the TD that the quote describes
	QE      EnclaveReport
	// PCKChain is the certification data, in DER: the certificate of the platform's
	// provisioning certification key (PCK), the intermediate, and the root.
	PCKChain [][]byte

	signed      []byte // the bytes that signature covers: header, descriptor of version 5, TD report
	signature   [64]byte
	key         [64]byte // the attestation key, made by the QE
	qeSigned    []byte   // the QE's report as it was signed
	qeSignature [64]byte
	qeAuth      []byte // data that the QE bound together with key
}

// Header is the header of a quote.
type Header struct {
	QEVendor [16]byte // always Intel's
	UserData [20]byte // the QE's id of the platform, in the first 16 bytes
}

// Report describes a TD: the "TDREPORT" of the Intel TDX module, as quoted.
type Report struct {
	TEETCBSVN      [16]byte // versions of the TDX module's parts: [0] its ISVSVN, [1] its number, [2] SEAM loader
	MRSeam         [48]byte // the TDX module
	MRSignerSeam   [48]byte // the signer of the TDX module; zero: Intel
	SeamAttributes uint64
	TDAttributes   uint64 // see the Attribute constants
	XFAM           uint64
	MRTD           [48]byte // the TD's initial memory: its firmware
	MRConfigID     [48]byte
	MROwner        [48]byte
	MROwnerConfig  [48]byte
	RTMR           [4][48]byte
	ReportData     [64]byte // from the request for the quote
	// Of TDX 1.5 only (HasService): the second set of versions, and the bound service TDs.
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
