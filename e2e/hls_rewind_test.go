package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestRewind kills the server in mid-stream and starts it again: FFmpeg plays the stream from its
// first picture on, across the kill, to its end.
func TestRewind(t *testing.T) {
	t.Parallel()
	options := []string{"--hls_dvr_window", "1h", "--hls_segment_duration", "1"}
	s, room := start(t, options...), roomOf(t)
	key := s.key(t, room)
	const seconds, rate = 8, 25
	file := clip(t, "h264-aac-b", seconds, "flv")

	first := ffmpegPublish(t, s, file, key)
	s.waitOnAir(t, room)
	address := strings.Replace(s.indexURL(room), "index.m3u8", "index-v0.m3u8", 1)
	before := ""
	eventually(t, 15*time.Second, "six segments are listed", func() bool {
		_, body, _ := get(address)
		before = string(body)
		return strings.Count(before, "#EXTINF") >= 6
	})
	s.kill()
	first.wait(t, 10*time.Second) // its connection broke

	s.relaunch(t, raceBinary(t), nil, options...)
	second := ffmpegPublish(t, s, file, key)
	s.waitOnAir(t, room)
	after := ""
	eventually(t, 15*time.Second, "the playlist goes on", func() bool {
		status, body, _ := get(address)
		after = string(body)
		return status == 200 && strings.Count(after, "#EXTINF") >= 10
	})
	if !strings.HasPrefix(segmentLines(after), segmentLines(before)) {
		t.Errorf("before the kill:\n%s\nafter it:\n%s", before, after)
	}
	if n := strings.Count(after, "#EXT-X-DISCONTINUITY\n"); n != 1 {
		t.Errorf("%d discontinuities:\n%s", n, after)
	}
	if strings.Contains(after, "EXT-X-PLAYLIST-TYPE") {
		t.Error("the playlist has a type, but loses segments")
	}
	dir := t.TempDir()
	player := launch(t, "ffmpeg", "-v", "fatal", "-live_start_index", "0", "-i", s.indexURL(room), "-map", "0:v", "-map", "0:a", "-c", "copy", "-f", "framemd5", filepath.Join(dir, "frames"))
	probePlayer := launch(t, "ffprobe", "-v", "fatal", "-live_start_index", "0", "-select_streams", "v", "-show_entries", "packet=flags", "-of", "csv=p=0", address)
	second.succeed(t, 20*time.Second)
	player.succeed(t, 20*time.Second)
	probePlayer.succeed(t, 20*time.Second)
	frames, err := os.ReadFile(filepath.Join(dir, "frames"))
	if err != nil {
		t.Fatal(err)
	}
	// All of the second clip, and of the first one what was on disk.
	least := (5 + seconds - 1) * rate
	if n := strings.Count(string(frames), "\n0,"); n < least {
		t.Errorf("FFmpeg got %d pictures, at least %d are on disk", n, least)
	}
	if n := strings.Count(probePlayer.output.String(), "_"); n < least {
		t.Errorf("ffprobe got %d pictures, at least %d are on disk", n, least)
	}
}

// TestRewindHLSJS lets hls.js begin at the first picture, play across the kill of the server, and
// come back to the live edge.
func TestRewindHLSJS(t *testing.T) {
	t.Parallel()
	options := []string{"--hls_dvr_window", "1h", "--hls_segment_duration", "1"}
	s, room := start(t, options...), roomOf(t)
	key, file := s.key(t, room), clip(t, "h264-aac", 5, "flv")
	first := ffmpegLoop(t, s, file, key)
	s.waitOnAir(t, room)
	segments := func(n int) func() bool {
		return func() bool {
			_, body, _ := get(strings.Replace(s.indexURL(room), "index.m3u8", "index-v0.m3u8", 1))
			return strings.Count(string(body), "#EXTINF") >= n
		}
	}
	eventually(t, 30*time.Second, "twelve segments are listed", segments(12))
	s.kill()
	first.wait(t, 10*time.Second)
	s.relaunch(t, raceBinary(t), nil, options...)
	ffmpegLoop(t, s, file, key)
	s.waitOnAir(t, room)
	eventually(t, 30*time.Second, "the playlist goes on", segments(15))

	p := webPlay(t, hlsJS, s.indexURL(room), map[string]any{"startPosition": 0, "lowLatencyMode": true, "maxLiveSyncPlaybackRate": 1})
	if r := p.waitPlaying(t); r.Position > 8 {
		t.Errorf("it begins at %.1f s", r.Position)
	}
	p.waitFor(t, 40*time.Second, "it plays across the kill", func(r webReport) bool { return r.Position > 18 })
	p.evaluate(t, "(video.currentTime = 3, 0)", nil)
	p.waitFor(t, 20*time.Second, "it rewinds", func(r webReport) bool { return r.Position > 4 && r.Position < 10 })
	p.evaluate(t, "(video.currentTime = hls.liveSyncPosition, 0)", nil)
	p.waitFor(t, 20*time.Second, "it is live again", func(r webReport) bool { return r.Position > 25 && r.Latency < 5 })
	p.waitProgress(t, 3, 15*time.Second)
}

// segmentLines leaves of a playlist what says which segments there are and how long they are, but
// for the last one, which may be a gap later.
func segmentLines(text string) string {
	var b strings.Builder
	gap := false // it has no media: the one in front of a stream that had a viewer at once is not kept
	for line := range strings.Lines(text) {
		gap = gap || strings.HasPrefix(line, "#EXT-X-GAP")
		if !gap && (strings.HasPrefix(line, "#EXTINF") || strings.HasPrefix(line, "v0/")) {
			b.WriteString(line)
		}
		gap = gap && !strings.HasPrefix(line, "v0/")
	}
	lines := strings.SplitAfter(b.String(), "\n")
	return strings.Join(lines[:max(0, len(lines)-3)], "")
}
