package http2

// Stream is a request and its answer. Its methods are for the goroutine that calls Receive.
type Stream struct {
	// User is the App's.
	User any

	conn *Conn
	id   uint32
	// ended: the client has sent all. over: the stream is closed.
	ended, over bool

	// window is what may be sent on the stream. head and out are what is to be, last says that
	// nothing follows.
	window int64
	head   []byte
	out    [][]byte
	last   bool
	queued bool // in conn.ready or conn.stuck

	// length is how long the content is said to be, -1 if nothing is said; got is what has come of
	// it, unread what the App has not consumed.
	length, got int64
	unread      int
}

// Expect says how long the content of the request is to be.
func (s *Stream) Expect(length int64) { s.length = length }

// Over says whether the stream is closed: whatever is sent goes nowhere.
func (s *Stream) Over() bool { return s.over }

// Left says whether there is something to send that has not been.
func (s *Stream) Left() bool { return s.head != nil || len(s.out) > 0 || s.last }

// Respond sends the head of the answer, a header block, and content, which both must never change.
// With end that is all.
func (s *Stream) Respond(head []byte, content [][]byte, end bool) {
	if s.over {
		return
	}
	s.head = head
	s.Send(content, end)
}

// Interim sends an answer before the answer (RFC 9113 8.1).
func (s *Stream) Interim(head []byte) {
	if c := s.conn; !s.over {
		c.control = c.appendHead(c.control, head, 0, s.id)
	}
}

// Send sends content. With end that is all.
func (s *Stream) Send(content [][]byte, end bool) {
	if s.over {
		return
	}
	for _, b := range content {
		if len(b) > 0 {
			s.out = append(s.out, b)
		}
	}
	s.last = s.last || end
	s.conn.queue(s)
}

// Reset ends the stream.
func (s *Stream) Reset(code Code) {
	if !s.over {
		s.conn.control = appendReset(s.conn.control, s.id, code)
		s.conn.close(s, true)
	}
}

// Consumed says that so many bytes of the content need no memory any more.
func (s *Stream) Consumed(n int) {
	n = min(n, s.unread)
	if s.over || n == 0 {
		return
	}
	s.unread -= n
	s.conn.allow(n)
	if !s.ended {
		s.conn.control = appendWindow(s.conn.control, s.id, n)
	}
}

// sendable says whether something may be sent on the stream, if the connection allows it.
func (s *Stream) sendable() bool {
	return s.head != nil || len(s.out) > 0 && s.window > 0 || len(s.out) == 0 && s.last
}
