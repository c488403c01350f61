package e2e

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
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
	rates := frameRates(t, s.indexURL(room))
	waitLadder(t, s, room, 3)
	t.Run("any", func(t *testing.T) {
		p := webPlay(t, hlsJS, s.indexURL(room), lowLatency)
		p.waitPlaying(t)
		p.waitProgress(t, 3, 30*time.Second)
	})
	for level, height := range map[int]int{0: 240, 2: 480} { // the encoder's has 360
		t.Run(fmt.Sprint(height), func(t *testing.T) {
			p := webPlay(t, hlsJS, s.indexURL(room), map[string]any{"startLevel": level, "lowLatencyMode": true})
			p.waitFor(t, 90*time.Second, "it plays that rendition", func(r webReport) bool { return r.Height > 0 && slices.Contains(r.Switches, height) })
		})
	}
	for _, rate := range rates() {
		if f, err := strconv.ParseFloat(rate, 64); err != nil || f < 24 || f > 26 {
			t.Errorf("FRAME-RATE was %s, in some playlist", rate)
		}
	}
	encoder.kill()
	eventually(t, 30*time.Second, "the renditions end with the stream", func() bool { return len(s.streams(t).Publishers) == 0 })
}

// frameRates loads a multivariant playlist again and again, until what it returns is called, which
// returns all values of FRAME-RATE that were there.
func frameRates(t *testing.T, index string) (stop func() []string) {
	ctx, cancel := context.WithCancel(t.Context())
	found := make(chan []string, 1)
	go func() {
		var all []string
		for tick := time.Tick(30 * time.Millisecond); ctx.Err() == nil; <-tick {
			_, text, _ := get(index)
			for _, m := range regexp.MustCompile(`FRAME-RATE=([^,\s]+)`).FindAllStringSubmatch(string(text), -1) {
				if !slices.Contains(all, m[1]) {
					all = append(all, m[1])
				}
			}
		}
		found <- all
	}()
	return func() []string {
		cancel()
		return <-found
	}
}
