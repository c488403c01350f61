package e2e

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// lowLatency lets hls.js play Low-Latency HLS, as it does by default, and close in on the distance
// to live that the playlist asks for, which it does not: by default it stays as far behind as the
// start of the player took.
var lowLatency = map[string]any{"lowLatencyMode": true, "maxLiveSyncPlaybackRate": 1.5, "trace": true}

// waitIndex waits for the multivariant playlist.
func waitIndex(t testing.TB, s *server, stream string) {
	t.Helper()
	eventually(t, 20*time.Second, "a multivariant playlist", func() bool {
		status, _, _ := get(s.indexURL(stream))
		return status == http.StatusOK
	})
}

// playedPairs are the clips that TestCMAFPairs plays.
func playedPairs() []string {
	return []string{
		"h264-aac", "h264-opus", "h264-flac", "h264-mp3", "av1-aac", "av1-opus", "av1-flac", "av1-mp3", "vp9-aac", "vp9-opus", "vp9-flac", "vp9-mp3",
		"h264-aac-b", "h264", "aac",
	}
}

// TestCMAFPairs plays every pair of codecs that Chromium decodes. FFmpeg 7.1 publishes those with
// AAC, the tests' own client the others, for that version writes only video by the Enhanced way.
func TestCMAFPairs(t *testing.T) {
	t.Parallel()
	ffmpeg7 := setting(t, "FFMPEG7")
	for _, name := range playedPairs() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			chromium.turn(t)
			s, room := shared(t), roomOf(t)
			file, key := clip(t, name, 5, "mp4"), s.key(t, room)
			if strings.Contains(name, "opus") || strings.Contains(name, "flac") {
				publish(t, s, key, wrap(t, file, wrapping{}), pacing{loop: true})
			} else {
				launch(t, ffmpeg7, "-v", "error", "-re", "-stream_loop", "-1", "-i", file, "-c", "copy", "-f", "flv", s.publishURL(key))
			}
			s.waitOnAir(t, room)
			waitIndex(t, s, room)
			p := webPlay(t, hlsJS, s.indexURL(room), lowLatency)
			p.waitPlaying(t)
			r := p.waitProgress(t, 3, 20*time.Second)
			if wide := r.Width == 320; wide != (name != "aac") {
				t.Errorf("the picture is %d wide", r.Width)
			}
			if name != "aac" { // a busy machine decodes fewer than it plays
				p.waitFor(t, 20*time.Second, "pictures are decoded", func(r webReport) bool { return r.Decoded >= 50 })
			}
		})
	}
}

// TestCMAFProbe reads streams that Chromium does not decode, and the I-frame playlist, with
// ffprobe.
func TestCMAFProbe(t *testing.T) {
	t.Parallel()
	for name, codecs := range map[string][]string{
		"hevc-aac": {"hevc", "aac"}, "h264-ac3": {"h264", "ac3"}, "h264-eac3": {"h264", "eac3"}, "h264-mp3": {"h264", "mp3"}, "h264-aac": {"h264", "aac"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, room := shared(t), roomOf(t)
			publish(t, s, s.key(t, room), wrap(t, clip(t, name, 5, "mp4"), wrapping{}), pacing{loop: true})
			s.waitOnAir(t, room)
			waitIndex(t, s, room)
			found := probeLive(t, s.indexURL(room))
			for _, codec := range codecs {
				if !strings.Contains(found, "codec_name="+codec+"\n") {
					t.Errorf("ffprobe finds no %s:\n%s", codec, found)
				}
			}
			if name == "hevc-aac" {
				return // with B-frames FFmpeg wants to see more pictures before it shows one
			}
			pictures := probePictures(t, strings.Replace(s.indexURL(room), "index.m3u8", "index-v0.iframes.m3u8", 1))
			if len(pictures) < 2 || strings.Trim(strings.Join(pictures, ""), "I") != "" {
				t.Errorf("the I-frame playlist holds pictures %q", pictures)
			}
		})
	}
}

// probeLive lists the streams of a live address.
func probeLive(t testing.TB, address string) string {
	t.Helper()
	probe := launch(t, "ffprobe", "-v", "error", "-show_entries", "stream=codec_name,width", address)
	probe.succeed(t, 30*time.Second)
	return probe.output.String()
}

// probePictures decodes the first two pictures and returns their types. FFmpeg shall not wait for
// twenty of them to guess a picture rate, and not keep connections: it asks for the byte range of
// the first picture of the init segment too, and then waits for bytes that there are not.
func probePictures(t testing.TB, address string) []string {
	t.Helper()
	probe := launch(t, "ffprobe", "-v", "error", "-fpsprobesize", "0", "-http_persistent", "0", "-select_streams", "v", "-read_intervals", "%+#2", "-show_entries", "frame=pict_type", "-of", "csv=p=0", address)
	probe.succeed(t, 30*time.Second)
	return strings.FieldsFunc(probe.output.String(), func(r rune) bool { return r == '\n' || r == ',' })
}

// TestCMAFRedirect: the MPEG-TS playlist of a codec that MPEG-TS cannot carry leads to CMAF.
func TestCMAFRedirect(t *testing.T) {
	t.Parallel()
	chromium.turn(t)
	s, room := shared(t), roomOf(t)
	publish(t, s, s.key(t, room), wrap(t, clip(t, "av1-opus", 5, "mp4"), wrapping{}), pacing{loop: true})
	s.waitOnAir(t, room)
	waitIndex(t, s, room)
	status, _, header := s.fetch(t, s.hlsURL(room))
	if status != http.StatusFound || resolve(s.hlsURL(room), header.Get("Location")) != s.indexURL(room) {
		t.Fatalf("the MPEG-TS playlist answers %d and leads to %q", status, header.Get("Location"))
	}
	p := webPlay(t, hlsJS, s.hlsURL(room), lowLatency)
	p.waitPlaying(t)
}

// TestCMAFNotFound: what is not there is answered at once, with 404, and not kept by caches.
func TestCMAFNotFound(t *testing.T) {
	t.Parallel()
	s, room := start(t, "--republish_grace", "0"), roomOf(t) // else what is not there is waited for after the start
	publish(t, s, s.key(t, room), flvClip(t, "h264-aac", 5), pacing{loop: true})
	s.waitOnAir(t, room)
	waitIndex(t, s, room)
	base := strings.TrimSuffix(s.indexURL(room), "index.m3u8")
	for _, address := range []string{
		"http://" + s.hls + "/live/nobody/index.m3u8", "http://" + s.hls + "/live/nobody/index-v0.m3u8", "http://" + s.hls + "/live/nobody/v0/1.m4s",
		base + "index-v1.m3u8", base + "index-360p.v0.m3u8", base + "index-.m3u8", base + "v0/1.m4s", base + "v0/1.0.m4s", base + "v0/1.mp4",
		base + "v0/99999999999999999999.m4s", base + "v0/9999999999.m4s", base + "v0/9999999999.0.m4s", base + "v0/x.m4s", base + "a7/1.m4s",
	} {
		asked := time.Now()
		status, _, header := s.fetch(t, address)
		if status != http.StatusNotFound || header.Get("Cache-Control") != "no-store" || time.Since(asked) > 2*time.Second {
			t.Errorf("%s: %d, Cache-Control %q after %v", address, status, header.Get("Cache-Control"), time.Since(asked))
		}
	}
	s.alive(t)
}
