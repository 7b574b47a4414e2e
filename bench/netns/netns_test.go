package netns

import (
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"sallyport/internal/gwtest"
)

func TestNamespaceHasItsOwnNetwork(t *testing.T) {
	if why := gwtest.Missing(); why != "" {
		t.Skip(why)
	}
	n, err := New(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = n.Close() }()
	links := func() string {
		out, err := exec.CommandContext(t.Context(), "ip", "-o", "link").Output()
		if err != nil {
			t.Error(err)
		}
		return string(out)
	}
	outside := links()
	err = n.Do(func() error {
		if inside := links(); strings.Count(inside, "\n") != 1 || !strings.Contains(inside, "LOOPBACK,UP") {
			t.Errorf("links inside:\n%s", inside)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if links() != outside {
		t.Error("the thread did not come home")
	}
}

func TestCableJoinsTwoNamespaces(t *testing.T) {
	if why := gwtest.Missing(); why != "" {
		t.Skip(why)
	}
	var ends [2]End
	for i := range ends {
		n, err := New(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = n.Close() }()
		ends[i] = End{In: n, Link: fmt.Sprintf("link%d", i), Address: fmt.Sprintf("192.0.2.%d/24", i+1)}
	}
	if err := Wire(t.Context(), ends[0], ends[1]); err != nil {
		t.Fatal(err)
	}
	var ln net.Listener
	err := ends[1].In.Do(func() (err error) {
		ln, err = net.Listen("tcp", "192.0.2.2:0")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	err = ends[0].In.Do(func() error {
		c, err := net.DialTimeout("tcp", ln.Addr().String(), 10*time.Second)
		if err == nil {
			c.Close()
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
