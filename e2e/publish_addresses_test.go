package e2e

import (
	"strings"
	"testing"
	"time"
)

// TestPublishAddresses: FFmpeg finds its stream by whatever people make of its URL, and what is not
// clear is refused with the reason.
func TestPublishAddresses(t *testing.T) {
	t.Parallel()
	s, room := start(t), roomOf(t)
	file := clip(t, "h264-aac", 5, "flv")
	type try struct{ url, room, key string }
	var tries []try
	for i, url := range []string{
		"/live/KEY/", "/live//KEY", "//live/KEY", "/live/_definst_/KEY", "/live/KEY?token=a/b", "/live/KEY?token=a/b/c&d=/", "/live/%4b", "/live/ROOM/KEY", "/live?x=/KEY",
	} {
		name := room + "-" + string(rune('a'+i))
		key := s.key(t, name)
		url = strings.Replace(url, "%4b", "%"+strings.ToUpper(hexOf(key[0]))+key[1:], 1)
		tries = append(tries, try{strings.NewReplacer("KEY", key, "ROOM", name).Replace(url), name, key})
	}
	for _, try := range tries {
		launch(t, "ffmpeg", "-v", "error", "-re", "-i", file, "-c", "copy", "-f", "flv", "rtmp://"+s.rtmp+try.url)
	}
	for _, try := range tries {
		eventually(t, 15*time.Second, strings.ReplaceAll(try.url, try.key, "KEY")+" is on air", func() bool { return s.onAir(t, try.room) })
		if strings.Contains(s.log(), try.key[1:]) {
			t.Errorf("%s: the key is in the log", strings.ReplaceAll(try.url, try.key, "KEY"))
		}
	}
	for url, want := range map[string]string{
		"/live/" + tries[0].room:               "the name of a room",
		"/" + tries[0].key:                     "in place of the app",
		"/live/" + tries[0].key + "/obs":       "stands in the server field",
		"/live/":                               "there is no channel key",
		"/live/" + strings.Repeat("wrong", 10): "unknown channel key",
	} {
		encoder := launch(t, "ffmpeg", "-v", "verbose", "-i", file, "-c", "copy", "-f", "flv", "rtmp://"+s.rtmp+url)
		encoder.wait(t, 15*time.Second)
		if !strings.Contains(encoder.output.String(), want) {
			t.Errorf("%s: FFmpeg says nothing of %q:\n%s", strings.ReplaceAll(url, tries[0].key, "KEY"), want, encoder.output.String())
		}
	}
}

func hexOf(b byte) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[b>>4], digits[b&15]})
}
