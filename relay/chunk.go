package relay

// chunk is a piece of pooled memory with the bytes b[off:end] in it: a hello
// that is being read, or what the other side could not take yet. An idle
// connection holds none.
type chunk struct {
	b        []byte
	off, end int
	class    int8 // index in chunkSizes; -1: not pooled
}

// The two largest classes take a read of readSize and one of readMost after encryption:
// a record of 1.2 kB, as crypto/tls makes them at first, is 2 % longer than what it has.
const (
	outSize = readSize + 8<<10
	outMost = readMost + 16<<10
)

var chunkSizes = [...]int{2 << 10, 8 << 10, 24 << 10, outSize, outMost}

// classLarge is the class that only chunksLarge connections of a loop may use at a
// time, for what their receiver did not take (appetite).
const (
	classLarge  = len(chunkSizes) - 1
	chunksLarge = 16
)

// chunksKept bounds the memory that waits in a loop's pool, in bytes for each class.
const chunksKept = 2 << 20

func (k *chunk) bytes() []byte { return k.b[k.off:k.end] }

func (k *chunk) len() int { return k.end - k.off }

// chunks is a loop's pool. It belongs to the loop's thread.
type chunks struct {
	free  [len(chunkSizes)][]*chunk
	large int // of classLarge in use
}

// get returns an empty chunk of at least n bytes.
func (p *chunks) get(n int) *chunk {
	for class, size := range chunkSizes {
		if n > size {
			continue
		}
		if class == classLarge {
			p.large++
		}
		list := p.free[class]
		if len(list) == 0 {
			return &chunk{b: make([]byte, size), class: int8(class)}
		}
		k := list[len(list)-1]
		list[len(list)-1] = nil
		p.free[class] = list[:len(list)-1]
		return k
	}
	return &chunk{b: make([]byte, n), class: -1}
}

// put gives k back; nil is fine.
func (p *chunks) put(k *chunk) {
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

// keep appends b to k, which may be nil, and returns the chunk that has both.
func (p *chunks) keep(k *chunk, b []byte) *chunk {
	if len(b) == 0 {
		return k
	}
	if k == nil {
		k = p.get(len(b))
	} else if k.end+len(b) > len(k.b) {
		k = p.grow(k, max(k.len()+len(b), 2*k.len())) // a sum of copies that stays linear
	}
	k.end += copy(k.b[k.end:], b)
	return k
}

// grow moves k's bytes to a chunk of at least n bytes.
func (p *chunks) grow(k *chunk, n int) *chunk {
	g := p.get(n)
	g.end = copy(g.b, k.bytes())
	p.put(k)
	return g
}
