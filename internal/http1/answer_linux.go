package http1

import (
	"bytes"
	"syscall"
	"time"
	"unsafe"
)

const (
	// joined bounds the content that is copied behind its head, in bytes, to be sent with it.
	// Longer content is sent from where it is.
	joined = 16 << 10
	// maxSend bounds, in bytes, what is handed to the system at once: others wait meanwhile.
	maxSend = 256 << 10
	// maxPieces bounds the pieces of that.
	maxPieces = 64
	// lingers is for how long a connection that ends with its answer is read from, so that its
	// client gets that.
	lingers = 500 * time.Millisecond
)

// takeShared answers as others with the same question were answered.
func (c *conn) takeShared(s *shared) {
	c.over()
	c.state, c.last = writing, false
	c.allow(c.loop.server.std.WriteTimeout)
	c.enqueue(s.bytes)
}

// enqueue has an answer sent together with others.
func (c *conn) enqueue(b []byte) {
	if c.tls != nil {
		c.out = [][]byte{b}
		c.seal()
		b = c.tls.under.out[c.taken:]
	}
	c.loop.enqueue(c, b)
}

// settle goes on after n bytes of the answer b were sent, none also if that failed.
func (c *conn) settle(b []byte, n int) {
	if c.tls != nil {
		c.taken += n
		c.sendSealed()
		return
	}
	if n == len(b) {
		c.sent()
		return
	}
	c.out = [][]byte{b[n:]}
	c.send()
}

// answer sends what the handler has answered.
func (c *conn) answer(w *response) {
	l := c.loop
	c.over()
	if !w.whole() {
		c.close()
		return
	}
	c.state, c.last = writing, w.closes()
	c.allow(l.server.std.WriteTimeout)
	if l.resuming && w.each != nil && !c.last {
		s := &shared{bytes: w.join(l.wall()), size: w.size, each: w.each}
		l.shared[c.asks()] = s
		c.enqueue(s.bytes)
		return
	}
	l.out = w.appendHead(l.out[:0], l.wall())
	if w.size > joined {
		c.out = append(append(make([][]byte, 0, len(w.pieces)+1), bytes.Clone(l.out)), w.pieces...)
		if l.long++; l.long > maxTurns {
			c.later()
			return
		}
		c.send()
		return
	}
	for _, b := range w.pieces {
		l.out = append(l.out, b...)
	}
	if c.tls != nil {
		c.out = append(c.out, l.out)
		c.seal() // all of it: what it was made in is used again
		c.send()
		return
	}
	n, err := send(c.fd, l.out)
	switch {
	case err != nil && err != syscall.EAGAIN:
		c.close()
	case n < len(l.out):
		c.out = [][]byte{bytes.Clone(l.out[n:])}
	default:
		c.sent()
	}
}

// send sends what is left of the answer, a bounded part of it at a time.
func (c *conn) send() {
	if c.tls != nil {
		c.sendSealed()
		return
	}
	l := c.loop
	l.vector = l.vector[:0]
	size := 0
	for _, b := range c.out {
		if size == maxSend || len(l.vector) == maxPieces {
			break
		}
		b = b[:min(len(b), maxSend-size)]
		size += len(b)
		piece := syscall.Iovec{Base: unsafe.SliceData(b)}
		piece.SetLen(len(b))
		l.vector = append(l.vector, piece)
	}
	n, err := sendPieces(c.fd, l.vector)
	clear(l.vector)
	switch {
	case err == syscall.EAGAIN:
		return
	case err != nil:
		c.close()
		return
	}
	full := n < size
	for n > 0 {
		k := min(n, len(c.out[0]))
		n -= k
		if c.out[0] = c.out[0][k:]; len(c.out[0]) == 0 {
			c.out[0] = nil
			c.out = c.out[1:]
		}
	}
	switch {
	case len(c.out) == 0:
		c.sent()
	case !full:
		c.later()
	}
}

// sent is called when the answer has gone out.
func (c *conn) sent() {
	l := c.loop
	c.out = nil
	switch {
	case c.last:
		c.bid()
		_ = syscall.Shutdown(int(c.fd), syscall.SHUT_WR)
		c.state = ending
		c.allow(lingers)
	case l.draining && len(c.buf) == 0:
		c.close()
		return
	default:
		c.state = reading
		c.allow(l.server.std.IdleTimeout)
	}
	if c.readable || len(c.buf) > 0 {
		c.later()
	}
}
