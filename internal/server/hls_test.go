package server

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"
	tscodecs "github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"

	"livego/internal/flv"
)

// TestHLSDeliversWhatWasPublished takes the segments of an ended playlist apart.
func TestHLSDeliversWhatWasPublished(t *testing.T) {
	for _, tc := range []struct {
		name, scheme string
		change       func(*Options)
	}{
		{"http", "http", func(*Options) {}},
		{"https", "https", withTLS(t)},
		{"on demand", "http", func(o *Options) { o.HLSOnDemand = true }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s, tags := start(t, tc.change), clip(t)
			address := s.url(tc.scheme, "hls", "/live/movie.m3u8")
			e := publish(t, s, "movie")
			const few = 20 // what joiners have is not the whole clip: it is asked for before there is more
			e.send(tags[:few]...)
			asked := make(chan answer, 1)
			go func() { asked <- call(t, "GET", address) }() // held until the first segment
			eventually(t, "it is asked for", func() bool { return !s.hls.Asked("live/movie").IsZero() })
			e.send(tags[few:]...)
			a := <-asked
			wantEqual(t, "playlist of a stream that has begun", a.status, 200)
			e.unpublish()
			eventually(t, "the playlist ends", func() bool {
				a = call(t, "GET", address)
				return strings.Contains(a.body, "#EXT-X-ENDLIST")
			})
			wantEqual(t, "type", a.header.Get("Content-Type"), "application/vnd.apple.mpegurl")
			wantEqual(t, "CORS", a.header.Get("Access-Control-Allow-Origin"), "*")
			var pictures, frames [][]byte
			for _, uri := range regexp.MustCompile(`(?m)^[^#\n].*$`).FindAllString(a.body, -1) {
				segment := call(t, "GET", resolve(t, address, uri))
				wantEqual(t, uri, segment.status, 200)
				p, f := readTS(t, []byte(segment.body))
				pictures, frames = append(pictures, p...), append(frames, f...)
			}
			sameSamples(t, "pictures", pictures, picturesOf(tags))
			sameSamples(t, "audio frames", frames, framesOf(tags))
		})
	}
}

func resolve(t testing.TB, base, reference string) string {
	t.Helper()
	b, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	u, err := b.Parse(reference)
	if err != nil {
		t.Fatal(err)
	}
	return u.String()
}

// readTS returns the pictures, their slices only, and the AAC frames of a segment.
func readTS(t testing.TB, data []byte) (pictures, frames [][]byte) {
	t.Helper()
	r := &mpegts.Reader{R: bytes.NewReader(data)}
	if err := r.Initialize(); err != nil {
		t.Fatal(err)
	}
	r.OnDecodeError(func(err error) { t.Error("segment: ", err) })
	for _, track := range r.Tracks() {
		switch track.Codec.(type) {
		case *tscodecs.H264:
			r.OnDataH264(track, func(_, _ int64, units [][]byte) error {
				pictures = append(pictures, slices264(units))
				return nil
			})
		case *tscodecs.MPEG4Audio:
			r.OnDataMPEG4Audio(track, func(_ int64, units [][]byte) error {
				for _, u := range units {
					frames = append(frames, bytes.Clone(u))
				}
				return nil
			})
		}
	}
	for {
		if err := r.Read(); errors.Is(err, io.EOF) {
			return pictures, frames
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// slices264 joins the NAL units that are slices (types 1 to 5): the others are written anew by a
// packager.
func slices264(units [][]byte) []byte {
	var joined []byte
	for _, u := range units {
		if kind := u[0] & 0x1F; kind >= 1 && kind <= 5 {
			joined = append(joined, u...)
		}
	}
	return joined
}

func picturesOf(tags []flv.Tag) (pictures [][]byte) {
	for _, tag := range only(tags, flv.TypeVideo) {
		if tag.Body[1] != 1 {
			continue
		}
		var units [][]byte
		for b := tag.Body[5:]; len(b) > 0; {
			n := binary.BigEndian.Uint32(b)
			units = append(units, b[4:4+n])
			b = b[4+n:]
		}
		pictures = append(pictures, slices264(units))
	}
	return pictures
}

func framesOf(tags []flv.Tag) (frames [][]byte) {
	for _, tag := range only(tags, flv.TypeAudio) {
		if tag.Body[1] == 1 {
			frames = append(frames, tag.Body[2:])
		}
	}
	return frames
}

func sameSamples(t testing.TB, what string, got, want [][]byte) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d %s, want %d", len(got), what, len(want))
		return
	}
	for i := range want {
		if !bytes.Equal(got[i], want[i]) {
			t.Errorf("%s: number %d has %d bytes, want %d", what, i, len(got[i]), len(want[i]))
			return
		}
	}
}

// TestJoinedDeliversWhatWasPublished takes the segments of a playlist of pictures and sound apart,
// and holds their parts against those of the tracks alone.
func TestJoinedDeliversWhatWasPublished(t *testing.T) {
	t.Parallel()
	s, tags := start(t, func(o *Options) { o.HLS.Joined, o.HLS.SegmentDuration, o.HLS.ListSize = true, time.Second, 20 }), clip(t)
	list := s.url("http", "hls", "/live/movie/index-v0a0.m3u8")
	e := publish(t, s, "movie")
	e.send(tags...)
	eventually(t, "the playlist is there", func() bool { return call(t, "GET", list).status == 200 })
	e.unpublish()
	text := ""
	eventually(t, "the playlist ends", func() bool {
		text = call(t, "GET", list).body
		return strings.Contains(text, "#EXT-X-ENDLIST")
	})
	if strings.Contains(text, "RENDITION-REPORT") {
		t.Error("it reports of playlists that its players do not need")
	}
	var init fmp4.Init
	section := regexp.MustCompile(`#EXT-X-MAP:URI="(.*?)"`).FindStringSubmatch(text)
	if err := init.Unmarshal(strings.NewReader(call(t, "GET", resolve(t, list, section[1])).body)); err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "tracks", len(init.Tracks), 2)
	samples := map[int][][]byte{}
	for _, uri := range regexp.MustCompile(`(?m)^[^#\n].*m4s$`).FindAllString(text, -1) {
		var parts fmp4.Parts
		segment := call(t, "GET", resolve(t, list, uri))
		if err := parts.Unmarshal([]byte(segment.body)); err != nil {
			t.Fatal(err)
		}
		for _, part := range parts {
			for _, track := range part.Tracks {
				for _, sample := range track.Samples {
					samples[track.ID] = append(samples[track.ID], sample.Payload)
				}
			}
		}
	}
	for i, want := range [][][]byte{picturesWhole(tags), framesOf(tags)} {
		sameSamples(t, "samples", samples[init.Tracks[i].ID], want)
	}
}

// picturesWhole returns the pictures as FLV has them.
func picturesWhole(tags []flv.Tag) (pictures [][]byte) {
	for _, tag := range only(tags, flv.TypeVideo) {
		if tag.Body[1] == 1 {
			pictures = append(pictures, tag.Body[5:])
		}
	}
	return pictures
}

// TestHLSThatIsOff: apps without hls, and streams that are not there.
func TestHLSThatIsOff(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *Options) { o.Apps = append(o.Apps, App{Name: "nohls", Live: true, FLV: true}) })
	publishTo(t, s.url("rtmp", "rtmp", "/nohls/"+s.key("movie"))).send(clip(t)...)
	for _, path := range []string{"/live/movie.m3u8", "/nohls/movie.m3u8", "/other/movie.m3u8", "/live/movie/1.ts", "/"} {
		wantEqual(t, path, call(t, "GET", s.url("http", "hls", path)).status, 404)
	}
	wantEqual(t, "policy", call(t, "GET", s.url("http", "hls", "/live/crossdomain.xml")).status, 200)
	wantContains(t, "watch page", call(t, "GET", s.url("http", "hls", "/live/movie/")).body, "<html")
}

// TestHLSWithoutCMAF: MPEG-TS only, and whoever asks for CMAF is told so at once.
func TestHLSWithoutCMAF(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *Options) { o.HLS.CMAF = false })
	publish(t, s, "movie").send(clip(t)...)
	index := call(t, "GET", s.url("http", "hls", "/live/movie/index.m3u8"))
	wantEqual(t, "index", index.status, 404)
	wantContains(t, "index", index.body, "hls_cmaf is false): movie.m3u8")
	wantEqual(t, "rendition", call(t, "GET", s.url("http", "hls", "/live/movie/index-v0.m3u8")).status, 404)
	wantEqual(t, "MPEG-TS", call(t, "GET", s.url("http", "hls", "/live/movie.m3u8")).status, 200)
	page := call(t, "GET", s.url("http", "hls", "/live/movie/")).body
	wantContains(t, "watch page", page, `src="../movie.m3u8"`)
	wantEqual(t, "CMAF in the page", strings.Contains(page, "index.m3u8"), false)
}

// Decision 26: a takeover is a discontinuity of the same playlist.
func TestHLSAtATakeover(t *testing.T) {
	t.Parallel()
	s, tags := start(t), clip(t)
	address := s.url("http", "hls", "/live/movie.m3u8")
	publish(t, s, "movie").send(tags...)
	before := call(t, "GET", address)
	second := publish(t, s, "movie")
	second.send(tags...)
	second.unpublish()
	var after answer
	eventually(t, "the playlist ends", func() bool {
		after = call(t, "GET", address)
		return strings.Contains(after.body, "#EXT-X-ENDLIST")
	})
	sequence := regexp.MustCompile(`#EXT-X-MEDIA-SEQUENCE:(\d+)`)
	if b, a := sequence.FindString(before.body), sequence.FindString(after.body); a < b {
		t.Errorf("sequence goes from %s to %s", b, a)
	}
	wantEqual(t, "discontinuities", strings.Count(after.body, "#EXT-X-DISCONTINUITY\n"), 1)
}

// TestHLSViewersAreCounted in livestat.
func TestHLSViewersAreCounted(t *testing.T) {
	t.Parallel()
	s, tags := start(t), clip(t)
	publish(t, s, "movie").send(tags...)
	call(t, "GET", s.url("http", "hls", "/live/movie.m3u8"))
	wantContains(t, "livestat", call(t, "GET", s.url("http", "api", "/stat/livestat")).body, `"hls_viewers":1`)
}
