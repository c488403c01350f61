package rtmp

import (
	"net"
	"syscall"
	"time"
)

// This file has publishers read seldom for whom nobody waits. Half of what one costs are system
// calls: for each message the poller hears of the socket, it is read, and read once more in vain.
// The socket of one that rests is silent, and what it has is read some 30 times a second.

// Unhurried is what a Publication may be besides: then it says, whenever something is about to be
// read, whether nobody waits for it. It may come some tens of milliseconds later if so.
type Unhurried interface{ Unhurried() bool }

const (
	// restInterval is for how long what came may lie in the socket of a publisher for whom nobody
	// waits, and up to restGrid longer: publishers are read at multiples of that, so that one
	// wake-up is for several, and not all come at once.
	restInterval = 25 * time.Millisecond
	restGrid     = 5 * time.Millisecond
	// restMost: who sent more bytes than that since the last rest rests for restGrid only. The
	// socket holds twice as much at least, so that nobody is slowed down below 100 Mbit/s.
	restMost = 32 << 10
	// restBytes is how many bytes the socket has when it says so nevertheless: no more than one
	// holds by default, so that its size stays as it is.
	restBytes = 64 << 10
	// restMisses is how often the socket may have nothing before it is waited for as usual.
	restMisses = 2
	// restAfter is for how long after its first media a connection is read as they come: what the
	// clock counts is judged by that.
	restAfter = 2 * time.Second
)

// rest is the state of a connection that may rest. One goroutine uses it.
type rest struct {
	socket syscall.RawConn
	// asks are all publications of the connection; none: it does not rest.
	asks []Unhurried
	from time.Time // when it may begin; zero: no media came yet

	attempt func(fd uintptr) bool // made once: a closure for each read would allocate
	p       []byte
	n       int
	over    bool // the socket will say why at the next ordinary read

	silent  bool // the socket says nothing of less than restBytes
	emptied bool // the last read took all that there was
	got     int  // bytes since the last rest
	misses  int
}

// newRest returns nil for connections that cannot rest: those over TLS, and those of which
// something has been read already that is not told here.
func newRest(nc net.Conn) *rest {
	c, ok := nc.(interface {
		Socket() (syscall.RawConn, bool)
	})
	if !ok || !canRest {
		return nil
	}
	socket, ok := c.Socket()
	if !ok {
		return nil
	}
	r := &rest{socket: socket}
	r.attempt = func(fd uintptr) bool {
		r.n, r.over = readNow(int(fd), r.p)
		return true
	}
	return r
}

// take reads at least one byte, after a rest if the socket was empty. 0: the connection is to be
// read, and waited for, as usual.
func (r *rest) take(p []byte) int {
	now := time.Now()
	if r.from.IsZero() || now.Before(r.from) {
		return 0
	}
	for ; r.misses < restMisses; r.misses++ {
		if r.emptied {
			time.Sleep(restFor(now, r.got))
			r.got = 0
		}
		if !r.tell(restBytes) {
			break
		}
		r.p = p
		err := r.socket.Read(r.attempt) // fails where the deadline has passed
		r.p = nil
		if err != nil || r.over {
			break
		}
		if r.emptied = r.n < len(p); r.n > 0 {
			r.misses, r.got = 0, r.got+r.n
			return r.n
		}
		now = time.Now()
	}
	r.misses = 0
	r.wake()
	return 0
}

// restFor returns how long a publisher rests that sent so many bytes since it rested last.
func restFor(now time.Time, got int) time.Duration {
	d := restInterval
	if got > restMost {
		d = restGrid
	}
	over := time.Duration(now.Add(d).UnixNano()) % restGrid
	return d + (restGrid-over)%restGrid
}

// wake lets the socket say what it has.
func (r *rest) wake() {
	if r.silent {
		r.tell(1)
	}
}

// tell has the socket say when it has so many bytes. It is false if it cannot.
func (r *rest) tell(n int) (ok bool) {
	if r.silent == (n > 1) {
		return true
	}
	err := r.socket.Control(func(fd uintptr) { ok = tellFrom(int(fd), n) })
	if ok = ok && err == nil; ok {
		r.silent = n > 1
	}
	return ok
}

// noteRest says anew who is to be asked whether the connection may rest.
func (c *serverConn) noteRest() {
	if c.rest == nil {
		return
	}
	c.rest.asks = c.rest.asks[:0]
	for _, p := range c.publications {
		to, ok := p.to.(Unhurried)
		if !ok {
			c.rest.asks = c.rest.asks[:0]
			return
		}
		c.rest.asks = append(c.rest.asks, to)
	}
	c.rest.from = time.Time{}
}

// hear notes that media came.
func (r *rest) hear() {
	if r != nil && r.from.IsZero() {
		r.from = time.Now().Add(restAfter)
	}
}

// rested reads from a client that rests. 0: it does not.
func (c *serverConn) rested(p []byte) int {
	if c.rest == nil {
		return 0
	}
	for _, to := range c.rest.asks {
		if !to.Unhurried() {
			c.rest.wake()
			return 0
		}
	}
	if len(c.rest.asks) == 0 {
		c.rest.wake()
		return 0
	}
	return c.rest.take(p)
}
