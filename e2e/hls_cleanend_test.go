package e2e

import (
	"testing"
	"time"
)

// cutTo is the tags of a clip up to a time in milliseconds, the sound up to another one.
func cutTo(clip []tag, pictures, sounds int) (cut []tag) {
	for _, tag := range clip {
		until := pictures
		if tag.kind == typeAudio {
			until = sounds
		}
		if tag.isHeader() || int(tag.time) < until {
			cut = append(cut, tag)
		}
	}
	return cut
}

// unpublished ends a stream as an encoder does that stops, ordered by the management API, and lost
// by an encoder that is waited for in vain.
func unpublished(t testing.TB, _ *server, _ string, encoder *publication) { encoder.finish(t) }

func ordered(t testing.TB, s *server, room string, encoder *publication) {
	<-encoder.ended
	if status := s.resource(t, "DELETE", resourceOf(room), nil); status != 204 {
		t.Errorf("the stream is ended: status %d", status)
	}
}

func lost(_ testing.TB, _ *server, _ string, encoder *publication) {
	<-encoder.ended
	encoder.lose()
}

// TestCleanEnd: whatever a stream has, whichever of sound and pictures ends first, and however it
// ends, hls.js plays it to its end and says so.
func TestCleanEnd(t *testing.T) {
	t.Parallel()
	low, usual := map[string]any{"lowLatencyMode": true, "trace": true}, map[string]any{"lowLatencyMode": false, "trace": true}
	for name, c := range map[string]struct {
		clip string
		// sound is by how much longer the sound is than the pictures, in ms.
		sound  int
		end    func(testing.TB, *server, string, *publication)
		config map[string]any
		url    func(*server, string) string
	}{
		"H264 and AAC":           {"h264-aac", 0, unpublished, low, (*server).indexURL},
		"longer sound":           {"h264-aac", 300, unpublished, low, (*server).indexURL},
		"shorter sound":          {"h264-aac", -300, unpublished, low, (*server).indexURL},
		"B-frames":               {"h264-aac-b", 0, unpublished, low, (*server).indexURL},
		"B-frames, longer sound": {"h264-aac-b", 150, unpublished, low, (*server).indexURL},
		"pictures":               {"h264", 0, unpublished, low, (*server).indexURL},
		"sound":                  {"aac", 0, unpublished, low, (*server).indexURL},
		"H264 and Opus":          {"h264-opus", 0, unpublished, low, (*server).indexURL},
		"by order":               {"h264-aac", 0, ordered, low, (*server).indexURL},
		"lost":                   {"h264-aac", 0, lost, low, (*server).indexURL},
		"lost, shorter sound":    {"h264-aac", -100, lost, low, (*server).indexURL},
		"MPEG-TS":                {"h264-aac", 0, unpublished, usual, (*server).hlsURL},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			chromium.turn(t)
			s, room := start(t, "--hls_segment_duration", "1", "--hls_list_size", "20", "--republish_grace", "2"), roomOf(t)
			// Long enough that hls.js plays by the end, also on a busy machine.
			tags := cutTo(wrap(t, clip(t, c.clip, 14, "mp4"), wrapping{}), 12300, 12300+c.sound)
			encoder := publish(t, s, s.key(t, room), tags, pacing{})
			s.waitOnAir(t, room)
			waitIndex(t, s, room)
			p := webPlay(t, hlsJS, c.url(s, room), c.config)
			c.end(t, s, room, encoder)
			p.waitFor(t, 30*time.Second, "it is complete", func(r webReport) bool { return r.Complete })
		})
	}
}

// TestBackAtOnce: an encoder that ends its stream and begins it again at once keeps its viewers:
// hls.js sees no end, and plays on.
func TestBackAtOnce(t *testing.T) {
	t.Parallel()
	chromium.turn(t)
	s, room := start(t, "--hls_segment_duration", "1", "--hls_list_size", "20"), roomOf(t)
	tags, key := wrap(t, clip(t, "h264-aac", 14, "mp4"), wrapping{}), s.key(t, room)
	encoder := publish(t, s, key, cutTo(tags, 8000, 8000), pacing{})
	s.waitOnAir(t, room)
	waitIndex(t, s, room)
	p := webPlay(t, hlsJS, s.indexURL(room), lowLatency)
	encoder.finish(t)
	ended := time.Now()
	publish(t, s, key, tags, pacing{loop: true})
	away, from := time.Since(ended), p.report(t).Played
	p.waitFor(t, 40*time.Second, "it plays the stream that came back", func(r webReport) bool { return r.Complete || r.Played > from+8 })
	if p.report(t).Complete && away < 500*time.Millisecond { // else the machine was too slow for an encoder that is back in time
		t.Error("hls.js says that the stream has ended")
	}
}
