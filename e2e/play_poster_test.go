package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestPoster: with the lines of examples/poster FFmpeg makes a picture of a stream, for those who
// may watch it, until the stream ends; poster.mp4 is the last key frame.
func TestPoster(t *testing.T) {
	t.Parallel()
	example := text(t, "../examples/poster/livego.yaml")
	config := filepath.Join(t.TempDir(), "livego.yaml")
	if err := os.WriteFile(config, []byte(strings.Replace(example, "fps=1/5", "fps=2", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	s, room := startClosed(t, "--config_file", config, "--public_status"), roomOf(t)
	list := "http://" + s.hls + "/~" + token(t, "live/"+room, "--for", "1h") + "/"
	page := list + "live/" + room + "/"
	pub := publish(t, s, s.key(t, room), flvClip(t, "h264-aac-b", 5), pacing{loop: true})
	s.waitOnAir(t, room)
	if status, said, _ := s.fetch(t, page+"poster.jpg"); status == http.StatusNotFound && !strings.Contains(said, "run_on_stream") {
		t.Errorf("without a picture: %q", said)
	}
	eventually(t, 30*time.Second, "there is a picture", func() bool {
		status, said, header := s.fetch(t, page+"poster.jpg")
		return status == 200 && strings.HasPrefix(said, "\xff\xd8\xff") && header.Get("Content-Type") == "image/jpeg"
	})
	if _, said, _ := s.fetch(t, page+"status.json"); !strings.Contains(said, `"poster":"poster.jpg"`) {
		t.Errorf("the status is %s", said)
	}
	for what, p := range map[string]*watchPage{"list": openPage(t, list, nil, ""), "console": openPage(t, s.consoleURL("stream/live%2F"+room), desk, "")} {
		var seen bool
		eventually(t, 20*time.Second, "it is in the "+what, func() bool {
			p.evaluate(t, `[...document.querySelectorAll('.tile img')].some(i => i.naturalWidth > 0) || !!document.querySelector('video')?.poster`, &seen)
			return seen
		})
		if what == "console" {
			p.awaitMoving(t)
		}
		p.clean(t)
	}
	launch(t, "ffmpeg", "-v", "error", "-xerror", "-i", page+"poster.jpg", "-f", "null", "-").succeed(t, 20*time.Second)
	probe := launch(t, "ffprobe", "-v", "error", "-count_frames", "-show_entries", "stream=codec_name,nb_read_frames", page+"poster.mp4")
	if probe.succeed(t, 20*time.Second); !strings.Contains(probe.output.String(), "nb_read_frames=1") {
		t.Errorf("poster.mp4: %s", probe.output.String())
	}
	for _, file := range []string{"poster.jpg", "poster.mp4"} {
		if status, _, _ := s.fetch(t, "http://"+s.hls+"/live/"+room+"/"+file); status != http.StatusForbidden {
			t.Errorf("%s without a token: %d", file, status)
		}
	}
	answer, err := http.Post(page+"poster.jpg?token=guessed", "image/jpeg", strings.NewReader("\xff\xd8\xff"))
	if err != nil {
		t.Fatal(err)
	}
	if answer.Body.Close(); answer.StatusCode != http.StatusForbidden {
		t.Errorf("a picture from a stranger: %d", answer.StatusCode)
	}
	if regexp.MustCompile(`token=[A-Z2-7]{26}`).MatchString(s.log()) {
		t.Error("a key of a command is in the log")
	}
	pub.cancel()
	pub.finish(t)
	eventually(t, 30*time.Second, "the picture goes with its stream", func() bool {
		status, _, _ := s.fetch(t, page+"poster.jpg")
		return status == http.StatusNotFound
	})
}
