package server

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"livego/internal/amf"
	"livego/internal/flv"
	"livego/internal/rtmp"
)

// stopWithin ends the server and fails if that takes longer.
func (s *testServer) stopWithin(limit time.Duration) {
	s.t.Helper()
	begin := time.Now()
	if err := s.stop(); err != nil {
		s.t.Errorf("Run: %v", err)
	}
	if took := time.Since(begin); took > limit {
		s.t.Errorf("Run took %v to end, the bound is %v", took, limit)
	}
}

// TestShutdownDeliversWhatIsOnItsWay: viewers get everything and a proper end, the publisher hears
// why, and HLS gets no ENDLIST.
func TestShutdownDeliversWhatIsOnItsWay(t *testing.T) {
	t.Parallel()
	s, tags := start(t), clip(t)
	e := publish(t, s, "movie")
	e.send(tags[:4]...)
	watchers := []*watcher{watchRTMP(t, s, "movie"), watchFLV(t, s, "movie"), watchWS(t, s, "movie")}
	awaitAll(t, watchers, tags[3])
	e.send(tags[4:]...)
	eventually(t, "everything has arrived", func() bool { return received(s) >= size(tags) })
	wantEqual(t, "playlist", call(t, "GET", s.url("http", "hls", "/live/movie.m3u8")).status, 200)
	s.stopWithin(5 * time.Second)
	refusedWith(t, "publisher", receive(t, "end of the publisher", e.ended), rtmp.CodeConnectAppShutdown)
	for _, w := range watchers {
		w.awaitEnd(t)
		sameTags(t, w.name, tags, w.got(), 0)
	}
	if _, err := net.Dial("tcp", s.addr("rtmp")); err == nil {
		t.Error("the port is still open")
	}
}

// received is how much video the publisher has sent.
func received(s *testServer) uint64 {
	for _, session := range s.Sessions() {
		if session.Publisher {
			return session.VideoBytes
		}
	}
	return 0
}

// TestShutdownWithStuckPeers: nobody who does nothing, or reads nothing, holds up the end.
func TestShutdownWithStuckPeers(t *testing.T) {
	t.Parallel()
	const drain = time.Second
	s := start(t, withTLS(t), func(o *Options) { o.DrainTimeout = drain; o.RTMPTLS = false })
	tags := clip(t)
	e := publish(t, s, "movie")
	e.send(tags[:3]...)
	stuckPlayers(t, s)
	awaitPlayers(t, s, "movie", 4)

	dial(t, s.addr("rtmp"))  // says nothing
	dial(t, s.addr("rtmps")) // nor a handshake
	dial(t, s.addr("hls"))   // nor a request
	half := dial(t, s.addr("api"))
	fmt.Fprint(half, "GET / HTTP/1.1\r\nHost: ")
	newPeer(t, s).connect("live") // connected, and then nothing
	waiting := newPeer(t, s)      // plays what is not there
	waiting.connect("live")
	waiting.command(1, "play", 0.0, nil, "none")
	pinger(t, s)

	// Far more than sockets take.
	big := make([]byte, 500_000)
	copy(big, tags[3].Body)
	for i := range 40 {
		e.send(flv.Tag{Type: flv.TypeVideo, TimestampMS: uint32(i * 40), Body: big})
	}
	eventually(t, "media flows", func() bool { return received(s) > 40*500_000 })
	s.stopWithin(drain + time.Second)
}

// stuckPlayers play and read nothing.
func stuckPlayers(t testing.TB, s *testServer) {
	t.Helper()
	small := func(nc *net.TCPConn) *net.TCPConn {
		if err := nc.SetReadBuffer(4 << 10); err != nil {
			t.Fatal(err)
		}
		return nc
	}
	p := newPeer(t, s)
	small(p.nc.(*net.TCPConn))
	p.connect("live")
	p.command(1, "play", 0.0, nil, "movie")

	client, err := rtmp.Dial(t.Context(), s.url("rtmps", "rtmps", "/live"), rtmp.ClientOptions{TLSConfig: trusting()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	if err := client.Play(t.Context(), "movie"); err != nil {
		t.Fatal(err)
	}

	tlsFLV := tlsDial(t, s.addr("http-flv"))
	fmt.Fprint(tlsFLV, "GET /live/movie.flv HTTP/1.1\r\nHost: h\r\n\r\n")

	nc, _, _, err := ws.Dialer{TLSConfig: trusting()}.Dial(t.Context(), s.url("wss", "http-flv", "/live/movie.flv"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
}

// pinger sends pings for ever and never reads: the server's pongs fill the socket until it waits in
// a write.
func pinger(t testing.TB, s *testServer) {
	t.Helper()
	p := newPeer(t, s)
	p.connect("live")
	var pings []byte
	for range 1000 {
		pings = appendChunk(pings, 2, 4, 0, 0, binary.BigEndian.AppendUint32([]byte{0, 6}, 1))
	}
	if err := p.nc.SetWriteDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			if _, err := p.nc.Write(pings); err != nil {
				return
			}
		}
	})
	t.Cleanup(wg.Wait)
	t.Cleanup(func() { p.nc.Close() })
}

// TestShutdownMeetsNewcomers ends servers while clients of all kinds come and go.
func TestShutdownMeetsNewcomers(t *testing.T) {
	t.Parallel()
	for range 10 {
		s := start(t)
		keys := []string{s.key("a"), s.key("b")}
		stop := make(chan struct{})
		var clients sync.WaitGroup
		come := func(visit func(ctx context.Context)) {
			clients.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
					visit(ctx)
					cancel()
				}
			})
		}
		tags := clip(t)
		for _, key := range keys {
			come(func(ctx context.Context) {
				client, err := rtmp.Dial(ctx, s.url("rtmp", "rtmp", "/live/"+key), rtmp.ClientOptions{})
				if err != nil {
					return
				}
				defer client.Close()
				if client.Publish(ctx, "") != nil {
					return
				}
				for _, tag := range tags[:20] {
					_ = client.Write(rtmp.Message{Type: tag.Type, TimestampMS: tag.TimestampMS, Body: tag.Body})
				}
				_ = client.Flush()
			})
		}
		come(func(ctx context.Context) {
			client, err := rtmp.Dial(ctx, s.url("rtmp", "rtmp", "/live/a"), rtmp.ClientOptions{})
			if err != nil {
				return
			}
			defer client.Close()
			if client.Play(ctx, "") == nil {
				_, _ = client.Read()
			}
		})
		come(func(ctx context.Context) {
			if nc, _, _, err := ws.Dial(ctx, s.url("ws", "http-flv", "/live/a.flv")); err == nil {
				nc.Close()
			}
		})
		come(func(ctx context.Context) {
			var d net.Dialer
			if nc, err := d.DialContext(ctx, "tcp", s.addr("http-flv")); err == nil {
				fmt.Fprint(nc, "GET /live/b.flv HTTP/1.1\r\nHost: h\r\n\r\n")
				nc.Close()
			}
		})
		eventually(t, "somebody came", func() bool { return s.logs.count("publisher on air") > 2 })
		s.stopWithin(6 * time.Second)
		close(stop)
		clients.Wait()
		wantEqual(t, "sessions", len(s.Sessions()), 0)
		wantEqual(t, "feeds", s.fanout.Stats().Feeds, 0)
	}
}

// TestRunThatIsOverAtOnce: a context that has ended already.
func TestRunThatIsOverAtOnce(t *testing.T) {
	s := open(t)
	defer s.keys.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Run(ctx); err != nil {
		t.Error(err)
	}
}

// Decision 30: clients that can do so are asked to connect again.
func TestShutdownAsksToReconnect(t *testing.T) {
	t.Parallel()
	s, tags := start(t), clip(t)
	p := newPeer(t, s)
	p.command(0, "connect", 1.0, amf.Object{{Name: "app", Value: "live"}, {Name: "capsEx", Value: 1.0}})
	p.expect("_result")
	p.command(1, "publish", 0.0, nil, s.key("movie"), "live")
	p.expectStatus("NetStream.Publish.Start")
	p.send(1, tags[:4]...)
	player := newPeer(t, s)
	player.command(0, "connect", 1.0, amf.Object{{Name: "app", Value: "live"}, {Name: "capsEx", Value: 1.0}})
	player.expect("_result")
	player.command(1, "play", 0.0, nil, "movie")
	player.expectMedia(flv.TypeVideo)
	awaitPlayers(t, s, "movie", 1)
	s.cancel()
	p.expectStatus("NetConnection.Connect.ReconnectRequest")
	p.expectStatus("NetConnection.Connect.AppShutdown")
	p.expectEnd()
	player.expectStatus("NetConnection.Connect.ReconnectRequest")
	player.expectStatus("NetStream.Play.UnpublishNotify")
	player.expectEnd()
}
