package server

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"livego/internal/flv"
	"livego/internal/live"
	"livego/internal/rtmp"
)

// rung publishes a rendition of the room movie.
func rung(t testing.TB, s *testServer, name string) *encoder {
	t.Helper()
	path := "/live/" + s.key("movie")
	if name != "" {
		path += "?rendition=" + name
	}
	return publishTo(t, s.url("rtmp", "rtmp", path))
}

// marked returns the tags with a mark behind the media of each, which tells one rendition's from
// another's.
func marked(tags []flv.Tag, m byte) []flv.Tag {
	var out []flv.Tag
	for _, tag := range tags {
		if !isHeader(tag) {
			tag.Body = mark(tag, m)
		}
		out = append(out, tag)
	}
	return out
}

// marks are the marks of the media that a viewer got.
func marks(tags []flv.Tag) string {
	seen := map[byte]bool{}
	for _, tag := range tags {
		if !isHeader(tag) && (tag.Type != flv.TypeVideo || tag.Body[1] != 2) { // nor the end of the sequence
			seen[tag.Body[len(tag.Body)-1]] = true
		}
	}
	all := ""
	for m := range seen {
		all += string(m)
	}
	return all
}

// TestRenditions: viewers get the default or the first rendition, or the one that they ask for, and
// all are on one timeline.
func TestRenditions(t *testing.T) {
	t.Parallel()
	s, tags := start(t), clip(t)
	names := []string{"720p", "480p", ""}
	encoders := make(map[string]*encoder)
	for i, name := range names {
		encoders[name] = rung(t, s, name)
		mine := marked(tags, byte('a'+i))
		encoders[name].send(mine[:20]...)
		eventually(t, name+" is on air", func() bool {
			pub, ok := s.hub.Lookup(live.Name{App: "live", Stream: "movie", Rendition: name})
			return ok && pub.Bytes() > 5000
		})
		if i == 0 { // without a default the first one is it
			w := watchFLV(t, s, "movie")
			w.await(t, mine[19])
			wantEqual(t, "marks without a default", marks(w.got()), "a")
			w.leave()
		}
	}
	awaitPlayers(t, s, "movie", 0)
	watchers := make(map[*watcher]string)
	for name, mark := range map[string]string{"?rendition=720p": "a", "?rendition=480p": "b", "": "c"} {
		watchers[watchRTMP(t, s, "movie"+name)] = mark
		watchers[watchFLVAt(t, s.url("http", "http-flv", "/live/movie.flv"+name))] = mark
	}
	for w := range watchers {
		eventually(t, "media", func() bool { return len(w.got()) > 5 })
	}
	for i, name := range names {
		encoders[name].send(marked(tags, byte('a'+i))[20:]...)
	}
	for _, e := range encoders {
		e.unpublish()
	}
	times := map[int]uint32{}
	for w, mark := range watchers {
		w.awaitEnd(t)
		got := w.got()
		wantEqual(t, "marks of "+w.name, marks(got), mark)
		pictures := only(got, flv.TypeVideo)
		wantEqual(t, "pictures", len(pictures), len(only(tags, flv.TypeVideo)))
		for i, tag := range pictures {
			if at, ok := times[i]; ok && at != tag.TimestampMS {
				t.Fatalf("picture %d is at %d and %d", i, at, tag.TimestampMS)
			}
			times[i] = tag.TimestampMS
		}
	}
}

func TestRenditionsInLists(t *testing.T) {
	t.Parallel()
	s, tags := start(t), clip(t)
	for _, name := range []string{"", "720p"} {
		rung(t, s, name).send(tags...)
	}
	watchFLV(t, s, "movie")
	watchRTMP(t, s, "movie?rendition=720p")
	watchRTMP(t, s, "movie?rendition=720p")
	awaitPlayers(t, s, "movie", 3)
	var stat struct {
		Data struct {
			Publishers []struct {
				Key, Rendition, URL string
				Players             int `json:"player_count"`
			}
			Players []struct{ Key, Rendition string }
		}
	}
	body := call(t, "GET", s.url("http", "api", "/stat/livestat?room=live/movie")).body
	if err := json.Unmarshal([]byte(body), &stat); err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(stat.Data)
	if p := stat.Data.Publishers; len(p) != 2 || p[0].Rendition != "" || p[0].Players != 1 || p[1].Rendition != "720p" ||
		p[1].Players != 2 || p[1].Key != "live/movie" || len(stat.Data.Players) != 3 {
		t.Error(got)
	}
	wantContains(t, "streams", call(t, "GET", s.url("http", "http-flv", "/streams")).body, `"rendition":"720p"`)
	wantContains(t, "log", s.logs.String(), `stream="live/movie?rendition=720p"`)
}

func TestBadRenditions(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *Options) { o.PlayWait = time.Millisecond })
	for _, bad := range []string{"", "a.b", "a%2Fb", strings.Repeat("x", 33), "%zz"} {
		_, err := tryPublish(t, s.url("rtmp", "rtmp", "/live/"+s.key("movie")+"?rendition="+bad))
		if bad == "%zz" { // what does not parse names no rendition
			if err != nil {
				t.Error(err)
			}
			continue
		}
		refusedWith(t, bad, err, rtmp.CodePublishBadName)
		wantContains(t, "reason", err.Error(), "letters, digits")
		wantEqual(t, "status for "+bad, call(t, "GET", s.url("http", "http-flv", "/live/movie.flv?rendition="+bad)).status, 400)
	}
	e := publish(t, s, "movie")
	e.send(clip(t)...)
	wantEqual(t, "status for another rendition", call(t, "GET", s.url("http", "http-flv", "/live/movie.flv?rendition=x")).status, 404)
	for _, rendition := range []string{"x", "a.b"} {
		w := watchRTMP(t, s, "movie?rendition="+rendition)
		refusedWith(t, "rtmp player of rendition "+rendition, receive(t, "refusal", w.ended), rtmp.CodePlayNotFound)
	}
	for i := range 7 {
		rung(t, s, fmt.Sprint("r", i))
	}
	_, err := tryPublish(t, s.url("rtmp", "rtmp", "/live/"+s.key("movie")+"?rendition=more"))
	refusedWith(t, "the ninth rendition", err, rtmp.CodePublishBadName)
}

// TestResetClosesAllRenditions: they have one key.
func TestResetClosesAllRenditions(t *testing.T) {
	t.Parallel()
	s := start(t)
	var all []*encoder
	for _, name := range []string{"", "720p", "480p"} {
		all = append(all, rung(t, s, name))
	}
	if _, err := s.keys.Reset(t.Context(), "movie", false); err != nil {
		t.Fatal(err)
	}
	for _, e := range all {
		refusedWith(t, "publisher", receive(t, "end of a publisher", e.ended), rtmp.CodePublishDenied)
	}
	eventually(t, "nothing is on air", func() bool { return len(s.hub.Publications()) == 0 })
}

// TestMisalignedRendition is refused with the reason, and its encoder hears that.
func TestMisalignedRendition(t *testing.T) {
	t.Parallel()
	s, tags := start(t), clip(t)
	def := rung(t, s, "")
	def.send(tags[:30]...)
	eventually(t, "on air", func() bool {
		pub, ok := s.hub.Lookup(live.Name{App: "live", Stream: "movie"})
		return ok && pub.Bytes() > 5000
	})
	pictures := between(tags, 300, 2000)
	other := make([]flv.Tag, 0, len(tags))
	for _, tag := range tags {
		tag.TimestampMS += 5_000_000
		other = append(other, tag)
	}
	e := rung(t, s, "other")
	tick := time.NewTicker(30 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		<-tick.C
		if i < len(pictures) {
			def.send(pictures[i])
		}
		if i < 30 { // its key frame has to come much later than that of the first
			continue
		}
		if i-30 >= len(other) || e.trySend(other[i-30]) != nil {
			break
		}
	}
	err := receive(t, "end of the publisher", e.ended)
	refusedWith(t, "misaligned publisher", err, rtmp.CodePublishBadName)
	wantContains(t, "reason", err.Error(), "key frames")
	eventually(t, "it is gone at once", func() bool { return len(s.hub.Publications()) == 1 })
}

// TestRenditionThatHLSCannotAlign: its key frames come at other times than those of the first
// rendition.
func TestRenditionThatHLSCannotAlign(t *testing.T) {
	t.Parallel()
	s, tags := start(t, func(o *Options) { o.HLS.SegmentDuration = time.Second }), clip(t)
	def, other := rung(t, s, ""), rung(t, s, "other")
	def.send(tags[:3]...)
	other.send(tags[:3]...)
	const round = 8000
	tick := time.NewTicker(20 * time.Millisecond) // the packagers have to keep up
	defer tick.Stop()
	for at := uint32(0); at < 5*round; at += 500 {
		<-tick.C
		second := between(tags, at%round, at%round+500)
		for i := range second {
			second[i].TimestampMS += at - at%round
		}
		def.send(second...)
		if at < 4000 { // the first one has to be the one by which others are judged
			continue
		}
		for i := range second {
			second[i].TimestampMS -= 1100
		}
		if other.trySend(second...) != nil {
			break
		}
	}
	err := receive(t, "end of the publisher", other.ended)
	refusedWith(t, "misaligned publisher", err, rtmp.CodePublishBadName)
	wantContains(t, "reason", err.Error(), "other", "key frame")
	eventually(t, "it is gone at once", func() bool { return len(s.hub.Publications()) == 1 })
	wantEqual(t, "errors logged", s.logs.count("level=ERROR"), 0)
}
