package record

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net/http/httptest"
	"path"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	mp4 "github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"

	"livego/internal/bucket"
	"livego/internal/fmp4"
	"livego/internal/hls"
	"livego/internal/media"
)

// avcC is the decoder configuration of 192 x 108 pictures.
var avcC = []byte("\x01\x64\x00\x0b\xff\xe1\x00\x19\x67\x64\x00\x0b\xac\xd9\x43\x0f\xfb\xc0\x44\x00\x00\x03\x00\x04\x00\x00\x03\x00\xc8\x3c\x50\xa6\x58\x01\x00\x04\x68\xef\x8f\xcb\xfd\xf8\xf8\x00")

// rungs are the tracks of a stream with real media, by their renditions.
var (
	video = media.Track{
		Kind: media.Video, Codec: media.H264, Parsed: true, Config: avcC, Width: 192, Height: 108, NALLengthSize: 4, ParameterSets: [][]byte{avcC[8:33]},
	}
	audio = media.Track{Kind: media.Audio, Codec: media.AAC, Parsed: true, Config: []byte{0x12, 0x10}, SampleRate: 48000, Channels: 2, SamplesPerFrame: 1024}
)

// studio makes segments of 2 s with real media: 10 pictures a second, and a frame of sound each
// 1024 samples of 48 kHz.
type studio struct {
	sink    hls.Sink
	seq     int64
	at      time.Duration
	tracks  map[string]*media.Track
	writers map[string]*fmp4.Writer
}

func (b *bench) studio(t *testing.T, stream string, seq int64, at time.Duration) *studio {
	v, a := video, audio
	s := &studio{sink: b.Begin(stream), seq: seq, at: at, tracks: map[string]*media.Track{"v0": &v, "a0": &a}, writers: map[string]*fmp4.Writer{}}
	for id, track := range s.tracks {
		w, err := fmp4.NewWriter(track)
		if err != nil {
			t.Fatal(err)
		}
		s.writers[id] = w
	}
	return s
}

const studioStep = 2 * time.Second

// units are those of a rendition from one time to another.
func units(track *media.Track, from, to time.Duration) (all []media.AccessUnit) {
	step := 100 * time.Millisecond
	if track.Kind == media.Audio {
		step = 1024 * time.Second / 48000
	}
	for i := (from + step - 1) / step; i*step < to; i++ {
		u := media.AccessUnit{Track: track, DTS: i * step, PTS: i * step, RandomAccess: track.Kind == media.Audio || i*step == from}
		u.Data = fmt.Appendf([]byte{0x21}, "frame %d", i)
		if track.Kind == media.Video {
			nal := fmt.Appendf([]byte{0x65}, "picture %d", i)
			u.Data = append(binary.BigEndian.AppendUint32(nil, uint32(len(nal))), nal...)
		}
		all = append(all, u)
	}
	return all
}

func (s *studio) play(t *testing.T, n int, without ...string) *studio {
	t.Helper()
	for range n {
		time.Sleep(studioStep)
		for _, id := range []string{"v0", "a0"} {
			track := s.tracks[id]
			k := hls.Segment{
				Description: describe(id, track.Kind), Seq: s.seq, Start: s.at, Duration: studioStep, Target: studioStep, Independent: true,
				At: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Add(s.at), Gap: len(without) > 0 && without[0] == id,
			}
			f := fmp4.Fragment{Units: units(track, s.at, s.at+studioStep), Segment: true}
			f.Next = units(track, s.at+studioStep, s.at+2*studioStep)[0].DTS
			data, _, err := s.writers[id].Append(nil, &f)
			if err != nil {
				t.Fatal(err)
			}
			if !k.Gap {
				k.Pieces = [][]byte{data[:50], data[50:]}
				if k.Init, err = fmp4.AppendInit(nil, track, f.Units[0].Data); err != nil {
					t.Fatal(err)
				}
			}
			s.sink.Segment(k)
		}
		s.seq, s.at = s.seq+1, s.at+studioStep
	}
	synctest.Wait()
	return s
}

// ask sends a request for a file of a recording.
func (b *bench) ask(method, target string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	b.ServeHTTP(w, r)
	return w
}

// recorded is a recording of 20 s, of which the sound misses 2 s, and its URL without the file.
func recorded(t *testing.T, change ...func(*Options)) (b *bench, base string) {
	t.Helper()
	b = newBench(t, append(change, func(o *Options) { o.Join = 0 })...)
	s := b.studio(t, "live/team/red", 100, 1000*time.Second).play(t, 4).play(t, 1, "a0").play(t, 5)
	s.sink.End()
	time.Sleep(5 * time.Second)
	all := b.List("live/team/red")
	if len(all) != 1 || all[0].State != Complete || all[0].Duration != 20 {
		t.Fatalf("%+v\n%s", all, b.log)
	}
	return b, Path + "live/team/red/" + all[0].ID + "/"
}

// TestServe serves the files of a recording as they are, with ranges, and nothing else.
func TestServe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, base := recorded(t, func(o *Options) { o.List = true })
		whole := b.bucket.text("v0/100.m4s")
		for _, c := range []struct {
			method, target, headers string
			status                  int
			body                    string
		}{
			{"GET", base + "v0/100.m4s", "", 200, whole},
			{"HEAD", base + "v0/100.m4s", "", 200, ""},
			{"GET", base + "v0/100.m4s", "Range: bytes=10-19", 206, whole[10:20]},
			{"GET", base + "v0/100.m4s", "Range: bytes=-5", 206, whole[len(whole)-5:]},
			{"GET", base + "v0/100.m4s", `If-None-Match: "v0/100.m4s"`, 304, ""},
			{"GET", base + "v0/100.m4s", "Range: bytes=9999999-", 416, ""},
			{"GET", base + "v0/100.mp4", "", 200, b.bucket.text("v0/100.mp4")},
			{"GET", base + "index.m3u8", "", 200, b.bucket.text("index.m3u8")},
			{"GET", base + "a0.m3u8", "", 200, b.bucket.text("a0.m3u8")},
			{"GET", base + "recording.json", "", 200, b.bucket.text("recording.json")},
			{"OPTIONS", base + "index.m3u8", "", 204, ""},
			{"POST", base + "index.m3u8", "", 405, ""},
			{"GET", base + "v0/1.m4s", "", 404, ""},
			{"GET", base + "v0/0100.m4s", "", 404, ""},
			{"GET", base + "v9.m3u8", "", 404, ""},
			{"GET", base + "../recording.json", "", 404, ""},
			{"GET", base + ".x.m3u8", "", 404, ""},
			{"GET", base + "journal", "", 404, ""},
			{"GET", strings.Replace(base, "red", "blue", 1) + "index.m3u8", "", 404, ""},
			{"GET", Path + "live/index.m3u8", "", 404, ""},
			{"GET", Path, "", 404, ""},
		} {
			w := b.ask(c.method, c.target, c.headers)
			if w.Code != c.status || c.body != "" && w.Body.String() != c.body {
				t.Errorf("%s %s %s: %d, %d bytes", c.method, c.target, c.headers, w.Code, w.Body.Len())
			}
			if cache := w.Header().Get("Cache-Control"); w.Code >= 400 && strings.Contains(cache, "public") || w.Code == 200 && strings.HasSuffix(c.target, "m4s") != strings.Contains(cache, "immutable") && !strings.HasSuffix(c.target, "mp4") {
				t.Errorf("%s %s: %d with Cache-Control %q", c.method, c.target, w.Code, cache)
			}
		}
		if w := b.ask("GET", Path+"live/team/red/recordings.json"); w.Code != 200 || !strings.Contains(w.Body.String(), path.Base(path.Dir(base+"x"))) {
			t.Errorf("the list: %d %s", w.Code, w.Body)
		}
		b.bucket.setFail(func(string) error { return errAway })
		if w := b.ask("GET", base+"index.m3u8"); w.Code != 502 || strings.Contains(w.Body.String(), "away") {
			t.Errorf("a bucket that is away: %d %s", w.Code, w.Body)
		}
		b.stop(t)
	})
}

func TestNamesInPaths(t *testing.T) {
	for path, want := range map[string]string{
		"/rec/live/movie/abc/index.m3u8": "live/movie", "/rec/live/a/b/abc/v0/7.m4s": "live/a/b", "/rec/live/a/b/abc/360p.v0/7.mp4": "live/a/b",
		"/rec/live/movie/abc/clip.mp4": "live/movie", "/rec/live/movie/recordings.json": "live/movie", "/rec/live/movie/": "", "/live/movie/index.m3u8": "",
		"/rec//movie/abc/index.m3u8": "",
	} {
		if got, _ := Names(path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}

// TestClipPlaylist: a clip has the segments between two moments, the same of all renditions, and
// begins at the moment.
func TestClipPlaylist(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, base := recorded(t)
		for query, want := range map[string]string{
			"from=3&to=9":   "video: i101 102 103 104 end, sound: i101 102 103 - end, offset 1",
			"from=4&to=6":   "video: i102 end, sound: i102 end, offset 0",
			"to=2":          "video: i100 end, sound: i100 end, offset 0",
			"from=18.5":     "video: i109 end, sound: i109 end, offset 0.5",
			"from=0&to=999": "video: i100 101 102 103 104 105 106 107 108 109 end, sound: i100 101 102 103 - 105 106 107 108 109 end, offset 0",
			"from=2026-03-01T12:16:46Z&to=2026-03-01T12:16:48Z": "video: i103 end, sound: i103 end, offset 0",
		} {
			index := b.ask("GET", base+"clip.m3u8?"+query).Body.String()
			_, span, _ := strings.Cut(index, `URI="a0.m3u8?`)
			span, _, _ = strings.Cut(span, `"`)
			if !strings.Contains(index, "\nv0.m3u8?"+span+"\n") {
				t.Errorf("%s: index\n%s", query, index)
				continue
			}
			v, a := b.ask("GET", base+"v0.m3u8?"+span).Body.String(), b.ask("GET", base+"a0.m3u8?"+span).Body.String()
			_, offset, _ := strings.Cut(v, "TIME-OFFSET=")
			offset, _, _ = strings.Cut(offset, ",")
			offset = strings.TrimSuffix(strings.TrimRight(offset, "0"), ".")
			if offset == "" {
				offset = "0"
			}
			if got := fmt.Sprintf("video: %s, sound: %s, offset %s", listed(v), listed(a), offset); got != want {
				t.Errorf("%s:\n%s, want\n%s", query, got, want)
			}
		}
		for _, query := range []string{"from=20", "from=5&to=5", "from=6&to=5", "from=-1", "from=x", "to=NaN", "from=1e300"} {
			for _, file := range []string{"clip.m3u8?", "clip.mp4?"} {
				if w := b.ask("GET", base+file+query); w.Code != 422 {
					t.Errorf("%s%s: %d", file, query, w.Code)
				}
			}
		}
		for _, span := range []string{"", "1", "0-11-0", "5-4-0", "-1-2-0", "0-99999999999999999999-0"} {
			if w := b.ask("GET", base+"v0.m3u8?span="+span); w.Code < 400 || w.Code > 499 {
				t.Errorf("span %q: %d", span, w.Code)
			}
		}
		b.stop(t)
	})
}

// readMP4 reads a clip: the payloads of the samples of each track, and where they begin and end.
func readMP4(t *testing.T, file []byte) (payloads map[int][]string, begin, end map[int]time.Duration) {
	t.Helper()
	var init mp4.Init
	if err := init.Unmarshal(bytes.NewReader(file)); err != nil {
		t.Fatal(err)
	}
	at := 0
	_ = boxes(file, func(kind string, _ int, payload []byte) error {
		if at == 0 && kind == "moov" {
			at = bytes.Index(file, []byte("moov")) - 4 + boxHeader + len(payload)
		}
		return nil
	})
	var parts mp4.Parts
	if err := parts.Unmarshal(file[at:]); err != nil {
		t.Fatal(err)
	}
	scales := map[int]uint32{}
	for _, track := range init.Tracks {
		scales[track.ID] = track.TimeScale
	}
	payloads, begin, end = map[int][]string{}, map[int]time.Duration{}, map[int]time.Duration{}
	for _, part := range parts {
		for _, track := range part.Tracks {
			scale := scales[track.ID]
			ticks := int64(track.BaseTime)
			if _, known := begin[track.ID]; !known {
				begin[track.ID] = timeOf(ticks, scale)
			}
			for _, s := range track.Samples {
				payloads[track.ID] = append(payloads[track.ID], string(s.Payload))
				ticks += int64(s.Duration)
			}
			end[track.ID] = timeOf(ticks, scale)
		}
	}
	return payloads, begin, end
}

// TestClipFile: a clip as a file has both tracks, from time 0 on, all units, and the length that
// its head said.
func TestClipFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, base := recorded(t)
		for query, span := range map[string][2]time.Duration{"": {0, 20 * time.Second}, "?from=2&to=8": {2 * time.Second, 8 * time.Second}} {
			w := b.ask("GET", base+"clip.mp4"+query)
			if w.Code != 200 || w.Header().Get("Content-Length") != fmt.Sprint(w.Body.Len()) {
				t.Fatalf("%s: %d, %s for %d bytes", query, w.Code, w.Header().Get("Content-Length"), w.Body.Len())
			}
			payloads, begin, end := readMP4(t, w.Body.Bytes())
			for id, track := range map[int]*media.Track{1: &video, 2: &audio} {
				var want []string
				for _, u := range units(track, 1000*time.Second+span[0], 1000*time.Second+span[1]) {
					if missing := u.DTS >= 1008*time.Second && u.DTS < 1010*time.Second; id == 1 || !missing {
						want = append(want, string(u.Data))
					}
				}
				if fmt.Sprint(payloads[id]) != fmt.Sprint(want) {
					t.Errorf("%s: track %d has %d units, want %d", query, id, len(payloads[id]), len(want))
				}
				if off := (end[id] - (span[1] - span[0])).Abs(); begin[id] > 30*time.Millisecond || off > 30*time.Millisecond {
					t.Errorf("%s: track %d is from %v to %v", query, id, begin[id], end[id])
				}
			}
			if head := b.ask("HEAD", base+"clip.mp4"+query); head.Header().Get("Content-Length") != fmt.Sprint(w.Body.Len()) || head.Body.Len() > 0 {
				t.Errorf("HEAD says %s", head.Header().Get("Content-Length"))
			}
		}
		payloads, _, _ := readMP4(t, b.ask("GET", base+"clip.mp4?rendition=a0").Body.Bytes())
		if len(payloads) != 1 || !strings.Contains(payloads[1][0], "frame") {
			t.Errorf("sound alone: %d tracks", len(payloads))
		}
		if w := b.ask("GET", base+"clip.mp4?rendition=x"); w.Code != 404 {
			t.Errorf("unknown rendition: %d", w.Code)
		}
		b.stop(t)
	})
}

// TestClipRanges: any range of a clip is what the whole file has there, also behind a discontinuity
// where media go on elsewhere.
func TestClipRanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(o *Options) { o.Join = time.Minute })
		b.studio(t, "live/movie", 100, 1000*time.Second).play(t, 5).sink.End()
		b.studio(t, "live/movie", 200, 400*time.Second).play(t, 5).sink.End()
		time.Sleep(2 * time.Minute)
		file := Path + "live/movie/" + b.List("")[0].ID + "/clip.mp4"
		whole := b.ask("GET", file)
		data, etag, size := whole.Body.Bytes(), whole.Header().Get("Etag"), whole.Body.Len()
		if _, begin, end := readMP4(t, data); begin[1] != 0 || (end[1]-20*time.Second).Abs() > 30*time.Millisecond {
			t.Errorf("the clip is from %v to %v", begin[1], end[1])
		}
		for from := 0; from < size; from += size/23 + 1 {
			for _, length := range []int{1, 100, size / 3, size} {
				to := min(from+length, size) - 1
				w := b.ask("GET", file, fmt.Sprintf("Range: bytes=%d-%d", from, to), "If-Range: "+etag)
				if w.Code != 206 || !bytes.Equal(w.Body.Bytes(), data[from:to+1]) || w.Header().Get("Content-Range") != fmt.Sprintf("bytes %d-%d/%d", from, to, size) {
					t.Fatalf("bytes %d to %d: %d, %d bytes, %q", from, to, w.Code, w.Body.Len(), w.Header())
				}
			}
		}
		for header, want := range map[string]int{
			"Range: bytes=-10": 206, fmt.Sprintf("Range: bytes=%d-", size): 416, "If-None-Match: " + etag: 304, "If-Match: \"other\"": 412,
		} {
			if w := b.ask("GET", file, header); w.Code != want {
				t.Errorf("%s: %d", header, w.Code)
			}
		}
		if w := b.ask("GET", file, "Range: bytes=0-9", `If-Range: "other"`); w.Code != 200 || w.Body.Len() != size {
			t.Errorf("a range of another file: %d, %d bytes", w.Code, w.Body.Len())
		}
		if w := b.ask("GET", file+"?from=2"); w.Header().Get("Etag") == etag {
			t.Error("two clips have one ETag")
		}
		if w := b.ask("HEAD", file, "Range: bytes=0-9"); w.Code != 206 || w.Body.Len() != 0 || w.Header().Get("Content-Length") != "10" {
			t.Errorf("HEAD: %d %q", w.Code, w.Header())
		}
		b.stop(t)
	})
}

// TestClipAcrossSettings: one file cannot have what is before and behind a change of the encoder's
// settings, each of both can.
func TestClipAcrossSettings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(o *Options) { o.Join = time.Minute })
		s := b.studio(t, "live/movie", 100, 1000*time.Second).play(t, 5)
		s.sink.End()
		again := b.studio(t, "live/movie", 200, 1014*time.Second)
		other := video
		other.Width, other.Height = 320, 180
		again.tracks["v0"] = &other
		var err error
		if again.writers["v0"], err = fmp4.NewWriter(&other); err != nil {
			t.Fatal(err)
		}
		again.play(t, 5).sink.End()
		time.Sleep(2 * time.Minute)
		base := Path + "live/movie/" + b.List("")[0].ID + "/"
		for query, status := range map[string]int{"": 409, "?to=9": 200, "?from=15": 200} {
			if w := b.ask("GET", base+"clip.mp4"+query); w.Code != status {
				t.Errorf("%s: %d %s", query, w.Code, w.Body)
			}
		}
		b.stop(t)
	})
}

// below is a part of a bucket.
type below struct {
	*memory
	folder string
}

func (b below) Write(ctx context.Context, name string, data []byte, as bucket.Meta) error {
	return b.memory.Write(ctx, b.folder+"/"+name, data, as)
}
func (b below) Open(ctx context.Context, name string) (*bucket.File, error) {
	return b.memory.Open(ctx, b.folder+"/"+name)
}
func (b below) Stat(ctx context.Context, name string) (int64, error) {
	return b.memory.Stat(ctx, b.folder+"/"+name)
}
func (b below) List(ctx context.Context, name string) ([]string, error) {
	return b.memory.List(ctx, b.folder+"/"+name)
}

// TestFix: a recording whose server is lost gets its end, with the segments that were stored and
// not listed yet.
func TestFix(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		s := b.studio(t, "live/movie", 100, 1000*time.Second).play(t, 18)
		early := b.bucket.text("v0.m3u8")
		s.play(t, 2)
		s.at, s.seq = s.at+4*time.Second, s.seq+2 // a hole
		s.play(t, 2)
		b.stop(t) // and never comes back
		b.bucket.mu.Lock()
		folder := ""
		for name, data := range b.bucket.files {
			switch path.Base(name) {
			case "119.m4s":
				if strings.HasSuffix(name, "a0/119.m4s") {
					b.bucket.files[name] = data[:40]
				}
			case recordingName:
				folder = path.Dir(name)
			}
		}
		b.bucket.mu.Unlock()
		rec, err := fix(t.Context(), below{b.bucket, folder})
		if err != nil || rec.State != Complete || rec.Duration < 47.9 || rec.Duration > 48.1 {
			t.Errorf("%+v, %v", rec, err)
		}
		want := "i"
		for i := range 19 {
			want += fmt.Sprintf("%d ", 100+i)
		}
		if got := listed(b.bucket.text("v0.m3u8")); got != want+"119 - - 122 123 end" || !strings.HasPrefix(got, listed(early)) {
			t.Errorf("video: %s", got)
		}
		if got := listed(b.bucket.text("a0.m3u8")); got != want+"- - - 122 123 end" {
			t.Errorf("sound, of which a segment is damaged: %s", got)
		}
		if _, err := fix(t.Context(), below{b.bucket, folder}); err != ErrComplete {
			t.Error(err)
		}
		if _, err := fix(t.Context(), below{b.bucket, "nothing"}); err == nil {
			t.Error("nothing was fixed")
		}
	})
}

// FuzzMP4: whatever a segment is, reading it ends, and does not reach beyond it.
func FuzzMP4(f *testing.F) {
	w, _ := fmp4.NewWriter(&audio)
	init, _ := fmp4.AppendInit(nil, &audio, []byte{0x21, 1})
	data, _, _ := w.Append(nil, &fmp4.Fragment{Units: units(&audio, 0, time.Second), Segment: true})
	f.Add(init)
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		before := len(data)
		if s, err := readInit(bytes.Clone(data)); err == nil {
			_, _ = joinInits([]initOf{s}, time.Second)
		}
		_, _ = begins(data, 48000)
		_, _ = lasts(data, 48000)
		n := uint32(0)
		if retrack(data, 2, 0, &n) == nil && len(data) != before {
			t.Error("the size has changed")
		}
	})
}

// FuzzPlaylist: what can be read can be cut and written.
func FuzzPlaylist(f *testing.F) {
	f.Add("#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXT-X-MAP:URI=\"v0/1.mp4\"\n#EXTINF:3.000000,\n#LIVEGO-SIZE:7\nv0/1.m4s\n#EXT-X-GAP\n#EXTINF:1,\ngap.m4s\n", "1", "2026-03-01T12:00:00Z")
	f.Fuzz(func(t *testing.T, text, from, to string) {
		p, err := readMedia([]byte(text))
		if err != nil {
			return
		}
		s, err := p.cut(from, to)
		if err != nil {
			return
		}
		out, err := p.render(s)
		if err != nil {
			t.Fatal(err)
		}
		again, err := readMedia(out)
		if err != nil || len(again.items) < s.end-s.first {
			t.Errorf("%v: %d of %d items", err, len(again.items), s.end-s.first)
		}
	})
}
