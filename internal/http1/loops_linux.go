package http1

import (
	"context"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// loops share the connections of a Server out.
type loops struct {
	mu     sync.Mutex
	all    []*loop
	closed bool
	next   atomic.Uint32
	// greeted are connections whose TLS handshake is under way.
	greeted   map[net.Conn]struct{}
	greetings sync.WaitGroup
}

// start makes a loop for each processor. Without any, where the system gives none, net/http has all
// connections.
func (ls *loops) start(s *Server) {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.closed {
		return
	}
	for range runtime.GOMAXPROCS(0) {
		l, err := newLoop(s)
		if err != nil {
			return
		}
		ls.all = append(ls.all, l)
		go l.run()
	}
}

// take gives a connection, over TLS if that is set, to a loop, if it is one over TCP that nobody
// else reads from.
func (ls *loops) take(nc net.Conn, over *secured) bool {
	if len(ls.all) == 0 {
		return false
	}
	held, ok := nc.(holder)
	if !ok {
		return false
	}
	l := ls.all[int(ls.next.Add(1))%len(ls.all)]
	c, ok := newConn(l, held, over)
	return ok && l.post(func() { l.add(c, l.server.std.ReadTimeout) })
}

func (ls *loops) list() []*loop {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return slices.Clone(ls.all)
}

// drain lets what is under way end, and then all loops.
func (ls *loops) drain(ctx context.Context) {
	ls.dismiss()
	all := ls.list()
	for _, l := range all {
		l.post(l.drain)
	}
	for _, l := range all {
		select {
		case <-l.empty:
		case <-ctx.Done():
		}
	}
	ls.close()
}

// close ends all loops and waits for them.
func (ls *loops) close() {
	ls.mu.Lock()
	ls.closed = true
	ls.mu.Unlock()
	ls.dismiss()
	for _, l := range ls.list() {
		l.end()
	}
}
