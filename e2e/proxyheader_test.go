package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/gwtest"
)

// The app of the machine that asks for a PROXY header, and the gateway's own.
const (
	proxyApp   = "deadbeef111111111111111111111111deadbeef"
	gatewayApp = "6a7e111111111111111111111111111111111111"
)

// The real readers of a PROXY header take ours, with the client's address in it. nginx
// before 1.23 is the strictest: it wants all of it at once, in 107 bytes.
func TestRealServersTakeTheProxyHeader(t *testing.T) {
	w := newWorld(t, "curl", "openssl", "nginx", "haproxy")
	cert, key := gwtest.WritePEM(t, w.dir, "own", w.ca.Server(t, "*."+domain))
	g := w.startWithGuest(80, 81, 82, 443, 444, 445)
	w.cvms[0].startNginx(t, w.dir, cert, key)
	w.cvms[0].startHAProxy(t, w.dir, cert, key)
	g.waitForHealthy(1)

	named := func(suffix string) string { return name(proxyApp, suffix) }
	for _, tt := range []struct{ name, suffix, server string }{
		{"NginxHTTP", "80", "http"},
		{"NginxStream", "81", "stream"},
		{"HAProxy", "82", "haproxy"},
		{"NginxHTTPS", "443s", "https"},
		{"NginxStreamWithTLS", "444s", "tls-stream"},
		{"HAProxyWithTLS", "445s", "tls-haproxy"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := w.in(t)
			for family, want := range map[string]string{"-4": "192.0.2.2", "-6": "2001:db8::2"} {
				out, err := w.askServer(tt.server, named(tt.suffix), family)
				if err != nil || !strings.Contains(out, tt.server+" "+want+" ") {
					t.Errorf("%s: %v: %s", family, err, out)
				}
				// The name fits beside IPv4 addresses, and not beside those of IPv6.
				if strings.Contains(tt.server, "haproxy") && strings.Contains(out, " "+named(tt.suffix)+"\n") != (family == "-4") {
					t.Errorf("%s: the name in %s", family, out)
				}
			}
		})
	}
}

// askServer returns what server says to a client that connects over family, -4 or -6.
// nginx's stream answers without a question and resets whoever has asked one. The reset is
// passed on, and curl then forgets what it has read: the client of a stream asks nothing.
func (w *world) askServer(server, name, family string) (string, error) {
	if !strings.Contains(server, "stream") {
		return w.curl(name, family)
	}
	at := map[string]string{"-4": gateway4, "-6": "[" + gateway6 + "]"}[family]
	return w.run("", "openssl", "s_client", "-quiet", "-connect", at+":443", "-servername", name)
}

// startWithGuest starts a gateway and a machine that registers itself, by gateway join
// on cvm 0, and asks for a PROXY header on ports.
func (w *world) startWithGuest(ports ...int) *gateway {
	w.t.Helper()
	program, err := programs.plain()
	if err != nil {
		w.t.Fatal(err)
	}
	file := func(name string) string { return filepath.Join(w.dir, name) }
	const at = "198.51.100.1" // the gateway's end of the cable
	for _, args := range [][]string{
		{"init"},
		{"issue", "--out", file("rpc"), "--server", "--name", at, "--app-id", gatewayApp},
		{"issue", "--out", file("vm"), "--app-id", proxyApp},
	} {
		mustRun(w.t, exec.Command(program, append([]string{"pki", "--dir", file("pki")}, args...)...))
	}
	g := w.startAlone(programs.tested, nil,
		setting{"wireguard.endpoint", fmt.Sprintf("%s:%d", at, wgPort)},
		setting{"rpc.listen", "0.0.0.0:8000"},
		setting{"rpc.cert", file("rpc.pem")}, setting{"rpc.key", file("rpc.key")},
		setting{"rpc.client_ca", file("pki/ca.pem")})
	join := []string{
		"join", "--url", "https://" + at + ":8000", "--cert", file("vm.pem"), "--key", file("vm.key"), "--ca", file("pki/ca.pem"),
		"--gateway-app-id", gatewayApp, "--state", file("join"), "--mode", "userspace",
	}
	for _, p := range ports {
		join = append(join, "--port", fmt.Sprintf("%d,proxy", p))
	}
	w.cvms[0].host.Start(w.t, exec.CommandContext(w.t.Context(), program, join...))
	return g
}

// startNginx runs a real nginx on c, which tells each client its address.
func (c *cvm) startNginx(t *testing.T, dir, cert, key string) {
	t.Helper()
	modules, err := filepath.Glob("/usr/lib/nginx/modules/ngx_stream_module.so")
	if err != nil || len(modules) == 0 {
		t.Fatal("nginx has no stream module: .ci/packages.sh installs it")
	}
	conf := filepath.Join(dir, "nginx.conf")
	mustWriteFile(t, conf, strings.NewReplacer("DIR", dir, "CERT", cert, "KEY", key, "MODULE", modules[0]).Replace(`
load_module MODULE;
daemon off;
master_process off; # the end of the test ends one process, and would leave workers behind
user root;
pid DIR/nginx.pid;
error_log stderr;
events {}
http {
	access_log off;
	client_body_temp_path DIR/nginx-1; proxy_temp_path DIR/nginx-2; fastcgi_temp_path DIR/nginx-3;
	uwsgi_temp_path DIR/nginx-4; scgi_temp_path DIR/nginx-5;
	ssl_certificate CERT; ssl_certificate_key KEY;
	server { listen 80 proxy_protocol; return 200 "http $proxy_protocol_addr \n"; }
	server { listen 443 ssl proxy_protocol; return 200 "https $proxy_protocol_addr \n"; }
}
stream {
	ssl_certificate CERT; ssl_certificate_key KEY;
	server { listen 81 proxy_protocol; return "stream $proxy_protocol_addr \n"; }
	server { listen 444 ssl proxy_protocol; return "tls-stream $proxy_protocol_addr \n"; }
}
`))
	// -e: it must not even look for its log in /var/log.
	c.waitForPort(t, 80, c.host.Start(t, exec.CommandContext(t.Context(), "nginx", "-e", "stderr", "-c", conf)))
}

// startHAProxy is startNginx for HAProxy, which tells the name in the header as well.
func (c *cvm) startHAProxy(t *testing.T, dir, cert, key string) {
	t.Helper()
	var both []byte
	for _, f := range []string{cert, key} {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		both = append(both, b...)
	}
	mustWriteFile(t, filepath.Join(dir, "both.pem"), string(both))
	conf := filepath.Join(dir, "haproxy.cfg")
	mustWriteFile(t, conf, strings.ReplaceAll(`
defaults
	mode http
	timeout client 30s
	timeout connect 30s
	timeout server 30s
frontend plain
	bind :82 accept-proxy
	http-request return status 200 content-type text/plain lf-string "haproxy %[src] %[fc_pp_authority]\n"
frontend tls
	bind :445 ssl crt DIR/both.pem accept-proxy
	http-request return status 200 content-type text/plain lf-string "tls-haproxy %[src] %[fc_pp_authority]\n"
`, "DIR", dir))
	c.waitForPort(t, 82, c.host.Start(t, exec.CommandContext(t.Context(), "haproxy", "-db", "-f", conf)))
}
