package e2e

import (
	"bufio"
	"net"
	"net/http"
	"net/textproto"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const request = "GET /page HTTP/1.0\r\n\r\n"

// sClient runs openssl s_client against the gateway and returns what it says
// about the session and what the instance answered to request.
func (w *world) sClient(serverName string, args ...string) (string, error) {
	return w.run(request, "openssl", append([]string{
		"s_client", "-connect", gateway4 + ":443", "-servername", serverName,
		"-CAfile", w.root(), "-verify_return_error", "-ign_eof",
	}, args...)...)
}

// large is the size of a page that takes several records.
const large = 100_000

// applicationRecords finds the lengths of the records with data that s_client -msg tells.
var applicationRecords = regexp.MustCompile(`<<< TLS 1\.\d, RecordHeader \[length 0005\]\s+17 03 03 (..) (..)`)

func TestOpenSSL(t *testing.T) {
	w := newWorld(t, "openssl")
	w.start()
	w.cvms[0].serveHTTP(t, ":80", http.HandlerFunc(describe))
	w.cvms[0].serveHTTP(t, ":81", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(make([]byte, large)) // the client counts
	}))
	plain := name("alpha", "")
	for _, tt := range []struct {
		name, serverName string
		args             []string
		want             string
	}{
		{"SpeaksTLS12", plain, []string{"-tls1_2"}, "New, TLSv1.2, Cipher is ECDHE-ECDSA-"},
		{"SpeaksTLS13", plain, []string{"-tls1_3"}, "New, TLSv1.3, Cipher is TLS_"},
		{"SpeaksTLS13WithSHA384", plain, []string{"-tls1_3", "-ciphersuites", "TLS_AES_256_GCM_SHA384"}, "Cipher is TLS_AES_256_GCM_SHA384"},
		{"IsUnderstoodInUpperCase", strings.ToUpper(plain), nil, "Verify return code: 0 (ok)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, err := w.in(t).sClient(tt.serverName, tt.args...)
			if err != nil || !strings.Contains(out, tt.want) || !strings.Contains(out, "HTTP/1.0 /page") {
				t.Errorf("%v, want %q and an answer: %s", err, tt.want, out)
			}
		})
	}
	t.Run("ResumesItsSession", func(t *testing.T) {
		session := w.dir + "/session"
		if out, err := w.sClient(plain, "-tls1_3", "-sess_out", session); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		out, err := w.sClient(plain, "-tls1_3", "-sess_in", session)
		if err != nil || !strings.Contains(out, "Reused, TLSv1.3") {
			t.Errorf("%v: %s", err, out)
		}
	})
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		t.Run("GetsSmallRecordsIfItAsksForThem"+version, func(t *testing.T) {
			out, err := w.sClient(name("alpha", "81"), version, "-maxfraglen", "512", "-msg")
			sizes := applicationRecords.FindAllStringSubmatch(out, -1)
			if err != nil || len(sizes) < large/512 {
				t.Fatalf("%v: %d records", err, len(sizes))
			}
			for _, size := range sizes {
				if n, _ := strconv.ParseInt(size[1]+size[2], 16, 32); n > 512+64 {
					t.Errorf("a record of %d bytes", n)
				}
			}
		})
	}
	t.Run("IsRefusedWithATrailingDot", func(t *testing.T) {
		// RFC 6066, 3: the name has none, and crypto/tls holds a client to it. Only
		// passthrough can let it pass (hello_test.go).
		out, err := w.sClient(plain + ".")
		if err == nil || !strings.Contains(out, "alert decode error") {
			t.Errorf("%v: %s", err, out)
		}
	})
	t.Run("IsRefusedWithCBCAlone", func(t *testing.T) {
		out, err := w.sClient(plain, "-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA:AES128-SHA")
		if err == nil || !strings.Contains(out, "alert handshake failure") {
			t.Errorf("%v: %s", err, out)
		}
	})
	t.Run("IsRefusedWithTLS11", func(t *testing.T) {
		out, err := w.sClient(plain, "-tls1_1", "-cipher", "DEFAULT:@SECLEVEL=0")
		if err == nil || !strings.Contains(out, "alert protocol version") {
			t.Errorf("%v: %s", err, out)
		}
	})
}

// A name without suffix is for any protocol but HTTP/2. A client that offers only
// protocols which the gateway does not know is confirmed the first, not none.
func TestALPN(t *testing.T) {
	w := newWorld(t, "openssl")
	g := w.start()
	w.cvms[0].serveHTTP(t, ":80", http.HandlerFunc(describe))
	for _, tt := range []struct{ name, serverName, offer, want string }{
		{"OfHTTP", name("alpha", ""), "h2,http/1.1", "ALPN protocol: http/1.1"},
		{"OfOthers", name("alpha", "80"), "mqtt,imap", "ALPN protocol: mqtt"},
		{"OfOthersBesideHTTP2", name("alpha", ""), "h2,xmpp-client", "ALPN protocol: xmpp-client"},
		{"NeverTheProofOfAName", name("alpha", ""), "acme-tls/1,imap", "ALPN protocol: imap"},
		{"NotOffered", name("alpha", ""), "", "No ALPN negotiated"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var args []string
			if tt.offer != "" {
				args = []string{"-alpn", tt.offer}
			}
			out, err := w.in(t).sClient(tt.serverName, args...)
			if err != nil || !strings.Contains(out, tt.want) || !strings.Contains(out, "HTTP/1.0 /page") {
				t.Errorf("%v, want %q and an answer: %s", err, tt.want, out)
			}
		})
	}
	for _, tt := range []struct{ name, serverName, offer, detail string }{
		{"OfHTTP2AloneIsRefused", name("alpha", "8080"), "h2", "alpha-8080g is the name for it"},
		{"WithoutHTTP2IsRefusedOnAGName", name("alpha", "g"), "http/1.1", "alpha is the name for other protocols"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out, err := w.in(t).sClient(tt.serverName, "-alpn", tt.offer)
			if err == nil || !strings.Contains(out, "alert no application protocol") {
				t.Errorf("%v: %s", err, out)
			}
			if line := g.in(t).access(tt.serverName); !strings.Contains(line, tt.detail) {
				t.Errorf("the log does not say %q: %s", tt.detail, line)
			}
		})
	}
}

// The server's key rings first, the client speaks second: nothing may wait for
// the client's first byte inside of TLS.
func TestServerThatSpeaksFirstIsHeard(t *testing.T) {
	for _, m := range modes {
		t.Run(m.name, func(t *testing.T) {
			w := newWorld(t)
			w.start()
			f := w.flow(m)
			mustWrite(t, f.instance, []byte("220 ready\r\n"))
			if line, err := bufio.NewReader(f.client).ReadString('\n'); err != nil || line != "220 ready\r\n" {
				t.Errorf("%q, %v", line, err)
			}
		})
	}
}

// A mail server greets its client, which says nothing before that.
func TestMailIsDeliveredOverTLS(t *testing.T) {
	w := newWorld(t, "curl")
	w.start()
	mails := make(chan string, 1)
	l := w.cvms[0].host.Listen(t, ":465")
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = receiveMail(c, mails) // what is missing, the test misses
			c.Close()
		}
	}()
	serverName := name("alpha", "465")
	out, err := w.run("Subject: hello\r\n\r\nfrom outside\r\n", "curl", "--silent", "--show-error", "--cacert", w.root(),
		"--resolve", serverName+":443:"+gateway4, "smtps://"+serverName+":443", "--mail-from", "a@b.example", "--mail-rcpt", "c@d.example", "--upload-file", "-")
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if got := <-mails; got != "Subject: hello\r\n\r\nfrom outside\r\n" {
		t.Errorf("the mail is %q", got)
	}
}

// receiveMail is the server's side of one SMTP session (RFC 5321).
func receiveMail(c net.Conn, mails chan<- string) error {
	text := textproto.NewConn(c)
	reply := "220 ready"
	for {
		if err := text.PrintfLine("%s", reply); err != nil {
			return err
		}
		line, err := text.ReadLine()
		if err != nil {
			return err
		}
		reply = "250 ok"
		if line != "DATA" {
			continue
		}
		if err := text.PrintfLine("354 go on"); err != nil {
			return err
		}
		lines, err := text.ReadDotLines()
		if err != nil {
			return err
		}
		mails <- strings.Join(lines, "\r\n") + "\r\n"
	}
}

func TestSSHThroughOpenSSLAsProxyCommand(t *testing.T) {
	w := newWorld(t, "openssl", "ssh", "ssh-keygen", "sshd")
	w.start()
	port := w.cvms[0].startSSHD(t, w.dir)
	proxy := "openssl s_client -quiet -connect " + gateway4 + ":443 -servername " +
		name("alpha", strconv.Itoa(port)) + " -CAfile " + w.root() + " -verify_return_error"
	args := []string{
		"-F", "none", "-i", w.dir + "/user", "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes",
		"-o", "UserKnownHostsFile=" + w.dir + "/known_hosts", "-o", "StrictHostKeyChecking=yes",
		"-o", "HostKeyAlias=cvm", "-o", "ProxyCommand=" + proxy, "root@cvm",
	}
	out, err := w.run("", "ssh", append(args, "echo", "inside")...)
	if err != nil || !strings.Contains(out, "inside\n") {
		t.Fatalf("%v: %s", err, out)
	}
	out, err = w.run(strings.Repeat("0123456789abcde\n", 1<<16), "ssh", append(args, "wc", "-c")...)
	if err != nil || !strings.Contains(out, "1048576") {
		t.Errorf("a MiB up the pipe: %v: %s", err, out)
	}
}
