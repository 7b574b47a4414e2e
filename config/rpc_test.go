package config

import "testing"

// files is a complete [rpc] of 5 lines whose identity comes from files.
const files = "[rpc]\nlisten = \"192.0.2.1:8000\"\ncert = \"c\"\nkey = \"k\"\nclient_ca = \"ca\"\n"

// tunnel is the least that guests need of [wireguard], in 2 lines.
const tunnel = "[wireguard]\nendpoint = \"192.0.2.1:51820\"\n"

func TestRPCProblems(t *testing.T) {
	checkProblems(t, []problemCase{
		{name: "identity from files", file: tunnel + files},
		{name: "no listener needs nothing", file: "[rpc]\nlisten = \"off\"\ncert = \"c\""},
		{name: "no endpoint for guests", file: files, want: []string{
			`f:1:1: wireguard.endpoint: is missing: guests need it to reach the tunnel when they register (rpc.listen is set); want IPv4:port or name:port, such as "203.0.113.7:51820"`,
		}},
		{name: "an endpoint that is wrong is reported once", file: files + "[wireguard]\nendpoint = \"x\"", want: []string{
			`f:11:1: wireguard.endpoint: "x" is not an endpoint: want IPv4:port or name:port with a port from 1 to 65535, such as "203.0.113.7:51820"`,
		}},
		{name: "no identity", file: tunnel + "[rpc]\nlisten = \"192.0.2.1:8000\"\nkey = \"\"", want: []string{
			`f:7:2: rpc.cert: is missing: want the PEM file of the gateway's certificate chain, or dstack_agent for all three`,
			`f:7:2: rpc.client_ca: is missing: want the PEM file of the KMS's root certificate, or dstack_agent for all three`,
			`f:9:1: rpc.key: is missing: want the PEM file of the certificate's private key, or dstack_agent for all three`,
		}},
		{name: "an identity that is wrong is reported once", file: tunnel + "[rpc]\nlisten = \"192.0.2.1:8000\"\ncert = \"\\u0000\"\nkey = 1\nclient_ca = []", want: []string{
			`f:9:1: rpc.cert: want the name of a file or directory`,
			`f:10:1: rpc.key: want a string, have a whole number`,
			`f:11:1: rpc.client_ca: want a string, have a list`,
		}},
		{name: "identity from the agent", file: tunnel + "[rpc]\nlisten = \"192.0.2.1:8000\"\ndstack_agent = \"/s\"\npublic_url = \"https://gw.example.com\""},
		{name: "agent without a host to ask for", file: tunnel + "[rpc]\nlisten = \"192.0.2.1:8000\"\ndstack_agent = \"/s\"", want: []string{
			`f:7:2: rpc.public_url: is missing: the agent issues the certificate for its host, and guests check that; want https://host[:port]`,
		}},
		{name: "agent and files, without a listener", file: "[rpc]\ndstack_agent = \"/s\"\nclient_ca = \"ca\"", want: []string{
			`f:7:1: rpc.client_ca: conflicts with dstack_agent, which provides it: remove one of the two`,
		}},
		{name: "where clients and operators are", file: tunnel + files + "[proxy]\nlisten = [\"0.0.0.0:8000\"]\n[admin]\nlisten = \"192.0.2.1:8000\"", want: []string{
			`f:8:1: rpc.listen: "192.0.2.1:8000" is taken by proxy.listen "0.0.0.0:8000": want another port`,
			`f:15:1: admin.listen: "192.0.2.1:8000" is taken by proxy.listen "0.0.0.0:8000": want another port`,
		}},
		{name: "where operators are", file: tunnel + files + "[admin]\nlisten = \"0.0.0.0:8000\"", want: []string{
			`f:13:1: admin.listen: "0.0.0.0:8000" is taken by rpc.listen "192.0.2.1:8000": want another port`,
		}},
		{name: "ports", file: "[rpc]\nexternal_port = 0\ninternal_port = 65536", want: []string{
			`f:6:1: rpc.external_port: 0 is out of range: want 1 to 65535`,
			`f:7:1: rpc.internal_port: 65536 is out of range: want 1 to 65535`,
		}},
	})
}

func TestExternalPortIsTheFirstListenersPort(t *testing.T) {
	c := parse(t, smallest+"[proxy]\nlisten = [\"0.0.0.0:8443\", \"0.0.0.0:443\"]")
	if c.RPC.ExternalPort != 8443 {
		t.Error(c.RPC.ExternalPort)
	}
}

func TestURLProblems(t *testing.T) {
	public := func(s string) problemCase {
		return problemCase{name: "public " + s, file: "[rpc]\npublic_url = \"" + s + "\"", want: []string{
			`f:6:1: rpc.public_url: "` + s + `" is not the address of a gateway: want https://host[:port] without a path`,
		}}
	}
	hook := func(s string, want ...string) problemCase {
		return problemCase{name: "webhook " + s, file: "[rpc.auth]\nurl = \"" + s + "\"", want: want}
	}
	noHook := func(s string) problemCase {
		return hook(s, `f:6:1: rpc.auth.url: "`+s+`" is not the URL of a webhook: want one such as "https://auth.example.com/app-auth", without user and fragment`)
	}
	clear := func(s string) problemCase {
		return hook(s, `f:6:1: rpc.auth.url: "`+s+`": an answer over http can be forged on its way: want https, or http to localhost`)
	}
	checkProblems(t, []problemCase{
		public("http://gw.example.com"), public("https://gw.example.com/prpc"), public("https://gw.example.com?a"),
		public("https://u@gw.example.com"), public("https://gw.example.com:0"), public("https://gw.example.com:"),
		public("https://gw.example.com:65536"), public("https://0.0.0.0"), public("https://a_b.example"),
		public("https:gw.example.com"), public("https://"), public("gw.example.com:8000"), public("https://gw.example.com/%zz"),
		hook("https://auth.example.com/a?b=c"), hook("http://127.0.0.2:80/a"), hook("http://[::1]/"), hook("http://localhost"), hook(""),
		noHook("https://u:p@auth.example.com"), noHook("https://auth.example.com/#a"), noHook("ftp://localhost"), noHook("/app-auth"),
		clear("http://auth.example.com/a"), clear("http://10.0.0.1/"), clear("http://localhost.example.com"),
	})
}

func TestRegistryProblems(t *testing.T) {
	checkProblems(t, []problemCase{
		{name: "no rest", file: "[registry]\naddress_rest = \"0s\"", want: []string{
			`f:6:1: registry.address_rest: "0s" is out of range: want "1ms" to "8760h"`,
		}},
		{name: "recycled while they serve", file: "[health]\nmax_handshake_age = \"1h\"\n[registry]\nrecycle_after = \"59m\"", want: []string{
			`f:8:1: registry.recycle_after: 59m0s is less than health.max_handshake_age (1h0m0s): healthy instances would be removed`,
		}},
		{name: "recycled when they no longer serve", file: "[health]\nmax_handshake_age = \"1h\"\n[registry]\nrecycle_after = \"1h\""},
		{name: "shares that are none", file: "[registry]\nmax_instances_per_app = -1\nmax_pool_share_per_app = 0", want: []string{
			`f:6:1: registry.max_instances_per_app: -1 is out of range: want 0 to 2147483647`,
			`f:7:1: registry.max_pool_share_per_app: 0 is out of range: want 1 to 100`,
		}},
		{name: "never recycled", file: "[registry]\nrecycle_after = \"0s\""},
	})
}
