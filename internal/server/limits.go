package server

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"livego/internal/auth"
	"livego/internal/fanout"
	"livego/internal/metrics"
)

const (
	// fileShare is the part of the process's file descriptors that connections do not take, one in
	// so many, and maxKeptFiles the most of them: for keys, logs, and segments on disk that are
	// written or read.
	fileShare                  = 8
	minKeptFiles, maxKeptFiles = 64, 4096
	// viewerShare is the part of all connections that viewers do not take, one in so many: for
	// publishers and the control API.
	viewerShare = 16
	// evictShare is the part of all connections that are closed at once when there is no room, one
	// in so many: who idles longest goes.
	evictShare = 16
)

// connLimits bounds the connections of all listeners, by what the operator says and by the file
// descriptors of the process. When these run out, connections that do nothing are closed, so that a
// flood of them keeps nobody out who publishes, watches or asks.
type connLimits struct {
	total, perAddr int // 0: no bound; guarded by mu
	// files is how many connections there are descriptors for, viewing how many of these viewers
	// may have. 0: not known.
	files, viewing int

	viewers atomic.Int64
	// refused found no room, evicted were closed to make some.
	refused, evicted atomic.Uint64

	mu     sync.Mutex
	open   map[*limitedConn]struct{}
	byAddr map[netip.Addr]int
}

// newConnLimits takes the bounds of the operator, and how many files the process may open (0: not
// known).
func newConnLimits(total, perAddr, files int) *connLimits {
	l := &connLimits{total: total, perAddr: perAddr}
	if files > 0 {
		kept := min(max(files/fileShare, minKeptFiles), maxKeptFiles)
		l.files = max(files-kept, files/2)
		l.viewing = l.files - (l.files+viewerShare-1)/viewerShare
	}
	return l
}

// set changes the bounds of the operator. Connections that are open stay so.
func (l *connLimits) set(total, perAddr int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total, l.perAddr = total, perAddr
}

// admit gives a connection a place, if there is one.
func (l *connLimits) admit(c net.Conn) (*limitedConn, bool) {
	lc := &limitedConn{Conn: c, limits: l, addr: auth.Network(remoteAddr(c))}
	lc.since.Store(time.Now().UnixNano())
	l.mu.Lock()
	var evicted []*limitedConn
	if l.files > 0 && len(l.open) >= l.files {
		evicted = l.evict()
	}
	ok := (l.total == 0 || len(l.open) < l.total) && (l.perAddr == 0 || l.byAddr[lc.addr] < l.perAddr) && (l.files == 0 || len(l.open) < l.files)
	if ok {
		if l.open == nil {
			l.open = make(map[*limitedConn]struct{})
			l.byAddr = make(map[netip.Addr]int)
		}
		l.open[lc] = struct{}{}
		l.byAddr[lc.addr]++
	}
	l.mu.Unlock()
	closeConns(evicted)
	if !ok {
		l.refused.Add(1)
	}
	return lc, ok
}

// figures says how many connections there are.
func (l *connLimits) figures() metrics.Connections {
	l.mu.Lock()
	open := len(l.open)
	l.mu.Unlock()
	limit := l.files
	if l.total > 0 && (limit == 0 || l.total < limit) {
		limit = l.total
	}
	return metrics.Connections{
		Open: open, Viewers: int(l.viewers.Load()), Limit: limit, ViewerLimit: l.viewing,
		Refused: l.refused.Load(), Evicted: l.evicted.Load(),
	}
}

// relieve closes connections that do nothing: descriptors have run out.
func (l *connLimits) relieve() {
	l.mu.Lock()
	evicted := l.evict()
	l.mu.Unlock()
	closeConns(evicted)
}

// evict takes the places of connections on which nothing is under way, of those the longest that
// have been so for the longest time. The caller holds mu and closes them.
func (l *connLimits) evict() []*limitedConn {
	var idle []*limitedConn
	for c := range l.open {
		if c.idle() {
			idle = append(idle, c)
		}
	}
	slices.SortFunc(idle, func(a, b *limitedConn) int { return cmp.Compare(a.since.Load(), b.since.Load()) })
	idle = idle[:min(len(idle), max(1, len(l.open)/evictShare))]
	for _, c := range idle {
		l.remove(c)
	}
	l.evicted.Add(uint64(len(idle)))
	return idle
}

func (l *connLimits) leave(c *limitedConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.open[c]; ok {
		l.remove(c)
	}
}

// remove gives back the place of a connection that has one. The caller holds mu.
func (l *connLimits) remove(c *limitedConn) {
	delete(l.open, c)
	if l.byAddr[c.addr]--; l.byAddr[c.addr] == 0 {
		delete(l.byAddr, c.addr)
	}
}

// closeAll cuts all connections off: whoever waits for a peer goes on at once.
func (l *connLimits) closeAll() {
	l.mu.Lock()
	open := slices.Collect(maps.Keys(l.open))
	l.mu.Unlock()
	closeConns(open)
}

func closeConns(conns []*limitedConn) {
	for _, c := range conns {
		_ = c.Close()
	}
}

// role is what a connection is used for.
type role uint8

const (
	// working: publishing, or a call of the API. watching: playing, or a request for media.
	working role = iota
	watching
)

// limitedConn gives its place back when it is closed.
type limitedConn struct {
	net.Conn
	limits *connLimits
	addr   netip.Addr // as it is counted
	since  atomic.Int64

	mu     sync.Mutex
	uses   [watching + 1]int // under way
	holds  int               // that keep the descriptor open
	closed bool              // asked for
}

var _ fanout.Holder = (*limitedConn)(nil)

// use notes that something is under way, until done is called with the same role. It is false if
// viewers have all connections that they may have. Of no connection it is true.
func (c *limitedConn) use(r role) bool {
	if c == nil {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if r == watching && c.uses[r] == 0 {
		if n := c.limits.viewers.Add(1); c.limits.viewing > 0 && n > int64(c.limits.viewing) {
			c.limits.viewers.Add(-1)
			c.limits.refused.Add(1)
			return false
		}
	}
	c.uses[r]++
	return true
}

func (c *limitedConn) done(r role) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.uses[r]--; r == watching && c.uses[r] == 0 {
		c.limits.viewers.Add(-1)
	}
	c.since.Store(time.Now().UnixNano())
}

// idle says whether nothing is under way.
func (c *limitedConn) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.uses == [watching + 1]int{}
}

// placeOf returns the place of a connection that a listener gave out, nil if it has none.
func placeOf(c net.Conn) *limitedConn {
	switch c := c.(type) {
	case *limitedConn:
		return c
	case *tlsConn:
		return c.under
	case *tls.Conn:
		return placeOf(c.NetConn())
	}
	return nil
}

// placeKey is where the context of a request has the place of its connection.
type placeKey struct{}

func withPlace(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, placeKey{}, placeOf(c))
}

func placeIn(ctx context.Context) *limitedConn {
	c, _ := ctx.Value(placeKey{}).(*limitedConn)
	return c
}

// Close closes the connection. While it is held, it is only shut down: nothing can be read or
// written any more.
func (c *limitedConn) Close() error {
	c.mu.Lock()
	held, again := c.holds > 0, c.closed
	c.closed = true
	c.mu.Unlock()
	switch {
	case again && held:
		return net.ErrClosed
	case held:
		return c.cut()
	}
	return c.closeNow()
}

func (c *limitedConn) closeNow() error {
	defer c.limits.leave(c)
	return c.Conn.Close()
}

// cut makes all reads and writes fail, those that wait too.
func (c *limitedConn) cut() error {
	past := time.Unix(1, 0)
	if half, ok := c.Conn.(interface{ CloseRead() error }); ok {
		_ = half.CloseRead()
		_ = c.CloseWrite()
	}
	return c.Conn.SetDeadline(past)
}

// ReadFrom writes what r gives, with one system call for many pieces (net.Buffers), and without
// copying a file.
func (c *limitedConn) ReadFrom(r io.Reader) (int64, error) { return io.Copy(c.Conn, r) }

// NetConn, Hold and Release implement fanout.Holder.
func (c *limitedConn) NetConn() net.Conn {
	if f, ok := c.Conn.(*frontedConn); ok {
		return f.TCPConn
	}
	return c.Conn
}

func (c *limitedConn) Hold() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.holds++
	return true
}

func (c *limitedConn) Release() {
	c.mu.Lock()
	c.holds--
	last := c.holds == 0 && c.closed
	c.mu.Unlock()
	if last {
		_ = c.closeNow()
	}
}

// CloseWrite ends the output and leaves the input open, so that a peer can still read why its
// connection ends.
func (c *limitedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// tlsConn is a TLS connection over a limited one.
type tlsConn struct {
	*tls.Conn
	under *limitedConn
}

func (c *tlsConn) Close() error {
	defer c.under.limits.leave(c.under)
	return c.Conn.Close()
}

// remoteAddr is the address of a connection's peer, requestAddr that of who makes a request. It is
// invalid where there is none.
func remoteAddr(c net.Conn) netip.Addr { return addrOf(c.RemoteAddr().String()) }

func requestAddr(r *http.Request) netip.Addr { return addrOf(r.RemoteAddr) }

func addrOf(hostport string) netip.Addr {
	ap, err := netip.ParseAddrPort(hostport)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}
