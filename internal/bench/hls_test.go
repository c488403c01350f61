package bench

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"
	"github.com/google/go-cmp/cmp"
)

func TestParsePlaylist(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want *mediaPlaylist
	}{
		"live, RFC 8216 §8.2": {
			"#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:8\n#EXT-X-MEDIA-SEQUENCE:2680\n\n#EXTINF:7.975,\nhttps://priv.example.com/2680.ts\n" +
				"#EXTINF:7.941,title\r\n2681.ts\r\n",
			&mediaPlaylist{target: 8 * time.Second, sequence: 2680, segments: []segment{
				{uri: "https://priv.example.com/2680.ts", duration: 7975 * time.Millisecond}, {uri: "2681.ts", duration: 7941 * time.Millisecond}}},
		},
		"ended": {
			"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:3.003\nfirst.ts\n#EXT-X-ENDLIST",
			&mediaPlaylist{target: 10 * time.Second, ended: true, segments: []segment{{uri: "first.ts", duration: 3003 * time.Millisecond}}},
		},
		"multivariant, RFC 8216 §8.4": {
			"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1280000\nhttp://example.com/low.m3u8\n#EXT-X-STREAM-INF:BANDWIDTH=2560000\nmid.m3u8\n",
			&mediaPlaylist{variant: "http://example.com/low.m3u8"},
		},
		"low latency, RFC 8216bis B.1": {
			"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-VERSION:9\n#EXT-X-PART-INF:PART-TARGET=0.5\n" +
				"#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.5,CAN-SKIP-UNTIL=24\n#EXT-X-MEDIA-SEQUENCE:266\n" +
				"#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n#EXT-X-MAP:URI=\"i,1.mp4\"\n#EXTINF:4,\n269.mp4\n" +
				"#EXT-X-PART:DURATION=0.5,URI=\"270.0.mp4\",INDEPENDENT=YES\n#EXT-X-PART:DURATION=0.5,URI=\"270.1.mp4\"\n#EXTINF:1,\n270.mp4\n" +
				"#EXT-X-GAP\n#EXTINF:4,\n271.mp4\n" +
				"#EXT-X-PART:DURATION=0.5,URI=\"272.0.mp4\",GAP=YES\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"272.1.mp4\"\n" +
				"#EXT-X-RENDITION-REPORT:URI=\"../1M/waitForMSN.php\",LAST-MSN=272,LAST-PART=2\n",
			&mediaPlaylist{
				target: 4 * time.Second, sequence: 266, skipped: 3, partTarget: time.Second / 2, holdBack: 1500 * time.Millisecond,
				blocks: true, skips: true, hint: "272.1.mp4",
				segments: []segment{
					{uri: "269.mp4", duration: 4 * time.Second, init: "i,1.mp4"},
					{uri: "270.mp4", duration: time.Second, init: "i,1.mp4", parts: []part{
						{uri: "270.0.mp4", duration: time.Second / 2, independent: true}, {uri: "270.1.mp4", duration: time.Second / 2}}},
					{uri: "271.mp4", duration: 4 * time.Second, init: "i,1.mp4", gap: true},
					{init: "i,1.mp4", parts: []part{{uri: "272.0.mp4", duration: time.Second / 2, gap: true}}},
				},
			},
		},
		"audio apart, RFC 8216bis 8.6": {
			"#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"b\",NAME=\"x\",URI=\"b.m3u8\"\n" +
				"#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"aac\",NAME=\"Deutsch\",URI=\"de.m3u8\"\n" +
				"#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"aac\",NAME=\"English\",DEFAULT=YES,URI=\"en.m3u8\"\n" +
				"#EXT-X-STREAM-INF:BANDWIDTH=1280000,CODECS=\"a,b\",AUDIO=\"aac\"\nlow.m3u8\n",
			&mediaPlaylist{variant: "low.m3u8", audio: "en.m3u8"},
		},
		"byte ranges":        {text: "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-BYTERANGE:10@0\na.ts\n"},
		"parts are ranges":   {text: "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-PART:DURATION=1,URI=\"a\",BYTERANGE=\"10@0\"\n"},
		"part without time":  {text: "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-PART:URI=\"a\"\n"},
		"skips backwards":    {text: "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-SKIP:SKIPPED-SEGMENTS=-1\n"},
		"something else":     {text: "<html>"},
		"no target duration": {text: "#EXTM3U\n#EXTINF:1,\na.ts\n"},
		"bad number":         {text: "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:x\n"},
		"bad duration":       {text: "#EXTM3U\n#EXT-X-TARGETDURATION:NaN\n"},
	} {
		got, err := parsePlaylist(c.text)
		if (err == nil) != (c.want != nil) {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(c.want, got, cmp.AllowUnexported(mediaPlaylist{}, segment{}, part{})); err == nil && diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestStalled(t *testing.T) {
	var p player
	start := time.Unix(1000, 0)
	if !p.stalled(start) {
		t.Error("a player without a segment plays")
	}
	video, audio := &clock{}, &clock{}
	p.clocks.Store(&[]*clock{video, audio})
	video.add(time.Hour)
	if !p.stalled(start) {
		t.Error("a player without sound plays")
	}
	for _, c := range []*clock{video, audio} {
		c.since.Store(start.UnixNano())
	}
	audio.add(3 * time.Second)
	if p.stalled(start.Add(3*time.Second)) || !p.stalled(start.Add(3*time.Second+1)) {
		t.Error("a player does not play for as long as it has all media")
	}
}

// tsUnit is what the parser found.
type tsUnit struct {
	random bool
	number uint32
}

// segmentOf makes a segment with somebody else's muxer: four pictures with stamps and audio between
// them.
func segmentOf(t testing.TB, video bool) []byte {
	var out bytes.Buffer
	pictures := &mpegts.Track{PID: 256, Codec: &codecs.H264{}}
	audio := &mpegts.Track{PID: 257, Codec: &codecs.MPEG4Audio{}}
	if err := audio.Codec.(*codecs.MPEG4Audio).Config.Unmarshal(audioSpecificConfig()); err != nil {
		t.Fatal(err)
	}
	tracks := []*mpegts.Track{audio}
	if video {
		tracks = append(tracks, pictures)
	}
	w := &mpegts.Writer{W: &out, Tracks: tracks}
	if err := w.Initialize(); err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		at := int64(i) * 3000
		frame, digits := silence(64_000, true)
		writeStamp(frame[digits:], time.Unix(1, 0), uint32(100+i))
		if err := w.WriteMPEG4Audio(audio, at, [][]byte{frame}); err != nil {
			t.Fatal(err)
		}
		if !video {
			continue
		}
		unit := byte(nalSlice)
		if i == 0 {
			unit = nalIDR
		}
		stamp, digits := appendStamp(nil, []byte{nalSEI})
		writeStamp(stamp[digits:], time.Unix(1, 0), uint32(i))
		slice := append([]byte{unit}, bytes.Repeat([]byte{0xAB}, 10_000)...)
		if err := w.WriteH264(pictures, at, at, [][]byte{stamp[4:], slice}); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

// parse runs the parser over a segment.
func parse(b []byte) (units []tsUnit, faults int) {
	p := tsParser{
		unit: func(random bool, payload []byte) {
			_, number, _ := findStamp(payload)
			units = append(units, tsUnit{random, number})
		},
		fault: func() { faults++ },
	}
	p.segment(b)
	return units, faults
}

func TestTSParser(t *testing.T) {
	whole := segmentOf(t, true)
	units, faults := parse(whole)
	if want := []tsUnit{{true, 0}, {false, 1}, {false, 2}, {false, 3}}; faults != 0 || !cmp.Equal(units, want, cmp.AllowUnexported(tsUnit{})) {
		t.Errorf("%v with %d faults, want %v", units, faults, want)
	}
	units, faults = parse(segmentOf(t, false))
	if faults != 0 || len(units) != 4 || units[3].number != 103 {
		t.Errorf("audio: %v with %d faults", units, faults)
	}
	middle := len(whole) / tsPacketSize / 2 * tsPacketSize
	if _, faults := parse(append(bytes.Clone(whole[:middle]), whole[middle+tsPacketSize:]...)); faults != 1 {
		t.Errorf("%d faults after a lost packet", faults)
	}
	if _, faults := parse(whole[:len(whole)-1]); faults == 0 {
		t.Error("a packet that is cut off is no fault")
	}
}

// FuzzTSParser checks that no bytes do harm, and that bytes behind a segment do not change what was
// found in it.
func FuzzTSParser(f *testing.F) {
	f.Add(segmentOf(f, true)[:20*tsPacketSize])
	f.Add(segmentOf(f, false))
	f.Fuzz(func(t *testing.T, b []byte) {
		b = b[:min(len(b)/tsPacketSize, 100)*tsPacketSize] // more takes the fuzzer long and shows nothing new
		before, _ := parse(b)
		after, _ := parse(append(bytes.Clone(b), make([]byte, tsPacketSize)...))
		if !cmp.Equal(before, after, cmp.AllowUnexported(tsUnit{})) {
			t.Errorf("%v, then %v", before, after)
		}
	})
}

// FuzzPlaylist checks that no text does harm, and that what is accepted can be used.
func FuzzPlaylist(f *testing.F) {
	f.Add("#EXTM3U\n#EXT-X-TARGETDURATION:8\n#EXT-X-MEDIA-SEQUENCE:2680\n#EXTINF:7.975,\n2680.ts\n#EXT-X-ENDLIST\n")
	f.Add("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nlow.m3u8\n")
	f.Add("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-SKIP:SKIPPED-SEGMENTS=1\n#EXT-X-PART:DURATION=1,URI=\"a\"\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"b\"\n")
	f.Fuzz(func(t *testing.T, text string) {
		l, err := parsePlaylist(text)
		if err == nil && l.variant == "" && l.target <= 0 {
			t.Errorf("%+v", l)
		}
	})
}

// TestPlaylistsShared: a text is read once, however many players get it, and few are remembered.
func TestPlaylistsShared(t *testing.T) {
	var p playlists
	text := func(i int) []byte {
		return fmt.Appendf(nil, "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:%d\n#EXTINF:4,\n%d.ts\n", i, i)
	}
	first, err := p.parse(text(0))
	if err != nil {
		t.Fatal(err)
	}
	if again, err := p.parse(text(0)); err != nil || again != first {
		t.Errorf("%p and %p, %v", first, again, err)
	}
	for i := range 3 * maxParsed {
		if l, err := p.parse(text(i)); err != nil || l.sequence != i {
			t.Fatalf("%+v, %v", l, err)
		}
	}
	if n := len(p.parsed); n > maxParsed {
		t.Errorf("%d are remembered", n)
	}
	if _, err := p.parse([]byte("no playlist")); err == nil {
		t.Error("anything is a playlist")
	}
}
