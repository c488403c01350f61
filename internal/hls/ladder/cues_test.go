package ladder

import (
	"bytes"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"livego/internal/amf"
	"livego/internal/fmp4"
	"livego/internal/hls/hlstest"
	"livego/internal/media"
)

// section is a splice_info_section with a splice_null command.
var section = []byte{0xFC, 0x30, 0x11, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0xF0, 0, 0, 0, 0, 0, 0x7A, 0x4F, 0xBF}

func TestReadCue(t *testing.T) {
	spliced := base64.StdEncoding.EncodeToString(section)
	cases := []struct {
		name   string
		values []any
		want   string // date range behind START-DATE, "none" for no event
		player string
	}{
		{"FLV cue point", []any{"onCuePoint", amf.Object{{Name: "name", Value: "goal"}, {Name: "time", Value: 12.5}, {Name: "type", Value: "event"},
			{Name: "parameters", Value: amf.Object{{Name: "player_no", Value: "7"}, {Name: "own", Value: false}}}}},
			`,X-NAME="goal",X-TIME=12.5,X-TYPE="event",X-PLAYER-NO="7",X-OWN="NO"`,
			`onCuePoint` + "\x00" + `{"name":"goal","parameters":{"own":false,"player_no":"7"},"time":12.5,"type":"event"}` + "\x00"},
		{"advertisement", []any{"onCuePoint", amf.ECMAArray{{Name: "type", Value: "com.youtube.cuepoint"}, {Name: "break_duration_sec", Value: 30.0}}},
			`,DURATION=30,X-TYPE="com.youtube.cuepoint",X-BREAK-DURATION-SEC=30`, "com.youtube"},
		{"text", []any{"onTextData", amf.Object{{Name: "text", Value: "line \"one\"\r\ntwo"}}}, `,X-TEXT="line 'one'  two"`, `line \"one\"\r\ntwo`},
		{"SCTE-35", []any{"onCuePoint", amf.Object{{Name: "name", Value: "scte35"}, {Name: "parameters", Value: amf.Object{{Name: "message", Value: spliced}, {Name: "duration", Value: 15.0}}}}},
			`,PLANNED-DURATION=15,SCTE35-CMD=0xFC301100000000000000FFF00000000000` + "7A4FBF", string(section)},
		{"not a section", []any{"onAdCue", amf.Object{{Name: "cue", Value: spliced[:24]}}}, `,X-CUE="` + spliced[:24] + `"`, "onAdCue"},
		{"negative", []any{"onCuePoint", amf.Object{{Name: "offset", Value: -1.0}}}, `,X-OFFSET="-1"`, "-1"},
		{"no object", []any{"onCuePoint", "goal"}, "none", ""},
		{"no arguments", []any{"onCuePoint"}, "none", ""},
		{"another message", []any{"onFI", amf.Object{{Name: "sd", Value: "1"}}}, "none", ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, ok := readCue(amf.Append(nil, c.values...))
			if !ok || c.want == "none" {
				if ok != (c.want != "none") {
					t.Fatalf("%v, %+v", ok, got)
				}
				return
			}
			head := `ID="x",CLASS="` + c.values[0].(string) + `",START-DATE="2026-03-01T12:00:00.500Z"`
			if text := got.dateRange("x", time.Date(2026, 3, 1, 12, 0, 0, 5e8, time.UTC)); text != head+c.want {
				t.Errorf("got  %s\nwant %s", text, head+c.want)
			}
			e := got.event(3, time.Second)
			if !bytes.Contains(e.Message, []byte(c.player)) || e.Time != time.Second || e.ID != 3 || (e.Scheme == fmp4.SchemeSCTE35) != got.scte35 {
				t.Errorf("%+v: %q", e, e.Message)
			}
		})
	}
}

// TestID3 compares a tag with bytes made by hand from the ID3v2.4 structure.
func TestID3(t *testing.T) {
	want := append([]byte("ID3\x04\x00\x00\x00\x00\x01\x51TXXX\x00\x00\x01\x47\x00\x00\x03ab\x00"), bytes.Repeat([]byte("x"), 195)...)
	want = append(want, 0)
	got := id3("ab", bytes.Repeat([]byte("x"), 195))
	want[8], want[9] = byte((len(want)-10)>>7), byte(len(want)-10)&0x7F
	want[16], want[17] = byte((len(want)-20)>>7), byte(len(want)-20)&0x7F
	if !bytes.Equal(got, want) {
		t.Errorf("got % x, want % x", got, want)
	}
}

// TestCuesInPlaylists: an event is a date range of all renditions, once, and an emsg of the video.
func TestCuesInPlaylists(t *testing.T) {
	s := hlstest.Source{Video: hlstest.AVCTrack(0), Audio: hlstest.AAC(48000), AudioEvery: 1024.0 / 48000, Rate: 25, Gop: 25}
	data := &media.Track{Kind: media.Data, Name: "script"}
	r := newRig(t, Options{})
	body := amf.Append(nil, "onCuePoint", amf.Object{{Name: "name", Value: "goal"}})
	at := []time.Duration{500 * time.Millisecond, 7500 * time.Millisecond}
	for _, u := range s.Until(14 * time.Second) {
		if len(at) > 0 && u.DTS >= at[0] {
			r.feed("", s.Stamp(media.AccessUnit{Track: data, DTS: at[0], PTS: at[0], Data: body}))
			r.feed("720p", s.Stamp(media.AccessUnit{Track: data, DTS: at[0], PTS: at[0], Data: body}))
			at = at[1:]
		}
		r.feed("", u)
	}
	r.finish()
	for _, id := range []string{"v0", "a0"} {
		rec := r.of(id)
		var where []int64
		messages := 0
		for _, seq := range rec.order {
			for _, d := range rec.segments[seq].Dates {
				where = append(where, seq)
				if !strings.Contains(d, `X-NAME="goal"`) || !strings.Contains(d, `START-DATE="2026-03-01T12:00:0`) {
					t.Error(d)
				}
			}
			for _, p := range rec.segments[seq].Parts {
				messages += bytes.Count(p.Data.Bytes(), []byte("aomedia.org/emsg/ID3"))
			}
		}
		if len(where) != 2 || where[0] != 1000 || where[1] != 1002 || messages != map[string]int{"v0": 2}[id] {
			t.Errorf("%s: dates in %v, %d messages", id, where, messages)
		}
	}
}

// TestCueFlood: events are bounded.
func TestCueFlood(t *testing.T) {
	s := hlstest.Source{Video: hlstest.AVCTrack(0), Rate: 25, Gop: 25}
	r := newRig(t, Options{})
	body := amf.Append(nil, "onTextData", amf.Object{{Name: "text", Value: "x"}})
	for _, u := range s.Until(10 * time.Second) {
		r.feed("", u)
		for range 50 {
			r.feed("", s.Stamp(media.AccessUnit{Track: &media.Track{Kind: media.Data}, DTS: u.DTS, PTS: u.DTS, Data: body}))
		}
	}
	r.finish()
	for seq, seg := range r.of("v0").segments {
		if len(seg.Dates) > maxCues || seg.Size > 100_000 {
			t.Errorf("segment %d: %d dates, %d bytes", seq, len(seg.Dates), seg.Size)
		}
	}
}

// FuzzCue: whatever a message holds, its date range is one line of attributes with closed quotes,
// and its event can be written.
func FuzzCue(f *testing.F) {
	f.Add(amf.Append(nil, "onCuePoint", amf.Object{{Name: "na\"me", Value: "a\"b\nc"}, {Name: "duration", Value: 1e300}}))
	f.Add(amf.Append(nil, "onTextData", amf.ECMAArray{{Name: "text", Value: "\xff\xfe"}, {Name: "list", Value: amf.StrictArray{1.0, nil}}}))
	f.Add(amf.Append(nil, "onAdCue", amf.Object{{Name: "cue", Value: base64.StdEncoding.EncodeToString(section)}}))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, ok := readCue(data)
		if !ok {
			return
		}
		text := c.dateRange("id", time.Unix(1, 0))
		if strings.ContainsAny(text, "\r\n\x00") || strings.Count(text, `"`)%2 != 0 || len(text) > 16*(2*maxCueText+40)+2*maxCue {
			t.Errorf("%q", text)
		}
		u := hlstest.Picture(hlstest.AVCTrack(0), 0, true, 1)
		w, err := fmp4.NewWriter(u.Track)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := w.Append(nil, &fmp4.Fragment{Units: []media.AccessUnit{u}, Events: []fmp4.Event{c.event(1, 0)}}); err != nil {
			t.Error(err)
		}
	})
}
