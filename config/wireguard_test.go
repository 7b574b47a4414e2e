package config

import (
	"slices"
	"strings"
	"testing"

	"sallyport/internal/vm"
)

func TestWireGuardProblems(t *testing.T) {
	wg := func(s string) string { return "[wireguard]\n" + s }
	checkProblems(t, []problemCase{
		{name: "mode", file: wg(`mode = "kernal"`), want: []string{
			`f:6:1: wireguard.mode: "kernal" is not known: want one of "auto", "kernel", "userspace", "netstack", "none"`,
		}},
		{name: "interface", file: wg(`interface = "wireguard-gatew"`)},
		{name: "interface too long", file: wg(`interface = "wireguard-gatewa"`), want: []string{
			`f:6:1: wireguard.interface: "wireguard-gatewa" is not an interface name: want 1 to 15 of A-Z, a-z, 0-9, '_', '.' and '-', such as "wg-gw"`,
		}},
		{name: "interface with a pattern", file: wg(`interface = "wg%d"`), want: []string{
			`f:6:1: wireguard.interface: "wg%d" is not an interface name: want 1 to 15 of A-Z, a-z, 0-9, '_', '.' and '-', such as "wg-gw"`,
		}},
		{name: "port and mtu", file: wg("listen_port = 65536\nmtu = 1279"), want: []string{
			`f:6:1: wireguard.listen_port: 65536 is out of range: want 0 to 65535`,
			`f:7:1: wireguard.mtu: 1279 is out of range: want 1280 to 9000`,
		}},
		{name: "IPv6 endpoint", file: wg(`endpoint = "[2001:db8::1]:51820"`), want: []string{
			`f:6:1: wireguard.endpoint: "[2001:db8::1]:51820": an IPv6 endpoint breaks the guests' firewall: want IPv4:port or name:port`,
		}},
		{name: "endpoint without port", file: wg(`endpoint = "gw.example.com"`), want: []string{
			`f:6:1: wireguard.endpoint: "gw.example.com" is not an endpoint: want IPv4:port or name:port with a port from 1 to 65535, such as "203.0.113.7:51820"`,
		}},
		{name: "endpoint with port 0", file: wg(`endpoint = "192.0.2.1:0"`), want: []string{
			`f:6:1: wireguard.endpoint: "192.0.2.1:0" is not an endpoint: want IPv4:port or name:port with a port from 1 to 65535, such as "203.0.113.7:51820"`,
		}},
		{name: "endpoint nowhere", file: wg(`endpoint = "0.0.0.0:1"`), want: []string{
			`f:6:1: wireguard.endpoint: "0.0.0.0" is not an address that a guest can send to`,
		}},
		{name: "endpoint of a broken address", file: wg(`endpoint = "192.0.2.256:1"`), want: []string{
			`f:6:1: wireguard.endpoint: "192.0.2.256" is not a DNS name: want one that does not end in a number, up to 253 bytes`,
		}},
		{name: "address without prefix", file: wg(`address = "10.8.0.1"`), want: []string{
			`f:6:1: wireguard.address: "10.8.0.1" is not an address in a tunnel network: want IPv4/prefix with a prefix from 8 to 30, such as "10.8.0.1/16"`,
		}},
		{name: "network's address", file: wg(`address = "10.8.0.0/16"`), want: []string{
			`f:6:1: wireguard.address: "10.8.0.0/16": 10.8.0.0 is the network's own or broadcast address: want another address in it, such as "10.8.0.1/16"`,
		}},
		{name: "broadcast address", file: wg(`address = "10.8.255.255/16"`), want: []string{
			`f:6:1: wireguard.address: "10.8.255.255/16": 10.8.255.255 is the network's own or broadcast address: want another address in it, such as "10.8.0.1/16"`,
		}},
		{name: "pool and reserved outside", file: wg("pool = \"10.9.0.0/18\"\nreserved = [\"10.8.0.1\", \"10.0.0.0/8\"]"), want: []string{
			`f:6:1: wireguard.pool: 10.9.0.0/18 is not inside the tunnel network 10.8.0.0/16 of address`,
			`f:7:25: wireguard.reserved: 10.0.0.0/8 is not inside the tunnel network 10.8.0.0/16 of address`,
		}},
		{name: "IPv6 pool", file: wg(`pool = "fd00::/64"`), want: []string{
			`f:6:1: wireguard.pool: "fd00::/64" is IPv6: guests have IPv4 addresses only`,
		}},
		{name: "only the address is reported when it is wrong", file: wg("address = \"x\"\npool = \"10.9.0.0/18\"\n" + instance("a", "10.9.0.1", key(1))), want: []string{
			`f:6:1: wireguard.address: "x" is not an address in a tunnel network: want IPv4/prefix with a prefix from 8 to 30, such as "10.8.0.1/16"`,
		}},
	})
}

// instance is an [[instance]] of 4 lines.
func instance(app, address, key string) string {
	return "[[instance]]\napp_id = \"" + app + "\"\naddress = \"" + address + "\"\npublic_key = \"" + key + "\"\n"
}

func TestInstanceProblems(t *testing.T) {
	checkProblems(t, []problemCase{
		{name: "nothing in it", file: "[[instance]]", want: []string{
			`f:5:3: instance.app_id: is missing: want the id of the app that the CVM runs`,
			`f:5:3: instance.address: is missing: want its address in the tunnel network`,
			`f:5:3: instance.public_key: is missing: want the CVM's WireGuard key (not needed with wireguard.mode = "none")`,
		}},
		{name: "bad values", file: instance("a-b", "::", "AAAA"), want: []string{
			`f:6:1: instance.app_id: app id "a-b": want 1 to 63 of a-z, 0-9 (upper case is folded)`,
			`f:7:1: instance.address: "::" is not the address of a host: want one such as "10.8.0.2"`,
			"f:8:1: instance.public_key: want 44 characters of standard base64 (32 bytes), as `wg pubkey` prints",
		}},
		{name: "the gateway's own address", file: instance("a", "10.8.0.1", key(1)), want: []string{
			`f:7:1: instance.address: 10.8.0.1 is the gateway's own, wireguard.address`,
		}},
		{name: "outside, broadcast", file: instance("a", "10.9.0.1", key(1)) + instance("a", "10.8.255.255", key(2)), want: []string{
			`f:7:1: instance.address: 10.9.0.1 cannot be a CVM's in the tunnel network 10.8.0.0/16 of wireguard.address`,
			`f:11:1: instance.address: 10.8.255.255 cannot be a CVM's in the tunnel network 10.8.0.0/16 of wireguard.address`,
		}},
		{name: "address and key twice", file: instance("a", "10.8.0.2", key(1)) + instance("a", "10.8.0.2", key(1)), want: []string{
			`f:11:1: instance.address: 10.8.0.2 is already the address of the instance at line 7`,
			`f:12:1: instance.public_key: ` + key(1) + ` is already the public_key of the instance at line 8`,
		}},
		{
			name: "id twice",
			file: instance("a", "10.8.0.2", key(1)) + "instance_id = \"i\"\n" + instance("b", "10.8.0.3", key(2)) + "instance_id = \"I\"",
			want: []string{`f:14:1: instance.instance_id: i is already the instance_id of the instance at line 9`},
		},
		{name: "the own site's names", file: instance("gateway", "10.8.0.2", key(1)) + "instance_id = \"Health\"\n", want: []string{
			`f:6:1: instance.app_id: "gateway" is reserved: it is a name of the gateway's own site: choose another`,
			`f:9:1: instance.instance_id: "health" is reserved: it is a name of the gateway's own site: choose another`,
		}},
		{name: "id of an app", file: instance("a", "10.8.0.2", key(1)) + "instance_id = \"b\"\n" + instance("b", "10.8.0.3", key(2)), want: []string{
			`f:9:1: instance.instance_id: "b" is the app_id at line 11: its name would lead to that app`,
		}},
		{name: "no tunnel: any address, no key", file: "[wireguard]\nmode = \"none\"\n" +
			"[[instance]]\napp_id = \"a\"\naddress = \"127.0.0.1\"\n[[instance]]\napp_id = \"a\"\naddress = \"::1\""},
		{name: "no tunnel: still unique", file: "[wireguard]\nmode = \"none\"\n" +
			"[[instance]]\napp_id = \"a\"\naddress = \"127.0.0.1\"\n[[instance]]\napp_id = \"b\"\naddress = \"127.0.0.1\"", want: []string{
			`f:12:1: instance.address: 127.0.0.1 is already the address of the instance at line 9`,
		}},
	})
}

func TestInstancesAreBounded(t *testing.T) {
	checkProblems(t, []problemCase{
		{name: "one too many", whole: true, file: "instance = [" + strings.Repeat("{},", maxInstances+1) + "]\n" + smallest, want: []string{
			`f:1:1: instance: has 65537 members: want at most 65536`,
		}},
	})
}

func TestPortsOfAnInstance(t *testing.T) {
	instance := func(ports string) string {
		return "[wireguard]\nmode = \"none\"\n[[instance]]\napp_id = \"a\"\naddress = \"127.0.0.1\"\nports = " + ports
	}
	bad := func(name, ports, want string) problemCase {
		return problemCase{name: name, file: instance(ports), want: []string{"f:10:" + want}}
	}
	checkProblems(t, []problemCase{
		{name: "some", file: instance(`["443", "80,proxy"]`)},
		{name: "all", file: instance(`["*"]`)},
		bad("none", `[]`, `1: instance.ports: is empty: want at least one port, or ["*"] for all`),
		bad("no port", `["0"]`, `10: instance.ports: "0" is not a port: want 1 to 65535, such as "443", or "80,proxy" for a PROXY header`),
		bad("no flag", `["80,pp"]`, `10: instance.ports: "80,pp" is not a port: want 1 to 65535, such as "443", or "80,proxy" for a PROXY header`),
		bad("all and more", `["*", "80"]`, `1: instance.ports: port policy lists port 0: want each port once, or ["*"] for all`),
		bad("twice", `["80", "80,proxy"]`, `1: instance.ports: port policy lists port 80 twice, with and without PROXY header: want each port once, or ["*"] for all`),
	})
	c := parse(t, smallest+instance(`["80,proxy", "443"]`))
	if want := []vm.PortRule{{Port: 80, Proxy: true}, {Port: 443}}; !slices.Equal(c.Instances[0].Ports, want) {
		t.Error(c.Instances[0].Ports)
	}
	if c = parse(t, smallest+instance(`["*"]`)); c.Instances[0].Ports != nil {
		t.Error(c.Instances[0].Ports)
	}
}
