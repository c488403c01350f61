package http2

import (
	"encoding/binary"
	"maps"
	"slices"
	"time"

	"golang.org/x/net/http2/hpack"
)

// Conn is a connection. One goroutine uses it.
type Conn struct {
	opt Options
	now time.Duration
	// begun: the preface has come. settled: the first settings have. leaving: no stream begins any
	// more. failed: an error has ended it.
	begun, settled, leaving, failed bool

	dec *hpack.Decoder
	// block is the header block that comes.
	block block
	// path, key and fields are those of the last one. size is that of the fields.
	path   string
	key    []byte
	fields []hpack.HeaderField
	paths  int
	size   int

	streams map[uint32]*Stream
	last    uint32 // the highest stream that the client began
	closed  [maxClosed]closing
	next    int // of closed

	calm calm

	// window is what may be sent, initial that of a new stream, most the largest frame.
	window, initial int64
	most            int
	// room is what the client may send.
	room int
	// shrunk: the client knows that the dynamic table is not used.
	shrunk bool

	// control goes first. ready are streams with something to send, stuck those that wait for the
	// connection's window.
	control      []byte
	ready, stuck []*Stream
}

// closing is a stream that is over.
type closing struct {
	id    uint32
	reset bool // by this side
}

// block is a header block under way.
type block struct {
	stream uint32 // 0: none
	end    bool
	bytes  []byte
	frames int
	// fate says what becomes of it.
	fate fate
}

type fate uint8

const (
	begins  fate = iota // a request
	trails              // trailers
	ignores             // it is decoded, and that is all
	refuses             // there are too many
	breaks              // it depends on itself
)

// New makes a connection whose first bytes are to come.
func New(opt Options) *Conn {
	c := &Conn{
		opt: opt, streams: make(map[uint32]*Stream), window: firstWindow, initial: firstWindow, most: leastFrame, room: firstWindow,
	}
	c.dec = hpack.NewDecoder(4096, c.field)
	b := appendHeader(nil, 2*settingSize, frameSettings, 0, 0)
	b = appendSetting(b, settingMaxStreams, uint32(opt.MaxStreams))
	c.control = appendSetting(b, settingMaxHeaderList, uint32(opt.MaxHeader))
	return c
}

// Streams returns how many requests are under way.
func (c *Conn) Streams() int { return len(c.streams) }

// Each calls f for each request under way.
func (c *Conn) Each(f func(*Stream)) {
	for _, s := range c.streams {
		f(s)
	}
}

// Partial says whether a part of a header block, or the beginning of the connection, has come.
func (c *Conn) Partial() bool { return !c.settled || c.block.stream != 0 }

// Leaving says whether no request begins any more.
func (c *Conn) Leaving() bool { return c.leaving }

// Leave lets requests under way end, and none begin (RFC 9113 6.8).
func (c *Conn) Leave() {
	if !c.leaving {
		c.leaving = true
		c.control = appendGoAway(c.control, c.last, NoError)
	}
}

// Ping asks whether the client is there (RFC 9113 6.7).
func (c *Conn) Ping() {
	c.control = append(appendHeader(c.control, 8, framePing, 0, 0), 0, 0, 0, 0, 0, 0, 0, 0)
}

// Receive takes whole frames from the beginning of b, what the client has sent at the time now, and
// returns how many bytes they have. After an error, of type *Error, the connection is to be closed
// when what is pending has been sent.
func (c *Conn) Receive(b []byte, now time.Duration) (n int, err error) {
	c.now = now
	if c.failed {
		return len(b), nil
	}
	if !c.begun {
		k := min(len(b), len(Preface))
		if string(b[:k]) != Preface[:k] {
			return 0, c.fail(fault(Protocol, "3.4: no preface"))
		}
		if k < len(Preface) {
			return 0, nil
		}
		c.begun, n = true, k
	}
	for len(b)-n >= headerSize {
		h := parseHeader(b[n:])
		if h.length > leastFrame {
			return n, c.fail(fault(FrameSize, "4.2: a frame is too large"))
		}
		if len(b)-n-headerSize < h.length {
			break
		}
		payload := b[n+headerSize:][:h.length]
		n += headerSize + h.length
		err := c.frame(h, payload)
		if e, ok := err.(*streamError); ok {
			err = c.refuse(e)
		}
		if err == nil && len(c.control) > maxControl {
			err = fault(EnhanceYourCalm, "10.5: answers are asked for and not read")
		}
		if err != nil {
			return n, c.fail(err)
		}
	}
	return n, nil
}

// fail says why the connection ends.
func (c *Conn) fail(err error) error {
	c.failed, c.leaving = true, true
	c.control = appendGoAway(c.control, c.last, err.(*Error).Code)
	return err
}

// refuse ends a stream with an error.
func (c *Conn) refuse(e *streamError) error {
	if s := c.streams[e.id]; s != nil {
		s.Reset(e.code)
		c.opt.App.Gone(s)
	} else {
		c.control = appendReset(c.control, e.id, e.code)
		c.remember(e.id, true)
	}
	return c.calm.count(c.now, refused)
}

func (c *Conn) frame(h header, b []byte) error {
	switch {
	case !c.settled && (h.kind != frameSettings || h.has(flagAck)):
		return fault(Protocol, "3.4: the first frame has no settings")
	case c.block.stream != 0 && (h.kind != frameContinuation || h.stream != c.block.stream):
		return fault(Protocol, "6.10: a header block is interrupted")
	}
	switch h.kind {
	case frameData:
		return c.data(h, b)
	case frameHeaders:
		return c.headers(h, b)
	case framePriority:
		return c.priority(h, b)
	case frameReset:
		return c.reset(h, b)
	case frameSettings:
		return c.settings(h, b)
	case framePushPromise:
		return fault(Protocol, "8.4: a client promises nothing")
	case framePing:
		return c.ping(h, b)
	case frameGoAway:
		return c.goAway(h, b)
	case frameWindow:
		return c.windowUpdate(h, b)
	case frameContinuation:
		return c.continuation(h, b)
	}
	return c.calm.count(c.now, ignored)
}

// isIdle says whether a stream was never begun, nor can be any more by what came.
func (c *Conn) isIdle(id uint32) bool { return id%2 == 0 || id > c.last }

// closedAs says whether a stream was remembered as over, and whether this side has reset it.
func (c *Conn) closedAs(id uint32) (reset, known bool) {
	for _, was := range c.closed {
		if was.id == id {
			return was.reset, true
		}
	}
	return false, false
}

// remember remembers that a stream is over.
func (c *Conn) remember(id uint32, reset bool) {
	for i := range c.closed {
		if c.closed[i].id == id {
			c.closed[i].reset = reset
			return
		}
	}
	c.closed[c.next] = closing{id, reset}
	c.next = (c.next + 1) % maxClosed
}

// close forgets a stream. What the App has not consumed of it the client may send anew.
func (c *Conn) close(s *Stream, reset bool) {
	s.over = true
	s.head, s.out = nil, nil
	if s.queued {
		is := func(o *Stream) bool { return o == s }
		c.ready, c.stuck = slices.DeleteFunc(c.ready, is), slices.DeleteFunc(c.stuck, is)
	}
	delete(c.streams, s.id)
	c.remember(s.id, reset)
	c.allow(s.unread)
	s.unread = 0
}

// allow lets the client send so many bytes more.
func (c *Conn) allow(n int) {
	if n > 0 {
		c.room += n
		c.control = appendWindow(c.control, 0, n)
	}
}

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
