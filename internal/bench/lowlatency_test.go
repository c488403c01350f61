package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"livego/internal/flv"
	"livego/internal/fmp4"
	"livego/internal/media"
	"livego/internal/pause"
)

// playlistOf makes a playlist of segments by the durations of their parts, the last one open.
func playlistOf(sequence int, open bool, independent int, segments ...[]time.Duration) *mediaPlaylist {
	l := &mediaPlaylist{sequence: sequence, holdBack: 600 * time.Millisecond}
	for i, durations := range segments {
		s := segment{uri: "s"}
		if open && i == len(segments)-1 {
			s.uri = ""
		}
		for j, d := range durations {
			s.parts = append(s.parts, part{duration: d, independent: j%independent == 0})
		}
		l.segments = append(l.segments, s)
	}
	return l
}

// TestWhereToStart has the part at which a player begins, and the one it asks for next.
func TestWhereToStart(t *testing.T) {
	const p = 200 * time.Millisecond
	five := []time.Duration{p, p, p, p, p}
	for name, c := range map[string]struct {
		list       *mediaPlaylist
		start, end position
	}{
		"audio: at the hold back":      {playlistOf(10, true, 1, five, five[:4]), position{11, 1, true}, position{11, 4, true}},
		"video: at the key frame":      {playlistOf(10, true, 5, five, five[:4]), position{11, 0, true}, position{11, 4, true}},
		"video: one segment before":    {playlistOf(10, true, 5, five, five[:2]), position{10, 0, true}, position{11, 2, true}},
		"whole segments":               {playlistOf(10, false, 5, five, five), position{11, 0, true}, position{12, 0, true}},
		"less than the hold back":      {playlistOf(10, true, 5, five[:2]), position{10, 0, true}, position{10, 2, true}},
		"older segments without parts": {playlistOf(10, true, 5, nil, nil, five[:1]), position{12, 0, true}, position{12, 1, true}},
		"no parts at all":              {playlistOf(10, false, 5, nil), position{11, 0, true}, position{11, 0, true}},
	} {
		if got := c.list.start(); got != c.start {
			t.Errorf("%s: starts at %+v, want %+v", name, got, c.start)
		}
		if got := c.list.end(); got != c.end {
			t.Errorf("%s: ends at %+v, want %+v", name, got, c.end)
		}
	}
	delta := playlistOf(10, true, 1, five)
	delta.skipped, delta.skips = 7, true
	list, _ := url.Parse("http://h/a/v.m3u8?token=x")
	r := rendition{list: list}
	if got := r.reload(delta).String(); got != "http://h/a/v.m3u8?_HLS_msn=17&_HLS_part=5&_HLS_skip=YES&token=x" {
		t.Error(got)
	}
}

// origin is a server of Low-Latency HLS that makes each part when it is due: 6 pictures or 8 audio
// frames of the built-in clip.
type origin struct {
	video, audio *media.Track
	began        time.Time
	hinted       atomic.Int64 // requests that came before their parts
	lists        atomic.Int64
}

const (
	originPart     = 200 * time.Millisecond
	originParts    = 5 // a segment
	originLast     = 15
	originPictures = 6
)

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var track byte
	var n int
	switch {
	case r.URL.Path == "/index.m3u8":
		fmt.Fprint(w, "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"a\",URI=\"a.m3u8\"\n#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO=\"a\"\nv.m3u8\n")
	case strings.HasSuffix(r.URL.Path, ".m3u8"):
		o.lists.Add(1)
		msn, part := r.URL.Query().Get("_HLS_msn"), r.URL.Query().Get("_HLS_part")
		if msn != "" {
			m, _ := strconv.Atoi(msn)
			p, _ := strconv.Atoi(part)
			o.await(r.Context(), m*originParts+p)
		}
		fmt.Fprint(w, o.playlist(r.URL.Path[1], o.parts(), r.URL.Query().Get("_HLS_skip") == "YES"))
	case scan(r.URL.Path, "/%c.init.mp4", &track):
		made, err := fmp4.AppendInit(nil, o.track(track), nil)
		w.Write(made)
		if err != nil {
			panic(err)
		}
	case scan(r.URL.Path, "/%c.%d.m4s", &track, &n):
		if o.parts() <= n {
			o.hinted.Add(1)
		}
		o.await(r.Context(), n)
		if n >= originLast {
			http.NotFound(w, r) // hinted, but the stream ended
			return
		}
		w.Write(o.part(track, n))
	default:
		http.NotFound(w, r)
	}
}

func scan(path, format string, into ...any) bool {
	n, err := fmt.Sscanf(path, format, into...)
	return n == len(into) && err == nil
}

func (o *origin) track(name byte) *media.Track {
	if name == 'v' {
		return o.video
	}
	return o.audio
}

// parts is how many there are.
func (o *origin) parts() int { return min(int(time.Since(o.began)/originPart), originLast) }

// await waits for a part, or the end of the stream.
func (o *origin) await(ctx context.Context, n int) {
	_ = pause.For(ctx, time.Until(o.began.Add(time.Duration(min(n, originLast)+1)*originPart)))
}

// playlist lists the parts of the last two segments.
func (o *origin) playlist(track byte, n int, delta bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-PART-INF:PART-TARGET=0.2\n#EXT-X-MEDIA-SEQUENCE:0\n"+
		"#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=6,PART-HOLD-BACK=0.6\n#EXT-X-MAP:URI=\"%c.init.mp4\"\n", track)
	i := 0
	if delta && n >= 2*originParts {
		fmt.Fprintf(&b, "#EXT-X-SKIP:SKIPPED-SEGMENTS=1\n")
		i = originParts
	}
	for ; i < n; i++ {
		independent := ""
		if track == 'a' || i%originParts == 0 {
			independent = ",INDEPENDENT=YES"
		}
		fmt.Fprintf(&b, "#EXT-X-PART:DURATION=0.2,URI=\"%c.%d.m4s\"%s\n", track, i, independent)
		if i%originParts == originParts-1 {
			fmt.Fprintf(&b, "#EXTINF:1,\n%c.s%d.m4s\n", track, i/originParts)
		}
	}
	if n == originLast {
		return b.String() + "#EXT-X-ENDLIST\n"
	}
	return b.String() + fmt.Sprintf("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"%c.%d.m4s\"\n", track, n)
}

// part makes a part whose pictures were sent when they were due.
func (o *origin) part(track byte, n int) []byte {
	writer, err := fmp4.NewWriter(o.track(track))
	if err != nil {
		panic(err)
	}
	at := time.Duration(n) * originPart
	f := &fmp4.Fragment{Next: at + originPart}
	for i := range originPictures {
		u := media.AccessUnit{Track: o.track(track), Header: media.Sample, RandomAccess: track == 'a' || n%originParts == 0 && i == 0}
		u.DTS = at + time.Duration(i)*originPart/originPictures
		u.PTS = u.DTS
		if u.Data = []byte{0x21, 0x10, 0x04}; track == 'v' {
			stamp, digits := appendStamp(nil, []byte{nalSEI})
			writeStamp(stamp[digits:], o.began.Add(u.DTS), uint32(n*originPictures+i))
			u.Data = appendNAL(stamp, []byte{nalIDR, 1, 2, 3})
		}
		f.Units = append(f.Units, u)
	}
	b, _, err := writer.Append(nil, f)
	if err != nil {
		panic(err)
	}
	return b
}

// tracksOf returns the built-in clip's tracks.
func tracksOf(t testing.TB) (video, audio *media.Track) {
	t.Helper()
	c, err := builtIn(452_000, 64_000)
	if err != nil {
		t.Fatal(err)
	}
	var d flv.Demuxer
	for _, m := range c.headers {
		units, err := d.Append(nil, m.kind, 0, m.body)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range units {
			switch {
			case u.Track != nil && u.Track.Kind == media.Video:
				video = u.Track
			case u.Track != nil && u.Track.Kind == media.Audio:
				audio = u.Track
			}
		}
	}
	return video, audio
}

// TestLowLatency plays a stream of three seconds to its end, by players that look into it and by
// players that do not.
func TestLowLatency(t *testing.T) {
	for _, sampled := range []bool{true, false} {
		t.Run(fmt.Sprintf("sampled %v", sampled), func(t *testing.T) {
			t.Parallel()
			lowLatency(t, sampled)
		})
	}
}

func lowLatency(t *testing.T, sampled bool) {
	o := &origin{}
	o.video, o.audio = tracksOf(t)
	server := httptest.NewServer(o)
	defer server.Close()
	u, err := url.Parse(server.URL + "/index.m3u8")
	if err != nil {
		t.Fatal(err)
	}
	p := &player{url: u}
	if sampled {
		p.sample = newFindings()
	}
	o.began = time.Now()
	if err = p.playlist(t.Context(), newNetwork(&Options{}), newDrain()); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	for _, c := range *p.clocks.Load() {
		// A player that comes late begins at the hold back.
		if got := time.Duration(c.media.Load()); got > originLast*originPart || got < (originLast-originParts)*originPart {
			t.Errorf("%v of media came", got)
		}
	}
	// A player asks once for each list and each part of both renditions.
	if lists, hinted := o.lists.Load(), o.hinted.Load(); lists > 2*(originLast+3) || hinted < 2*8 || hinted > 2*(originLast+1) {
		t.Errorf("%d requests for playlists, %d for parts before they were there", lists, hinted)
	}
	if !sampled {
		return
	}
	r := &Report{}
	p.sample.describe(r)
	if r.Faults != (Faults{}) || r.Jumps != 0 || r.FirstKeyMS.Count != 1 || r.LatencyMS.Count < 50 {
		t.Errorf("%v", r)
	}
	// A part is there one part after its first picture was sent.
	if r.PartMS.Count < 8 || r.PartMS.P50 < 190 || r.PartMS.P50 > 400 {
		t.Errorf("%v", r)
	}
}

// TestLowLatencyErrors ends sessions whose server does not do what it said.
func TestLowLatencyErrors(t *testing.T) {
	list := "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-PART-INF:PART-TARGET=0.01\n#EXT-X-MEDIA-SEQUENCE:0\n" +
		"#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=0.03\n#EXT-X-MAP:URI=\"i\"\n"
	withPart := list + "#EXT-X-PART:DURATION=0.01,URI=\"p\"\n"
	for name, c := range map[string]struct{ first, then, want string }{
		"no part":           {withPart, "", "answered 404"},
		"no playlist":       {list, "", "answered 404"},
		"no playlist later": {list, "<html>", "not a playlist"},
		"part is lost":      {list, withPart, "not there"},
		"list of ranges":    {"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-BYTERANGE:1@0\nx\n", "", "byte ranges"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.URL.Path == "/i":
				case r.URL.Path == "/l.m3u8" && r.URL.RawQuery == "":
					fmt.Fprint(w, c.first)
				case r.URL.Path == "/l.m3u8" && c.then != "":
					fmt.Fprint(w, c.then)
				default:
					http.NotFound(w, r)
				}
			}))
			defer server.Close()
			u, _ := url.Parse(server.URL + "/l.m3u8")
			err := (&player{url: u}).playlist(t.Context(), newNetwork(&Options{}), newDrain())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// TestIdleServerIsNotFlooded: a server that answers at once with nothing new is asked as often as
// parts come, not more.
func TestIdleServerIsNotFlooded(t *testing.T) {
	var asked atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		fmt.Fprint(w, "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-PART-INF:PART-TARGET=0.2\n#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES\n")
	}))
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	u, _ := url.Parse(server.URL + "/l.m3u8")
	if err := (&player{url: u}).playlist(ctx, newNetwork(&Options{}), newDrain()); err == nil {
		t.Error("no end")
	}
	if n := asked.Load(); n < 2 || n > 8 {
		t.Errorf("asked %d times", n)
	}
}

// fragmentsOf runs the parser over an init section and fragments.
func fragmentsOf(init, b []byte) (units []tsUnit, faults, back int) {
	p := fragmentParser{
		unit: func(random bool, data []byte) {
			_, number, _ := findStamp(data)
			units = append(units, tsUnit{random, number})
		},
		fault: func() { faults++ }, back: func() { back++ },
	}
	p.init(init)
	p.fragments(b)
	return units, faults, back
}

func TestFragmentParser(t *testing.T) {
	o := &origin{began: time.Unix(1, 0)}
	o.video, o.audio = tracksOf(t)
	init, err := fmp4.AppendInit(nil, o.video, nil)
	if err != nil {
		t.Fatal(err)
	}
	two := append(o.part('v', 0), o.part('v', 1)...)
	units, faults, back := fragmentsOf(init, two)
	if faults != 0 || back != 0 || len(units) != 2*originPictures {
		t.Fatalf("%v, %d faults, %d times back", units, faults, back)
	}
	for i, u := range units {
		if u != (tsUnit{i == 0, uint32(i)}) {
			t.Errorf("picture %d is %+v", i, u)
		}
	}
	if _, _, back := fragmentsOf(init, append(o.part('v', 1), o.part('v', 0)...)); back != 1 {
		t.Errorf("time went back %d times", back)
	}
	for i := 1; i < len(two); i++ {
		if i == len(two)/2 { // the first part is whole
			continue
		}
		if _, faults, _ := fragmentsOf(nil, two[:i]); faults == 0 {
			t.Errorf("cut off after %d bytes: no fault", i)
		}
	}
}

// TestFragmentDefaults reads a fragment whose samples leave everything to trex and tfhd (ISO/IEC
// 14496-12 §8.8.3, §8.8.7).
func TestFragmentDefaults(t *testing.T) {
	trex := "\x00\x00\x00\x20trex\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00\x05\x00\x00\x00\x03\x00\x01\x00\x00"
	init := "\x00\x00\x00\x30moov\x00\x00\x00\x28mvex" + trex
	tfhd := "\x00\x00\x00\x10tfhd\x00\x02\x00\x00\x00\x00\x00\x01"
	tfdt := "\x00\x00\x00\x10tfdt\x00\x00\x00\x00\x00\x00\x00\x64"
	trun := "\x00\x00\x00\x18trun\x00\x00\x00\x05\x00\x00\x00\x02\x00\x00\x00\x50\x00\x00\x00\x00"
	part := "\x00\x00\x00\x48moof\x00\x00\x00\x40traf" + tfhd + tfdt + trun + "\x00\x00\x00\x0Emdatabcdef"
	var got []string
	p := fragmentParser{fault: func() { t.Error("fault") }, back: func() { t.Error("back") }}
	p.unit = func(random bool, data []byte) { got = append(got, fmt.Sprint(random, string(data))) }
	p.init([]byte(init))
	p.fragments([]byte(part))
	if fmt.Sprint(got) != "[trueabc falsedef]" || p.next != 100+2*5 {
		t.Errorf("%v, next at %d", got, p.next)
	}
}

// FuzzFragments checks that no bytes do harm, and that samples lie inside of what was given.
func FuzzFragments(f *testing.F) {
	o := &origin{began: time.Unix(1, 0)}
	o.video, o.audio = tracksOf(f)
	init, err := fmp4.AppendInit(nil, o.video, nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(init, o.part('v', 1))
	f.Add([]byte("\x00\x00\x00\x08moof"), []byte("\x00\x00\x00\x10moof\x00\x00\x00\x08traf"))
	f.Add([]byte("\x00\x00\x00\x08mvex"), []byte("\x00\x00\x00\x20moof\x00\x00\x00\x18trun\x00\x00\x00\x01\xFF\xFF\xFF\xFF\x00\x00\x00\x08\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, init, b []byte) {
		total := 0
		p := fragmentParser{fault: func() {}, back: func() {}, unit: func(_ bool, data []byte) {
			if total += len(data); len(data) == 0 {
				t.Fatal("an empty sample")
			}
		}}
		p.init(init)
		p.fragments(b)
	})
}
