package main

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"sallyport/admin"
	"sallyport/internal/gwtest"
)

const (
	vm1 = "1111111111111111111111111111111111111111"
	vm2 = "2222222222222222222222222222222222222222"
)

func TestMachineJoinsAndIsReached(t *testing.T) {
	s := newSite(t)
	s.machine("vm1", vm1)
	s.gateway()
	s.until("the gateway is up", serving(0))
	s.join("vm1", "--forward", "80="+web(t, "one"))
	s.until("the machine is up", serving(1))
	for _, name := range []string{testApp, vm1, testApp + "-80"} {
		if got, err := s.get(name); got != "one" {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestPortsThatAMachineDoesNotOpenAreRefused(t *testing.T) {
	s := newSite(t)
	s.machine("vm1", vm1)
	s.gateway()
	s.until("the gateway is up", serving(0))
	s.join("vm1", "--forward", "80="+web(t, "one"), "--forward", "81="+web(t, "two"), "--port", "80")
	s.until("the machine is up", serving(1))
	if got, err := s.get(testApp); got != "one" {
		t.Errorf("port 80: %q, %v", got, err)
	}
	_, err := s.get(testApp + "-81")
	if err == nil || !strings.Contains(err.Error(), "access denied") {
		t.Errorf("port 81: %v, want the alert access_denied", err)
	}
}

// What was acknowledged is there after a kill -9, with its address, and is reached as soon as it speaks.
func TestRegistrationsSurviveAKilledGateway(t *testing.T) {
	s := newSite(t)
	s.machine("vm1", vm1)
	s.machine("vm2", vm2)
	gw := s.gateway()
	s.until("the gateway is up", serving(0))
	s.join("vm1", "--forward", "80="+web(t, "one"))
	s.until("the first machine is up", serving(1))
	s.join("vm2", "--forward", "80="+web(t, "two"))
	before := s.until("both machines are up", serving(2))
	s.until("their endpoints are on disk", func(*admin.Status) bool {
		b, err := os.ReadFile(s.path("store/endpoints.json"))
		return err == nil && bytes.Count(b, []byte("127.0.0.1:")) == 2
	})
	_ = gw.Process.Kill()
	_ = gw.Wait()
	s.gateway()
	after := s.until("the gateway remembers", func(st *admin.Status) bool { return len(st.Instances) == 2 })
	for i := range before.Instances {
		if before.Instances[i].ID != after.Instances[i].ID || before.Instances[i].Address != after.Instances[i].Address {
			t.Errorf("before %+v, after %+v", before.Instances[i], after.Instances[i])
		}
	}
	s.until("both machines are up again", serving(2))
	for name, want := range map[string]string{vm1: "one", vm2: "two"} {
		if got, err := s.get(name); got != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

func TestMachineWithANewKeyKeepsItsAddress(t *testing.T) {
	s := newSite(t)
	s.machine("vm1", vm1)
	s.gateway()
	s.until("the gateway is up", serving(0))
	old := s.join("vm1", "--forward", "80="+web(t, "old"))
	before := s.until("the machine is up", serving(1))
	_ = old.Process.Kill()
	_ = old.Wait()
	if err := os.RemoveAll(s.path("vm1-state")); err != nil {
		t.Fatal(err)
	}
	s.join("vm1", "--forward", "80="+web(t, "new"))
	s.until("it is reached with its new key", func(st *admin.Status) bool {
		got, _ := s.get(vm1)
		return got == "new" && len(st.Instances) == 1 && st.Instances[0].Address == before.Instances[0].Address
	})
}

func TestGatewayServesItsOwnName(t *testing.T) {
	s := newSite(t)
	s.gateway()
	s.until("the gateway is up", serving(0))
	if _, err := s.get("gateway"); err != nil {
		t.Error(err)
	}
	if _, err := s.get("nobody"); err == nil || !strings.Contains(err.Error(), "unrecognized name") {
		t.Errorf("nobody: %v", err)
	}
}

func TestJoinRefusesAnotherGateway(t *testing.T) {
	s := newSite(t)
	s.machine("vm1", vm1)
	s.gateway()
	s.until("the gateway is up", serving(0))
	cmd := gwtest.Program(t, "join", "--url", "https://"+s.guests, "--cert", s.path("vm1.pem"), "--key", s.path("vm1.key"),
		"--ca", s.path("pki/ca.pem"), "--gateway-app-id", testApp, "--state", s.path("state"), "--mode", "netstack", "--forward", "127.0.0.1:1")
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line := make([]byte, 4096)
	n, _ := out.Read(line)
	if !strings.Contains(string(line[:n]), "app id is "+gatewayApp) {
		t.Errorf("it says %s", line[:n])
	}
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}
