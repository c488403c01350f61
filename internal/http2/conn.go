package http2

import (
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
