package buffer

import "testing"

func TestChunksKeepTheirBytesWhileTheyGrow(t *testing.T) {
	var p Chunks
	var k *Chunk
	want := ""
	for i := range 2000 {
		part := []byte{byte(i), byte(i >> 8), 'x', byte(i)}
		want += string(part)
		k = p.Keep(k, part)
		if i%3 == 0 {
			k.Skip(1)
			want = want[1:]
		}
	}
	if string(k.Bytes()) != want {
		t.Error("the bytes changed")
	}
	p.Put(k)
	if again := p.Get(len(want)); again != k || again.Len() != 0 {
		t.Error("the chunk was not used again, or not emptied")
	}
}

// The buffer of what a peer leaves unread must not be copied whole for each record.
func TestChunksGrowGeometrically(t *testing.T) {
	var p Chunks
	var k *Chunk
	moves, at := 0, (*byte)(nil)
	for range 1 << 20 / 27 {
		if k = p.Keep(k, make([]byte, 27)); &k.b[0] != at {
			moves, at = moves+1, &k.b[0]
		}
	}
	if moves > 12 {
		t.Errorf("%d bytes were moved %d times", k.Len(), moves)
	}
}
