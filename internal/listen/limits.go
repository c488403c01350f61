package listen

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
	"syscall"
	"time"

	"livego/internal/auth"
	"livego/internal/fanout"
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

// Limits bounds the connections of all listeners, by what the operator says and by the file
// descriptors of the process. When these run out, connections that do nothing are closed, so that a
// flood of them keeps nobody out who publishes, watches or asks.
type Limits struct {
	total, perAddr int // 0: no bound; guarded by mu
	// files is how many connections there are descriptors for, viewing how many of these viewers
	// may have. 0: not known.
	files, viewing int

	viewers atomic.Int64
	// refused found no room, evicted were closed to make some.
	refused, evicted atomic.Uint64

	mu     sync.Mutex
	open   map[*Conn]struct{}
	byAddr map[netip.Addr]int
}

// NewLimits takes the bounds of the operator, of all connections and of those of one address or, of
// IPv6, one network of 64 bits (0: none), and how many files the process may open (0: not known).
func NewLimits(total, perAddr, files int) *Limits {
	l := &Limits{total: total, perAddr: perAddr}
	if files > 0 {
		kept := min(max(files/fileShare, minKeptFiles), maxKeptFiles)
		l.files = max(files-kept, files/2)
		l.viewing = l.files - (l.files+viewerShare-1)/viewerShare
	}
	return l
}

// Set changes the bounds of the operator. Connections that are open stay so.
func (l *Limits) Set(total, perAddr int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.total, l.perAddr = total, perAddr
}

// Admit gives a connection a place, if there is one, until it is closed.
func (l *Limits) Admit(c net.Conn) (*Conn, bool) {
	lc := &Conn{Conn: c, limits: l, addr: auth.Network(RemoteAddr(c))}
	lc.since.Store(time.Now().UnixNano())
	l.mu.Lock()
	var evicted []*Conn
	if l.files > 0 && len(l.open) >= l.files {
		evicted = l.evict()
	}
	ok := (l.total == 0 || len(l.open) < l.total) && (l.perAddr == 0 || l.byAddr[lc.addr] < l.perAddr) && (l.files == 0 || len(l.open) < l.files)
	if ok {
		if l.open == nil {
			l.open = make(map[*Conn]struct{})
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

// Figures says how many connections there are.
type Figures struct {
	// Open are all of them, Viewers those of viewers. Limit and ViewerLimit are the most that there
	// may be, 0: not known.
	Open, Viewers, Limit, ViewerLimit int
	// Refused found no room. Evicted did nothing, and were closed to make room.
	Refused, Evicted uint64
}

// Figures says how many connections there are.
func (l *Limits) Figures() Figures {
	l.mu.Lock()
	open := len(l.open)
	l.mu.Unlock()
	limit := l.files
	if l.total > 0 && (limit == 0 || l.total < limit) {
		limit = l.total
	}
	return Figures{
		Open: open, Viewers: int(l.viewers.Load()), Limit: limit, ViewerLimit: l.viewing,
		Refused: l.refused.Load(), Evicted: l.evicted.Load(),
	}
}

// evictIdle closes connections that do nothing: descriptors have run out.
func (l *Limits) evictIdle() {
	l.mu.Lock()
	evicted := l.evict()
	l.mu.Unlock()
	closeConns(evicted)
}

// evict takes the places of connections on which nothing is under way, of those the longest that
// have been so for the longest time. The caller holds mu and closes them.
func (l *Limits) evict() []*Conn {
	var idle []*Conn
	for c := range l.open {
		if c.idle() {
			idle = append(idle, c)
		}
	}
	slices.SortFunc(idle, func(a, b *Conn) int { return cmp.Compare(a.since.Load(), b.since.Load()) })
	idle = idle[:min(len(idle), max(1, len(l.open)/evictShare))]
	for _, c := range idle {
		l.remove(c)
	}
	l.evicted.Add(uint64(len(idle)))
	return idle
}

func (l *Limits) leave(c *Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.open[c]; ok {
		l.remove(c)
	}
}

// remove gives back the place of a connection that has one. The caller holds mu.
func (l *Limits) remove(c *Conn) {
	delete(l.open, c)
	if l.byAddr[c.addr]--; l.byAddr[c.addr] == 0 {
		delete(l.byAddr, c.addr)
	}
}

// CloseAll cuts all connections off: whoever waits for a peer goes on at once.
func (l *Limits) CloseAll() {
	l.mu.Lock()
	open := slices.Collect(maps.Keys(l.open))
	l.mu.Unlock()
	closeConns(open)
}

func closeConns(conns []*Conn) {
	for _, c := range conns {
		_ = c.Close()
	}
}

// Role is what a connection is used for.
type Role uint8

const (
	// Working: publishing, or a call of the API. Watching: playing, or a request for media.
	Working Role = iota
	Watching
)

// Conn gives its place back when it is closed.
type Conn struct {
	net.Conn
	limits *Limits
	addr   netip.Addr // as it is counted
	since  atomic.Int64

	holds fanout.Holds

	mu   sync.Mutex
	uses [Watching + 1]int // under way
}

var _ fanout.Holder = (*Conn)(nil)

// Use notes that something is under way, until Done is called with the same role. It is false if
// viewers have all connections that they may have. Of no connection it is true.
func (c *Conn) Use(r Role) bool {
	if c == nil {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if r == Watching && c.uses[r] == 0 {
		if n := c.limits.viewers.Add(1); c.limits.viewing > 0 && n > int64(c.limits.viewing) {
			c.limits.viewers.Add(-1)
			c.limits.refused.Add(1)
			return false
		}
	}
	c.uses[r]++
	return true
}

// Done notes that something is over for which Use was true.
func (c *Conn) Done(r Role) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.uses[r]--; r == Watching && c.uses[r] == 0 {
		c.limits.viewers.Add(-1)
	}
	c.since.Store(time.Now().UnixNano())
}

// idle says whether nothing is under way.
func (c *Conn) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.uses == [Watching + 1]int{}
}

// ConnOf returns what has the place of a connection that a Listener gave out, nil if it has none.
func ConnOf(c net.Conn) *Conn {
	switch c := c.(type) {
	case *Conn:
		return c
	case *tlsConn:
		return c.under
	case interface{ NetConn() net.Conn }: // over TLS, or lent to net/http
		return ConnOf(c.NetConn())
	}
	return nil
}

// connKey is where the context of a request has what has the place of its connection.
type connKey struct{}

// WithConn is for http.Server.ConnContext: ConnIn finds the connection of a request then.
func WithConn(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, ConnOf(c))
}

// ConnIn returns what has the place of a request's connection, nil if nothing does.
func ConnIn(ctx context.Context) *Conn {
	c, _ := ctx.Value(connKey{}).(*Conn)
	return c
}

// Close closes the connection. While it is held, it is only shut down: nothing can be read or
// written any more.
func (c *Conn) Close() error {
	switch held, again := c.holds.Close(); {
	case again && held:
		return net.ErrClosed
	case held:
		return c.cut()
	}
	return c.closeNow()
}

func (c *Conn) closeNow() error {
	defer c.limits.leave(c)
	return c.Conn.Close()
}

// cut makes all reads and writes fail, those that wait too.
func (c *Conn) cut() error {
	past := time.Unix(1, 0)
	if half, ok := c.Conn.(interface{ CloseRead() error }); ok {
		_ = half.CloseRead()
		_ = c.CloseWrite()
	}
	return c.Conn.SetDeadline(past)
}

// ReadFrom writes what r gives, with one system call for many pieces (net.Buffers), and without
// copying a file.
func (c *Conn) ReadFrom(r io.Reader) (int64, error) { return io.Copy(c.Conn, r) }

// NetConn, Hold and Release implement fanout.Holder.
func (c *Conn) NetConn() net.Conn {
	if f, ok := c.Conn.(*frontedConn); ok {
		return f.TCPConn
	}
	return c.Conn
}

// Socket returns the socket of the connection, for who reads from it by itself; false for those of
// which a part may have been read already.
func (c *Conn) Socket() (syscall.RawConn, bool) {
	tcp, ok := c.Conn.(*net.TCPConn)
	if !ok {
		return nil, false
	}
	socket, err := tcp.SyscallConn()
	return socket, err == nil
}

// Unread returns what was read from the connection beyond the header of a proxy, and is nobody's
// yet.
func (c *Conn) Unread() []byte {
	if f, ok := c.Conn.(*frontedConn); ok {
		return f.unread()
	}
	return nil
}

func (c *Conn) Hold() bool { return c.holds.Hold() }

func (c *Conn) Release() {
	if c.holds.Release() {
		_ = c.closeNow()
	}
}

// CloseWrite ends the output and leaves the input open, so that a peer can still read why its
// connection ends.
func (c *Conn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// tlsConn is a TLS connection over a limited one.
type tlsConn struct {
	*tls.Conn
	under *Conn
}

func (c *tlsConn) Close() error {
	defer c.under.limits.leave(c.under)
	return c.Conn.Close()
}

// RemoteAddr is the address of a connection's peer, invalid where there is none.
func RemoteAddr(c net.Conn) netip.Addr { return addrOf(c.RemoteAddr().String()) }

// RequestAddr is that of who makes a request.
func RequestAddr(r *http.Request) netip.Addr { return addrOf(r.RemoteAddr) }

func addrOf(hostport string) netip.Addr {
	ap, err := netip.ParseAddrPort(hostport)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}
