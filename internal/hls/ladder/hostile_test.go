package ladder

import (
	"strings"
	"testing"
	"time"

	"livego/internal/hls/cut"
	"livego/internal/hls/hlstest"
)

// TestManyRenditionsShareTheMemory: what waits and what is under way has one bound for all
// renditions of a stream.
func TestManyRenditionsShareTheMemory(t *testing.T) {
	const bound = 8 << 20
	r := newRig(t, Options{MaxStreamBytes: bound, MaxSegmentBytes: bound / 4})
	pub := r.publication("")
	streams := make([]*hlstest.Source, maxRenditions-1)
	for i := range streams {
		streams[i] = &hlstest.Source{Video: hlstest.AVCTrack(uint8(i)), Rate: 25, Gop: 50, Bytes: 40_000}
	}
	streams[0].Bytes = 100
	for at := time.Duration(0); at < 20*time.Second; at += 100 * time.Millisecond {
		for _, s := range streams {
			units := s.Until(at)
			for i := range units {
				r.Write(pub, &units[i])
			}
		}
		waiting := 0
		for _, track := range r.roster.tracks {
			waiting += track.queue.bytes
		}
		if waiting > bound || r.output.bytes > 2*bound+bound/4 {
			t.Fatalf("at %v %d bytes wait, %d can be fetched or are under way; the bound is %d", at, waiting, r.output.bytes, bound)
		}
	}
	if n := len(r.show.renditions); n != len(streams) {
		t.Errorf("%d renditions", n)
	}
}

// TestManyVideosLeaveRoomForSound, though it comes after all of them.
func TestManyVideosLeaveRoomForSound(t *testing.T) {
	r := newRig(t, Options{})
	streams := make([]*hlstest.Source, 64)
	for i := range streams {
		streams[i] = &hlstest.Source{Video: hlstest.AVCTrack(uint8(i)), Rate: 25, Gop: 50}
	}
	streams = append(streams, &hlstest.Source{Audio: hlstest.AAC(48000), AudioEvery: 1024.0 / 48000})
	for at := time.Duration(0); at < 10*time.Second; at += 100 * time.Millisecond {
		for _, s := range streams {
			r.feed("", s.Until(at)...)
		}
	}
	if n := len(r.show.renditions); n != maxRenditions || r.show.renditions["a0"] == nil {
		t.Errorf("%d renditions, sound: %v", n, r.show.renditions["a0"] != nil)
	}
}

// TestRestlessRenditionIsLoggedSeldom: a rendition that leaves and comes back all the time does not
// fill the log.
func TestRestlessRenditionIsLoggedSeldom(t *testing.T) {
	r := newRig(t, Options{})
	calm := &hlstest.Source{Video: hlstest.AVCTrack(0), Rate: 25, Gop: 75}
	restless := &hlstest.Source{Video: hlstest.AVCTrack(1), Rate: 25, Gop: 75}
	for at := time.Duration(0); at < 2*time.Minute; at += time.Second {
		r.feed("", calm.Until(at)...)
		if at%(3*time.Second) == time.Second { // in the middle of a segment
			restless.Video = hlstest.AVCTrack(1)
			restless.Video.Config[3] += byte(at / (3 * time.Second) % 2)
		}
		r.feed("", restless.Until(at)...)
	}
	if n := strings.Count(r.log.String(), "\n"); n == 0 || n > cut.MaxTrackLogs+1 {
		t.Errorf("%d lines:\n%.500s", n, r.log.String())
	}
}
