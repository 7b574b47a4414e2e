package tdx

import (
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"fmt"
	"time"

	"github.com/google/go-tdx-guest/abi"
	pb "github.com/google/go-tdx-guest/proto/tdx"
	"github.com/google/go-tdx-guest/verify"
)

// go-tdx-guest as an oracle: what it takes a quote to say, as a Quote of ours. It
// panics on some inputs; that is an error here.

func oracleParse(raw []byte) (q *Quote, err error) {
	defer func() {
		if p := recover(); p != nil {
			q, err = nil, fmt.Errorf("panic: %v", p)
		}
	}()
	parsed, err := abi.QuoteToProto(raw)
	if err != nil {
		return nil, err
	}
	switch v := parsed.(type) {
	case *pb.QuoteV4:
		body, err := abi.TdQuoteBodyToAbiBytes(v.GetTdQuoteBody())
		if err != nil {
			return nil, err
		}
		b := v.GetTdQuoteBody()
		q = &Quote{TD: oracleReport(b), signed: body}
		return q, q.addOracle(v.GetHeader(), v.GetSignedData())
	case *pb.QuoteV5:
		d := v.GetTdQuoteBodyDescriptor()
		body, err := abi.TdQuoteBodyDescriptorToAbiBytes(d)
		if err != nil {
			return nil, err
		}
		b := d.GetTdQuoteBodyV5()
		q = &Quote{TD: oracleReport(b), signed: body}
		if d.GetTdQuoteBodyType() == 3 {
			q.TD.HasService = true
			q.TD.TEETCBSVN2, q.TD.MRServiceTD = [16]byte(b.GetTeeTcbSvn2()), [48]byte(b.GetMrServiceTd())
		}
		return q, q.addOracle(v.GetHeader(), v.GetSignedData())
	}
	return nil, fmt.Errorf("a %T", parsed)
}

// oracleBody is what the reports of both versions have.
type oracleBody interface {
	GetTeeTcbSvn() []byte
	GetMrSeam() []byte
	GetMrSignerSeam() []byte
	GetSeamAttributes() []byte
	GetTdAttributes() []byte
	GetXfam() []byte
	GetMrTd() []byte
	GetMrConfigId() []byte
	GetMrOwner() []byte
	GetMrOwnerConfig() []byte
	GetRtmrs() [][]byte
	GetReportData() []byte
}

func oracleReport(b oracleBody) Report {
	r := Report{
		TEETCBSVN: [16]byte(b.GetTeeTcbSvn()),
		MRSeam:    [48]byte(b.GetMrSeam()), MRSignerSeam: [48]byte(b.GetMrSignerSeam()),
		SeamAttributes: binary.LittleEndian.Uint64(b.GetSeamAttributes()),
		TDAttributes:   binary.LittleEndian.Uint64(b.GetTdAttributes()),
		XFAM:           binary.LittleEndian.Uint64(b.GetXfam()),
		MRTD:           [48]byte(b.GetMrTd()), MRConfigID: [48]byte(b.GetMrConfigId()),
		MROwner: [48]byte(b.GetMrOwner()), MROwnerConfig: [48]byte(b.GetMrOwnerConfig()),
		ReportData: [64]byte(b.GetReportData()),
	}
	for i, value := range b.GetRtmrs() {
		r.RTMR[i] = [48]byte(value)
	}
	return r
}

// addOracle adds what is around the TD's report.
func (q *Quote) addOracle(h *pb.Header, s *pb.Ecdsa256BitQuoteV4AuthData) error {
	head, err := abi.HeaderToAbiBytes(h)
	if err != nil {
		return err
	}
	c := s.GetCertificationData().GetQeReportCertificationData()
	e := c.GetQeReport()
	if q.qeSigned, err = abi.EnclaveReportToAbiBytes(e); err != nil {
		return err
	}
	q.Version = int(h.GetVersion())
	q.Header = Header{[16]byte(h.GetQeVendorId()), [20]byte(h.GetUserData())}
	q.signed = append(head, q.signed...)
	q.signature, q.key = [64]byte(s.GetSignature()), [64]byte(s.GetEcdsaAttestationKey())
	q.qeSignature, q.qeAuth = [64]byte(c.GetQeReportSignature()), c.GetQeAuthData().GetData()
	q.QE = EnclaveReport{
		CPUSVN: [16]byte(e.GetCpuSvn()), MiscSelect: e.GetMiscSelect(), Attributes: [16]byte(e.GetAttributes()),
		MREnclave: [32]byte(e.GetMrEnclave()), MRSigner: [32]byte(e.GetMrSigner()),
		ISVProdID: uint16(e.GetIsvProdId()), ISVSVN: uint16(e.GetIsvSvn()), ReportData: [64]byte(e.GetReportData()),
	}
	rest := c.GetPckCertificateChainData().GetPckCertChain()
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil
		}
		q.PCKChain = append(q.PCKChain, block.Bytes)
	}
}

// oracleVerify makes the oracle check the signatures of a quote, and no collateral.
func oracleVerify(raw []byte, root *x509.Certificate, at time.Time) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	roots := x509.NewCertPool()
	roots.AddCert(root)
	return verify.RawTdxQuote(raw, &verify.Options{TrustedRoots: roots, Now: &verify.TimeSet{PckCertChain: at}})
}
