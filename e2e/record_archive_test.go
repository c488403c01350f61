package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// recorded waits until so many FLV files are complete below a folder, and returns them, the oldest
// first.
func recorded(t testing.TB, dir string, n int) (files []string) {
	t.Helper()
	eventually(t, 20*time.Second, "complete recordings", func() bool {
		files, _ = filepath.Glob(filepath.Join(dir, "live", "*.flv"))
		return len(files) >= n
	})
	if len(files) != n {
		t.Fatalf("recordings: %q", files)
	}
	return files
}

// TestArchive records a stream whose encoder breaks off and comes back, and a rendition: what is in
// the files is what was published, access unit by access unit, and FFmpeg decodes it without a
// word.
func TestArchive(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "archive")
	s := start(t, "--flv_archive", "--flv_dir", dir)
	room, tags := roomOf(t), flvClip(t, "h264-aac-b", 5)
	key := s.key(t, room)

	first := publish(t, s, key, tags, pacing{})
	<-first.ended
	first.lose()
	s.waitOffAir(t, room)
	if parts, _ := filepath.Glob(filepath.Join(dir, "live", room+"_*.flv.part")); len(parts) != 1 {
		t.Errorf("files while the encoder is away: %q", parts)
	}
	second := publish(t, s, key, tags, pacing{})
	<-second.ended
	second.finish(t)

	file := recorded(t, dir, 1)[0]
	got := readFLV(t, file)
	rising(t, "recording", got)
	units := unitsOf(got, h264NAL)
	in := unitsOf(tags, h264NAL)
	var again []unit
	for i, u := range units {
		if i > 0 && u.kind == typeVideo && u.hash == in[firstKey(in)].hash {
			again = units[i:]
			units = units[:i]
			break
		}
	}
	comparison{whole: true}.check(t, "first session", in, units)
	if len(again) == 0 {
		t.Error("the second session is not in the file")
	}
	comparison{whole: true}.check(t, "second session", in, again)
	out, err := exec.Command("ffmpeg", "-v", "error", "-i", file, "-f", "null", "-").CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("ffmpeg: %v: %s", err, out)
	}
	out, err = exec.Command("ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", file).Output()
	if duration := milliseconds(t, strings.TrimSpace(string(out))); err != nil || duration < 9000 || duration > 11000 {
		t.Errorf("duration of two sessions of 5 s: %d ms, %v", duration, err)
	}
}

// TestArchiveUnwritable: a disk that takes nothing ends the recording with one line of the log;
// viewers notice nothing.
func TestArchiveUnwritable(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, "--flv_archive", "--flv_dir", file)
	room, tags := roomOf(t), flvClip(t, "h264-aac-b", 5)
	pub := publish(t, s, s.key(t, room), tags, pacing{loop: true})
	s.waitOnAir(t, room)
	v := watchFLV(t, s, room)
	v.waitFrames(t, 60)
	gapless(t, v.name, v.tags(), 250)
	pub.cancel()
	pub.finish(t)
	if n := strings.Count(s.log(), "recording ended"); n != 1 {
		t.Errorf("%d lines about the disk", n)
	}
}
