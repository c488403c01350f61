package live

import "sync"

const (
	// chunkSize is the piece in which packed units get memory: two halves of one are empty in each
	// ring on the average. regionChunks of them are had from the system at a time.
	chunkSize    = 8 << 10
	regionChunks = 128
)

// store is the memory of the packed units of all rings of a hub, outside the collected heap. Its
// methods may be called from any goroutine.
type store struct {
	mu      sync.Mutex
	regions []*region
	free    int // chunks of all regions
	// lowest: no region before it has a free chunk. Chunks are taken from the first region that has
	// one: none is held for more than some seconds, so that the last ones empty by themselves.
	lowest int
}

// region is memory from the system.
type region struct {
	number int
	memory []byte
	mapped bool // else it is of the heap
	free   []*chunk
}

// chunk is a piece of a region.
type chunk struct {
	region *region
	bytes  []byte
}

// take returns a chunk.
func (s *store) take() *chunk {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.lowest < len(s.regions) && len(s.regions[s.lowest].free) == 0 {
		s.lowest++
	}
	if s.lowest == len(s.regions) {
		s.regions = append(s.regions, newRegion(len(s.regions)))
		s.free += regionChunks
	}
	r := s.regions[s.lowest]
	last := len(r.free) - 1
	c := r.free[last]
	r.free[last] = nil
	r.free = r.free[:last]
	s.free--
	return c
}

// give takes chunks back, and gives memory back to the system of which there is more than enough.
func (s *store) give(chunks ...*chunk) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range chunks {
		c.region.free = append(c.region.free, c)
		s.free++
		s.lowest = min(s.lowest, c.region.number)
	}
	for n := len(s.regions); n > 0 && len(s.regions[n-1].free) == regionChunks && (s.free >= 2*regionChunks || n == 1); n-- {
		s.regions[n-1].release()
		s.regions[n-1] = nil
		s.regions = s.regions[:n-1]
		s.free -= regionChunks
	}
	s.lowest = min(s.lowest, len(s.regions))
}

func newRegion(number int) *region {
	memory, mapped := mapMemory(regionChunks * chunkSize)
	if !mapped {
		memory = make([]byte, regionChunks*chunkSize)
	}
	r := &region{number: number, memory: memory, mapped: mapped, free: make([]*chunk, 0, regionChunks)}
	chunks := make([]chunk, regionChunks)
	for i := range chunks {
		chunks[i] = chunk{r, memory[i*chunkSize : (i+1)*chunkSize : (i+1)*chunkSize]}
		r.free = append(r.free, &chunks[i])
	}
	return r
}

// release gives the memory back. Nobody has a chunk of it.
func (r *region) release() {
	if r.mapped {
		unmapMemory(r.memory)
	}
	r.memory, r.free = nil, nil
}

// queue is bytes in chunks of a store: written at its end, read at its begin. The zero queue needs
// a store.
type queue struct {
	store  *store
	chunks []*chunk
	begin  int // in the first chunk
	end    int // in the last one
}

// write appends p.
func (q *queue) write(p []byte) {
	for len(p) > 0 {
		if len(q.chunks) == 0 || q.end == chunkSize {
			q.chunks = append(q.chunks, q.store.take())
			q.end = 0
		}
		n := copy(q.chunks[len(q.chunks)-1].bytes[q.end:], p)
		q.end += n
		p = p[n:]
	}
}

// read takes the oldest len(p) bytes, which must be there.
func (q *queue) read(p []byte) {
	for len(p) > 0 {
		n := copy(p, q.chunks[0].bytes[q.begin:])
		q.pass(n)
		p = p[n:]
	}
}

// skip lets go of the oldest n bytes, which must be there.
func (q *queue) skip(n int) {
	for n > 0 {
		k := min(n, chunkSize-q.begin)
		q.pass(k)
		n -= k
	}
}

// pass lets go of n bytes of the first chunk.
func (q *queue) pass(n int) {
	q.begin += n
	if q.begin < chunkSize && (len(q.chunks) > 1 || q.begin < q.end) {
		return
	}
	q.store.give(q.chunks[0])
	q.chunks[0] = nil
	q.chunks, q.begin = q.chunks[1:], 0
	if len(q.chunks) == 0 {
		q.chunks, q.end = nil, 0
	}
}

// release lets go of all.
func (q *queue) release() {
	if len(q.chunks) > 0 {
		q.store.give(q.chunks...)
	}
	*q = queue{}
}
