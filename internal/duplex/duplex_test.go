package duplex

import (
	"io"
	"net"
	"testing"
)

// pair is two ends of a TCP connection.
func pair(t *testing.T) (net.Conn, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { CloseBoth(a, b) })
	return a, b
}

func TestHalfCloseGoesThroughAndTheAnswerComesBack(t *testing.T) {
	client, left := pair(t)
	right, server := pair(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		Join(left, right)
	}()
	go func() {
		b, _ := io.ReadAll(server)
		_, _ = server.Write(append([]byte("got "), b...))
		server.Close()
	}()
	if _, err := client.Write([]byte("question")); err != nil {
		t.Fatal(err)
	}
	_ = client.(*net.TCPConn).CloseWrite()
	if b, err := io.ReadAll(client); err != nil || string(b) != "got question" {
		t.Errorf("answer %q, %v", b, err)
	}
	<-done
}

func TestErrorOfOneEndClosesTheOther(t *testing.T) {
	client, left := pair(t)
	right, server := pair(t)
	go Join(left, right)
	_ = client.(*net.TCPConn).SetLinger(0)
	client.Close()
	if _, err := server.Read(make([]byte, 1)); err == nil {
		t.Error("the other end lives")
	}
}
