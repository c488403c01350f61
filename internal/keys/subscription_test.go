package keys

import (
	"bytes"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
)

// proxy stands between a node and Redis.
type proxy struct {
	net.Listener
	subscriptions, pings atomic.Int32
	// mute makes the proxy swallow what Redis sends to subscriptions that exist now, as a dead
	// network does.
	mute chan struct{}
	done sync.WaitGroup
}

func startProxy(t *testing.T, to string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{Listener: l, mute: make(chan struct{})}
	p.done.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", to)
			if err != nil {
				client.Close()
				continue
			}
			var subscribed atomic.Bool
			p.done.Go(func() { p.copy(server, client, &subscribed, true) })
			p.done.Go(func() { p.copy(client, server, &subscribed, false) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.done.Wait()
	})
	return p
}

func (p *proxy) copy(to, from net.Conn, subscribed *atomic.Bool, upstream bool) {
	defer to.Close()
	defer from.Close()
	buf := make([]byte, 1<<16)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		if upstream && bytes.Contains(buf[:n], []byte("\r\nsubscribe\r\n")) {
			subscribed.Store(true)
			p.subscriptions.Add(1)
		}
		if upstream && subscribed.Load() && bytes.Contains(buf[:n], []byte("\r\nping\r\n")) {
			p.pings.Add(1)
		}
		select {
		case <-p.mute:
			if !upstream && subscribed.Load() && p.subscriptions.Load() == 1 {
				continue
			}
		default:
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

func nodeBehind(t *testing.T, p *proxy) Store {
	t.Helper()
	s, err := newRedisStore(Options{RedisAddr: p.Addr().String(), Log: testLog(t), MaxRooms: 9})
	if err != nil {
		t.Fatal(err)
	}
	s.silence = 500 * time.Millisecond
	s.start()
	return closeAfter(t, s, nil)
}

func TestIdleSubscriptionStays(t *testing.T) {
	t.Parallel()
	p := startProxy(t, miniredis.RunT(t).Addr())
	nodeBehind(t, p)
	eventually(t, "pings", func() bool { return p.pings.Load() > 1 })
	if n := p.subscriptions.Load(); n != 1 {
		t.Errorf("subscribed %d times", n)
	}
}

func TestDeadSubscriptionIsReplaced(t *testing.T) {
	t.Parallel()
	addr := miniredis.RunT(t).Addr()
	p := startProxy(t, addr)
	s, other := nodeBehind(t, p), openRedis(t, Options{RedisAddr: addr})
	l := lease(t, s, get(t, s, "movie"), "movie")
	eventually(t, "subscription", func() bool { return p.subscriptions.Load() == 1 && p.pings.Load() > 0 })
	close(p.mute)
	reset(t, other, "movie", false)
	wantRevoked(t, l)
	if n := p.subscriptions.Load(); n < 2 {
		t.Errorf("subscribed %d times", n)
	}
}
