package e2e

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestRunOnStream: with the lines of examples/ladder, FFmpeg makes two renditions of what one
// encoder sends, and hls.js plays and changes between all of them. When the stream ends, so do
// they.
func TestRunOnStream(t *testing.T) {
	t.Parallel()
	chromium.turn(t)
	config, err := filepath.Abs("../examples/ladder/livego.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s, room := start(t, "--config_file", config, "--hls_segment_duration", "1"), roomOf(t)
	key := s.key(t, room)
	arguments := strings.Fields("-v error -re -f lavfi -i testsrc2=size=640x360:rate=25 -f lavfi -i sine=sample_rate=48000 " +
		"-c:v libx264 -preset ultrafast -tune zerolatency -g 50 -b:v 2000k -c:a aac -f flv")
	encoder := launch(t, "ffmpeg", append(arguments, s.publishURL(key))...)
	s.waitOnAir(t, room)
	waitLadder(t, s, room, 3)
	p := webPlay(t, hlsJS, s.indexURL(room), lowLatency)
	p.waitPlaying(t)
	p.waitProgress(t, 3, 30*time.Second)
	for level, height := range map[int]int{0: 240, 2: 480} { // the encoder's has 360
		q := webPlay(t, hlsJS, s.indexURL(room), map[string]any{"startLevel": level, "lowLatencyMode": true})
		q.waitFor(t, 40*time.Second, fmt.Sprintf("it plays the rendition of %d lines that FFmpeg made", height), func(r webReport) bool {
			return r.Height > 0 && slices.Contains(r.Switches, height)
		})
	}
	encoder.kill()
	eventually(t, 30*time.Second, "the renditions end with the stream", func() bool { return len(s.streams(t).Publishers) == 0 })
}
