package fanout

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"livego/internal/live"
	"livego/internal/media"
)

// cutBody makes a body that tells what it was made of.
func cutBody(dst []byte, u *media.AccessUnit) ([]byte, error) {
	if u.Track.Codec == media.Unknown || u.Header == media.Command {
		return dst, errors.New("no body")
	}
	dst = append(dst, "cut:"...)
	if u.Header != media.Sample {
		return append(dst, u.Track.Name...), nil
	}
	return append(dst, u.Data...), nil
}

// script makes units from words: v1k is a key frame of video track 1, v1 another picture, a0 a
// sound, hv1 a header of a video track, with ! in an ordinary message of its own and otherwise in a
// multitrack message, with + of the same message as the unit before; d is metadata, c a command of
// video track 0, | a new session, ~ a jump before the next unit, > two seconds later, ^ a place to
// join.
type script struct {
	tracks map[string]*media.Track
	at     time.Duration
	epoch  uint32
	n      int
}

func (s *script) track(kind media.Kind, id uint8, fresh bool) *media.Track {
	name := fmt.Sprint(kind, id)
	if s.tracks == nil {
		s.tracks = make(map[string]*media.Track)
	}
	if s.tracks[name] == nil || fresh {
		s.n++
		s.tracks[name] = &media.Track{Kind: kind, ID: id, Codec: media.H264, Name: fmt.Sprintf("h%c%d", kind.String()[0], id)}
	}
	return s.tracks[name]
}

func (s *script) units(text string) (units []media.AccessUnit) {
	jump := false
	for word := range strings.FieldsSeq(text) {
		switch word {
		case "|":
			s.epoch++
			clear(s.tracks)
			continue
		case "~":
			jump = true
			continue
		case ">":
			s.at += 2 * time.Second
			continue
		}
		u := s.unit(word)
		u.Discontinuity, jump = jump, false
		units = append(units, u)
	}
	return units
}

func (s *script) unit(word string) media.AccessUnit {
	u := media.AccessUnit{
		Multitrack: !strings.Contains(word, "!"), Shared: strings.Contains(word, "+"), Join: strings.Contains(word, "^"),
		DTS: s.at, Epoch: s.epoch, Body: []byte("body " + word), MessageType: 9,
	}
	word = strings.Trim(word, "!+^")
	switch {
	case word == "d":
		u.Track, u.Header, u.Multitrack = s.track(media.Data, 0, false), media.Metadata, false
		return u
	case word == "c":
		u.Track, u.Header = s.track(media.Video, 0, false), media.Command
		return u
	case word[0] == 'h':
		u.Header = media.SequenceHeader
	default:
		u.Data = []byte(word)
	}
	name := strings.TrimPrefix(word, "h")
	kind := map[byte]media.Kind{'v': media.Video, 'a': media.Audio}[name[0]]
	u.Track = s.track(kind, name[1]-'0', u.Header == media.SequenceHeader)
	u.RandomAccess = kind == media.Audio || strings.HasSuffix(name, "k")
	return u
}

// shown writes what a view has made: the body, and ^ where players may join.
func shown(units []media.AccessUnit) string {
	var words []string
	for _, u := range units {
		word := strings.TrimPrefix(strings.TrimPrefix(string(u.Body), "cut:"), "body ")
		word = strings.TrimSuffix(strings.Trim(word, "^+"), "^")
		if u.Join {
			word += "^"
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

func TestViews(t *testing.T) {
	one := View{Video: Track(1), Audio: Track(1)}
	for _, c := range []struct {
		what string
		view View
		in   string
		want string
	}{
		{"an ordinary stream passes", View{}, "d hv0! ha0! v0k!^ a0! v0! c! a0! v0k!^", "d hv0! ha0! v0k!^ a0! v0! c! a0! v0k!^"},
		{"without video", View{Video: None}, "d hv0! ha0! v0k!^ a0! a0! > v0! a0! a0!", "d ha0! a0!^ a0! a0!^ a0!"},
		{"without audio", View{Audio: None}, "d hv0! ha0! v0k!^ a0! v0!", "d hv0! v0k!^ v0!"},
		{"the first of each kind", View{}, "hv0 hv1+ ha0 ha1+ v0k^ v1k+ a0 a1+ v0 v1+", "hv0 ha0 v0k^ a0 v0"},
		{"another one", one, "hv0 hv1+ ha0 ha1+ v0k^ v1k+ a0 a1+ v0 v1+", "hv1 ha1 v1k^ a1 v1"},
		{"the first and ordinary messages", View{}, "hv0! hv1 ha0! v0k!^ v1k a0! v0! v1", "hv0! ha0! v0k!^ a0! v0!"},
		{"a track that begins later", one, "hv0! hv1 v0k!^ v1 v0! v1 v1k v1", "hv1 v1k^ v1"},
		{"audio only, of a certain track", View{Video: None, Audio: Track(1)}, "ha0 ha1 v0k^ a0 a1 > a1", "ha1 a1^ a1^"},
		{"a video track that is not there", View{Video: Track(3)}, "hv0 ha0 v0k^ a0", "ha0 a0"},
		{"the lowest is not 0", View{}, "hv2 hv1 ha5 v1k^ v2k a5", "hv2 hv1 ha5 v1k^ a5"},
		{"the lowest never has a key frame", View{}, "hv0 hv1 v1k^ v1 v1k^", "hv0 hv1 v1k^ v1 v1k^"},
		{"and then it has one", View{}, "hv0 hv1 v1k^ v1 v0k^ v1k v0", "hv0 hv1 v1k^ v1 hv0 v0k^ v0"},
		{"a lower audio track comes", View{}, "hv0 ha1 v0k^ a1 ha0 a0 a1", "hv0 ha1 v0k^ a1 ha0 a0"},
		{"without headers", View{}, "v0k^ a0 v1k+ a1", "v0k^ a0"},
		{"a header changes", one, "hv1 v0k^ v1k hv1 v1k v1", "hv1 v1k^ hv1 v1k^ v1"},
		{"the next session", View{}, "hv1 v1k^ | hv0! v0k!^ v0!", "hv1 v1k^ hv0! v0k!^ v0!"},
		{"the next session, another track", one, "hv1 v1k^ | hv0 v0k^ hv1 v1 v1k", "hv1 v1k^ hv1 v1k^"},
		{"after a jump of the reader", one, "hv1 v1k ~ v0k^ v1 v1k", "hv1 v1k^ v1k^"},
		{"commands among others", View{}, "hv0 v0k^ c v0", "hv0 v0k^ v0"},
	} {
		cut, s := cutter{view: c.view, body: cutBody}, script{epoch: 1}
		var got []media.AccessUnit
		for _, u := range s.units(c.in) {
			for _, v := range cut.cut(&u) {
				v.Body = append([]byte{}, v.Body...)
				got = append(got, v)
			}
		}
		if s := shown(got); s != c.want {
			t.Errorf("%s:\ngot  %s\nwant %s", c.what, s, c.want)
		}
		for _, u := range got {
			if u.Multitrack || u.Track.ID != 0 || u.Shared {
				t.Errorf("%s: %+v", c.what, u)
			}
		}
	}
}

func TestUnitsWithoutABodyOfTheirOwnAreLeftOut(t *testing.T) {
	cut, s := cutter{body: cutBody}, script{}
	units := s.units("hv0 v0k^")
	for i := range units {
		units[i].Track.Codec = media.Unknown
		if out := cut.cut(&units[i]); len(out) != 0 {
			t.Errorf("%s", shown(out))
		}
	}
	cut = cutter{}
	if out := cut.cut(&units[1]); len(out) != 0 {
		t.Error("made a body out of nothing")
	}
}

// TestHeadersOfAViewLast: samples reuse memory, headers must not.
func TestHeadersOfAViewLast(t *testing.T) {
	cut, s := cutter{body: cutBody}, script{}
	units := s.units("hv0 v0k^ v0 v0")
	header := cut.cut(&units[0])[0]
	for i := range units[1:] {
		cut.cut(&units[i+1])
	}
	if string(header.Body) != "cut:hv0" {
		t.Errorf("%q", header.Body)
	}
}

// TestCutting holds for any script: order and times stay, of each kind there is one track at a
// time, which has had its newest header before its first sample, and a chosen video track begins
// with a key frame.
func TestCutting(t *testing.T) {
	words := []string{"v0", "v0k", "v0k^", "v1", "v1k", "v1k^", "v1k+", "v2k", "hv0", "hv1", "hv1+", "hv2", "a0", "a1", "a0!", "ha0", "ha1", "ha0!", "v0!",
		"v0k!^", "hv0!", "d", "|", "~", ">"}
	rapid.Check(t, func(t *rapid.T) {
		choices := rapid.SampledFrom([]Choice{First, None, Track(0), Track(1), Track(2)})
		view := View{Video: choices.Draw(t, "video"), Audio: choices.Draw(t, "audio")}
		cut, s := cutter{view: view, body: cutBody}, script{}
		var last time.Duration
		header := map[media.Kind]*media.Track{}
		open := false
		for _, u := range s.units(strings.Join(rapid.SliceOf(rapid.SampledFrom(words)).Draw(t, "script"), " ")) {
			for _, v := range cut.cut(&u) {
				if v.Multitrack || v.Shared || v.Track.ID != 0 || v.Body == nil || v.DTS < last {
					t.Fatalf("%+v", v)
				}
				last = v.DTS
				kind := v.Track.Kind
				if kind != media.Data && view.of(kind) == None {
					t.Fatalf("%v is not in the view", kind)
				}
				if v.Header == media.SequenceHeader {
					header[kind] = v.Track
				}
				if _, ok := headerOf(cut.headers, u.Track); ok && v.Header == media.Sample && header[kind] != v.Track {
					t.Fatal("a sample without its header before it")
				}
				if v.Header != media.Sample || kind != media.Video || view.Video == First {
					continue
				}
				if open = open || v.RandomAccess; !open {
					t.Fatal("begins without a key frame")
				}
			}
		}
	})
}

// headerOf returns the header in force that made a track.
func headerOf(h *media.Headers, t *media.Track) (media.AccessUnit, bool) {
	for _, u := range h.Units() {
		if u.Header == media.SequenceHeader && u.Track == t {
			return u, true
		}
	}
	return media.AccessUnit{}, false
}

// TestViewsShareFeeds where they cannot differ.
func TestViewsShareFeeds(t *testing.T) {
	whole, first, one := View{Whole: true}, View{}, View{Video: Track(1)}
	src := newSource(t, live.Options{})
	if whole.shared(src.stream) != whole {
		t.Error("a stream without tracks may become anything")
	}
	src.pub.Expect(1, 1)
	src.headers()
	src.steps(1)
	for _, v := range []View{whole, first, {Video: Track(0), Audio: Track(0)}} {
		if v.shared(src.stream) != first {
			t.Errorf("%+v is not shared", v)
		}
	}
	for _, v := range []View{one, {Video: None}, {Audio: None}} {
		if v.shared(src.stream) != v {
			t.Errorf("%+v is not kept", v)
		}
	}
	src.write(media.AccessUnit{Track: src.video, DTS: src.at, MessageType: 9, Body: []byte{1}, Data: []byte{1}, Multitrack: true})
	for _, v := range []View{whole, one, {Video: Track(0)}} {
		if v.shared(src.stream) != v {
			t.Errorf("%+v is not kept once messages have several tracks", v)
		}
	}
}

// TestPlayersOfAView begin at a random access point of the track that they chose, which need not be
// one of the track that the stream is joined on, and get that one's headers only.
func TestPlayersOfAView(t *testing.T) {
	src := newSource(t, live.Options{GOPs: 1})
	f := newFanout(Options{GOPs: 1, Body: cutBody})
	script := script{epoch: 1}
	publish := func(text string) {
		for message := range strings.SplitSeq(text, ",") {
			units, body := script.units(message), []byte("body "+message)
			for i := range units {
				units[i].DTS, units[i].Arrived, units[i].Body = src.at, int64(src.at)+1, body
				units[i].MessageType = map[media.Kind]uint8{media.Video: 9, media.Audio: 8}[units[i].Track.Kind]
			}
			src.write(units...)
			src.at += 20 * time.Millisecond
		}
	}
	publish("hv0 hv1+,ha0!,v0k v1+,a0!,v0 v1k+,a0!,v0k v1+,a0!,v0 v1+")
	type player struct {
		view View
		want string
		got  chan string
	}
	players := []*player{
		{view: View{}, want: "cut:hv0,body ha0!,cut:v0k,body a0!,cut:v0,body a0!,cut:v0,body a0!,cut:v0k"},
		{view: View{Video: Track(1)}, want: "cut:hv1,body ha0!,cut:v1k,body a0!,cut:v1,body a0!,cut:v1,body a0!,cut:v1k,body a0!,cut:v1"},
		{view: View{Video: Track(1), Audio: None}, want: "cut:hv1,cut:v1k,cut:v1,cut:v1,cut:v1k,cut:v1"},
		{view: View{Whole: true}, want: "body hv0 hv1+,body ha0!,body v0k v1+,body a0!,body v0 v1+,body a0!,body v0 v1k+,body a0!,body v0k v1+"},
	}
	for _, p := range players {
		server, client := pair(t)
		player := play(f, src.stream, PlayerOptions{Conn: server, Format: plainFormat{}, View: p.view, OnEnd: func(error) { server.Close() }})
		p.got = make(chan string, 1)
		go func() {
			var words []string
			for {
				m, err := readMessage(client)
				if err != nil {
					p.got <- strings.Join(words, ",")
					return
				}
				words = append(words, string(m.body))
			}
		}()
		eventually(t, "it plays", func() bool { return player.Stats().Sent > 0 })
	}
	publish("a0!,v0 v1k+,a0!,v0k v1+")
	src.pub.Unpublish()
	for _, p := range players {
		if got := <-p.got; got != p.want {
			t.Errorf("%+v:\ngot  %s\nwant %s", p.view, got, p.want)
		}
	}
	f.Wait()
}
