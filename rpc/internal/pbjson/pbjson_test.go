package pbjson

import (
	"net/url"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"sallyport/rpc/gatewaypb"
)

func TestAllFieldsAreWritten(t *testing.T) {
	for _, c := range []struct {
		m    proto.Message
		want string
	}{
		{&gatewaypb.Empty{}, `{}`},
		{&gatewaypb.RegisterCvmRequest{}, `{"client_public_key":"","port_policy":null}`},
		{&gatewaypb.RegisterCvmRequest{PortPolicy: &gatewaypb.PortPolicy{}}, `{"client_public_key":"","port_policy":{"ports":[],"restrict_mode":false}}`},
		{&gatewaypb.RegisterCvmResponse{}, `{"wg":null,"agent":null,"gateways":[]}`},
		{
			&gatewaypb.GatewayNodeInfo{Uuid: []byte{0xAB, 0x01}, LastSeen: 1<<64 - 1},
			`{"id":0,"uuid":"ab01","url":"","last_seen":18446744073709551615,"wg_public_key":"","wg_ip":"","wg_endpoint":""}`,
		},
		{&gatewaypb.AcmeInfoResponse{HistKeys: [][]byte{{1}, {}}}, `{"account_uri":"","hist_keys":["01",""],"quoted_hist_keys":[],"account_quote":"","account_attestation":"","base_domain":"","active_cert":"","evidence":""}`},
		{&gatewaypb.Error{Message: "<\"\\&\n\r\t\x01é\u2028>\xff"}, `{"message":"<\"\\&\n\r\t\u0001é` + "\u2028>\uFFFD" + `"}`},
	} {
		got, err := Marshal(c.m)
		if err != nil || string(got) != c.want {
			t.Errorf("got  %s (%v)\nwant %s", got, err, c.want)
		}
	}
}

func TestInputIsReadAsSerdeDoes(t *testing.T) {
	for _, c := range []struct {
		in   string
		want proto.Message
	}{
		{``, &gatewaypb.GatewayNodeInfo{}},
		{" \n", &gatewaypb.GatewayNodeInfo{}},
		{`null`, &gatewaypb.GatewayNodeInfo{}},
		{` { } `, &gatewaypb.GatewayNodeInfo{}},
		{`{"uuid":"0xABcd"}`, &gatewaypb.GatewayNodeInfo{Uuid: []byte{0xab, 0xcd}}},
		{`{"last_seen":18446744073709551615,"id":4294967295}`, &gatewaypb.GatewayNodeInfo{LastSeen: 1<<64 - 1, Id: 1<<32 - 1}},
		{`{"url":null,"id":null}`, &gatewaypb.GatewayNodeInfo{}},
		{`{"lastSeen":7,"URL":"x","x":{"url":[1,[],{"url":"y"}]},"x":-1e9,"url":"z\u00e9"}`, &gatewaypb.GatewayNodeInfo{Url: "zé"}},
		{`{"port_policy":null}`, &gatewaypb.RegisterCvmRequest{}},
		{`{"port_policy":{}}`, &gatewaypb.RegisterCvmRequest{PortPolicy: &gatewaypb.PortPolicy{}}},
		{`{"hist_keys":["00","0x01"]}`, &gatewaypb.AcmeInfoResponse{HistKeys: [][]byte{{0}, {1}}}},
	} {
		got := proto.Clone(c.want)
		if err := Unmarshal([]byte(c.in), got); err != nil || !proto.Equal(got, c.want) {
			t.Errorf("%s: got %v (%v), want %v", c.in, got, err, c.want)
		}
	}
}

func TestErrorNamesTheBadInput(t *testing.T) {
	deep := strings.Repeat(`[`, 1<<20)
	for in, want := range map[string]string{
		`{`:                             "invalid JSON: unexpected EOF",
		`{"a":1,}`:                      "invalid JSON: invalid character '}'",
		`{"a" 1}`:                       "invalid JSON: expected colon after object key",
		`{"a":01}`:                      "invalid JSON: invalid character '1' after object key:value pair",
		`{} x`:                          "want the end after the object",
		`{}{}`:                          "want the end after the object",
		`[]`:                            "want an object",
		`"x"`:                           "want an object",
		"{\"\xff\":1}":                  "invalid UTF-8",
		`{"client_public_key":1}`:       "client_public_key: want a string",
		`{"port_policy":[]}`:            "port_policy: want an object",
		`{"port_policy":{"ports":{}}}`:  "port_policy: ports: want an array",
		`{"port_policy":{"ports":[1]}}`: "port_policy: ports: element 0: want an object",
		`{"port_policy":{"ports":[{},{"port":-1}]}}`:        "port_policy: ports: element 1: port: want a whole number in the range of uint32",
		`{"port_policy":{"ports":[{"port":4294967296}]}}`:   "want a whole number in the range of uint32",
		`{"port_policy":{"ports":[{"port":1.0}]}}`:          "want a whole number",
		`{"port_policy":{"ports":[{"port":1e2}]}}`:          "want a whole number",
		`{"port_policy":{"ports":[{"port":"80"}]}}`:         "port: want a number",
		`{"port_policy":{"restrict_mode":1}}`:               "port_policy: restrict_mode: want true or false",
		`{"client_public_key":"a","client_public_key":"b"}`: "client_public_key: appears twice",
		`{"port_policy":null,"port_policy":{}}`:             "port_policy: appears twice",
		`{"x":` + deep:                                      "invalid JSON: invalid character '[' exceeded max depth",
		`{"x":[{"a":]}`:                                     "invalid JSON: invalid character",
		`{"x":`:                                             "invalid JSON: unexpected EOF",
		`{"x":1`:                                            "invalid JSON: unexpected EOF",
		`{"url":"a`:                                         "invalid JSON: unexpected EOF",
	} {
		err := Unmarshal([]byte(in), &gatewaypb.RegisterCvmRequest{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.80s: %v, want %q", in, err, want)
		}
	}
	for _, in := range []string{`{"uuid":"0"}`, `{"uuid":"zz"}`, `{"uuid":"0x0x"}`, `{"uuid":[1]}`} {
		if err := Unmarshal([]byte(in), &gatewaypb.GatewayNodeInfo{}); err == nil {
			t.Errorf("%s is accepted", in)
		}
	}
}

func TestKindsThatTheAPIDoesNotUseAreRefused(t *testing.T) {
	for _, m := range []proto.Message{
		wrapperspb.Double(1), &descriptorpb.FieldDescriptorProto{Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum()},
		&structpb.Struct{Fields: map[string]*structpb.Value{"a": structpb.NewBoolValue(true)}},
	} {
		if b, err := Marshal(m); err == nil {
			t.Errorf("%T is written as %s", m, b)
		}
	}
	for in, m := range map[string]proto.Message{
		`{"value":1}`: &wrapperspb.DoubleValue{}, `{"label":1}`: &descriptorpb.FieldDescriptorProto{}, `{"fields":{}}`: &structpb.Struct{},
	} {
		if err := Unmarshal([]byte(in), m); err == nil {
			t.Errorf("%s is read as %v", in, m)
		}
	}
}

func TestEveryMessageOfTheAPIComesBack(t *testing.T) {
	messages := gatewaypb.File_gateway_proto.Messages()
	for i := range messages.Len() {
		m := filled(messages.Get(i))
		text, err := Marshal(m)
		if err != nil {
			t.Errorf("%s: %v", messages.Get(i).Name(), err)
		}
		back := dynamicpb.NewMessage(messages.Get(i))
		if err := Unmarshal(text, back); err != nil || !proto.Equal(back, m) {
			t.Errorf("%s: %v, %v", text, back, err)
		}
	}
}

// filled is a message with every field set.
func filled(d protoreflect.MessageDescriptor) proto.Message {
	m := dynamicpb.NewMessage(d)
	for i := range d.Fields().Len() {
		f := d.Fields().Get(i)
		value := func(empty protoreflect.Value) protoreflect.Value {
			switch f.Kind() {
			case protoreflect.MessageKind:
				return protoreflect.ValueOfMessage(filled(f.Message()).ProtoReflect())
			case protoreflect.StringKind:
				return protoreflect.ValueOfString("s")
			case protoreflect.BytesKind:
				return protoreflect.ValueOfBytes([]byte{0, 255})
			case protoreflect.BoolKind:
				return protoreflect.ValueOfBool(true)
			case protoreflect.Uint32Kind:
				return protoreflect.ValueOfUint32(7)
			case protoreflect.Uint64Kind:
				return protoreflect.ValueOfUint64(1 << 60)
			default:
				return empty
			}
		}
		if f.IsList() {
			l := m.Mutable(f).List()
			l.Append(value(l.NewElement()))
			continue
		}
		m.Set(f, value(m.NewField(f)))
	}
	return m
}

func TestArgumentsOfAURLAreRead(t *testing.T) {
	for in, want := range map[string]proto.Message{
		"":                                   &gatewaypb.GatewayNodeInfo{},
		"url=a%20b&json&unknown=1&unknown=2": &gatewaypb.GatewayNodeInfo{Url: "a b"},
		"id=7&last_seen=18446744073709551615&uuid=0xABcd": &gatewaypb.GatewayNodeInfo{Id: 7, LastSeen: 1<<64 - 1, Uuid: []byte{0xab, 0xcd}},
		"restrict_mode=true":                              &gatewaypb.PortPolicy{RestrictMode: true},
		"unknown[0][x]=1&Client_public_key=a":             &gatewaypb.RegisterCvmRequest{},
	} {
		values, err := url.ParseQuery(in)
		if err != nil {
			t.Fatal(err)
		}
		got := proto.Clone(want)
		if err := UnmarshalQuery(values, got); err != nil || !proto.Equal(got, want) {
			t.Errorf("%s: got %v (%v), want %v", in, got, err, want)
		}
	}
}

func TestErrorNamesTheBadArgumentOfAURL(t *testing.T) {
	const nested = "cannot be an argument of GET"
	for in, want := range map[string]string{
		"client_public_key=a&client_public_key=b":    "client_public_key: appears twice",
		"client_public_key[x]=a":                     "client_public_key[x]: " + nested,
		"port_policy=1":                              "port_policy: " + nested,
		"port_policy[restrict_mode]=true":            "port_policy[restrict_mode]: " + nested,
		"port_policy%5Bports%5D%5B0%5D%5Bport%5D=80": "port_policy[ports][0][port]: " + nested,
		"port_policy[=80":                            nested, // whether or not the brackets match
	} {
		checkBadArgument(t, in, want, &gatewaypb.RegisterCvmRequest{})
	}
	for in, want := range map[string]string{
		"id=x":          "id: want a whole number",
		"id=4294967296": "id: want a whole number in the range of uint32",
		"uuid=0":        "uuid: want an even number of hex digits",
	} {
		checkBadArgument(t, in, want, &gatewaypb.GatewayNodeInfo{})
	}
	checkBadArgument(t, "restrict_mode=x", "restrict_mode: want true or false", &gatewaypb.PortPolicy{})
}

func checkBadArgument(t *testing.T, query, want string, m proto.Message) {
	t.Helper()
	values, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	if err := UnmarshalQuery(values, m); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%s: %v, want %q", query, err, want)
	}
}
