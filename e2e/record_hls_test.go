package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
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

// recordings returns those of a room below a folder, by their recording.json, with their folders,
// the oldest first.
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

// waitRecorded waits until a room has so many recordings, all of them complete, and returns their
// folders.
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

// ffmpegReads lets FFmpeg decode an address or a file without a complaint, and returns its duration
// in ms.
func ffmpegReads(t testing.TB, input string) (milliseconds_ int64) {
	t.Helper()
	out, err := exec.Command("ffmpeg", "-v", "error", "-i", input, "-f", "null", "-").CombinedOutput()
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

// TestRecord records two sessions of a stream in a folder: what is there is what was published,
// access unit by access unit, and FFmpeg plays it.
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

// recordingURL is that of a file of a recording.
func (s *server) recordingURL(room, id, file string) string {
	return "http://" + s.hls + "/rec/live/" + room + "/" + id + "/" + file
}

// recordClip records a clip of so many seconds, and returns its recording and folder.
func recordClip(t testing.TB, s *server, dir, room, name string, seconds int) (aRecording, string, []tag) {
	t.Helper()
	tags := flvClip(t, name, seconds)
	publish(t, s, s.key(t, room), tags, pacing{speed: 2}).finish(t)
	all, folders := waitRecorded(t, dir, room, 1)
	return all[0], folders[0], tags
}

// TestRecordPlayback: the server plays recordings, with ranges, and makes clips of them, as
// playlists and as files.
func TestRecordPlayback(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "recordings")
	s := start(t, "--record", "all", "--record_to", dir, "--record_join", "0", "--hls_segment_duration", "1", "--public_status")
	room := roomOf(t)
	r, folder, tags := recordClip(t, s, dir, room, "h264-aac-b", 12)

	p := webPlay(t, hlsJS, s.recordingURL(room, r.ID, "index.m3u8"), nil)
	p.waitPlaying(t)
	p.evaluate(t, "(video.currentTime = 8, 0)", nil)
	p.waitFor(t, 20*time.Second, "it plays from there", func(r webReport) bool { return r.Position > 9 })

	if d := ffmpegReads(t, s.recordingURL(room, r.ID, "clip.m3u8?from=3.5&to=7.5")); d < 4_000 || d > 6_000 {
		t.Errorf("a clip of 4 s is %d ms long", d)
	}
	for name, query := range map[string]string{"all": "", "middle": "?from=3.5&to=7.5", "sound": "?rendition=a0&from=2&to=6"} {
		file := filepath.Join(t.TempDir(), "clip.mp4")
		status, body, h := get(s.recordingURL(room, r.ID, "clip.mp4"+query))
		if status != 200 || !strings.Contains(h.Get("Content-Disposition"), room) || h.Get("Content-Length") != strconv.Itoa(len(body)) {
			t.Fatalf("%s: %d, %d bytes, %v", name, status, len(body), h)
		}
		if err := os.WriteFile(file, body, 0o600); err != nil {
			t.Fatal(err)
		}
		half := http.Header{"Range": {"bytes=" + strconv.Itoa(len(body)/2) + "-"}, "If-Range": {h.Get("Etag")}}
		if status, rest, _ := request(t, http.MethodGet, s.recordingURL(room, r.ID, "clip.mp4"+query), half); status != 206 || rest != string(body[len(body)/2:]) {
			t.Errorf("%s: the second half alone: %d, %d bytes", name, status, len(rest))
		}
		d := ffmpegReads(t, file)
		if least, most := map[string]int64{"all": 11_900}[name], map[string]int64{"all": 12_100}[name]; least > 0 && (d < least || d > most) || least == 0 && (d < 4_000 || d > 6_000) {
			t.Errorf("%s: %d ms", name, d)
		}
		out := fileUnits(t, file)
		in := unitsOf(tags, h264NAL)
		if name == "sound" {
			in = only(in, typeAudio)
		}
		comparison{tolerance: 2, whole: name == "all"}.check(t, "clip.mp4, "+name, in, out)
	}

	segment := lastSegment(t, folder)
	whole := must(os.ReadFile(filepath.Join(folder, filepath.FromSlash(segment))))
	request := must(http.NewRequest(http.MethodGet, s.recordingURL(room, r.ID, segment), nil))
	request.Header.Set("Range", "bytes=100-199")
	answer := must(http.DefaultClient.Do(request))
	defer answer.Body.Close()
	if body := must(io.ReadAll(answer.Body)); answer.StatusCode != 206 || !bytes.Equal(body, whole[100:200]) || !strings.Contains(answer.Header.Get("Cache-Control"), "immutable") {
		t.Errorf("a range: %d, %d bytes, %v", answer.StatusCode, len(body), answer.Header)
	}
	for address, want := range map[string]int{
		s.recordingURL(room, "nothing", "index.m3u8"):                   404,
		s.recordingURL("other", r.ID, "index.m3u8"):                     404,
		s.recordingURL(room, r.ID, "v0/1.m4s"):                          404,
		s.recordingURL(room, r.ID, "..%2f..%2f..%2frecording.json"):     404,
		s.recordingURL(room, r.ID, "clip.mp4?from=100"):                 422,
		s.recordingURL(room, r.ID, "clip.m3u8?from=5&to=4"):             422,
		s.recordingURL(room, r.ID, "clip.m3u8?from=yesterday"):          422,
		s.recordingURL(room, r.ID, "clip.mp4?rendition=4k"):             404,
		s.recordingURL(room, r.ID, "v0.m3u8?span=0-9999-0"):             404,
		s.recordingURL(room, r.ID, "recording.json"):                    200,
		"http://" + s.hls + "/rec/live/" + room + "/recordings.json":    200,
		"http://" + s.hls + "/rec/live/" + room + "/" + r.ID + "/other": 404,
	} {
		if status, body, _ := get(address); status != want {
			t.Errorf("%s: %d %s", address, status, body)
		}
	}
}

// lastSegment is the URI of the last video segment of a recording.
func lastSegment(t testing.TB, folder string) (uri string) {
	t.Helper()
	for line := range strings.Lines(string(must(os.ReadFile(filepath.Join(folder, "v0.m3u8"))))) {
		if strings.HasPrefix(line, "v0/") {
			uri = strings.TrimSpace(line)
		}
	}
	return uri
}

// must returns a value that can only be missing when something is wrong with the test.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// fileUnits reads the access units of a file with FFmpeg's demuxer.
func fileUnits(t testing.TB, file string) []unit {
	t.Helper()
	raw := filepath.Join(t.TempDir(), "raw.flv")
	out, err := exec.Command("ffmpeg", "-v", "error", "-y", "-i", file, "-map", "0", "-c", "copy", "-f", "flv", raw).CombinedOutput()
	if err != nil {
		t.Fatalf("ffmpeg: %v: %s", err, out)
	}
	return unitsOf(readFLV(t, raw), h264NAL)
}

// TestRecordKilled kills the server in mid-recording and starts it again: the recording goes on in
// the same folder, with all segments that were complete, and what it lost is listed as missing.
func TestRecordKilled(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "recordings")
	options := []string{"--record", "all", "--record_to", dir, "--record_join", "15s", "--hls_segment_duration", "1"}
	s := start(t, options...)
	room, tags := roomOf(t), flvClip(t, "h264-aac-b", 12)
	key := s.key(t, room)
	first := publish(t, s, key, tags, pacing{})
	var folders []string
	eventually(t, 30*time.Second, "segments are stored", func() bool {
		_, folders = recordings(t, dir, room)
		if len(folders) != 1 {
			return false
		}
		found, _ := filepath.Glob(filepath.Join(folders[0], "v0", "*.m4s"))
		return len(found) >= 7
	})
	s.kill()
	first.lose()
	before, _ := filepath.Glob(filepath.Join(folders[0], "v0", "*.m4s"))
	early := must(os.ReadFile(filepath.Join(folders[0], "v0.m3u8")))

	copied := filepath.Join(t.TempDir(), "copy")
	if out, err := exec.Command("cp", "-r", folders[0], copied).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s.relaunch(t, raceBinary(t), nil, options...)
	second := publish(t, s, key, tags, pacing{speed: 2})
	second.finish(t)
	all, after := waitRecorded(t, dir, room, 1)
	if after[0] != folders[0] || all[0].Lost != 0 {
		t.Errorf("%q, %+v", after, all)
	}
	text := string(must(os.ReadFile(filepath.Join(folders[0], "v0.m3u8"))))
	for _, name := range before {
		if !strings.Contains(text, "\nv0/"+filepath.Base(name)+"\n") {
			t.Errorf("%s is not listed", name)
		}
	}
	if body := segmentsOf(string(early)); !strings.HasPrefix(segmentsOf(text), body) {
		t.Errorf("what was listed has changed:\n%s\n%s", body, segmentsOf(text))
	}
	if !strings.Contains(text, "#EXT-X-GAP") {
		t.Errorf("the time without server is not listed as missing:\n%s", text)
	}
	in := unitsOf(tags, h264NAL)
	for id, kind := range map[string]byte{"v0": typeVideo, "a0": typeAudio} {
		units, from := recordedUnits(t, folders[0], id), only(in, kind)
		comparison{tolerance: 1}.check(t, "second session, "+id, from, units[len(units)-len(from):])
	}
	eventually(t, 20*time.Second, "nothing is left behind but the recording's description", func() bool {
		left, _ := filepath.Glob(filepath.Join(s.dir, "data", "record", "*", "*"))
		return len(left) == 1
	})

	// What the killed server left can be closed by itself.
	for range 2 { // again is no error
		if out, err := exec.Command(raceBinary(t), "record", "fix", copied).CombinedOutput(); err != nil || !strings.Contains(string(out), "complete") {
			t.Fatalf("livego record fix: %v: %s", err, out)
		}
	}
	for id, kind := range map[string]byte{"v0": typeVideo, "a0": typeAudio} {
		comparison{tolerance: 1}.check(t, "fixed, "+id, only(in, kind), recordedUnits(t, copied, id))
	}
	if fixed := string(must(os.ReadFile(filepath.Join(copied, "v0.m3u8")))); strings.Count(fixed, "v0/") != len(before)+1 || !strings.HasSuffix(fixed, "#EXT-X-ENDLIST\n") {
		t.Errorf("%d segments, fixed:\n%s", len(before), fixed)
	}
	ffmpegReads(t, filepath.Join(copied, "index.m3u8"))
}

// segmentsOf leaves out of a playlist what stands before its segments, and its end.
func segmentsOf(text string) string {
	_, body, _ := strings.Cut(text, "#EXT-X-MEDIA-SEQUENCE:0\n")
	return strings.TrimSuffix(body, "#EXT-X-ENDLIST\n")
}

// TestRecordByAPI lets the API begin, show, end and delete a recording, which hls.js plays while it
// grows and afterwards.
func TestRecordByAPI(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "recordings")
	s := start(t, "--record", "api", "--record_to", dir, "--hls_segment_duration", "1")
	room := roomOf(t)
	of := resourceOf(room) + "/recording"
	want := func(method, path string, out any, status int) {
		t.Helper()
		if got := s.resource(t, method, path, out); got != status {
			t.Errorf("%s %s: %d, want %d", method, path, got, status)
		}
	}
	want("PUT", of, nil, http.StatusConflict) // nothing is on air
	pub := publish(t, s, s.key(t, room), flvClip(t, "h264-aac-b", 5), pacing{loop: true})
	s.waitOnAir(t, room)
	var r struct{ ID, State, Path string }
	eventually(t, 10*time.Second, "the stream is packaged", func() bool { return s.resource(t, "PUT", of, &r) == http.StatusOK })
	again := r
	want("PUT", of, &again, http.StatusOK)
	if again.ID != r.ID || r.State != "live" {
		t.Errorf("%+v, again %+v", r, again)
	}
	want("DELETE", "/recordings/"+r.ID, nil, http.StatusConflict)
	index := "http://" + s.hls + r.Path
	eventually(t, 40*time.Second, "it has a playlist", func() bool { status, _, _ := get(index); return status == http.StatusOK })
	live := webPlay(t, hlsJS, index, nil)
	live.waitPlaying(t)
	want("DELETE", of, nil, http.StatusNoContent)
	want("GET", of, nil, http.StatusNotFound)
	eventually(t, 30*time.Second, "it is complete", func() bool {
		return s.resource(t, "GET", "/recordings/"+r.ID, &r) == http.StatusOK && r.State == "complete"
	})
	pub.cancel()
	pub.finish(t)
	webPlay(t, hlsJS, index, nil).waitPlaying(t)
	if all, _ := recordings(t, dir, room); len(all) != 1 {
		t.Errorf("recordings: %+v", all)
	}
	want("DELETE", "/recordings/"+r.ID, nil, http.StatusNoContent)
	want("GET", "/recordings/"+r.ID, nil, http.StatusNotFound)
	eventually(t, 10*time.Second, "its files are gone", func() bool {
		found, _ := filepath.Glob(filepath.Join(dir, "*", "*", "*"))
		return len(found) == 0
	})
}
