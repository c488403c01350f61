package http1

import (
	"net/http"
	"syscall"
	"time"

	"golang.org/x/net/http2/hpack"

	"livego/internal/http2"
)

const (
	// firstStreams and firstHeader are the bounds where the http.Server names none.
	firstStreams, firstHeader = 100, 64 << 10
	// maxSpare bounds the exchanges that a connection keeps for further requests.
	maxSpare = 8
)

// two is a connection that speaks HTTP/2. Only its loop touches it.
type two struct {
	conn  *conn
	proto *http2.Conn
	spare []*exchange
	// touched: it is in loop.touched.
	touched bool
	// heard is when the client said something last. partial is since when a part of a frame or of a
	// header block waits for the rest, blocked since when nothing could be sent, idle since when
	// nothing is under way; never: it is not so. asked is when the client was asked whether it is
	// there.
	heard, partial, blocked, idle, asked time.Duration
	// failed: the connection ends when what is pending has been sent.
	failed bool
}

var _ http2.App = (*two)(nil)

func newTwo(c *conn) *two {
	std := c.loop.server.std
	t := &two{conn: c, partial: never, blocked: never, idle: never, asked: never}
	opt := http2.Options{MaxStreams: firstStreams, MaxHeader: firstHeader, App: t}
	if std.HTTP2 != nil && std.HTTP2.MaxConcurrentStreams > 0 {
		opt.MaxStreams = std.HTTP2.MaxConcurrentStreams
	}
	if std.MaxHeaderBytes > 0 {
		opt.MaxHeader = std.MaxHeaderBytes
	}
	t.proto = http2.New(opt)
	return t
}

// begin lets the connection begin in its loop.
func (t *two) begin() {
	now := t.conn.loop.now
	t.heard, t.partial, t.idle = now, now, now
	t.touch()
}

// touch has what is pending sent soon, together with that of others.
func (t *two) touch() {
	if l := t.conn.loop; !t.touched {
		t.touched = true
		l.touched = append(l.touched, t.conn)
	}
}

// tend sends what connections of HTTP/2 have to send.
func (l *loop) tend() {
	for len(l.touched) > 0 {
		touched := l.touched
		l.touched, l.tended = l.tended[:0], touched
		for _, c := range touched {
			t := c.two
			t.touched = false
			switch {
			case c.state != reading || len(c.tls.under.out) > c.taken && t.blocked != never:
			case t.proto.Pending():
				c.seal()
				if b := c.tls.under.out[c.taken:]; len(b) > 0 {
					l.enqueue(c, b)
				}
			default:
				t.sent()
			}
		}
		l.flush()
		clear(touched)
	}
}

// sent is called when nothing is pending.
func (t *two) sent() {
	c := t.conn
	t.blocked = never
	if t.failed {
		t.end()
	}
	if t.failed || t.proto.Leaving() && t.proto.Streams() == 0 {
		if !t.failed && c.loop.draining && t.rests() {
			c.close() // nothing is on its way for which its client would answer
			return
		}
		c.bid()
		_ = syscall.Shutdown(int(c.fd), syscall.SHUT_WR)
		c.state = ending
		c.allow(lingers)
		if c.readable {
			c.later()
		}
	}
}

// rests says that the last answer went out so long ago that its client has got it.
func (t *two) rests() bool {
	return t.idle != never && t.conn.loop.now-t.idle >= lingers && !t.conn.readable && len(t.conn.buf) == 0
}

// stuck is called when the socket takes no more.
func (t *two) stuck() {
	if t.blocked == never {
		t.blocked = t.conn.loop.now
		t.within(t.blocked, t.conn.loop.server.std.WriteTimeout)
	}
}

// receive takes what was read, b.
func (t *two) receive(b []byte) {
	c := t.conn
	t.heard, t.asked = c.loop.now, never
	if len(c.buf) > 0 {
		c.buf = append(c.buf, b...)
		b = c.buf
	}
	n, err := t.proto.Receive(b, c.loop.now)
	switch rest := b[n:]; {
	case err != nil:
		t.failed = true
		c.buf = nil
	case len(rest) == 0:
		c.buf = nil
	default:
		c.buf = append(c.buf[:0], rest...)
	}
	t.note()
	t.touch()
	if c.readable {
		c.later()
	}
}

// note notes since when something is as it is.
func (t *two) note() {
	now, std := t.conn.loop.now, t.conn.loop.server.std
	switch partial := len(t.conn.buf) > 0 || t.proto.Partial(); {
	case !partial:
		t.partial = never
	case t.partial == never:
		t.partial = now
		t.within(now, std.ReadTimeout)
	}
	switch idle := t.proto.Streams() == 0; {
	case !idle:
		t.idle = never
		if t.asked == never {
			t.within(t.heard, t.pingAfter())
		}
	case t.idle == never:
		t.idle = now
		t.within(now, std.IdleTimeout)
	}
}

func (t *two) pingAfter() time.Duration {
	if o := t.conn.loop.server.std.HTTP2; o != nil {
		return o.SendPingTimeout
	}
	return 0
}

func (t *two) pingTimeout() time.Duration {
	if o := t.conn.loop.server.std.HTTP2; o != nil {
		return o.PingTimeout
	}
	return 0
}

// within has the connection looked at d after since; 0: not at all.
func (t *two) within(since, d time.Duration) {
	if since != never && d > 0 {
		t.conn.by(since + d)
	}
}

// passed says whether it is d since then. If not, the connection is looked at again.
func (t *two) passed(since, d time.Duration) bool {
	if since == never || d <= 0 {
		return false
	}
	t.within(since, d)
	return since+d <= t.conn.loop.now
}

// expire looks at all that has a deadline.
func (t *two) expire() {
	c := t.conn
	now, std := c.loop.now, c.loop.server.std
	c.deadline = never
	var late, overdue []*exchange
	t.proto.Each(func(s *http2.Stream) {
		x, ok := s.User.(*exchange)
		switch {
		case !ok:
		case x.list != nil && x.until <= now:
			late = append(late, x)
		case x.due > 0 && x.due <= now:
			overdue = append(overdue, x)
		default:
			if x.list != nil {
				c.by(x.until)
			}
			if x.due > 0 {
				c.by(x.due)
			}
		}
	})
	for _, x := range late {
		x.late()
	}
	for _, x := range overdue {
		t.abort(x, http2.Cancel)
	}
	t.note()
	switch {
	case t.passed(t.partial, std.ReadTimeout), t.passed(t.blocked, std.WriteTimeout), t.passed(t.asked, t.pingTimeout()):
		c.close()
		return
	case t.passed(t.idle, std.IdleTimeout):
		t.proto.Leave()
	case t.asked == never && t.proto.Streams() > 0 && t.passed(t.heard, t.pingAfter()):
		t.proto.Ping()
		t.asked = now
		t.within(now, t.pingTimeout())
	}
	t.touch()
}

// leave lets nothing more begin.
func (t *two) leave() {
	t.proto.Leave()
	t.touch()
}

// end ends all requests: the connection is over.
func (t *two) end() {
	t.proto.Each(func(s *http2.Stream) {
		if x, ok := s.User.(*exchange); ok {
			x.gone()
		}
	})
}

// gone ends a request whose stream is over.
func (x *exchange) gone() {
	x.over()
	if x.task != nil {
		x.task.gone()
		x.task = nil
	}
}

// Request implements http2.App.
func (t *two) Request(s *http2.Stream, path string, key []byte, all []hpack.HeaderField, end bool) bool {
	c := t.conn
	f := c.loop.heads.blockOf(key, all)
	if f == nil || end && f.length > 0 {
		return false
	}
	s.Expect(f.length)
	x := t.exchange(s)
	s.User = x
	x.fields = f
	var known bool
	x.target, known = c.loop.heads.targetOf(path)
	if !known || f.fate != plain || !end {
		return t.detachNew(x, path, end)
	}
	r := x.ask()
	r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/2.0", 2, 0
	if !x.mayBegin() {
		return t.detachNew(x, path, end)
	}
	x.serve(Waiting)
	return true
}

// exchange returns one for a stream.
func (t *two) exchange(s *http2.Stream) *exchange {
	x := new(exchange)
	if last := len(t.spare) - 1; last >= 0 {
		x, t.spare[last] = t.spare[last], nil
		t.spare = t.spare[:last]
	}
	x.conn, x.stream, x.due = t.conn, s, 0
	return x
}

// Content implements http2.App.
func (t *two) Content(s *http2.Stream, b []byte, end bool) {
	x, ok := s.User.(*exchange)
	if ok && x.task != nil {
		x.task.body.add(b, end)
	}
}

// Sent implements http2.App.
func (t *two) Sent(s *http2.Stream, n int) {
	if x, ok := s.User.(*exchange); ok && x.task != nil {
		x.task.sent(n)
	}
}

// Gone implements http2.App.
func (t *two) Gone(s *http2.Stream) {
	x, ok := s.User.(*exchange)
	if !ok {
		return
	}
	s.User = nil
	x.gone()
	if x.request != nil && len(t.spare) < maxSpare {
		x.stream, x.fields, x.target = nil, nil, ""
		t.spare = append(t.spare, x)
	}
	t.touch()
	t.note()
}

// abort ends a stream without its answer.
func (t *two) abort(x *exchange, code http2.Code) {
	if s := x.stream; s != nil && s.User == x {
		s.Reset(code)
		t.Gone(s)
	}
}

// allow gives an answer its time.
func (t *two) allow(x *exchange) {
	x.due = 0
	if d := t.conn.loop.server.std.WriteTimeout; d > 0 {
		x.due = t.conn.loop.now + d
		t.conn.by(x.due)
	}
}

// answer sends what the handler has answered.
func (t *two) answer(x *exchange, w *response) {
	l := t.conn.loop
	x.over()
	if !w.whole() {
		t.abort(x, http2.Internal)
		return
	}
	block := w.appendBlock(make([]byte, 0, headRoom), l.wall())
	if l.resuming && w.each != nil {
		l.shared[x.asks()] = &shared{block: block, pieces: append([][]byte(nil), w.pieces...), size: w.size, each: w.each}
	}
	if w.header["Connection"] != nil { // net/http does so too
		t.proto.Leave()
	}
	t.allow(x)
	x.stream.Respond(block, w.pieces, true)
	t.touch()
}

// share sends what others got.
func (t *two) share(x *exchange, s *shared) {
	x.over()
	t.allow(x)
	x.stream.Respond(s.block, s.pieces, true)
	t.touch()
}

// detachNew has a new request answered elsewhere. It is false if it is malformed.
func (t *two) detachNew(x *exchange, path string, end bool) bool {
	r, ok := x.detached(path)
	if ok {
		t.run(x, r, end)
	}
	return ok
}

// detach has a request elsewhere that the handler must not answer here.
func (t *two) detach(x *exchange) {
	r, ok := x.detached(x.target)
	if !ok {
		t.abort(x, http2.Internal)
		return
	}
	t.run(x, r, true)
}

// run answers a request in a goroutine of its own.
func (t *two) run(x *exchange, r *http.Request, end bool) {
	l := t.conn.loop
	x.task = newTask(l, x, r, end)
	t.allow(x)
	task := x.task
	l.tasksDone.Go(task.run)
}
