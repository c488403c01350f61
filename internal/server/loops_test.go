package server

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"livego/internal/flv"
	"livego/internal/live"
	"livego/internal/relay"
)

// several returns so many servers.
func several(t *testing.T, n int, change ...func(*Options)) (all []*testServer) {
	t.Helper()
	for range n {
		all = append(all, start(t, change...))
	}
	return all
}

// relayTo has a server relay a stream of one name, and returns why it does not.
func (s *testServer) relayTo(t *testing.T, d relay.Direction, url string) error {
	t.Helper()
	return s.startRelay(t.Context(), &relay.Relay{Direction: d, App: "live", Stream: "movie", URL: url})
}

// wantLoop checks that a relay is refused as it leads back.
func wantLoop(t *testing.T, err error) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), errLoop.Error()) {
		t.Errorf("%v, want %v", err, errLoop)
	}
}

// TestPushCircle: servers push a stream in a circle: the one that has it from the encoder refuses
// to take it again, says why, and its encoder stays.
func TestPushCircle(t *testing.T) {
	t.Parallel()
	for _, n := range []int{2, 3} {
		all := several(t, n)
		for i, s := range all {
			next := all[(i+1)%n]
			if err := s.relayTo(t, relay.Push, next.url("rtmp", "rtmp", "/live/"+next.key("movie"))); err != nil {
				t.Fatal(err)
			}
		}
		tags := clip(t)
		e := publish(t, all[0], "movie")
		e.send(tags...)
		last := all[n-1]
		watchRTMP(t, last, "movie").await(t, tags[len(tags)-1])
		var s relay.Status
		eventually(t, "the last push is refused", func() bool {
			s = last.relays.List()[0]
			return s.State == relay.Failed
		})
		if !strings.Contains(s.Error, errLoop.Error()) || s.Bytes != 0 {
			t.Errorf("%+v", s)
		}
		e.send(tags[len(tags)-1]) // it is still there
		for _, s := range all {
			awaitPublishers(t, s, "movie", 1)
			wantEqual(t, "publishers so far", s.logs.count("publisher on air"), 1)
		}
	}
}

// TestEchoAtAnotherNode: a stream that another server brings back, which says so in the metadata
// alone, is refused at each node of the cluster, whichever of them pushes it, and its encoder
// stays. One that does not say so takes its place.
func TestEchoAtAnotherNode(t *testing.T) {
	t.Parallel()
	for at, pusher := range []string{"the home pushes", "another node pushes"} {
		t.Run(pusher, func(t *testing.T) {
			t.Parallel()
			g, target, tags := startGroup(t, 3), start(t), clip(t)
			home, pushes, other := g.nodes[0], g.nodes[at], g.nodes[2]
			if err := pushes.relayTo(t, relay.Push, target.url("rtmp", "rtmp", "/live/"+target.key("movie"))); err != nil {
				t.Fatal(err)
			}
			first := publish(t, home, "movie")
			first.send(tags...)
			eventually(t, "it is pushed", func() bool { return pushes.relays.List()[0].State == relay.Running })
			for _, s := range g.nodes {
				echo, metadata := publish(t, s, "movie"), tags[0]
				metadata.Body = flv.AppendPassed(nil, metadata.Body, home.markOf(live.Name{App: "live", Stream: "movie"}))
				echo.send(metadata)
				if err := receive(t, "the end of the echo", echo.ended); err == nil || !strings.Contains(s.logs.String()+home.logs.String(), errLoop.Error()) {
					t.Errorf("the echo ended with %v", err)
				}
				first.send(tags[len(tags)-1])
				wantEqual(t, "takeovers", home.logs.count("publisher taken over"), 0)
			}
			second := publish(t, other, "movie")
			second.send(tags...)
			eventually(t, "the first encoder is told that it was taken over", func() bool { return first.trySend(tags[len(tags)-1]) != nil })
		})
	}
}

// TestPullCircle: a server does not pull a stream that comes from itself.
func TestPullCircle(t *testing.T) {
	t.Parallel()
	for _, from := range []struct{ scheme, protocol, suffix string }{{"rtmp", "rtmp", ""}, {"http", "http-flv", ".flv"}} {
		all := several(t, 3)
		tags := clip(t)
		e := publish(t, all[0], "movie")
		e.send(tags...)
		url := func(s *testServer) string { return s.url(from.scheme, from.protocol, "/live/movie"+from.suffix) }
		for i, s := range all[1:] {
			if err := s.relayTo(t, relay.Pull, url(all[i])); err != nil {
				t.Fatal(err)
			}
			wantLoop(t, all[0].relayTo(t, relay.Pull, url(s)))
		}
		wantEqual(t, "publishers so far", all[0].logs.count("publisher on air"), 1)
	}
}

// TestPullCircleHLS: the same with playlists, which say by which servers a stream has come.
func TestPullCircleHLS(t *testing.T) {
	t.Parallel()
	all := several(t, 2, func(o *Options) { o.HLS.SegmentDuration = time.Second })
	e, performed := publish(t, all[0], "movie"), make(chan struct{})
	go func() {
		defer close(performed)
		e.perform(t, clip(t), 10)
	}()
	defer func() { <-performed }()
	for _, path := range []string{"/live/movie.m3u8", "/live/movie/index.m3u8"} {
		url := func(s *testServer) string { return s.url("http", "hls", path) }
		eventually(t, "there is a playlist", func() bool { return strings.Contains(call(t, "GET", url(all[0])).body, "#EXT") })
		if err := all[1].relayTo(t, relay.Pull, url(all[0])); err != nil {
			t.Fatal(err)
		}
		wantLoop(t, all[0].relayTo(t, relay.Pull, url(all[1])))
		if _, err := all[1].relays.Stop(all[1].relays.List()[0].Relay); err != nil {
			t.Error(err)
		}
	}
	wantEqual(t, "publishers so far", all[0].logs.count("publisher on air"), 1)
}

// forwarder passes connections on to a server that is not there yet.
func forwarder(t *testing.T) (addr string, to chan<- string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	target := make(chan string, 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		addr := <-target
		for {
			from, err := l.Accept()
			if err != nil {
				return
			}
			to, err := net.Dial("tcp", addr)
			if err != nil {
				from.Close()
				continue
			}
			go func() { _, _ = io.Copy(to, from); to.Close() }()
			go func() { _, _ = io.Copy(from, to); from.Close() }()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String(), target
}

// TestPullOnDemandCircle: servers that pull on demand from each other what nobody has: each asks
// the other for as long as viewers wait, and not for the other's sake.
func TestPullOnDemandCircle(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ scheme, protocol, suffix, reason string }{
		{"rtmp", "rtmp", "", errLoop.Error()}, {"http", "hls", "/{stream}.m3u8", "508 Loop Detected"},
	} {
		t.Run(c.protocol, func(t *testing.T) {
			t.Parallel()
			pullCircle(t, c.scheme, c.protocol, c.suffix, c.reason)
		})
	}
}

func pullCircle(t *testing.T, scheme, protocol, suffix, reason string) {
	addr, to := forwarder(t)
	pull := func(addr string) func(o *Options) {
		return func(o *Options) {
			o.Apps[0].Pull, o.Apps[0].PullIdle = scheme+"://"+addr+"/live"+suffix, time.Second
			o.PlayWait, o.Live.Grace = -1, 0
		}
	}
	a := start(t, pull(addr))
	b := start(t, pull(a.addr(protocol)))
	to <- b.addr(protocol)
	wantEqual(t, "status", call(t, "GET", a.url("http", "http-flv", "/live/movie.flv")).status, 404)
	for _, s := range []*testServer{a, b} {
		eventually(t, "pulls end", func() bool {
			return s.logs.count("stream is pulled no more") >= 1 && len(s.relays.List()) == 0
		})
		wantEqual(t, "pulls", s.logs.count("stream is pulled, as"), 1)
	}
	wantContains(t, "log", b.logs.String(), reason)
}
