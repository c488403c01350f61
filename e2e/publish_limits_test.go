package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// ffmpegPattern publishes a moving picture of a size without end, at about 2 Mbit/s.
func ffmpegPattern(t testing.TB, s *server, key, size string, more ...string) *program {
	t.Helper()
	arguments := []string{"-v", "error", "-re", "-f", "lavfi", "-i", "testsrc2=rate=25:size=" + size, "-f", "lavfi", "-i", "sine=r=48000",
		"-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "50", "-b:v", "2M", "-minrate", "2M", "-maxrate", "2M", "-bufsize", "1M", "-nal-hrd", "cbr", "-c:a", "aac"}
	return launch(t, "ffmpeg", slices.Concat(arguments, more, []string{"-f", "flv", s.publishURL(key)})...)
}

// TestPublishLimits: FFmpeg shows why it was closed; log, events and API had said it before.
func TestPublishLimits(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		limit, value, size, says string
		warned                   bool // before it is closed
		more                     []string
	}{
		{"publish_max_picture", "320x180", "640x360", "the picture has 640x360, 320x180 is allowed", false, nil},
		{"publish_codecs", "HEVC,AAC", "320x180", "the codec H264 is not allowed", false, nil},
		{"publish_max_bit_rate", "800k", "320x180", "800 kbit/s are allowed", true, nil},
		{"publish_max_frame_rate", "15", "320x180", "15 are allowed", true, nil},
		{"publish_max_key_frame_interval", "2s", "320x180", "2s are allowed", true, []string{"-g", "1000", "-sc_threshold", "0"}},
		{"publish_max_time", "5s", "320x180", "may publish for 5s", true, nil},
	} {
		t.Run(tc.limit, func(t *testing.T) {
			t.Parallel()
			s, room := start(t, "--"+tc.limit, tc.value), roomOf(t)
			happened := s.happened(t, room)
			encoder := ffmpegPattern(t, s, s.key(t, room), tc.size, tc.more...)
			awaitEvent(t, happened, "publish.over_limit")
			if tc.warned {
				var st struct {
					Publications []struct{ Faults []struct{ What string } }
				}
				if status := s.resource(t, "GET", resourceOf(room), &st); status != 200 || !strings.Contains(fmt.Sprint(st), tc.limit) {
					t.Errorf("the API says %d %+v of a publisher that was warned", status, st)
				}
			}
			awaitEvent(t, happened, "stream.ended")
			encoder.wait(t, 30*time.Second)
			if shown := encoder.output.String(); encoder.exit == nil || !strings.Contains(shown, tc.says) {
				t.Errorf("FFmpeg ends with %v and shows %q, want %q", encoder.exit, shown, tc.says)
			}
			if log := s.log(); !strings.Contains(log, "the publisher passes a limit") || !strings.Contains(log, tc.says) {
				t.Errorf("the log does not say %q", tc.says)
			}
		})
	}
}

// TestPublishLimitsOfHook: the answer of publish_auth_url bounds one publication, in both formats.
func TestPublishLimitsOfHook(t *testing.T) {
	t.Parallel()
	for format, answer := range map[string]string{
		"livego": `{"limits":{"publish_max_picture":"320x180","publish_max_frame_rate":60}}`,
		"srs":    `{"code":0,"limits":{"publish_max_picture":"320x180","publish_max_frame_rate":60}}`,
	} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			small, large := roomOf(t)+"-small", roomOf(t)+"-large"
			rc := receive(t, func(_ string, body map[string]any) (int, string) {
				if strings.HasSuffix(fmt.Sprint(body["stream"]), small) {
					return 200, answer
				}
				return 200, "0"
			})
			s := startWith(t, []string{"HOOK_SECRET=" + hookSecret}, "--publish_auth_url", rc.URL, "--hook_format", format)
			refused := ffmpegPattern(t, s, s.key(t, small), "640x360")
			ffmpegPattern(t, s, s.key(t, large), "640x360")
			s.waitOnAir(t, large)
			refused.wait(t, 30*time.Second)
			if !strings.Contains(refused.output.String(), "320x180 is allowed") {
				t.Errorf("FFmpeg shows %q", refused.output.String())
			}
			if !s.onAir(t, large) {
				t.Error("another publication is bounded too")
			}
		})
	}
}
