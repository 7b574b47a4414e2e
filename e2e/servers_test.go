package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"sallyport/internal/gwtest"
)

// freePort is a port that nobody uses on c's host. Nobody else is there to take
// it before its user does.
func (c *cvm) freePort(t *testing.T) int {
	t.Helper()
	l := c.host.Listen(t, ":0")
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// waitForPort waits until a server answers on c's own loopback.
func (c *cvm) waitForPort(t *testing.T, port int, p *gwtest.Process) {
	t.Helper()
	eventually(t, patience, p.Name+" listens", func() bool {
		select {
		case <-p.Done():
			t.Fatalf("%s ended: %v", p.Name, p.Wait(0))
		default:
		}
		conn, err := c.host.Dial(t.Context(), "127.0.0.1:"+strconv.Itoa(port))
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

// startSSHD runs a real sshd on c that lets in the key dir/user; dir/known_hosts
// has its host key under the name cvm.
func (c *cvm) startSSHD(t *testing.T, dir string) int {
	t.Helper()
	for _, k := range []string{"host", "user"} {
		mustRun(t, exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, k)))
	}
	hostKey, err := os.ReadFile(filepath.Join(dir, "host.pub"))
	if err != nil {
		t.Fatal(err)
	}
	mustWriteFile(t, filepath.Join(dir, "known_hosts"), "cvm "+string(hostKey))
	port := c.freePort(t)
	mustWriteFile(t, filepath.Join(dir, "sshd_config"), fmt.Sprintf(`
Port %d
HostKey %s/host
AuthorizedKeysFile %s/user.pub
PidFile none
PermitRootLogin prohibit-password
PasswordAuthentication no
StrictModes no
UsePAM no
`, port, dir, dir))
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil { // its privilege separation wants it
		t.Fatal(err)
	}
	program, err := exec.LookPath("sshd") // it insists on an absolute path
	if err != nil {
		t.Fatal(err)
	}
	p := c.host.Start(t, exec.CommandContext(t.Context(), program, "-D", "-e", "-f", filepath.Join(dir, "sshd_config")))
	c.waitForPort(t, port, p)
	return port
}

// startPostgres runs a real PostgreSQL on c, with a certificate for these names;
// it asks for no password.
func (c *cvm) startPostgres(t *testing.T, ca *gwtest.CA, names ...string) int {
	t.Helper()
	bin := postgresBin(t)
	owner, err := user.Lookup("postgres") // it refuses to run as root
	if err != nil {
		t.Fatal(err)
	}
	uid, _ := strconv.Atoi(owner.Uid)
	gid, _ := strconv.Atoi(owner.Gid)
	as := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}

	dir, err := os.MkdirTemp("", "gateway-e2e-postgres-") //nolint:usetesting // t.TempDir is closed to other users
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	gwtest.WritePEM(t, dir, "server", ca.Server(t, names...))
	for _, f := range []string{dir, dir + "/server.pem", dir + "/server.key"} {
		if err := os.Chown(f, uid, gid); err != nil {
			t.Fatal(err)
		}
	}
	data := filepath.Join(dir, "data")
	initdb := exec.Command(filepath.Join(bin, "initdb"), "--auth=trust", "--no-sync", "--username=postgres", "-D", data)
	initdb.SysProcAttr, initdb.Dir = as, dir
	mustRun(t, initdb)
	mustWriteFile(t, filepath.Join(data, "pg_hba.conf"), "host all postgres all trust\n")

	port := c.freePort(t)
	cmd := exec.CommandContext(t.Context(), filepath.Join(bin, "postgres"), "-D", data, "-p", strconv.Itoa(port),
		"-c", "listen_addresses=*", "-c", "unix_socket_directories="+dir, "-c", "fsync=off",
		"-c", "ssl=on", "-c", "ssl_cert_file="+dir+"/server.pem", "-c", "ssl_key_file="+dir+"/server.key")
	cmd.SysProcAttr, cmd.Dir = as, dir
	c.waitForPort(t, port, c.host.Start(t, cmd))
	return port
}

// postgresBin is where Debian keeps the server's programs, of whichever version.
func postgresBin(t *testing.T) string {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil || len(found) == 0 {
		t.Fatal("no PostgreSQL server: .ci/packages.sh installs it")
	}
	return filepath.Dir(found[len(found)-1])
}

func mustRun(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd.Path, err, out)
	}
}

func mustWriteFile(t *testing.T, file, data string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
}
