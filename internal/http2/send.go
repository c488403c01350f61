package http2

// queue notes that there is something to send on a stream.
func (c *Conn) queue(s *Stream) {
	if !s.queued && !s.over && s.sendable() {
		s.queued = true
		c.ready = append(c.ready, s)
	}
}

// Pending says whether Output would append something.
func (c *Conn) Pending() bool { return len(c.control) > 0 || len(c.ready) > 0 }

// Output appends what is to be sent next, about limit bytes at most. Streams take turns.
func (c *Conn) Output(b []byte, limit int) []byte {
	b = append(b, c.control...)
	c.control = c.control[:0]
	turns := 0
	for len(b) < limit && turns < len(c.ready) {
		s := c.ready[turns]
		turns++
		s.queued = false
		b = c.turn(b, s, limit)
	}
	rest := copy(c.ready, c.ready[turns:])
	clear(c.ready[rest:])
	c.ready = c.ready[:rest]
	return b
}

// turn appends one frame of content at most.
func (c *Conn) turn(b []byte, s *Stream, limit int) []byte {
	if s.head != nil {
		var flags uint8
		if s.last && len(s.out) == 0 {
			flags = flagEndStream
		}
		b = c.appendHead(b, s.head, flags, s.id)
		s.head = nil
		if flags != 0 {
			return c.finish(b, s)
		}
	}
	n := c.fits(s, limit-len(b))
	if n == 0 && (len(s.out) > 0 || !s.last) {
		c.wait(s)
		return b
	}
	start := len(b)
	b = appendHeader(b, n, frameData, 0, s.id)
	for left := n; left > 0; {
		k := min(left, len(s.out[0]))
		b = append(b, s.out[0][:k]...)
		left -= k
		if s.out[0] = s.out[0][k:]; len(s.out[0]) == 0 {
			s.out[0] = nil
			s.out = s.out[1:]
		}
	}
	s.window -= int64(n)
	c.window -= int64(n)
	if n > 0 {
		c.opt.App.Sent(s, n)
	}
	if s.last && len(s.out) == 0 {
		b[start+4] = flagEndStream
		return c.finish(b, s)
	}
	c.wait(s)
	return b
}

// fits returns how much content of a stream goes into the next frame. A small rest of the limit is
// enough for a small frame: the stream comes again.
func (c *Conn) fits(s *Stream, room int) int {
	const least = 256
	most := int(min(s.window, c.window, int64(c.most), int64(max(room-headerSize, least))))
	n := 0
	for _, b := range s.out {
		if n += len(b); n >= most {
			return max(most, 0)
		}
	}
	return n
}

// wait lets a stream wait for its next turn, or for the connection's window.
func (c *Conn) wait(s *Stream) {
	switch {
	case !s.sendable():
	case s.head == nil && len(s.out) > 0 && c.window <= 0:
		s.queued = true
		c.stuck = append(c.stuck, s)
	default:
		c.queue(s)
	}
}

// finish ends a stream on which all was sent. A client that is still sending need not go on (8.1).
func (c *Conn) finish(b []byte, s *Stream) []byte {
	s.last = false
	if !s.ended {
		b = appendReset(b, s.id, NoError)
	}
	c.close(s, !s.ended)
	c.opt.App.Gone(s)
	return b
}

// appendHead appends a header block. The first one says that there is no dynamic table (RFC 7541
// 6.3).
func (c *Conn) appendHead(b, head []byte, flags uint8, stream uint32) []byte {
	if !c.shrunk {
		c.shrunk = true
		head = append([]byte{0x20}, head...)
	}
	return appendBlock(b, head, c.most, flags, stream)
}
