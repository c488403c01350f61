package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestPullHLS pulls a stream from another server over HLS, of both kinds: each picture and frame
// arrives as it was published. The source is lost and comes back.
func TestPullHLS(t *testing.T) {
	t.Parallel()
	from, to := start(t, "--hls_segment_duration", "1", "--republish_grace", "2s"), start(t, "--republish_grace", "2s")
	room, tags := roomOf(t), flvClip(t, "h264-aac-b", 5)
	key := from.key(t, room)
	pub := publish(t, from, key, tags, pacing{loop: true})
	from.waitOnAir(t, room)
	waitPlaylist(t, from.hlsURL(room))
	sent := map[string]bool{}
	for _, u := range unitsOf(tags, h264NAL) {
		sent[u.hash] = true
	}
	sources := map[string]string{"mpegts": from.hlsURL(room), "cmaf": from.indexURL(room)}
	for name, source := range sources {
		status, text := relayed(t, to, "pull", name, source)
		wantAnswer(t, "start", status, text, 200, "<h1>pull url start "+source+" ok</h1></br>")
		to.waitOnAir(t, name)
		v := watchFLV(t, to, name)
		v.waitFrames(t, 120)
		rising(t, name, v.tags())
		gapless(t, name, v.tags(), 250)
		headersFirst(t, name, v.tags(), typeVideo, typeAudio)
		for _, u := range unitsOf(v.tags(), h264NAL) {
			if !sent[u.hash] {
				t.Fatalf("%s: a unit arrived that nobody published", name)
			}
		}
	}
	pub.cancel()
	pub.finish(t)
	for name := range sources { // what was listed is played to its end
		eventually(t, 40*time.Second, name+" ends", func() bool { return !to.onAir(t, name) })
	}
	again := publish(t, from, key, tags, pacing{loop: true})
	defer again.lose()
	for name := range sources { // the pulls try again by themselves
		to.waitOnAir(t, name)
		watchFLV(t, to, name).waitFrames(t, 30)
	}
}

// TestPullHLSOfFFmpeg pulls what FFmpeg writes and nginx serves: MPEG-TS with H.264, HEVC, and
// sound of MP3, CMAF with sound in a playlist of its own.
func TestPullHLSOfFFmpeg(t *testing.T) {
	t.Parallel()
	picture := []string{"-re", "-f", "lavfi", "-i", "testsrc2=rate=25:size=320x180", "-f", "lavfi", "-i", "sine=r=48000", "-preset", "ultrafast", "-g", "25", "-bf", "0"}
	for name, more := range map[string][]string{
		"ts":     {"-c:v", "libx264", "-c:a", "aac", "-f", "hls", "-hls_time", "1", "-hls_list_size", "5", "DIR/live.m3u8"},
		"hevc":   {"-c:v", "libx265", "-x265-params", "log-level=none:keyint=25:bframes=0", "-c:a", "libmp3lame", "-f", "hls", "-hls_time", "1", "-hls_list_size", "5", "DIR/live.m3u8"},
		"ranges": {"-c:v", "libx264", "-c:a", "aac", "-f", "hls", "-hls_time", "1", "-hls_list_size", "5", "-hls_segment_type", "fmp4", "-hls_flags", "single_file", "DIR/live.m3u8"},
		"apart": {"-map", "0:v", "-map", "1:a", "-c:v", "libx264", "-c:a", "aac", "-f", "hls", "-hls_time", "1", "-hls_list_size", "5", "-hls_segment_type", "fmp4",
			"-var_stream_map", "v:0,agroup:a a:0,agroup:a,default:yes", "-hls_fmp4_init_filename", "init_%v.mp4", "-master_pl_name", "live.m3u8", "DIR/%v.m3u8"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			arguments := slices.Concat([]string{"-v", "error"}, picture, more)
			for i := range arguments {
				arguments[i] = strings.ReplaceAll(arguments[i], "DIR", dir)
			}
			launch(t, "ffmpeg", arguments...)
			site := startFiles(t, dir)
			eventually(t, 30*time.Second, "the playlist is there", func() bool {
				_, err := os.Stat(filepath.Join(dir, "live.m3u8"))
				return err == nil
			})
			time.Sleep(3 * time.Second) // FFmpeg writes the playlists of renditions one after the other
			s := start(t, "--enable_tls_verify=false")
			status, text := relayed(t, s, "pull", "copy", site+"/live.m3u8")
			wantAnswer(t, "start", status, text, 200)
			s.waitOnAir(t, "copy")
			if name == "hevc" {
				launch(t, setting(t, "FFMPEG7"), "-v", "error", "-xerror", "-i", s.rtmpURL("copy"), "-t", "4", "-f", "null", "-").succeed(t, 40*time.Second)
				return
			}
			v := watchFLV(t, s, "copy")
			v.waitFrames(t, 100)
			rising(t, name, v.tags())
			headersFirst(t, name, v.tags(), typeVideo, typeAudio)
			launch(t, "ffmpeg", "-v", "error", "-xerror", "-i", s.rtmpURL("copy"), "-t", "3", "-f", "null", "-").succeed(t, 40*time.Second)
		})
	}
}

// startFiles serves a folder with nginx over TLS, and returns its address.
func startFiles(t testing.TB, dir string) string {
	t.Helper()
	return startSite(t, &server{}, "server { listen 443 ssl; ssl_certificate /etc/ssl/example.org.crt; ssl_certificate_key /etc/ssl/example.org.key; root "+dir+"; }")
}

// TestPullHLSOnDemand: the URL of an app has the stream's name in its place.
func TestPullHLSOnDemand(t *testing.T) {
	t.Parallel()
	from, room := start(t, "--hls_segment_duration", "1"), "film" // longer names may be channel keys, and are not told
	pub := publish(t, from, from.key(t, room), flvClip(t, "h264-aac-b", 5), pacing{loop: true})
	defer pub.lose()
	from.waitOnAir(t, room)
	waitPlaylist(t, from.hlsURL(room))
	file := filepath.Join(t.TempDir(), "livego.yaml")
	config := "server: [{appname: live, live: true, hls: true, flv: true, pull: 'http://" + from.hls + "/live/{stream}/index.m3u8'}]"
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	to := start(t, "--config_file", file)
	v := watchRTMP(t, to, room)
	v.waitFrames(t, 60)
	gapless(t, "pulled", v.tags(), 250)
}

// TestPullHLSLoop: a pull that would bring a stream to itself is refused, by each of its URLs.
func TestPullHLSLoop(t *testing.T) {
	t.Parallel()
	s, room := start(t), roomOf(t)
	pub := publish(t, s, s.key(t, room), flvClip(t, "h264-aac-b", 5), pacing{loop: true})
	defer pub.lose()
	s.waitOnAir(t, room)
	for _, source := range []string{s.hlsURL(room), s.indexURL(room), s.flvURL(room), strings.Replace(s.hlsURL(room), "/live/", "/~token/live/", 1)} {
		status, text := relayed(t, s, "pull", room, source)
		wantAnswer(t, source, status, text, 400, "leads back")
	}
	if !s.onAir(t, room) {
		t.Error("the stream is gone")
	}
}
