package http1

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"net"
	"syscall"
	"time"
)

// holder is a connection whose descriptor stays open until Release, whoever closes it.
type holder interface {
	net.Conn
	NetConn() net.Conn
	Hold() bool
	Release()
}

// state is what a connection does.
type state uint8

const (
	// reading: it waits for a request, or the rest of one. waiting: its request waits. writing: its
	// answer has not gone out. ending: its output has ended. away: it is net/http's, or closed.
	reading state = iota
	waiting
	writing
	ending
	away
)

// conn is a connection in a loop.
type conn struct {
	loop *loop
	net  holder
	fd   int32
	// tls, if set, is TLS over it, taken is how much was sent of what that has to send.
	tls   *secured
	taken int
	// slot is its place in loop.conns.
	slot  int
	state state
	// readable: there may be something to read. hup: the client has ended its side, or is gone.
	readable, hup bool
	queued        bool
	// fresh: there was no request yet. partial: a part of one has come.
	fresh, partial bool
	deadline       time.Duration

	// buf is what was read and belongs to no request that is under way.
	buf []byte

	ctx    context.Context
	remote string
	// exchange is the one of HTTP/1.1, two all those of HTTP/2, if it speaks that.
	exchange
	two *two

	// out is what is still to be sent, last says that the connection ends with it.
	out  [][]byte
	last bool
}

// newConn fails for connections that are closed, or not plain TCP.
func newConn(l *loop, held holder, over *secured) (*conn, bool) {
	tcp, ok := held.NetConn().(*net.TCPConn)
	if !ok {
		return nil, false
	}
	raw, err := tcp.SyscallConn()
	if err != nil || !held.Hold() {
		return nil, false
	}
	c := &conn{loop: l, net: held, tls: over, state: away, fresh: true, remote: held.RemoteAddr().String(), ctx: context.Background()}
	c.conn = c
	if raw.Control(func(fd uintptr) { c.fd = int32(fd) }) != nil {
		held.Release()
		return nil, false
	}
	if unread, ok := held.(interface{ Unread() []byte }); ok && over == nil {
		c.buf = unread.Unread()
	}
	if base := l.server.std.BaseContext; base != nil {
		c.ctx = base(nil)
	}
	if with := l.server.std.ConnContext; with != nil {
		c.ctx = with(c.ctx, held)
	}
	if over != nil && over.state.NegotiatedProtocol == "h2" {
		c.two = newTwo(c)
	}
	return c, true
}

// add lets a connection whose descriptor is held begin, or go on after it was lent.
func (l *loop) add(c *conn, timeout time.Duration) {
	err := syscall.EpollCtl(l.fd, syscall.EPOLL_CTL_ADD, int(c.fd), &syscall.EpollEvent{Events: readiness, Fd: c.fd})
	if err != nil || l.draining || l.over {
		c.net.Release()
		_ = c.net.Close()
		return
	}
	c.state, c.readable, c.hup = reading, false, false
	c.slot = len(l.conns)
	l.conns = append(l.conns, c)
	l.byFD[c.fd] = c
	c.allow(timeout)
	if c.tls != nil { // it may have read more than was asked of it
		c.tls.enter(c.fd)
		c.readable = true
		if c.two != nil {
			c.two.begin()
		}
	}
	if c.readable || len(c.buf) > 0 {
		c.later()
	}
}

// forget takes the connection out of its loop.
func (c *conn) forget() {
	l := c.loop
	if c.two != nil {
		c.two.end()
	}
	c.over()
	c.state, c.out = away, nil
	delete(l.byFD, c.fd)
	last := len(l.conns) - 1
	l.conns[c.slot] = l.conns[last]
	l.conns[c.slot].slot = c.slot
	l.conns[last] = nil
	l.conns = l.conns[:last]
	_ = syscall.EpollCtl(l.fd, syscall.EPOLL_CTL_DEL, int(c.fd), nil)
	c.net.Release()
	l.checkEmpty()
}

func (c *conn) close() {
	if c.state != away {
		c.bid()
		c.forget()
		_ = c.net.Close()
	}
}

// allow gives the client time for what it does next; 0: as long as it likes.
func (c *conn) allow(d time.Duration) {
	c.deadline = never
	if d > 0 {
		c.deadline = c.loop.now + d
		c.loop.due(c.deadline)
	}
}

// by has the connection looked at not later than then.
func (c *conn) by(at time.Duration) {
	c.deadline = min(c.deadline, at)
	c.loop.due(at)
}

// later has the loop go on with the connection.
func (c *conn) later() {
	if !c.queued {
		c.queued = true
		c.loop.ready = append(c.loop.ready, c)
	}
}

// event is told what the system says of the connection.
func (c *conn) event(e uint32) {
	const over = syscall.EPOLLRDHUP | syscall.EPOLLHUP | syscall.EPOLLERR
	c.hup = c.hup || e&over != 0
	if e&(syscall.EPOLLIN|over) != 0 {
		c.readable = true
		if c.tls != nil {
			c.tls.under.drained = false
		}
	}
	switch c.state {
	case reading, ending:
		if c.two != nil && c.state == reading {
			c.send()
		}
		if c.readable && c.state != away {
			c.read()
		}
	case waiting:
		c.checkGone()
	case writing:
		if !c.queued {
			c.send()
		}
	}
}

// goOn takes the next step without an event.
func (c *conn) goOn() {
	switch {
	case c.two != nil && c.state == reading:
		if c.send(); c.readable && c.state == reading {
			c.read()
		}
	case c.state == writing:
		c.send()
	case c.state == reading && len(c.buf) > 0:
		c.consume(c.buf)
	case c.state == reading && c.readable, c.state == ending && c.readable:
		c.read()
	}
}

func (c *conn) expire() {
	switch {
	case c.two != nil && c.state == reading:
		c.two.expire()
	case c.state == waiting:
		c.late()
	case c.state != away:
		c.close()
	}
}

// read reads once.
func (c *conn) read() {
	buf := c.loop.scratch[:]
	n, err := c.receive(buf)
	switch {
	case err == syscall.EAGAIN:
		c.readable = false
		return
	case err == nil && n == 0 && len(c.buf) > 0 && c.state == reading && c.two == nil:
		c.hand(c.buf) // it has a word for requests that break off
		return
	case err != nil || n == 0:
		c.close()
		return
	}
	c.readable = c.hup || n == len(buf)
	switch {
	case c.tls != nil && len(c.tls.under.out)-c.taken > maxUnasked:
		c.close()
	case c.state == ending:
		if c.readable {
			c.later()
		}
	case c.two != nil:
		c.two.receive(buf[:n])
	case len(c.buf) > 0:
		c.buf = append(c.buf, buf[:n]...)
		c.consume(c.buf)
	default:
		c.consume(buf[:n])
	}
}

// receive reads what there is, of TLS what is in it.
func (c *conn) receive(b []byte) (int, error) {
	if c.tls != nil {
		return c.tls.fill(b)
	}
	return receive(c.fd, b, 0)
}

// consume takes a request from the beginning of what was read, b.
func (c *conn) consume(b []byte) {
	h, fate := c.loop.heads.parse(b)
	switch fate {
	case incomplete:
		if len(c.buf) == 0 {
			c.buf = bytes.Clone(b)
		}
		if !c.partial && !c.fresh { // the time for its head begins
			c.allow(c.loop.server.std.ReadTimeout)
		}
		c.partial = true
		if c.readable {
			c.later()
		}
	case foreign:
		c.hand(b)
	case alone:
		rest := bytes.Clone(b[h.size:])
		one := bytes.Clone(b[:h.size])
		c.buf = rest
		c.lend(one)
	case plain:
		c.fresh, c.partial = false, false
		c.target, c.fields = h.target, h.fields
		if len(b) == h.size {
			c.buf = nil
		} else {
			c.buf = bytes.Clone(b[h.size:])
		}
		c.begin()
	}
}

// begin begins the request that was read.
func (c *conn) begin() {
	r := c.ask()
	r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/1.1", 1, 1
	if !c.mayBegin() {
		c.lend(c.head())
		return
	}
	c.serve(Waiting)
}

// head is that of the request under way, as it was read.
func (c *conn) head() []byte {
	return append(append(append(append([]byte(nil), "GET "...), c.target...), version...), c.fields.block...)
}

// checkGone ends the wait of a client that has gone. One that has sent its next request has not.
func (c *conn) checkGone() {
	if !c.hup && c.tls == nil || len(c.buf) > 0 { // over TLS there is a word for it
		return
	}
	var b [1]byte
	if c.tls != nil {
		if n, err := c.tls.fill(b[:]); n > 0 || err == syscall.EAGAIN {
			c.buf = append(c.buf, b[:n]...)
			return
		}
	} else if n, err := receive(c.fd, b[:], syscall.MSG_PEEK); n > 0 || err == syscall.EAGAIN {
		return
	}
	c.list.remove(&c.exchange)
	c.serve(Gone)
}

// hand gives the connection to net/http for good, with what was read, b.
func (c *conn) hand(b []byte) {
	c.forget()
	c.release(b, nil, nil)
}

// lend gives the connection to net/http for one request, whose head is b.
func (c *conn) lend(b []byte) {
	if len(c.buf) > 0 { // it has more to say than one request
		c.hand(append(b, c.buf...))
		return
	}
	c.forget()
	c.release(b, c.comeBack, c.watch)
}

// watch waits until the client has ended its side, or the read deadline, with an error for each.
func (c *conn) watch() error {
	raw, err := c.net.NetConn().(*net.TCPConn).SyscallConn()
	if err != nil {
		return err
	}
	var over error
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		n, err := receive(int32(fd), b[:], syscall.MSG_PEEK)
		switch {
		case n > 0 || err == syscall.EAGAIN:
			return false
		case err == nil:
			err = io.EOF
		}
		over = err
		return true
	})
	return cmp.Or(err, over)
}

// comeBack lets a connection that was lent go on. From any goroutine.
func (c *conn) comeBack() {
	c.fresh, c.partial = false, false
	_ = c.net.SetDeadline(time.Time{})
	l := c.loop
	if !c.net.Hold() {
		_ = c.net.Close()
		return
	}
	if !l.post(func() { l.add(c, l.server.std.IdleTimeout) }) {
		c.net.Release()
		_ = c.net.Close()
	}
}
