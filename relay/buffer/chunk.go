package buffer

// ReadSize is how much a loop reads at once, and ReadMost how much from a sender whose
// receiver takes everything; GrowMost doublings lead from the one to the other.
const (
	ReadSize = 64 << 10
	ReadMost = ReadSize << GrowMost
	GrowMost = 3
)

// The two largest classes hold a read of ReadSize and one of ReadMost after encryption: a
// record of 1.2 kB, which crypto/tls makes at first, is 2 % longer than its content.
const (
	outSize = ReadSize + 8<<10
	OutMost = ReadMost + 16<<10
)

var chunkSizes = [...]int{2 << 10, 8 << 10, 24 << 10, outSize, OutMost}

// classLarge is the class of which a loop uses no more than LargeChunks at a time, for
// bytes that a receiver did not take.
const (
	classLarge  = len(chunkSizes) - 1
	LargeChunks = 16
)

// chunksKept bounds the memory that waits in a pool, in bytes for each class.
const chunksKept = 2 << 20

// A Chunk is a piece of pooled memory with bytes in it: a hello that is being read, or what
// the receiver could not take yet.
type Chunk struct {
	b        []byte
	off, end int
	class    int8 // index in chunkSizes; -1: not pooled
}

// Bytes returns the bytes in k.
func (k *Chunk) Bytes() []byte { return k.b[k.off:k.end] }

// Len returns how many bytes are in k.
func (k *Chunk) Len() int { return k.end - k.off }

// Skip takes the first n bytes out of k.
func (k *Chunk) Skip(n int) { k.off += n }

// Free returns the room behind the bytes. Fill says how much of it was used.
func (k *Chunk) Free() []byte { return k.b[k.end:] }

// Fill adds the first n bytes of Free to k.
func (k *Chunk) Fill(n int) { k.end += n }

// Chunks is a pool of chunks. The zero value is ready to use.
type Chunks struct {
	free  [len(chunkSizes)][]*Chunk
	large int // of classLarge in use
}

// Scarce reports whether all chunks for a read of ReadMost are in use.
func (p *Chunks) Scarce() bool { return p.large >= LargeChunks }

// Get returns an empty chunk of at least n bytes.
func (p *Chunks) Get(n int) *Chunk {
	for class, size := range chunkSizes {
		if n > size {
			continue
		}
		if class == classLarge {
			p.large++
		}
		list := p.free[class]
		if len(list) == 0 {
			return &Chunk{b: make([]byte, size), class: int8(class)}
		}
		k := list[len(list)-1]
		list[len(list)-1] = nil
		p.free[class] = list[:len(list)-1]
		return k
	}
	return &Chunk{b: make([]byte, n), class: -1}
}

// Put gives k back; k may be nil.
func (p *Chunks) Put(k *Chunk) {
	if k == nil || k.class < 0 {
		return
	}
	if int(k.class) == classLarge {
		p.large--
	}
	k.off, k.end = 0, 0
	if list := p.free[k.class]; len(list)*chunkSizes[k.class] < chunksKept {
		p.free[k.class] = append(list, k)
	}
}

// Keep appends b to k, which may be nil, and returns the chunk with both.
func (p *Chunks) Keep(k *Chunk, b []byte) *Chunk {
	if len(b) == 0 {
		return k
	}
	if k == nil {
		k = p.Get(len(b))
	} else if k.end+len(b) > len(k.b) {
		k = p.move(k, max(k.Len()+len(b), 2*k.Len())) // the copies together stay linear
	}
	k.end += copy(k.b[k.end:], b)
	return k
}

// Double returns a chunk with k's bytes and twice the room.
func (p *Chunks) Double(k *Chunk) *Chunk { return p.move(k, 2*max(k.Len(), chunkSizes[0])) }

// move moves k's bytes to a chunk of at least n bytes.
func (p *Chunks) move(k *Chunk, n int) *Chunk {
	g := p.Get(n)
	g.end = copy(g.b, k.Bytes())
	p.Put(k)
	return g
}
