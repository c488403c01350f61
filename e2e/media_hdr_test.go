package e2e

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestHDR publishes HEVC whose bitstream says nothing of colour, with Enhanced RTMP colour
// information and the head of Dolby Vision metadata in each picture: playlists say what it is, and
// ffprobe finds it in what players get.
func TestHDR(t *testing.T) {
	t.Parallel()
	s, room := shared(t), roomOf(t)
	type fields = map[string]any
	colour := amf("colorInfo", object{
		"colorConfig", object{"bitDepth", 10.0, "colorPrimaries", 9.0, "transferCharacteristics", 16.0, "matrixCoefficients", 9.0},
		"hdrCll", object{"maxFall", 400.0, "maxCLL", 1000.0},
		"hdrMdcv", object{"redX", 0.68, "redY", 0.32, "greenX", 0.265, "greenY", 0.69, "blueX", 0.15, "blueY", 0.06,
			"whitePointX", 0.3127, "whitePointY", 0.329, "maxLuminance", 1000.0, "minLuminance", 0.005},
	})
	const metadata = "\x00\x00\x00\x0b\x7c\x01\x19\x08\x09\x08\x40\x61\x36\x50\x60" // of profile 8, with the length of the NAL unit
	tags := wrap(t, clip(t, "hevc-aac", 5, "mp4"), wrapping{})
	first := slices.IndexFunc(tags, func(t tag) bool { return t.kind == typeVideo && t.isHeader() })
	for i := range tags {
		if tags[i].kind == typeVideo && !tags[i].isHeader() {
			tags[i].body = append(tags[i].body, metadata...)
		}
	}
	tags = slices.Insert(tags, first+1, tag{typeVideo, 0, append([]byte("\xd4hvc1"), colour...)}) // command frame, metadata packet
	publish(t, s, s.key(t, room), tags, pacing{loop: true})
	s.waitOnAir(t, room)
	waitIndex(t, s, room)
	if _, text, _ := s.fetch(t, s.indexURL(room)); !strings.Contains(text, "VIDEO-RANGE=PQ") || !strings.Contains(text, `,SUPPLEMENTAL-CODECS="dvh1.08.01/db1p"`) {
		t.Errorf("multivariant playlist:\n%s", text)
	}
	probe := launch(t, "ffprobe", "-v", "error", "-select_streams", "v", "-show_streams", "-of", "json", s.indexURL(room))
	probe.succeed(t, 30*time.Second)
	var found struct {
		Streams []struct {
			SideData []map[string]any `json:"side_data_list"`
		}
	}
	if err := json.Unmarshal(probe.output.Bytes(), &found); err != nil || len(found.Streams) == 0 {
		t.Fatalf("%v: %s", err, probe.output.String())
	}
	for kind, want := range map[string]fields{
		"Mastering display metadata":   {"green_y": "34500/50000", "max_luminance": "10000000/10000", "min_luminance": "50/10000"},
		"Content light level metadata": {"max_content": 1000.0, "max_average": 400.0},
		"DOVI configuration record":    {"dv_profile": 8.0, "dv_level": 1.0, "dv_bl_signal_compatibility_id": 1.0},
	} {
		at := slices.IndexFunc(found.Streams[0].SideData, func(f fields) bool { return f["side_data_type"] == kind })
		if at < 0 {
			t.Errorf("no %s in %s", kind, probe.output.String())
			continue
		}
		for name, value := range want {
			if got := found.Streams[0].SideData[at][name]; got != value {
				t.Errorf("%s: %s is %v, want %v", kind, name, got, value)
			}
		}
	}
}
