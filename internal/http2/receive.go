package http2

import (
	"encoding/binary"
	"maps"
	"slices"

	"golang.org/x/net/http2/hpack"
)

func (c *Conn) data(h header, b []byte) error {
	s := c.streams[h.stream]
	switch {
	case h.stream == 0:
		return fault(Protocol, "6.1: content of no stream")
	case s == nil && c.isIdle(h.stream):
		return fault(Protocol, "5.1: content of an idle stream")
	case h.length > c.room:
		return fault(FlowControl, "6.9.1: more content than the connection's window")
	}
	content, err := unpad(h, b)
	if err != nil {
		return err
	}
	c.room -= h.length
	if s == nil || s.ended {
		c.allow(h.length)
		if reset, _ := c.closedAs(h.stream); s == nil && reset {
			return c.calm.count(c.now, ignored)
		}
		return &streamError{h.stream, StreamClosed}
	}
	if h.length > firstWindow-s.unread {
		c.allow(h.length)
		return &streamError{h.stream, FlowControl}
	}
	s.unread += h.length
	s.got += int64(len(content))
	end := h.has(flagEndStream)
	if s.length >= 0 && (s.got > s.length || end && s.got < s.length) { // 8.1.1
		return &streamError{h.stream, Protocol}
	}
	if len(content) == 0 && !end {
		err = c.calm.count(c.now, empty)
	}
	s.ended = end
	s.Consumed(h.length - len(content)) // the padding
	c.opt.App.Content(s, content, end)
	return err
}

func (c *Conn) headers(h header, b []byte) error {
	b, err := unpad(h, b)
	if err != nil {
		return err
	}
	fate := begins
	if h.has(flagPriority) {
		if len(b) < 5 {
			return fault(FrameSize, "6.2: a frame is too short for its priority")
		}
		if binary.BigEndian.Uint32(b)&streamMask == h.stream {
			fate = breaks
		}
		b = b[5:]
	}
	switch s := c.streams[h.stream]; {
	case h.stream%2 == 0:
		return fault(Protocol, "5.1.1: a client begins odd streams")
	case s != nil && s.ended:
		fate = breaks
	case s != nil:
		fate = trails
	case h.stream <= c.last:
		reset, known := c.closedAs(h.stream)
		if known && !reset {
			return fault(StreamClosed, "5.1: fields of a stream that is closed")
		} else if !known {
			return fault(Protocol, "5.1.1: a stream with a number that is not the highest")
		}
		fate = ignores
	default:
		c.last = h.stream
		switch {
		case c.leaving:
			fate = ignores
		case fate == begins && len(c.streams) >= c.opt.MaxStreams:
			fate = refuses
		}
	}
	c.block = block{stream: h.stream, end: h.has(flagEndStream), fate: fate}
	return c.fragment(h, b)
}

func (c *Conn) continuation(h header, b []byte) error {
	if c.block.stream == 0 {
		return fault(Protocol, "6.10: a continuation of nothing")
	}
	return c.fragment(h, b)
}

// fragment takes a part of a header block.
func (c *Conn) fragment(h header, b []byte) error {
	bl := &c.block
	bl.frames++
	switch {
	case bl.frames > maxContinuations, len(bl.bytes)+len(b) > maxBlock*c.opt.MaxHeader:
		return fault(EnhanceYourCalm, "10.5.1: a header block is too large")
	case !h.has(flagEndHeaders):
		bl.bytes = append(bl.bytes, b...)
		if len(b) == 0 {
			return c.calm.count(c.now, empty)
		}
		return nil
	case len(bl.bytes) > 0:
		b = append(bl.bytes, b...)
	}
	done := *bl
	c.block = block{}
	return c.fieldsOf(done, b)
}

// fieldsOf decodes a whole header block and does what it asks for.
func (c *Conn) fieldsOf(bl block, b []byte) error {
	c.path, c.paths, c.key, c.fields, c.size = "", 0, c.key[:0], c.fields[:0], 0
	c.dec.SetEmitEnabled(true)
	_, err := c.dec.Write(b)
	if closeErr := c.dec.Close(); err != nil || closeErr != nil {
		return fault(Compression, "4.3: a header block cannot be decoded")
	}
	switch bl.fate {
	case ignores:
		return c.calm.count(c.now, ignored)
	case refuses:
		return &streamError{bl.stream, RefusedStream}
	case breaks:
		if c.streams[bl.stream] != nil {
			return &streamError{bl.stream, StreamClosed}
		}
		return &streamError{bl.stream, Protocol}
	case trails:
		return c.trailers(bl)
	}
	return c.begin(bl)
}

// field is told of each field of a header block.
func (c *Conn) field(f hpack.HeaderField) {
	c.size += int(f.Size())
	if c.size > c.opt.MaxHeader {
		c.dec.SetEmitEnabled(false)
		return
	}
	c.fields = append(c.fields, f)
	c.key = append(append(c.key, f.Name...), 0)
	if f.Name == ":path" {
		c.path = f.Value
		c.paths++
		return
	}
	c.key = append(append(c.key, f.Value...), 0)
}

// begin begins a request.
func (c *Conn) begin(bl block) error {
	c.calm.renew(c.now)
	c.calm.begun++
	s := &Stream{conn: c, id: bl.stream, ended: bl.end, window: c.initial, length: -1}
	c.streams[bl.stream] = s
	if c.size > c.opt.MaxHeader {
		s.Respond(AppendStatus(nil, 431), nil, true)
		return nil
	}
	if c.paths > 1 || !c.opt.App.Request(s, c.path, c.key, c.fields, bl.end) {
		return &streamError{bl.stream, Protocol} // 8.1.1
	}
	return nil
}

// trailers end a request with content.
func (c *Conn) trailers(bl block) error {
	s := c.streams[bl.stream]
	if !bl.end || c.size > c.opt.MaxHeader || s.length >= 0 && s.got != s.length { // 8.1
		return &streamError{bl.stream, Protocol}
	}
	for _, f := range c.fields {
		if f.IsPseudo() || !ValidField(f) {
			return &streamError{bl.stream, Protocol}
		}
	}
	s.ended = true
	c.opt.App.Content(s, nil, true)
	return nil
}

func (c *Conn) priority(h header, b []byte) error {
	switch {
	case h.stream == 0:
		return fault(Protocol, "6.3: priority of no stream")
	case len(b) != 5:
		return &streamError{h.stream, FrameSize}
	case binary.BigEndian.Uint32(b)&streamMask == h.stream:
		return &streamError{h.stream, Protocol}
	}
	return c.calm.count(c.now, ignored)
}

func (c *Conn) reset(h header, b []byte) error {
	switch {
	case len(b) != 4:
		return fault(FrameSize, "6.4: a reset has four bytes")
	case h.stream == 0 || c.isIdle(h.stream):
		return fault(Protocol, "6.4: the reset of an idle stream")
	}
	if s := c.streams[h.stream]; s != nil {
		c.close(s, false)
		c.opt.App.Gone(s)
	} else if _, known := c.closedAs(h.stream); known {
		c.remember(h.stream, false) // the client knows: nothing of it is on its way any more
	}
	return c.calm.count(c.now, resets)
}

func (c *Conn) settings(h header, b []byte) error {
	switch {
	case h.stream != 0:
		return fault(Protocol, "6.5: settings of a stream")
	case h.has(flagAck) && len(b) > 0, len(b)%settingSize != 0:
		return fault(FrameSize, "6.5: settings of a wrong length")
	case h.has(flagAck):
		return nil
	}
	c.settled = true
	for ; len(b) > 0; b = b[settingSize:] {
		if err := c.setting(binary.BigEndian.Uint16(b), binary.BigEndian.Uint32(b[2:])); err != nil {
			return err
		}
	}
	c.control = appendHeader(c.control, 0, frameSettings, flagAck, 0)
	return c.calm.count(c.now, settings)
}

func (c *Conn) setting(id uint16, v uint32) error {
	switch id {
	case settingEnablePush:
		if v > 1 {
			return fault(Protocol, "6.5.2: neither on nor off")
		}
	case settingInitialWindow:
		if v > maxWindow {
			return fault(FlowControl, "6.5.2: too large a window")
		}
		more := int64(v) - c.initial
		c.initial = int64(v)
		for _, id := range slices.Sorted(maps.Keys(c.streams)) {
			s := c.streams[id]
			if s.window += more; s.window > maxWindow {
				return fault(FlowControl, "6.9.2: too large a window")
			}
			c.queue(s)
		}
	case settingMaxFrame:
		if v < leastFrame || v > mostFrame {
			return fault(Protocol, "6.5.2: a size of frames that may not be")
		}
		c.most = int(min(v, leastFrame)) // larger ones would hold others up
	}
	return nil
}

func (c *Conn) ping(h header, b []byte) error {
	switch {
	case h.stream != 0:
		return fault(Protocol, "6.7: a ping of a stream")
	case len(b) != 8:
		return fault(FrameSize, "6.7: a ping has eight bytes")
	case h.has(flagAck):
		return c.calm.count(c.now, ignored)
	}
	c.control = append(appendHeader(c.control, 8, framePing, flagAck, 0), b...)
	return c.calm.count(c.now, pings)
}

func (c *Conn) goAway(h header, b []byte) error {
	switch {
	case h.stream != 0:
		return fault(Protocol, "6.8: the end of a stream is no GOAWAY")
	case len(b) < 8:
		return fault(FrameSize, "6.8: a GOAWAY is too short")
	}
	c.Leave()
	return nil
}

func (c *Conn) windowUpdate(h header, b []byte) error {
	if len(b) != 4 {
		return fault(FrameSize, "6.9: a window has four bytes")
	}
	n := int64(binary.BigEndian.Uint32(b) & streamMask)
	s := c.streams[h.stream]
	switch {
	case h.stream == 0 && n == 0:
		return fault(Protocol, "6.9: a window that does not grow")
	case h.stream == 0:
		if c.window += n; c.window > maxWindow {
			return fault(FlowControl, "6.9.1: too large a window")
		}
		c.ready = append(c.ready, c.stuck...)
		clear(c.stuck)
		c.stuck = c.stuck[:0]
		return nil
	case c.isIdle(h.stream):
		return fault(Protocol, "5.1: the window of an idle stream")
	case n == 0:
		return &streamError{h.stream, Protocol}
	case s == nil:
		return nil // 6.9: it may have been on its way
	}
	if s.window += n; s.window > maxWindow {
		return &streamError{h.stream, FlowControl}
	}
	c.queue(s)
	return nil
}
