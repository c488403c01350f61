package server

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"livego/internal/amf"
	"livego/internal/flv"
	"livego/internal/rtmp"
)

func tlsDial(t testing.TB, addr string) net.Conn {
	t.Helper()
	nc, err := tls.Dial("tcp", addr, trusting())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return nc
}

// Defects 23, 24: no message that an encoder sends stops the stream for anybody; bad ones are
// counted and logged once.
func TestOneBadMessageNeverStopsAStream(t *testing.T) {
	t.Parallel()
	s, tags := start(t), clip(t)
	e := publish(t, s, "movie")
	e.send(tags[:4]...)
	watchers := []*watcher{watchRTMP(t, s, "movie"), watchFLV(t, s, "movie"), watchWS(t, s, "movie")}
	awaitAll(t, watchers, tags[3])
	number := amf.Append(nil, 5.0)
	for i, bad := range []flv.Tag{
		{Type: flv.TypeAudio},
		{Type: flv.TypeVideo},
		{Type: flv.TypeData},
		{Type: flv.TypeVideo, Body: []byte{0x17}},
		{Type: flv.TypeVideo, Body: []byte{0x17, 9, 0, 0, 0}},
		{Type: flv.TypeVideo, Body: []byte{0x17, 0, 0, 0, 0, 1}}, // a sequence header that does not parse
		{Type: flv.TypeVideo, Body: []byte{0x57, 0}},             // a command
		{Type: flv.TypeVideo, Body: []byte{0x90}},
		{Type: flv.TypeVideo, Body: []byte{0xFF, 0xFF}},
		{Type: flv.TypeAudio, Body: []byte{0xAF}},
		{Type: flv.TypeAudio, Body: []byte{0xAF, 0}},
		{Type: flv.TypeAudio, Body: []byte{0x90, 'x'}},
		{Type: flv.TypeData, Body: number},
		{Type: flv.TypeData, Body: []byte{2, 0xFF, 0xFF}},
		{Type: flv.TypeDataAMF3, Body: append([]byte{0}, number...)},
		{Type: flv.TypeDataAMF3, Body: []byte{0, 17}},
		{Type: flv.TypeDataAMF3},
	} {
		bad.TimestampMS = uint32(40 * i)
		e.send(bad)
	}
	e.send(tags[1:3]...)
	e.send(between(tags, 1, 8000)...)
	last := between(tags, 1, 8000)
	awaitAll(t, watchers, last[len(last)-1])
	e.unpublish()
	for _, w := range watchers {
		w.awaitEnd(t)
		rising(t, w.name, w.got())
		if n := len(only(w.got(), flv.TypeVideo)); n < len(only(tags, flv.TypeVideo)) {
			t.Errorf("%s: %d of %d pictures", w.name, n, len(only(tags, flv.TypeVideo)))
		}
	}
	eventually(t, "the playlist ends", func() bool {
		return strings.Contains(call(t, "GET", s.url("http", "hls", "/live/movie.m3u8")).body, "#EXT-X-ENDLIST")
	})
	wantEqual(t, "log lines about bad messages", s.logs.count("bad message left out"), 1)
	wantContains(t, "the line about bad messages", s.logs.String(), `msg="bad message left out"`, " kind=video err=")
}

// bigPicture is the body of a key frame with one slice of that size, for the eye of the server.
func bigPicture(size int) []byte {
	body := []byte{0x17, 1, 0, 0, 0, byte(size >> 24), byte(size >> 16), byte(size >> 8), byte(size), 0x65}
	return append(body, bytes.Repeat([]byte{0x88}, size-1)...)
}

// Defect 25: a frame larger than LiveGo's buffer reaches everybody; one that exceeds the limit ends
// its publisher only.
func TestLargeMessages(t *testing.T) {
	t.Parallel()
	s, tags := start(t, func(o *Options) { o.RTMP.MaxMessageSize = 2 << 20 }), clip(t)
	e := publish(t, s, "movie")
	e.send(tags[:4]...)
	watchers := []*watcher{watchRTMP(t, s, "movie"), watchFLV(t, s, "movie"), watchWS(t, s, "movie")}
	awaitAll(t, watchers, tags[3])
	big := flv.Tag{Type: flv.TypeVideo, TimestampMS: 40, Body: bigPicture(1 << 20)}
	e.send(big)
	awaitAll(t, watchers, big)
	if err := e.trySend(flv.Tag{Type: flv.TypeVideo, TimestampMS: 80, Body: make([]byte, 3<<20)}); err == nil {
		receive(t, "end of the publisher", e.ended)
	}
	awaitPublishers(t, s, "movie", 0)
	awaitPlayers(t, s, "movie", 3)
}

// Defect 5: none of this ends more than its own connection.
func TestHostileClients(t *testing.T) {
	t.Parallel()
	s, tags := start(t), clip(t)
	e := publish(t, s, "movie")
	e.send(tags[:4]...)
	w := watchFLV(t, s, "movie")
	w.await(t, tags[3])
	for name, attack := range map[string]func(p *peer){
		"5a name that is no URL":  func(p *peer) { p.connect("live"); p.command(1, "play", 0.0, nil, "%zz") },
		"5a publish such a name":  func(p *peer) { p.connect("live"); p.command(1, "publish", 0.0, nil, "%zz") },
		"5b long message":         func(p *peer) { p.write([]byte{3, 0, 0, 0, 0xFF, 0xFF, 0xFF, 20, 0, 0, 0, 0}) },
		"5c empty command":        func(p *peer) { p.raw(3, 20, 0, 0, nil) },
		"5d short chunk size":     func(p *peer) { p.raw(2, 1, 0, 0, []byte{0, 0}) },
		"5e app is a number":      func(p *peer) { p.command(0, "connect", 1.0, amf.Object{{Name: "app", Value: 5.0}}) },
		"5f long string":          func(p *peer) { p.raw(3, 20, 0, 0, []byte{12, 0xFF, 0xFF, 0xFF, 0xFF}) },
		"publish before connect":  func(p *peer) { p.command(1, "publish", 0.0, nil, "x") },
		"name with control chars": func(p *peer) { p.connect("live"); p.command(1, "play", 0.0, nil, "a\x00b") },
		"name of 70 kB":           func(p *peer) { p.connect("live"); p.command(1, "play", 0.0, nil, strings.Repeat("a", 60000)) },
	} {
		t.Run(name, func(t *testing.T) {
			p := newPeer(t, s)
			attack(p)
			if err := p.nc.SetReadDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, p.nc); err != nil && !strings.Contains(err.Error(), "reset") {
				t.Errorf("the connection goes on: %v", err)
			}
		})
	}
	e.send(between(tags, 1, 1000)...)
	w.await(t, between(tags, 900, 1000)[0])
}

// Defect 9: clients that say nothing, or too slowly, are closed.
func TestSlowClients(t *testing.T) {
	t.Parallel()
	const timeout = 300 * time.Millisecond
	s := start(t, func(o *Options) { o.RTMP.ReadTimeout = timeout })
	for _, tc := range []struct {
		name  string
		begin func() net.Conn
		drip  string // a byte of it now and then
	}{
		{"rtmp, silent", func() net.Conn { return dial(t, s.addr("rtmp")) }, ""},
		{"rtmp, in the handshake", func() net.Conn { nc := dial(t, s.addr("rtmp")); _, _ = nc.Write([]byte{3, 0, 0}); return nc }, ""},
		{"rtmp, drips the handshake", func() net.Conn { nc := dial(t, s.addr("rtmp")); _, _ = nc.Write([]byte{3}); return nc }, strings.Repeat("\x00", 1000)},
		{"rtmp, after the handshake", func() net.Conn { return newPeer(t, s).nc }, ""},
		{"rtmp, after connect", func() net.Conn { p := newPeer(t, s); p.connect("live"); return p.nc }, ""},
		{"http, silent", func() net.Conn { return dial(t, s.addr("http-flv")) }, ""},
		{"http, drips headers", func() net.Conn {
			nc := dial(t, s.addr("hls"))
			fmt.Fprint(nc, "GET /live/x.m3u8 HTTP/1.1\r\n")
			return nc
		}, strings.Repeat("A: b\r\n", 1000)},
		{"http, drips a body", func() net.Conn {
			nc := dial(t, s.addr("api"))
			fmt.Fprint(nc, "POST /control/get HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 50000\r\n\r\n")
			return nc
		}, strings.Repeat("room=x", 1000)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			nc := tc.begin()
			gone := make(chan struct{})
			go func() {
				defer close(gone)
				_, _ = io.Copy(io.Discard, nc)
			}()
			tick := time.NewTicker(20 * time.Millisecond)
			defer tick.Stop()
			late := time.NewTimer(patience)
			defer late.Stop()
			for i := 0; ; i++ {
				select {
				case <-gone:
					return
				case <-late.C:
					t.Fatal("still connected")
				case <-tick.C:
					if i < len(tc.drip) {
						_, _ = nc.Write([]byte{tc.drip[i]})
					}
				}
			}
		})
	}
}

// TestStalledViewersAreClosed after the write timeout, whatever they watch with; the others see
// nothing of it.
func TestStalledViewersAreClosed(t *testing.T) {
	t.Parallel()
	s := start(t, withTLS(t), func(o *Options) { o.Fanout.WriteTimeout = 500 * time.Millisecond })
	tags := clip(t)
	e := publish(t, s, "movie")
	e.send(tags[:3]...)
	stuckPlayers(t, s)
	healthy := watchRTMP(t, s, "movie")
	awaitPlayers(t, s, "movie", 5)
	big := bigPicture(400_000)
	for i := range 30 {
		tag := flv.Tag{Type: flv.TypeVideo, TimestampMS: uint32(i * 40), Body: append(big[:len(big):len(big)], 0, 0, 0, 2, 12, byte(i)+1)}
		e.send(tag)
		healthy.await(t, tag)
	}
	awaitPlayers(t, s, "movie", 1)
	wantEqual(t, "players closed for that reason", s.logs.count("took nothing for the write timeout"), 4)
	e.unpublish()
	healthy.awaitEnd(t)
	wantEqual(t, "pictures of the one that reads", len(only(healthy.got(), flv.TypeVideo)), 1+30)
}

// Decisions 12 and 13: what play answers.
func TestPlayOverRTMP(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *Options) {
		o.PlayWait = 200 * time.Millisecond
		o.Apps = append(o.Apps, App{Name: "off"})
	})
	tags := clip(t)
	for _, tc := range []struct{ what, path, code string }{
		{"a stream that does not come", "/live/none", rtmp.CodePlayNotFound},
		{"a bad name", "/live/a%00", rtmp.CodePlayNotFound},
		{"a bad name", "/live/../x", rtmp.CodePlayNotFound},
		{"unknown app", "/other/x", rtmp.CodeConnectRejected},
		{"app that is off", "/off/x", rtmp.CodeConnectRejected},
	} {
		client, err := rtmp.Dial(t.Context(), s.url("rtmp", "rtmp", tc.path), rtmp.ClientOptions{})
		if err == nil {
			err = client.Play(t.Context(), "")
			client.Close()
		}
		refusedWith(t, tc.what, err, tc.code)
	}
	none := start(t, func(o *Options) { o.PlayWait = 0 })
	w := watchRTMP(t, none, "none")
	refusedWith(t, "without waiting", receive(t, "refusal", w.ended), rtmp.CodePlayNotFound)

	// A second play on the same message stream replaces the first, on another it is refused;
	// closeStream ends it.
	for _, room := range []string{"a", "b"} {
		publish(t, s, room).send(tags[:4]...)
	}
	p := newPeer(t, s)
	p.connect("live")
	p.command(1, "play", 0.0, nil, "a")
	p.expectMedia(flv.TypeVideo)
	awaitPlayers(t, s, "a", 1)
	p.command(2, "play", 0.0, nil, "b")
	p.expectStatus("NetStream.Play.Failed")
	p.command(1, "play", 0.0, nil, "b")
	awaitPlayers(t, s, "b", 1)
	awaitPlayers(t, s, "a", 0)
	p.expectMedia(flv.TypeVideo)
	p.command(1, "closeStream", 0.0, nil)
	awaitPlayers(t, s, "b", 0)
	p.command(2, "play", 0.0, nil, "a") // now the other one is free
	awaitPlayers(t, s, "a", 1)
	for {
		if m := p.expectMedia(flv.TypeVideo); m.streamID == 2 {
			break
		}
	}
}
