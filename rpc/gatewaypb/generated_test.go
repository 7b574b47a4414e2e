package gatewaypb

import (
	"crypto/sha256"
	"fmt"
	"os"
	"strings"
	"testing"

	"google.golang.org/protobuf/reflect/protoreflect"
)

func TestGeneratedCodeBelongsToTheProtoFile(t *testing.T) {
	source, err := os.ReadFile("gateway.proto")
	if err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile("gateway.pb.go")
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("// SHA-256 of gateway.proto: %x\n", sha256.Sum256(source)); !strings.HasSuffix(string(code), want) {
		t.Error("gateway.proto has changed since gateway.pb.go was generated: run make generate")
	}
}

// The wire format of guests that exist: this test is changed by adding lines.
func TestFieldNumbersStay(t *testing.T) {
	const want = `RegisterCvmRequest client_public_key:string=1 port_policy:message?=2
PortPolicy []ports:message=1 restrict_mode:bool=2
PortAttrs port:uint32=1 pp:bool=2
RegisterCvmResponse wg:message?=1 agent:message?=2 []gateways:message=3
WireGuardConfig client_ip:string=1 []servers:message=2
WireGuardPeer pk:string=1 ip:string=2 endpoint:string=3
GuestAgentConfig external_port:uint32=1 internal_port:uint32=2 domain:string=3 app_address_ns_prefix:string=4
GatewayNodeInfo id:uint32=1 uuid:bytes=2 url:string=3 last_seen:uint64=4 wg_public_key:string=5 wg_ip:string=6 wg_endpoint:string=7
InfoResponse base_domain:string=1 external_port:uint32=2 app_address_ns_prefix:string=3 version:string=4
AcmeInfoRequest domain:string=1
AcmeInfoResponse account_uri:string=1 []hist_keys:bytes=2 []quoted_hist_keys:message=3 account_quote:string=4 account_attestation:string=5 base_domain:string=6 active_cert:string=1001 evidence:string=1002
QuotedPublicKey public_key:bytes=1 quote:string=2 attestation:string=3
GetPeersResponse my_id:uint32=1 my_url:string=2 []peers:message=3
PeerInfo id:uint32=1 url:string=2
Empty
Error message:string=1
`
	var got strings.Builder
	messages := File_gateway_proto.Messages()
	for i := range messages.Len() {
		m := messages.Get(i)
		got.WriteString(string(m.Name()))
		for j := range m.Fields().Len() {
			got.WriteString(" " + describe(m.Fields().Get(j)))
		}
		got.WriteByte('\n')
	}
	if got.String() != want {
		t.Errorf("got\n%swant\n%s", got.String(), want)
	}
}

func describe(f protoreflect.FieldDescriptor) string {
	list, optional := "", ""
	if f.IsList() {
		list = "[]"
	}
	if f.HasPresence() {
		optional = "?"
	}
	return fmt.Sprintf("%s%s:%s%s=%d", list, f.Name(), f.Kind(), optional, f.Number())
}
