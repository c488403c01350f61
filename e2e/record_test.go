package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// aRecording is recording.json.
type aRecording struct {
	ID, Stream, State string
	Duration          float64
	Bytes             int64
	Lost              int
	Renditions        []struct{ ID, Kind, Codecs string }
}

// recordings returns those of a room below a folder, by their recording.json, with their folders, the oldest first.
func recordings(t testing.TB, dir, room string) (all []aRecording, folders []string) {
	t.Helper()
	found, _ := filepath.Glob(filepath.Join(dir, "live", room, "*", "recording.json"))
	for _, name := range found {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		var r aRecording
		if err := json.Unmarshal(text, &r); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		all, folders = append(all, r), append(folders, filepath.Dir(name))
	}
	return all, folders
}

// waitRecorded waits until a room has so many recordings, all of them complete, and returns their folders.
func waitRecorded(t testing.TB, dir, room string, n int) (all []aRecording, folders []string) {
	t.Helper()
	eventually(t, 40*time.Second, "complete recordings", func() bool {
		all, folders = recordings(t, dir, room)
		complete := 0
		for _, r := range all {
			if r.State == "complete" {
				complete++
			}
		}
		return complete >= n
	})
	if len(all) != n {
		t.Fatalf("recordings: %+v", all)
	}
	return all, folders
}

// recordedUnits reads the media of a rendition as its playlist names it, without what is missing.
func recordedUnits(t testing.TB, folder, id string) (units []unit) {
	t.Helper()
	read := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join(folder, filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	var track cmafTrack
	gap := false
	for line := range strings.Lines(string(read(id + ".m3u8"))) {
		line = strings.TrimSpace(line)
		if uri, ok := strings.CutPrefix(line, `#EXT-X-MAP:URI="`); ok {
			var err error
			if track, err = readInit(read(strings.TrimSuffix(uri, `"`))); err != nil {
				t.Fatal(err)
			}
		}
		gap = gap || line == "#EXT-X-GAP"
		if line == "" || line[0] == '#' {
			continue
		}
		if !gap {
			samples, err := track.readFragments(read(line))
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			units = append(units, track.units(samples)...)
		}
		gap = false
	}
	return units
}

// ffmpegReads lets FFmpeg decode an address or a file without a complaint, and returns its duration in ms.
func ffmpegReads(t testing.TB, input string) (milliseconds_ int64) {
	t.Helper()
	out, err := exec.Command("ffmpeg", "-v", "error", "-allowed_extensions", "ALL", "-i", input, "-f", "null", "-").CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("ffmpeg: %v: %s", err, out)
	}
	out, err = exec.Command("ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0", input).Output()
	if err != nil {
		t.Errorf("ffprobe: %v", err)
		return 0
	}
	return milliseconds(t, strings.TrimSpace(string(out)))
}

// TestRecord records two sessions of a stream in a folder: what is there is what was published, access unit by access unit, and FFmpeg
// plays it.
func TestRecord(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "recordings")
	s := start(t, "--record", "all", "--record_to", dir, "--record_join", "3s", "--hls_segment_duration", "1")
	room, tags := roomOf(t), flvClip(t, "h264-aac-b", 5)
	key := s.key(t, room)
	first := publish(t, s, key, tags, pacing{})
	first.finish(t)
	s.waitOffAir(t, room)
	second := publish(t, s, key, tags, pacing{})
	second.finish(t)

	all, folders := waitRecorded(t, dir, room, 1)
	r := all[0]
	if r.Stream != "live/"+room || r.Lost != 0 || len(r.Renditions) != 2 || r.Duration < 9.9 || r.Duration > 12 || strings.Contains(folders[0], key) {
		t.Errorf("%s: %+v", folders[0], r)
	}
	in := unitsOf(tags, h264NAL)
	for id, kind := range map[string]byte{"v0": typeVideo, "a0": typeAudio} {
		units, from := recordedUnits(t, folders[0], id), only(in, kind)
		if len(units) < 2*len(from)-2 {
			t.Fatalf("%s: %d units of twice %d", id, len(units), len(from))
		}
		half := len(units) / 2
		for half < len(units) && units[half].hash != from[0].hash {
			half++
		}
		comparison{tolerance: 1}.check(t, "first session, "+id, from, units[:min(half, len(from))])
		comparison{tolerance: 1}.check(t, "second session, "+id, from, units[half:])
	}
	if d := ffmpegReads(t, filepath.Join(folders[0], "index.m3u8")); d < 9_500 || d > 12_500 {
		t.Errorf("FFmpeg takes it for %d ms long", d)
	}
}
