package server

import (
	"bytes"
	"errors"
	"io"
	"net"
	"slices"
	"testing"

	"livego/internal/flv"
)

// sameTags checks that what came out is what went in: bodies, types and times, each kind in its
// order. Times are those of in plus offset; metadata comes with the headers of a player that joins,
// at time 0.
func sameTags(t testing.TB, name string, in, out []flv.Tag, offset uint32) {
	t.Helper()
	for _, kind := range []uint8{flv.TypeVideo, flv.TypeAudio, flv.TypeData} {
		want, got := only(in, kind), only(out, kind)
		if len(got) != len(want) {
			t.Errorf("%s: %d tags of type %d, want %d", name, len(got), kind, len(want))
			continue
		}
		for i := range want {
			at := want[i].TimestampMS + offset
			if isHeader(want[i]) {
				at = got[i].TimestampMS
			}
			if !bytes.Equal(got[i].Body, want[i].Body) || got[i].TimestampMS != at {
				t.Errorf("%s: tag %d of type %d: %d bytes at %d ms, want %d bytes at %d ms",
					name, i, kind, len(got[i].Body), got[i].TimestampMS, len(want[i].Body), at)
				break
			}
		}
	}
}

func only(tags []flv.Tag, kind uint8) []flv.Tag {
	return slices.DeleteFunc(slices.Clone(tags), func(tag flv.Tag) bool { return tag.Type != kind })
}

// beginsWell checks that headers come first, then a key frame, and that time never falls.
func beginsWell(t testing.TB, name string, tags []flv.Tag) {
	t.Helper()
	first := slices.IndexFunc(tags, func(tag flv.Tag) bool { return !isHeader(tag) })
	if first < 0 {
		t.Errorf("%s: no media", name)
		return
	}
	if len(only(tags[:first], flv.TypeVideo)) != 1 || len(only(tags[:first], flv.TypeAudio)) != 1 || !isKey(tags[first]) {
		t.Errorf("%s: begins with %d headers, and then the key frame: %v", name, first, isKey(tags[first]))
	}
	rising(t, name, tags)
}

func rising(t testing.TB, name string, tags []flv.Tag) {
	t.Helper()
	last := map[uint8]uint32{}
	for i, tag := range tags {
		if tag.Type == flv.TypeData {
			continue
		}
		if tag.TimestampMS < last[tag.Type] {
			t.Errorf("%s: tag %d of type %d goes back from %d to %d ms", name, i, tag.Type, last[tag.Type], tag.TimestampMS)
			return
		}
		last[tag.Type] = tag.TimestampMS
	}
}

// TestEveryProtocolDeliversWhatWasPublished publishes over RTMP and over RTMPS, and plays by
// everything that has a connection.
func TestEveryProtocolDeliversWhatWasPublished(t *testing.T) {
	for _, tc := range []struct {
		name, publish, http, ws string
		change                  func(*Options)
	}{
		{"plain", "rtmp", "http", "ws", func(*Options) {}},
		{"tls", "rtmps", "https", "wss", withTLS(t)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s, tags := start(t, tc.change), clip(t)
			watchers := []*watcher{watchRTMP(t, s, "movie")} // it waits for the stream
			e := publishTo(t, s.url(tc.publish, tc.publish, "/live/"+s.key("movie")))
			e.send(tags[:3]...)
			awaitPlayers(t, s, "movie", 1)
			watchers = append(watchers, watchRTMPAt(t, s.url(tc.publish, tc.publish, "/live/movie?token=x")),
				watchFLVAt(t, s.url(tc.http, "http-flv", "/live/movie.flv")), watchWSAt(t, s.url(tc.ws, "http-flv", "/live/movie.flv")))
			awaitPlayers(t, s, "movie", 4)
			e.send(tags[3]) // players that join a burst begin with its newest key frame
			awaitAll(t, watchers, tags[3])
			e.send(tags[4:]...)
			e.unpublish()
			for _, w := range watchers {
				w.awaitEnd(t)
				beginsWell(t, w.name, w.got())
				sameTags(t, w.name, tags, w.got(), 0)
			}
			for _, w := range watchers[2:] {
				wantEqual(t, w.name+": FLV header", w.flags(t), 5)
			}
			awaitPlayers(t, s, "movie", 0)
		})
	}
}

// TestJoinInTheMiddle joins between two key frames: the cached GOP comes first, audio and all, and
// then the rest.
func TestJoinInTheMiddle(t *testing.T) {
	for _, gops := range []int{1, 2, 100} {
		s, tags := start(t, func(o *Options) { o.Live.GOPs = gops }), clip(t)
		e := publish(t, s, "movie")
		e.send(tags[:3]...)
		e.send(between(tags, 0, 5000)...)
		eventually(t, "everything is in the ring", func() bool { return s.Sessions()[0].VideoBytes >= size(between(tags, 0, 5000)) })
		watchers := []*watcher{watchRTMP(t, s, "movie"), watchFLV(t, s, "movie"), watchWS(t, s, "movie")}
		awaitPlayers(t, s, "movie", 3)
		e.send(between(tags, 5000, 6000)...)
		e.unpublish()
		from := uint32(max(0, 4000-2000*(gops-1)))
		for _, w := range watchers {
			w.awaitEnd(t)
			beginsWell(t, w.name, w.got())
			want := slices.Concat(tags[:3], between(without(tags, flv.TypeAudio), from, 6000), audioBehind(tags, from, 6000))
			sameTags(t, w.name, want, w.got(), 0)
		}
	}
}

// audioBehind returns the audio that follows the key frame of time from.
func audioBehind(tags []flv.Tag, from, to uint32) []flv.Tag {
	key := slices.IndexFunc(tags, func(tag flv.Tag) bool { return isKey(tag) && tag.TimestampMS == from })
	return between(only(tags[key:], flv.TypeAudio), 0, to)
}

// size is how many bytes of video are in the tags.
func size(tags []flv.Tag) (n uint64) {
	for _, tag := range only(tags, flv.TypeVideo) {
		n += uint64(len(tag.Body))
	}
	return n
}

// TestNoGOPCache: with gop_num 0 a player begins with the next key frame, with the headers before
// it.
func TestNoGOPCache(t *testing.T) {
	t.Parallel()
	s, tags := start(t, func(o *Options) { o.Live.GOPs = 0 }), clip(t)
	e := publish(t, s, "movie")
	e.send(tags[:3]...)
	e.send(between(tags, 0, 3000)...)
	eventually(t, "everything is in the ring", func() bool { return s.Sessions()[0].VideoBytes >= size(between(tags, 0, 3000)) })
	watchers := []*watcher{watchRTMP(t, s, "movie"), watchFLV(t, s, "movie")}
	awaitPlayers(t, s, "movie", 2)
	rest := between(tags, 3000, 8000)
	key := slices.IndexFunc(rest, isKey)
	e.send(rest[:key+1]...)
	awaitAll(t, watchers, rest[key])
	e.send(rest[key+1:]...)
	e.unpublish()
	for _, w := range watchers {
		w.awaitEnd(t)
		beginsWell(t, w.name, w.got())
		wantEqual(t, w.name+": pictures and a header", len(only(w.got(), flv.TypeVideo)), 1+len(only(between(tags, 4000, 8000), flv.TypeVideo)))
	}
}

// TestKindsInTheHeader: the FLV header tells players what to wait for, which is what the metadata
// names, or else what has come.
func TestKindsInTheHeader(t *testing.T) {
	for _, tc := range []struct {
		name  string
		left  uint8 // tags of this type are left out
		flags uint8
	}{{"audio only", flv.TypeVideo, 4}, {"video only", flv.TypeAudio, 1}} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			for _, metadata := range []bool{true, false} {
				s, tags, flags := start(t), without(clip(t), tc.left), uint8(5)
				if !metadata {
					tags, flags = tags[1:], tc.flags
				}
				media := between(tags, 0, 8000)
				e := publish(t, s, "movie")
				e.send(tags[:len(tags)-len(media)]...)
				e.send(media[0])
				watchers := []*watcher{watchFLV(t, s, "movie"), watchWS(t, s, "movie"), watchRTMP(t, s, "movie")}
				for _, w := range watchers {
					w.await(t, media[0]) // audio comes in so fast that who joins later begins at a later place
				}
				e.send(media[1:]...)
				e.unpublish()
				for _, w := range watchers {
					w.awaitEnd(t)
					sameTags(t, w.name, tags, w.got(), 0)
				}
				wantEqual(t, "http-flv header", watchers[0].header, flags)
				wantEqual(t, "ws-flv header", watchers[1].header, flags)
			}
		})
	}
}

// TestTrackThatAppearsLater ends the FLV players whose header lacks it, so that they come back.
// RTMP has no such header.
func TestTrackThatAppearsLater(t *testing.T) {
	t.Parallel()
	s, tags := start(t), clip(t)
	pictures := without(tags, flv.TypeAudio)[1:] // no metadata
	e := publish(t, s, "movie")
	e.send(pictures[:2]...)
	watchers := []*watcher{watchFLV(t, s, "movie"), watchWS(t, s, "movie"), watchRTMP(t, s, "movie")}
	awaitPlayers(t, s, "movie", 3)
	wantEqual(t, "header before", watchers[0].flags(t), 1)
	e.send(tags[2]) // the audio header
	e.send(between(tags, 100, 1000)...)
	watchers[0].awaitEnd(t)
	watchers[1].awaitEnd(t)
	awaitPlayers(t, s, "movie", 1)
	again := watchFLV(t, s, "movie")
	wantEqual(t, "header afterwards", again.flags(t), 5)
	e.send(between(tags, 1000, 3000)...)
	e.unpublish()
	again.awaitEnd(t)
	rising(t, "the player that came back", again.got())
	wantEqual(t, "key frame after the header of the player that came back", isKey(again.got()[1]), true)
	watchers[2].awaitEnd(t)
	wantEqual(t, "audio of the RTMP player", len(only(watchers[2].got(), flv.TypeAudio)), 1+len(only(between(tags, 100, 3000), flv.TypeAudio)))
}

// TestTrackThatNeverComes: FLV players that were told of it are ended, and told better when they
// come back, also those that come before anything else does.
func TestTrackThatNeverComes(t *testing.T) {
	t.Parallel()
	s, tags := start(t), clip(t)
	pictures := without(tags, flv.TypeAudio)
	e := publish(t, s, "movie")
	e.send(pictures[0]) // the metadata
	early := watchFLV(t, s, "movie")
	wantEqual(t, "header before anything came", early.flags(t), 5)
	e.send(pictures[1:3]...)
	watchers := []*watcher{early, watchFLV(t, s, "movie"), watchWS(t, s, "movie"), watchRTMP(t, s, "movie")}
	for _, w := range watchers[1:3] {
		wantEqual(t, w.name+": header", w.flags(t), 5)
	}
	for _, w := range watchers[:3] {
		w.awaitEnd(t)
	}
	awaitPlayers(t, s, "movie", 1) // RTMP has no such header
	wantEqual(t, "header afterwards", watchFLV(t, s, "movie").flags(t), 1)
}

// TestTrackThatTheMetadataNames may come at any time: FLV players are told of it at once, and stay.
func TestTrackThatTheMetadataNames(t *testing.T) {
	t.Parallel()
	s, tags := start(t), clip(t)
	e := publish(t, s, "movie")
	e.send(tags[0])
	watchers := []*watcher{watchFLV(t, s, "movie"), watchWS(t, s, "movie")}
	for _, w := range watchers {
		wantEqual(t, w.name+": header", w.flags(t), 5)
	}
	pictures := without(tags, flv.TypeAudio)[1:]
	late := between(tags, 2000, 4000)
	e.send(pictures[0])
	e.send(between(pictures, 0, 2000)...)
	awaitAll(t, watchers, between(pictures, 0, 2000)[0])
	e.send(tags[2]) // the audio header
	e.send(late...)
	e.unpublish()
	for _, w := range watchers {
		w.awaitEnd(t)
		wantEqual(t, w.name+": audio", len(only(w.got(), flv.TypeAudio)), 1+len(only(late, flv.TypeAudio)))
		wantEqual(t, w.name+": pictures", len(only(w.got(), flv.TypeVideo)), 1+len(only(between(pictures, 0, 4000), flv.TypeVideo)))
	}
}

// TestEmptyStreamIsWaitedFor: a publisher that has sent nothing yet is on air; the answer's head
// comes at once, media when there is some.
func TestEmptyStreamIsWaitedFor(t *testing.T) {
	t.Parallel()
	s, tags := start(t), clip(t)
	e := publish(t, s, "movie")
	f, w := watchFLV(t, s, "movie"), watchWS(t, s, "movie")
	e.send(tags...)
	e.unpublish()
	f.awaitEnd(t)
	w.awaitEnd(t)
	wantEqual(t, "http-flv header", f.flags(t), 5)
	wantEqual(t, "ws-flv header", w.flags(t), 5)

	silent := publish(t, s, "silent")
	f, w = watchFLV(t, s, "silent"), watchWS(t, s, "silent")
	silent.unpublish()
	for _, v := range []*watcher{f, w} {
		// A proper end of the connection, before there was a header.
		if err := receive(t, "end of a stream that was empty", v.ended); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("%s of an empty stream ended with %v", v.name, err)
		}
	}
}

// TestEndOfAStreamOverRTMP: the player gets the rest, UnpublishNotify and StreamEOF (RTMP 1.0
// §7.1.7), and the connection ends.
func TestEndOfAStreamOverRTMP(t *testing.T) {
	t.Parallel()
	s, tags := start(t), clip(t)
	e := publish(t, s, "movie")
	e.send(tags[:4]...)
	p := newPeer(t, s)
	p.connect("live")
	p.command(7, "play", 0.0, nil, "movie")
	for _, code := range []string{"NetStream.Play.Reset", "NetStream.Play.Start", "NetStream.Data.Start", "NetStream.Play.PublishNotify"} {
		p.expectStatus(code)
	}
	if m := p.expectMedia(flv.TypeData); m.streamID != 7 || m.time != 0 {
		t.Errorf("metadata on stream %d at %d ms", m.streamID, m.time)
	}
	p.expectMedia(flv.TypeVideo)
	e.send(tags[4:20]...)
	e.unpublish()
	p.expectStatus("NetStream.Play.UnpublishNotify")
	if m := p.expectMedia(4); !bytes.Equal(m.body, []byte{0, 1, 0, 0, 0, 7}) {
		t.Errorf("user control %x, want StreamEOF of stream 7", m.body)
	}
	p.expectEnd()
}

// TestPlayersOnAllMessageStreamsShareAFeed: who plays on another message stream than the first gets
// the same, on its own, and what all get is encoded once.
func TestPlayersOnAllMessageStreamsShareAFeed(t *testing.T) {
	t.Parallel()
	s, tags := start(t, withTLS(t)), clip(t)
	e := publish(t, s, "movie")
	e.send(tags[:4]...)
	var players []*peer
	ids := []uint32{1, 0, 2, 31, 7}
	for i, id := range ids {
		nc := net.Conn(dial(t, s.addr("rtmp")))
		if i == len(ids)-1 {
			nc = tlsDial(t, s.addr("rtmps"))
		}
		p := newPeerOn(t, nc)
		p.connect("live")
		p.command(id, "play", 0.0, nil, "movie")
		players = append(players, p)
	}
	awaitPlayers(t, s, "movie", len(ids))
	want := only(tags, flv.TypeVideo)
	begun := make([]message, len(players)) // all are at the first picture before more comes
	for i, p := range players {
		for begun[i].kind != 9 {
			var err error
			if begun[i], err = p.next(); err != nil {
				t.Fatal(err)
			}
		}
	}
	e.send(between(tags, 1, 8000)...)
	e.unpublish()
	for i, p := range players {
		var got []message
		for {
			m, err := begun[i], error(nil)
			if begun[i] = (message{}); m.kind == 0 {
				m, err = p.next()
			}
			if err != nil {
				t.Fatal(err)
			}
			if m.kind == 9 {
				got = append(got, m)
			}
			if (m.kind == 8 || m.kind == 9 || m.kind == 18) && m.streamID != ids[i] {
				t.Fatalf("type %d on message stream %d, want %d", m.kind, m.streamID, ids[i])
			}
			if m.kind == 20 && bytes.Contains(m.body, []byte("UnpublishNotify")) {
				wantEqual(t, "message stream of the end", m.streamID, ids[i])
				break
			}
		}
		if len(got) != len(want) || !bytes.Equal(got[len(got)-1].body, want[len(want)-1].Body) {
			t.Errorf("message stream %d: %d pictures, want %d", ids[i], len(got), len(want))
		}
	}
}

// TestManyFeeds: connections that pick whatever they can take no more memory together than one
// stream may.
func TestManyFeeds(t *testing.T) {
	t.Parallel()
	s, tags := start(t), clip(t)
	e := publish(t, s, "movie")
	e.send(tags[:4]...)
	for i := range uint32(99) {
		p := newPeer(t, s)
		p.connect("live")
		p.command(i%33, "play", 0.0, nil, []string{"movie", "movie?video=none", "movie?audio=none", "movie?video=0&audio=0"}[i%4])
	}
	awaitPlayers(t, s, "movie", 99)
	wantEqual(t, "feeds", s.fanout.Stats().Feeds, 3)
}
