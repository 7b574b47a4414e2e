package relay

import (
	"testing"
	"unsafe"
)

// An idle connection is this struct. The allocator's next size is an eighth more.
func TestConnectionStaysSmall(t *testing.T) {
	if size := unsafe.Sizeof(conn{}); size > 256 {
		t.Errorf("a connection takes %d bytes", size)
	}
}
