package server

import (
	"fmt"
	"slices"
	"testing"

	"livego/internal/amf"
	"livego/internal/flv"
	"livego/internal/rtmp"
)

// The forms of multitrack messages (Enhanced RTMP v2, AvMultitrackType).
const (
	oneTrack             = 0
	manyTracks           = 1
	manyTracksManyCodecs = 2
)

// multitrack puts the bodies of legacy messages, one for each track, into messages of a form.
// Tracks are numbered from 0; 255 leaves track 0 in an ordinary message and sends the others each
// in one of its own, as OBS Studio does.
func multitrack(form byte, bodies ...[]byte) (messages [][]byte) {
	if form == 255 || form == oneTrack {
		for id, body := range bodies {
			if id == 0 && form == 255 {
				messages = append(messages, body)
				continue
			}
			message, fourCC, payload := enhance(oneTrack, body)
			message = append(append(message, fourCC...), byte(id))
			messages = append(messages, append(message, payload...))
		}
		return messages
	}
	message, fourCC, _ := enhance(form, bodies[0])
	if form == manyTracks {
		message = append(message, fourCC...)
	}
	for id, body := range bodies {
		_, fourCC, payload := enhance(form, body)
		if form == manyTracksManyCodecs {
			message = append(message, fourCC...)
		}
		n := len(payload)
		message = append(message, byte(id), byte(n>>16), byte(n>>8), byte(n))
		message = append(message, payload...)
	}
	return [][]byte{message}
}

// enhance takes a legacy body of AVC or AAC apart, and begins a multitrack message for it.
func enhance(form byte, body []byte) (message []byte, fourCC string, payload []byte) {
	packetType := body[1] // 0 header, 1 frame: the same in both
	if body[0]>>4 == 10 {
		return []byte{9<<4 | 5, form<<4 | packetType}, "mp4a", body[2:]
	}
	payload = body[2:] // with the composition time
	if packetType == 0 {
		payload = body[5:]
	}
	return []byte{0x80 | body[0]&0x70 | 6, form<<4 | packetType}, "avc1", payload
}

// laddered makes a stream with three video and two audio tracks of the clip: the bodies of each are
// marked, but for the first. Key frames of all are together.
func laddered(tags []flv.Tag, form byte) (out []flv.Tag) {
	for _, tag := range tags {
		var bodies [][]byte
		switch tag.Type {
		case flv.TypeVideo:
			bodies = [][]byte{tag.Body, mark(tag, '1'), mark(tag, '2')}
		case flv.TypeAudio:
			bodies = [][]byte{tag.Body, mark(tag, '1')}
		default:
			tag.Body = ladderMetadata()
			out = append(out, tag)
			continue
		}
		for _, body := range multitrack(form, bodies...) {
			out = append(out, flv.Tag{Type: tag.Type, TimestampMS: tag.TimestampMS, Body: body})
		}
	}
	return out
}

// mark puts a mark behind the media of a tag: behind a picture as filler data.
func mark(tag flv.Tag, mark byte) []byte {
	if isHeader(tag) || (tag.Type == flv.TypeVideo && tag.Body[1] == 2) { // nor the end of the sequence
		return tag.Body
	}
	if tag.Type == flv.TypeVideo {
		return append(slices.Clone(tag.Body), 0, 0, 0, 2, 12, mark)
	}
	return append(slices.Clone(tag.Body), mark)
}

func markAll(tags []flv.Tag, kind uint8, m byte) []flv.Tag {
	var out []flv.Tag
	for _, tag := range tags {
		if tag.Type == kind {
			tag.Body = mark(tag, m)
		}
		out = append(out, tag)
	}
	return out
}

func ladderMetadata() []byte {
	track := func(width float64) amf.Object { return amf.Object{{Name: "width", Value: width}} }
	return amf.Append(nil, "onMetaData", amf.Object{
		{Name: "width", Value: 640.0}, {Name: "videocodecid", Value: 7.0}, {Name: "audiocodecid", Value: 10.0},
		{Name: "videoTrackIdInfoMap", Value: amf.Object{{Name: "1", Value: track(320)}, {Name: "2", Value: track(160)}}},
		{Name: "audioTrackIdInfoMap", Value: amf.Object{{Name: "1", Value: amf.Object{{Name: "channels", Value: 2.0}}}}},
	})
}

// withMetadata are the tags as they come out: with the ladder's metadata.
func withMetadata(tags []flv.Tag) (out []flv.Tag) {
	for _, tag := range tags {
		if tag.Type == flv.TypeData {
			tag.Body = ladderMetadata()
		}
		out = append(out, tag)
	}
	return out
}

// legacyRTMP plays as a player that knows nothing of Enhanced RTMP.
func legacyRTMP(t testing.TB, s *testServer, stream string) *watcher {
	t.Helper()
	client, err := rtmp.Dial(t.Context(), s.url("rtmp", "rtmp", "/live/"+stream), rtmp.ClientOptions{ReadTimeout: 2 * patience, Legacy: true})
	if err != nil {
		t.Fatal(err)
	}
	return playWith(t, client)
}

// TestMultitrack: in all forms, players that know several tracks get the messages as they came; the
// others an ordinary stream of the first track, or of those that they ask for, byte for byte what
// an encoder would have sent that has only that track.
func TestMultitrack(t *testing.T) {
	t.Parallel()
	for _, form := range []byte{255, oneTrack, manyTracks, manyTracksManyCodecs} {
		t.Run(fmt.Sprint("form ", form), func(t *testing.T) {
			t.Parallel()
			s, tags := start(t), clip(t)
			all := laddered(tags, form)
			e := publish(t, s, "movie")
			n := slices.IndexFunc(all, func(tag flv.Tag) bool { return tag.TimestampMS > 500 })
			e.send(all[:n]...)
			awaitPublishers(t, s, "movie", 1)
			eventually(t, "tracks are there", func() bool { return len(s.hub.Publications()) == 1 && len(s.hub.Publications()[0].Tracks()) == 5 })

			second := markAll(markAll(tags, flv.TypeVideo, '1'), flv.TypeAudio, '1')
			flvAt := func(query string) *watcher { return watchFLVAt(t, s.url("http", "http-flv", "/live/movie.flv"+query)) }
			players := []struct {
				what string
				w    *watcher
				want []flv.Tag
			}{
				{"RTMP with multitrack", watchRTMP(t, s, "movie"), all},
				{"RTMP without", legacyRTMP(t, s, "movie"), withMetadata(tags)},
				{"RTMP with multitrack that asks", watchRTMP(t, s, "movie?video=1&audio=1"), withMetadata(second)},
				{"RTMP without that asks", legacyRTMP(t, s, "movie?video=1"), withMetadata(markAll(tags, flv.TypeVideo, '1'))},
				{"HTTP-FLV", flvAt(""), withMetadata(tags)},
				{"WebSocket-FLV", watchWS(t, s, "movie"), withMetadata(tags)},
				{"HTTP-FLV that asks", flvAt("?video=2&audio=1"), withMetadata(markAll(markAll(tags, flv.TypeVideo, '2'), flv.TypeAudio, '1'))},
				{"audio only", flvAt("?video=none"), without(withMetadata(tags), flv.TypeVideo)},
				{"video only", flvAt("?audio=none&video=1"), without(withMetadata(second), flv.TypeAudio)},
			}
			wantEqual(t, "flags of audio only", players[7].w.flags(t), 4)
			wantEqual(t, "flags of video only", players[8].w.flags(t), 1)
			for _, p := range players {
				eventually(t, p.what+" gets media", func() bool { return len(p.w.got()) > 5 })
			}
			e.send(all[n:]...)
			e.unpublish()
			for _, p := range players {
				p.w.awaitEnd(t)
				got := p.w.got()
				sameTags(t, p.what, p.want, got, 0)
				rising(t, p.what, got)
			}
		})
	}
}

func TestTracksThatAreNotThere(t *testing.T) {
	t.Parallel()
	s, tags := start(t), clip(t)
	e := publish(t, s, "movie")
	e.send(laddered(tags, manyTracks)...)
	eventually(t, "tracks are there", func() bool { return len(s.hub.Publications()) == 1 && len(s.hub.Publications()[0].Tracks()) == 5 })
	for query, status := range map[string]int{
		"video=3": 404, "audio=2": 404, "video=none&audio=none": 404, "video=none&audio=7": 404,
		"video=256": 400, "video=-1": 400, "audio=x": 400, "video=": 400,
	} {
		wantEqual(t, "status for "+query, call(t, "GET", s.url("http", "http-flv", "/live/movie.flv?"+query)).status, status)
		w := watchRTMP(t, s, "movie?"+query)
		refusedWith(t, "rtmp player that asks for "+query, receive(t, "refusal", w.ended), rtmp.CodePlayNotFound)
	}
	wantEqual(t, "players", len(s.Sessions()), 1)
}

// TestOrdinaryStreamHasOneFeed for players of all kinds and asking for what there is.
func TestOrdinaryStreamHasOneFeed(t *testing.T) {
	t.Parallel()
	s, tags := start(t), clip(t)
	e := publish(t, s, "movie")
	e.send(tags[:40]...)
	eventually(t, "tracks are there", func() bool { return len(s.hub.Publications()) == 1 && len(s.hub.Publications()[0].Tracks()) == 2 })
	watchers := []*watcher{
		watchRTMP(t, s, "movie"), legacyRTMP(t, s, "movie"), watchRTMP(t, s, "movie?video=0&audio=0"), watchRTMP(t, s, "movie?video=0"),
	}
	for _, w := range watchers {
		eventually(t, "media", func() bool { return len(w.got()) > 5 })
	}
	wantEqual(t, "feeds", s.fanout.Stats().Feeds, 1)
	e.send(tags[40:]...)
	e.unpublish()
	for _, w := range watchers {
		w.awaitEnd(t)
		sameTags(t, "player", tags, w.got(), 0)
	}
}

// TestChangingTracks: 64 tracks that change their codec again and again cost a few log lines and no
// more memory than bounded.
func TestChangingTracks(t *testing.T) {
	t.Parallel()
	s, tags := start(t), clip(t)
	e := publish(t, s, "movie")
	e.send(tags[:10]...)
	w := watchFLV(t, s, "movie")
	w.await(t, tags[9])
	for round := range 50 {
		for id := range 64 {
			fourCC := []string{"hvc1", "av01", "vp09"}[round%3]
			body := append([]byte{0x80 | 1<<4 | 6, oneTrack << 4}, fourCC...)
			body = append(body, byte(id), byte(round), 1, 2, 3)
			if id == 0 {
				continue // it is the ordinary one
			}
			e.send(flv.Tag{Type: flv.TypeVideo, TimestampMS: 300, Body: body})
		}
	}
	// ModEx packets whose lengths lie.
	for _, body := range [][]byte{{0x97, 0xFF}, {0x97, 0xFF, 0xFF, 0xFF, 1}, {0x97, 200, 1, 2}, {0x97, 0, 0}} {
		e.send(flv.Tag{Type: flv.TypeVideo, TimestampMS: 300, Body: body})
	}
	e.send(tags[10:]...)
	e.unpublish()
	w.awaitEnd(t)
	sameTags(t, "player", tags, w.got(), 0)
	eventually(t, "publisher's last line", func() bool { return s.logs.count("publisher ended") == 1 })
	if n := s.logs.count("msg=track ") + s.logs.count("RTMP and FLV only"); n > 2*maxTrackLines {
		t.Errorf("%d lines about tracks", n)
	}
	wantEqual(t, "lines about bad messages", s.logs.count("bad message left out"), 1)
}
