package dstackagent

import (
	"context"
	"encoding/hex"
	"strings"
)

// Hex is bytes that are hex in JSON, as dstack writes them: lower case, and read
// with or without 0x.
type Hex []byte

// MarshalText is the hex of h.
func (h Hex) MarshalText() ([]byte, error) { return hex.AppendEncode([]byte{}, h), nil }

// UnmarshalText reads hex.
func (h *Hex) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(strings.TrimPrefix(string(text), "0x"))
	return err
}

// TLSKeyRequest asks for a key with a certificate of this VM's app.
type TLSKeyRequest struct {
	Subject         string   `json:"subject"`      // common name
	AltNames        []string `json:"alt_names"`    // host names
	UsageRATLS      bool     `json:"usage_ra_tls"` // with the VM's attestation in it
	UsageServerAuth bool     `json:"usage_server_auth"`
	UsageClientAuth bool     `json:"usage_client_auth"`
	WithAppInfo     bool     `json:"with_app_info"`
}

// TLSKey is a new private key and the certificates from its own up to the KMS root,
// each in PEM.
type TLSKey struct {
	Key   string   `json:"key"`
	Chain []string `json:"certificate_chain"`
}

// GetTLSKey asks the agent for a key that the KMS certifies.
func (c *Client) GetTLSKey(ctx context.Context, r TLSKeyRequest) (TLSKey, error) {
	r.AltNames = append([]string{}, r.AltNames...) // the agent does not take null for a list
	var k TLSKey
	if err := c.Call(ctx, "GetTlsKey", r, &k); err != nil {
		return TLSKey{}, err
	}
	return k, nil
}

// Info describes this VM as the agent does.
type Info struct {
	AppID           Hex    `json:"app_id"`
	InstanceID      Hex    `json:"instance_id"`
	AppCert         string `json:"app_cert"` // PEM
	TCBInfo         string `json:"tcb_info"` // JSON: measurements and event log
	AppName         string `json:"app_name"`
	DeviceID        Hex    `json:"device_id"`
	MRAggregated    Hex    `json:"mr_aggregated"`
	OSImageHash     Hex    `json:"os_image_hash"`
	KeyProviderInfo string `json:"key_provider_info"` // JSON
	ComposeHash     Hex    `json:"compose_hash"`
	VMConfig        string `json:"vm_config"` // JSON
	CloudVendor     string `json:"cloud_vendor"`
	CloudProduct    string `json:"cloud_product"`
}

// Info asks what this VM is.
func (c *Client) Info(ctx context.Context) (Info, error) {
	var i Info
	if err := c.Call(ctx, "Info", struct{}{}, &i); err != nil {
		return Info{}, err
	}
	return i, nil
}
