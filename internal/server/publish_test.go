package server

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"livego/internal/amf"
	"livego/internal/flv"
	"livego/internal/keys"
	"livego/internal/live"
	"livego/internal/rtmp"
)

// refusedWith wants a refusal with this code, and a connection that ends.
func refusedWith(t testing.TB, what string, err error, code string) {
	t.Helper()
	var status *rtmp.StatusError
	if !errors.As(err, &status) || status.Code != code {
		t.Errorf("%s: %v, want %s", what, err, code)
	}
}

// Spec 3.3, decision 33: the answer comes before anything is accepted, and nothing becomes a
// stream.
func TestRefusedPublishers(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *Options) {
		o.Apps = append(o.Apps, App{Name: "off", HLS: true, FLV: true})
	})
	key := s.key("movie")
	old := key
	if _, err := s.keys.Reset(t.Context(), "movie", false); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ what, path, code string }{
		{"wrong key", "/live/x" + key, rtmp.CodePublishDenied},
		{"no key", "/live", rtmp.CodePublishDenied},
		{"the room's name", "/live/movie", rtmp.CodePublishDenied},
		{"a key that was reset", "/live/" + old, rtmp.CodePublishDenied},
		{"unknown app", "/other/" + key, rtmp.CodeConnectRejected},
		{"app with live off", "/off/" + key, rtmp.CodeConnectRejected},
		{"app in another case", "/LIVE/" + key, rtmp.CodeConnectRejected},
	} {
		_, err := tryPublish(t, s.url("rtmp", "rtmp", tc.path))
		refusedWith(t, tc.what, err, tc.code)
	}
	wantEqual(t, "sessions", len(s.Sessions()), 0)
	wantEqual(t, "streams", len(s.hub.Publications()), 0)
	if strings.Contains(s.logs.String(), key) {
		t.Error("a channel key is in the log")
	}
}

// Defect 13: the app counts, whatever the URL says. A key opens its room in every app, with any
// query.
func TestNamesOfStreams(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *Options) { o.Apps = append(o.Apps, App{Name: "event", Live: true, FLV: true}) })
	key := s.key("a/b")
	for _, tc := range []struct{ path, want string }{
		{"/live/" + key, "live/a/b"},
		{"/event/" + key, "event/a/b"},
		{"/live/" + key + "?token=1", "live/a/b"},
	} {
		e := publishTo(t, s.url("rtmp", "rtmp", tc.path))
		session := s.Sessions()[0]
		wantEqual(t, tc.path, session.Key, tc.want)
		if strings.Contains(session.URL, key) {
			t.Errorf("%s: the key is in the URL of the session", tc.path)
		}
		e.unpublish()
		eventually(t, "the publisher is gone", func() bool { return len(s.Sessions()) == 0 })
	}
}

// TestManyWrongKeys: whoever guesses keys from an address, an encoder on it that has the right one
// goes on air.
func TestManyWrongKeys(t *testing.T) {
	t.Parallel()
	s := start(t)
	const more = 30 // than anybody mistypes a key in a row
	for range more {
		_, err := tryPublish(t, s.url("rtmp", "rtmp", "/live/wrong"))
		refusedWith(t, "wrong key", err, rtmp.CodePublishDenied)
	}
	publish(t, s, "movie")
	_, err := tryPublish(t, s.url("rtmp", "rtmp", "/live/movie"))
	refusedWith(t, "the room's name", err, rtmp.CodePublishDenied)
	wantContains(t, "what is told to those who guess", err.Error(), "as many before")
}

// TestWrongKeyIsExplained: what is wrong is said where it can be known, and nothing that is not
// public.
func TestWrongKeyIsExplained(t *testing.T) {
	t.Parallel()
	s := start(t)
	key := s.key("movie")
	for _, tc := range []struct{ what, app, name, code, want string }{
		{"the room's name", "live", "movie", rtmp.CodePublishDenied, "the name of a room"},
		{"the room's name in another form", "live", " mo%E2%80%8Bvie ", rtmp.CodePublishDenied, "the name of a room"},
		{"the room's name for app and name", "live/movie", "movie", rtmp.CodePublishDenied, "the name of a room"},
		{"key in the server field", "live/" + key, "obs", rtmp.CodePublishDenied, "stands in the server field"},
		{"key in place of the app", key, "", rtmp.CodeConnectRejected, "in place of the app"},
		{"key in place of the app, and a name", key, "x", rtmp.CodeConnectRejected, "in place of the app"},
		{"nothing", "live", "", rtmp.CodePublishDenied, "there is no channel key"},
		{"blanks", "live", " \r\n", rtmp.CodePublishDenied, "there is no channel key"},
		{"a key that nobody has", "live", strings.Repeat("x", 48), rtmp.CodePublishDenied, "unknown channel key"},
		{"another room's name", "live", "cinema", rtmp.CodePublishDenied, "unknown channel key"},
		{"another app", "other", key, rtmp.CodeConnectRejected, `"other" is not configured`},
	} {
		p := newPeer(t, s)
		p.command(0, "connect", 1.0, amf.Object{{Name: "app", Value: tc.app}, {Name: "tcUrl", Value: "rtmp://h/" + tc.app}})
		var values []any
		if tc.code == rtmp.CodeConnectRejected {
			values = p.expect("_error")
		} else {
			p.expect("_result")
			p.command(1, "publish", 0.0, nil, tc.name, "live")
			values = p.expect("onStatus")
		}
		info := amf.Properties(values[len(values)-1])
		if info.String("code") != tc.code || !strings.Contains(info.String("description"), tc.want) || strings.Contains(info.String("description"), key) {
			t.Errorf("%s: %v, want %q", tc.what, info, tc.want)
		}
		p.expectEnd()
	}
	rooms, err := s.keys.Rooms(t.Context(), "", 10)
	if err != nil || len(rooms) != 1 {
		t.Errorf("rooms %v, %v: asking made one", rooms, err)
	}
	wantEqual(t, "keys in the log", s.logs.count(key), 0)
}

// TestKeysInAllFields: a key is found in whichever field it stands, and shown nowhere.
func TestKeysInAllFields(t *testing.T) {
	t.Parallel()
	s, tags := start(t), clip(t)
	key := s.key("movie")
	encoded := "%" + fmt.Sprintf("%02x", key[0]) + key[1:]
	for _, tc := range []struct{ app, name string }{
		{"live", key + "\n"},
		{"live/" + key, ""},
		{"live/" + key, key},
		{"live/movie", key},
		{"live/_definst_", "/" + key + "/"},
		{"", key},
		{"live", encoded},
		{"live/" + key + "?token=" + key, "b"},
		{"live", key + "?key=" + key + "&x=" + encoded},
	} {
		p := newPeer(t, s)
		p.command(0, "connect", 1.0, amf.Object{
			{Name: "app", Value: tc.app}, {Name: "tcUrl", Value: "rtmp://" + key + "@h/" + tc.app + "/" + tc.name}, {Name: "flashVer", Value: "x " + key},
		})
		p.expect("_result")
		p.command(1, "FCPublish", 2.0, nil, tc.name)
		p.command(1, "publish", 3.0, nil, tc.name, "live")
		for {
			values := p.expectAny()
			if strings.Contains(fmt.Sprint(values), key) {
				t.Errorf("%+v: told %v", tc, values)
			}
			if values[0] == "onStatus" {
				break
			}
		}
		p.send(1, tags[:4]...)
		eventually(t, "it is on air", func() bool { return len(s.Sessions()) == 1 })
		session := s.Sessions()[0]
		if session.Key != "live/movie" || !strings.HasPrefix(session.URL, "rtmp://h/live/movie") || strings.Contains(session.URL, key[1:]) {
			t.Errorf("%+v: %s at %s", tc, session.Key, session.URL)
		}
		p.command(1, "FCUnpublish", 4.0, nil, tc.name)
		p.nc.Close()
		eventually(t, "the publisher is gone", func() bool { return len(s.Sessions()) == 0 })
	}
	// Nor where it is refused, or asked for by a viewer.
	e := publish(t, s, "movie")
	e.send(tags[:4]...)
	p := newPeer(t, s)
	p.command(0, "connect", 1.0, amf.Object{{Name: "app", Value: key}})
	p.expectEnd()
	for _, name := range []string{key, "movie?rendition=" + key, "movie?video=" + key} {
		p := newPeer(t, s)
		p.connect("live")
		p.command(1, "play", 0.0, nil, name)
		p.nc.Close()
	}
	p = newPeer(t, s)
	p.command(0, key, 1.0)
	p.expectEnd()
	watch := dial(t, s.addr("http-flv"))
	fmt.Fprintf(watch, "GET /live/movie.flv?a=%s HTTP/1.1\r\nHost: %s\r\nReferer: http://h/%s\r\nUser-Agent: %s\r\n\r\n", key, key, key, key)
	eventually(t, "the viewer is there", func() bool { return len(s.Sessions()) == 2 })
	for _, path := range []string{"/live/" + key + ".flv", "/" + key, "/live/movie.flv?video=" + key} {
		if got := call(t, "GET", s.url("http", "http-flv", path), "Referer: http://h/"+key); strings.Contains(got.body, key) {
			t.Errorf("%s: %s", path, got.body)
		}
	}
	for _, path := range []string{"/live/" + key + ".m3u8", "/live/" + key + "/", "/live/movie/?_HLS_msn=" + key} {
		call(t, "GET", s.url("http", "hls", path), "Referer: http://h/"+key)
	}
	for _, path := range []string{"/stat/livestat", "/stat/livestat?room=" + key} {
		if got := call(t, "GET", s.url("http", "api", path)); strings.Contains(got.body, key) {
			t.Errorf("%s: %s", path, got.body)
		}
	}
	watch.Close()
	awaitPlayers(t, s, "movie", 0)
	if strings.Contains(s.logs.String(), key[1:]) {
		t.Error("the key is in the log")
	}
}

// TestPlayAddresses: players find a stream by whatever their URL became.
func TestPlayAddresses(t *testing.T) {
	t.Parallel()
	s, tags := start(t), clip(t)
	e := publish(t, s, "caf\u00e9/movie")
	e.send(tags[:4]...)
	for _, tc := range []struct{ app, name string }{
		{"live", "caf\u00e9/movie"},
		{"live", "/cafe\u0301/movie "},
		{"live/caf%C3%A9", "movie"},
		{"live/_definst_", "mp4:caf\u00e9/movie"},
		{"", "caf\u00e9/mo\u200bvie"},
		{"live/cafe\u0301/movie?token=a", "b"},
	} {
		p := newPeer(t, s)
		p.connect(tc.app)
		p.command(1, "play", 0.0, nil, tc.name)
		p.expectMedia(9)
		p.nc.Close()
	}
	for _, path := range []string{"/live/caf%C3%A9/movie.flv", "/live/cafe%CC%81/mo%E2%80%8Bvie.flv"} {
		wantEqual(t, path, call(t, "HEAD", s.url("http", "http-flv", path)).status, 200)
	}
	for _, path := range []string{"/live/caf%C3%A9/movie/", "/live/cafe%CC%81/mo%E2%80%8Bvie/"} {
		wantEqual(t, path, call(t, "GET", s.url("http", "hls", path)).status, 200)
	}
}

// TestStrayMedia: an encoder that sends to a message stream on which it does not publish is told of
// once.
func TestStrayMedia(t *testing.T) {
	t.Parallel()
	s, tags := start(t), clip(t)
	p := newPeer(t, s)
	p.connect("live")
	p.command(1, "publish", 2.0, nil, s.key("movie"))
	p.expectStatus("NetStream.Publish.Start")
	p.send(3, tags[:50]...)
	p.send(1, tags[:50]...)
	eventually(t, "the stream has tracks", func() bool { return s.logs.count("msg=track ") == 2 })
	wantEqual(t, "log lines about stray media", s.logs.count("message_stream=3"), 1)
}

func TestNoAuth(t *testing.T) {
	t.Parallel()
	s, tags := start(t, func(o *Options) { o.NoAuth = true }), clip(t)
	key := s.key("room")
	for _, tc := range []struct{ name, want string }{{"anything", "live/anything"}, {"a/b", "live/a/b"}, {"123", "live/123"}, {key, "live/room"}, {"room", "live/room"}} {
		e := publishTo(t, s.url("rtmp", "rtmp", "/live/"+tc.name))
		e.send(tags[:100]...)
		wantEqual(t, tc.name, s.Sessions()[0].Key, tc.want)
		e.unpublish()
		eventually(t, "the publisher is gone", func() bool { return len(s.Sessions()) == 0 })
	}
	for _, name := range []string{key + "/obs", "a/" + key + "/b"} {
		_, err := tryPublishName(t, s, name)
		if err != nil {
			t.Errorf("a key with other elements: %v", err)
		}
		wantEqual(t, "a key with other elements", s.Sessions()[0].Key, "live/room")
	}
	for _, bad := range []string{"..", "a/../b", "index", "a/123", "x.flv", "a%zz", strings.Repeat("0123456789abcdef/", 20)} {
		_, err := tryPublishName(t, s, bad)
		refusedWith(t, bad, err, rtmp.CodePublishDenied)
	}
	rooms, err := s.keys.Rooms(t.Context(), "", 10)
	if err != nil || len(rooms) != 1 {
		t.Errorf("rooms %v, %v: publishing without authentication stores nothing", rooms, err)
	}
}

// tryPublishName publishes under a name that need not be good in a URL.
func tryPublishName(t testing.TB, s *testServer, name string) (*rtmp.Client, error) {
	t.Helper()
	client, err := rtmp.Dial(t.Context(), s.url("rtmp", "rtmp", "/live"), rtmp.ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close() })
	return client, client.Publish(t.Context(), name)
}

// down is a key store that is out of order.
type down struct{ keys.Store }

func (down) Lease(context.Context, string) (*keys.Lease, error) { return nil, keys.ErrUnavailable }

// TestKeysUnavailable: new publishers get a clear refusal, which is no failed attempt of theirs.
// Without authentication too: the name may be a key, which must not become the name of a stream.
func TestKeysUnavailable(t *testing.T) {
	t.Parallel()
	for _, noAuth := range []bool{false, true} {
		s := start(t, func(o *Options) { o.Keys, o.NoAuth = down{o.Keys}, noAuth })
		for range 30 {
			_, err := tryPublish(t, s.url("rtmp", "rtmp", "/live/"+s.key("movie")))
			refusedWith(t, "publishing without key storage", err, rtmp.CodePublishDenied)
			wantContains(t, "refusal", err.Error(), "cannot be checked now")
		}
	}
}

// Decisions 7 and 8: viewers stay, time rises, the new headers come first, and the loser hears why.
func TestTakeover(t *testing.T) {
	t.Parallel()
	s, tags := start(t), clip(t)
	first := publish(t, s, "movie")
	first.send(tags[:4]...)
	watchers := []*watcher{watchRTMP(t, s, "movie"), watchFLV(t, s, "movie"), watchWS(t, s, "movie")}
	awaitAll(t, watchers, tags[3])
	before := between(tags, 1, 3000)
	first.send(before...)
	awaitAll(t, watchers, before[len(before)-1])

	second := publish(t, s, "movie")
	refusedWith(t, "the loser", receive(t, "end of the first publisher", first.ended), rtmp.CodePublishBadName)
	awaitPublishers(t, s, "movie", 1)
	second.send(tags[:3]...)
	second.send(between(tags, 3000, 8000)...) // begins within a GOP: the viewers go on at the key frame at 4 s
	second.unpublish()
	for _, w := range watchers {
		w.awaitEnd(t)
		got := w.got()
		beginsWell(t, w.name, got)
		second := slices.IndexFunc(got[4:], func(tag flv.Tag) bool { return tag.Type == flv.TypeVideo && isHeader(tag) })
		if second < 0 {
			t.Fatalf("%s: no headers of the second publisher", w.name)
		}
		rest := got[4+second:]
		if n := slices.IndexFunc(rest, func(tag flv.Tag) bool { return !isHeader(tag) }); n != 2 || !isKey(rest[n]) {
			t.Errorf("%s: the second publisher's media begins with tag %d, key frame %v", w.name, n, isKey(rest[n]))
		}
		// One frame after the largest time sent: no gap.
		if gap := int(rest[2].TimestampMS) - int(got[4+second-1].TimestampMS); gap < 0 || gap > 100 {
			t.Errorf("%s: %d ms between the publishers", w.name, gap)
		}
		wantEqual(t, w.name+": pictures of the second publisher", len(only(rest[2:], flv.TypeVideo)), len(only(between(tags, 4000, 8000), flv.TypeVideo)))
	}
	awaitPublishers(t, s, "movie", 0)
}

func TestTooManyTakeovers(t *testing.T) {
	t.Parallel()
	s, tags := start(t), clip(t)
	e := publish(t, s, "movie")
	for range 3 {
		e = publish(t, s, "movie")
	}
	_, err := tryPublish(t, s.url("rtmp", "rtmp", "/live/"+s.key("movie")))
	refusedWith(t, "the fourth takeover", err, rtmp.CodePublishBadName)
	e.send(tags...)
	awaitPublishers(t, s, "movie", 1)
}

func TestNoTakeover(t *testing.T) {
	t.Parallel()
	s, tags := start(t, func(o *Options) { o.Live.Takeover = false }), clip(t)
	e := publish(t, s, "movie")
	_, err := tryPublish(t, s.url("rtmp", "rtmp", "/live/"+s.key("movie")))
	refusedWith(t, "a second publisher", err, rtmp.CodePublishBadName)
	w := watchFLV(t, s, "movie")
	e.send(tags...)
	e.unpublish()
	w.awaitEnd(t)
	again := publish(t, s, "movie")
	again.lose()
	awaitPublishers(t, s, "movie", 0)
	publish(t, s, "movie") // in the grace time nobody is in the way
}

// Decision 11: a lost publisher's viewers wait for it, it is not listed, new viewers may join; then
// the stream goes on.
func TestGrace(t *testing.T) {
	t.Parallel()
	s, tags := start(t), clip(t)
	first := publish(t, s, "movie")
	first.send(tags[:4]...)
	watchers := []*watcher{watchRTMP(t, s, "movie"), watchFLV(t, s, "movie"), watchWS(t, s, "movie")}
	awaitAll(t, watchers, tags[3])
	first.lose()
	awaitPublishers(t, s, "movie", 0)
	watchers = append(watchers, watchRTMP(t, s, "movie"), watchFLV(t, s, "movie"), watchWS(t, s, "movie"))
	awaitPlayers(t, s, "movie", 6)
	wantEqual(t, "playlist in the grace time", call(t, "HEAD", s.url("http", "http-flv", "/live/movie.flv")).status, 200)

	second := publish(t, s, "movie")
	second.send(tags...)
	second.unpublish()
	for _, w := range watchers {
		w.awaitEnd(t)
		beginsWell(t, w.name, w.got())
	}
	wantEqual(t, "streams", len(s.hub.Publications()), 0)
}

func TestGraceRunsOut(t *testing.T) {
	t.Parallel()
	s, tags := start(t, func(o *Options) { o.Live.Grace = 200 * time.Millisecond }), clip(t)
	e := publish(t, s, "movie")
	e.send(tags[:4]...)
	watchers := []*watcher{watchRTMP(t, s, "movie"), watchFLV(t, s, "movie"), watchWS(t, s, "movie")}
	awaitAll(t, watchers, tags[3])
	e.lose()
	for _, w := range watchers {
		w.awaitEnd(t)
	}
	wantEqual(t, "FLV after the end", call(t, "GET", s.url("http", "http-flv", "/live/movie.flv")).status, 404)
}

// TestNoGrace: with a negative grace a lost publisher ends the stream.
func TestNoGrace(t *testing.T) {
	t.Parallel()
	s, tags := start(t, func(o *Options) { o.Live.Grace = 0 }), clip(t)
	e := publish(t, s, "movie")
	e.send(tags[:4]...)
	w := watchFLV(t, s, "movie")
	w.await(t, tags[3])
	e.lose()
	w.awaitEnd(t)
}

// TestSilentPublisher is closed after the read timeout, and its stream goes into the grace time.
func TestSilentPublisher(t *testing.T) {
	t.Parallel()
	s, tags := start(t, func(o *Options) { o.RTMP.ReadTimeout = 300 * time.Millisecond }), clip(t)
	e := publish(t, s, "movie")
	e.send(tags[:4]...)
	receive(t, "end of a silent publisher", e.ended)
	awaitPublishers(t, s, "movie", 0)
	wantEqual(t, "streams in grace", len(s.hub.Publications()), 1)
	wantContains(t, "log", s.logs.String(), "publisher ended", "publishing: nothing for 300ms")
}

// Decision 37, defect 1: reset and delete end the publisher on the old key, and its stream at once;
// with keep they do not.
func TestRevokedKeys(t *testing.T) {
	t.Parallel()
	s, tags := start(t), clip(t)
	for _, how := range []string{"reset", "delete"} {
		e := publish(t, s, "movie")
		e.send(tags[:4]...)
		w := watchFLV(t, s, "movie")
		w.await(t, tags[3])
		wantEqual(t, how+" that keeps", call(t, "GET", s.url("http", "api", "/control/"+how+"?room=movie&kick=0")).status, 200)
		e.send(between(tags, 1, 1000)...)
		w.await(t, between(tags, 900, 1000)[0])

		old := s.key("movie")
		wantEqual(t, how, call(t, "GET", s.url("http", "api", "/control/"+how+"?room=movie")).status, 200)
		refusedWith(t, "publisher after "+how, receive(t, "end of the publisher", e.ended), rtmp.CodePublishDenied)
		w.awaitEnd(t)
		awaitPublishers(t, s, "movie", 0)
		_, err := tryPublish(t, s.url("rtmp", "rtmp", "/live/"+old))
		refusedWith(t, "old key", err, rtmp.CodePublishDenied)
	}
}

// TestReasonArrives: a publisher that is closed while it sends reads why, and then the end of the
// connection: no reset, which would make some clients throw away what they have not read yet.
func TestReasonArrives(t *testing.T) {
	t.Parallel()
	s, tags := start(t), clip(t)
	p := newPeer(t, s)
	p.connect("live")
	p.command(1, "publish", 0.0, nil, s.key("movie"), "live")
	p.expectStatus("NetStream.Publish.Start")
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				stopped <- nil
				return
			case <-tick.C:
			}
			if _, err := p.nc.Write(appendChunk(nil, 4, tags[4].Type, 1, 0, tags[4].Body)); err != nil {
				stopped <- err
				return
			}
		}
	}()
	eventually(t, "media arrives", func() bool { return s.Sessions()[0].AudioBytes > 10_000 })
	if _, err := s.keys.Reset(t.Context(), "movie", false); err != nil {
		t.Fatal(err)
	}
	p.expectStatus("NetStream.Publish.Denied")
	close(stop)
	if err := receive(t, "end of sending", stopped); err != nil {
		t.Error(err)
	}
	p.expectEnd()
}

// TestSeveralStreamsOnOneConnection is what joined renditions use. One that ends leaves the other
// on air.
func TestSeveralStreamsOnOneConnection(t *testing.T) {
	t.Parallel()
	s, tags := start(t), clip(t)
	p := newPeer(t, s)
	p.connect("live")
	for i, room := range []string{"a", "b"} {
		id := uint32(i + 1)
		p.command(0, "createStream", float64(i+2), nil)
		p.expect("_result")
		p.command(id, "publish", 0.0, nil, s.key(room), "live")
		p.expectStatus("NetStream.Publish.Start")
		p.send(id, tags[:4]...)
	}
	eventually(t, "both are on air", func() bool { return len(s.Sessions()) == 2 })
	w := watchFLV(t, s, "b")
	w.await(t, tags[3])
	p.command(0, "deleteStream", 0.0, nil, 1.0)
	awaitPublishers(t, s, "a", 0)
	p.send(2, tags[4:100]...)
	w.await(t, tags[99])
	p.command(2, "closeStream", 0.0, nil)
	w.awaitEnd(t)
}

// TestStreamThatEndsAtItsBeginning: the publisher's session knows its stream although the hub does
// not any more.
func TestStreamThatEndsAtItsBeginning(t *testing.T) {
	t.Parallel()
	s := open(t)
	s.Server.hub = live.NewHub(live.Options{OnPublication: func(*live.Publication) { s.hub.Close() }})
	s.run()
	publish(t, s, "movie")
	wantEqual(t, "sessions", len(s.Sessions()), 1)
	wantEqual(t, "livestat", call(t, "GET", s.url("http", "api", "/stat/livestat")).status, 200)
}
