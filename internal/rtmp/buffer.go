package rtmp

import (
	"io"
	"time"
)

// This file is the memory of the chunk reader: one buffer between the socket and the parser, and
// slabs from which bodies are cut. A payload is copied once, from the buffer to its slab; the rest
// of a long one is read from the socket straight to its place.

// fill waits until at least n bytes are buffered. n is at most 11, the longest part of a chunk
// header.
func (r *chunkReader) fill(n int) error {
	if r.end-r.start >= n {
		return nil
	}
	buf := r.buf
	if left := r.end - r.start; len(buf) != r.bufSize && left <= r.bufSize {
		buf = make([]byte, r.bufSize)
	}
	r.end = copy(buf, r.buf[r.start:r.end])
	r.buf, r.start = buf, 0
	for r.end < n {
		k, err := r.receive(r.buf[r.end:])
		r.end += k
		if r.slabSize > 0 {
			r.judge()
		}
		if err != nil && r.end < n {
			return err
		}
	}
	return nil
}

// judge sizes the buffer by what reads of media bring.
func (r *chunkReader) judge() {
	r.reads++
	if r.end == len(r.buf) {
		r.full++
	}
	if r.end > len(r.buf)/2 {
		r.half++
	}
	if r.reads < judgedReads {
		return
	}
	switch {
	case r.full >= judgedReads/4:
		r.bufSize = min(2*len(r.buf), mediaBufferSize)
	case r.half < judgedReads/16:
		r.bufSize = max(len(r.buf)/2, minBufferSize)
	}
	r.reads, r.full, r.half = 0, 0, 0
}

// take returns the next n buffered bytes. They hold until the next fill.
func (r *chunkReader) take(n int) []byte {
	p := r.buf[r.start : r.start+n]
	r.start += n
	return p
}

// receive reads from the socket once, and acknowledges what the peer wants to be acknowledged.
func (r *chunkReader) receive(p []byte) (int, error) {
	n, err := r.src.Read(p)
	if n == 0 && err == nil {
		err = io.ErrNoProgress
	}
	r.received += uint32(n)
	if r.received-r.acked >= r.window {
		r.acked = r.received
		if ackErr := r.acknowledge(r.received); err == nil {
			err = ackErr
		}
	}
	return n, err
}

// payload reads n bytes into the message of cs.
func (r *chunkReader) payload(cs *chunkStream, n int) error {
	for n > 0 {
		if len(cs.body) == cap(cs.body) {
			if err := r.grow(cs); err != nil {
				return err
			}
		}
		have := len(cs.body)
		k, err := r.readInto(cs.body[have:min(have+n, cap(cs.body))])
		cs.body = cs.body[:have+k]
		n -= k
		if err != nil && n > 0 {
			return err
		}
	}
	return nil
}

// readInto reads at least one byte.
func (r *chunkReader) readInto(p []byte) (int, error) {
	if r.start == r.end {
		if len(p) >= len(r.buf) {
			return r.receive(p)
		}
		if err := r.fill(1); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.buf[r.start:r.end])
	r.start += n
	return n, nil
}

// reserve returns memory for a body of n bytes: cut from the slab, or, if it is long, its own. For
// a very long body it is a part that grows as data arrives: what a peer announces costs it nothing.
func (r *chunkReader) reserve(n int) ([]byte, error) {
	size := min(n, r.firstBody)
	if err := r.charge(size); err != nil {
		return nil, err
	}
	if size > len(r.slab) {
		if size > r.slabSize/slabShare {
			return make([]byte, 0, size), nil
		}
		r.newSlab()
	}
	body := r.slab[:0:size]
	r.slab = r.slab[size:]
	return body, nil
}

// newSlab begins a slab. Its size follows the rate.
func (r *chunkReader) newSlab() {
	now := time.Now()
	if !r.slabSince.IsZero() {
		switch lasted := now.Sub(r.slabSince); {
		case lasted < slabDuration/2:
			r.slabSize = min(2*r.slabSize, mediaSlabSize)
		case lasted > 2*slabDuration:
			r.slabSize = max(r.slabSize/2, minSlabSize)
		}
	}
	r.slabSince = now
	r.slab = make([]byte, r.slabSize)
}

// grow doubles the memory of a body that was longer than a slab.
func (r *chunkReader) grow(cs *chunkStream) error {
	size := min(2*cap(cs.body), cs.length)
	if err := r.charge(size - cap(cs.body)); err != nil {
		return err
	}
	body := make([]byte, len(cs.body), size)
	copy(body, cs.body)
	cs.body = body
	return nil
}

// charge accounts for n more bytes held by unfinished messages.
func (r *chunkReader) charge(n int) error {
	if limit := pendingMessages * r.maxMessageSize; r.pending+n > limit {
		return limitErrorf("unfinished messages of more than %d bytes", limit)
	}
	r.pending += n
	return nil
}
