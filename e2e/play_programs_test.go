package e2e

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestPlayers plays a stream with the players that people use, each of which writes down what it
// got.
func TestPlayers(t *testing.T) {
	t.Parallel()
	s, room := shared(t), roomOf(t)
	tags := flvClip(t, "h264-aac-b", 5)
	key := s.key(t, room)
	dir := t.TempDir()
	dumped, curled := filepath.Join(dir, "rtmpdump.flv"), filepath.Join(dir, "curl.flv")

	early := launch(t, "ffmpeg", "-v", "error", "-i", s.rtmpURL(room), "-c", "copy", "-f", "flv", filepath.Join(dir, "ffmpeg.flv"))
	pause(t, time.Second) // it need not be connected by then
	encoder := ffmpegPublish(t, s, clip(t, "h264-aac-b", 5, "flv"), key)
	s.waitOnAir(t, room)
	rtmpdump := launch(t, "rtmpdump", "-q", "--live", "-r", s.rtmpURL(room), "-o", dumped)
	curl := launch(t, "curl", "-sS", "--fail", "-o", curled, s.flvURL(room))
	hls := launch(t, "ffmpeg", "-v", "error", "-i", s.hlsURL(room), "-c", "copy", "-f", "framemd5", filepath.Join(dir, "hls"))
	encoder.succeed(t, 20*time.Second)
	curl.succeed(t, 10*time.Second)
	comparison{}.check(t, "curl", bodiesOf(tags), bodiesOf(readFLV(t, curled)))
	early.succeed(t, 10*time.Second)
	comparison{}.check(t, "ffmpeg", bodiesOf(tags), bodiesOf(readFLV(t, filepath.Join(dir, "ffmpeg.flv"))))
	rtmpdump.wait(t, 10*time.Second) // its exit status is that of an unfinished download, whatever the server says
	comparison{}.check(t, "rtmpdump", bodiesOf(tags), bodiesOf(readFLV(t, dumped)))
	hls.succeed(t, 15*time.Second)
	text, err := os.ReadFile(filepath.Join(dir, "hls"))
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), "\n0,"); n < len(only(bodiesOf(tags), typeVideo))/2 {
		t.Errorf("FFmpeg got %d pictures over HLS", n)
	}
}

// TestEnhancedFFmpeg publishes with an FFmpeg that speaks Enhanced RTMP, and lets it play, too.
func TestEnhancedFFmpeg(t *testing.T) {
	t.Parallel()
	ffmpeg7 := setting(t, "FFMPEG7")
	for _, name := range []string{"hevc-aac", "av1-opus", "vp9-flac"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, room := shared(t), roomOf(t)
			file := clip(t, name, 5, "mp4")
			player := launch(t, ffmpeg7, "-v", "error", "-i", s.rtmpURL(room), "-map", "0:v", "-c", "copy", "-f", "framemd5", "-")
			// This version writes only video by the Enhanced way.
			encoder := launch(t, ffmpeg7, "-v", "error", "-re", "-i", file, "-map", "0:v", "-c", "copy", "-f", "flv", s.publishURL(s.key(t, room)))
			s.waitOnAir(t, room)
			flv := watchFLV(t, s, room)
			encoder.succeed(t, 20*time.Second)

			sent := only(unitsOf(wrap(t, file, wrapping{}), noNAL), typeVideo)
			comparison{}.check(t, "HTTP-FLV", sent, unitsOf(flv.waitEnd(t, 5*time.Second), noNAL))
			player.succeed(t, 10*time.Second)
			want := launch(t, ffmpeg7, "-v", "error", "-i", file, "-map", "0:v", "-c", "copy", "-f", "framemd5", "-")
			want.succeed(t, 20*time.Second)
			if got, want := frameHashes(player.output.String()), frameHashes(want.output.String()); !slices.Equal(got, want) {
				t.Errorf("it got %d pictures of %d, or others", len(got), len(want))
			}
		})
	}
}

// frameHashes takes the hashes out of FFmpeg's framemd5 format.
func frameHashes(text string) (hashes []string) {
	for line := range strings.Lines(text) {
		if fields := strings.Split(strings.TrimSpace(line), ","); len(fields) >= 6 && !strings.HasPrefix(line, "#") {
			hashes = append(hashes, strings.TrimSpace(fields[5]))
		}
	}
	return hashes
}

// TestGStreamer publishes with both of GStreamer's RTMP sinks.
func TestGStreamer(t *testing.T) {
	t.Parallel()
	for _, sink := range []string{"rtmpsink", "rtmp2sink"} {
		t.Run(sink, func(t *testing.T) {
			t.Parallel()
			s, room := shared(t), roomOf(t)
			flvmux := "flvmux name=mux streamable=true ! " + sink + " location=" + s.publishURL(s.key(t, room))
			pipeline := "videotestsrc is-live=true num-buffers=150 ! video/x-raw,width=320,height=180,framerate=30/1 ! " +
				"x264enc tune=zerolatency speed-preset=ultrafast key-int-max=30 ! h264parse ! mux. " +
				"audiotestsrc is-live=true num-buffers=240 ! audio/x-raw,rate=48000 ! avenc_aac ! aacparse ! mux. " + flvmux
			encoder := launch(t, "gst-launch-1.0", append([]string{"-q"}, strings.Fields(pipeline)...)...)
			s.waitOnAir(t, room)
			flv, list := watchFLV(t, s, room), watchHLS(t, s, room)
			encoder.succeed(t, 20*time.Second)
			got := flv.waitEnd(t, 15*time.Second)
			headersFirst(t, "HTTP-FLV", got, typeVideo, typeAudio)
			rising(t, "HTTP-FLV", got)
			gapless(t, "HTTP-FLV", got, 1000) // a busy encoder leaves pictures out
			list.waitEnd(t, 15*time.Second)
			if flv.frames() < 200 {
				t.Errorf("only %d frames came", flv.frames())
			}
		})
	}
}

// TestNginx lets nginx-rtmp push a stream to us, and pull it from us again.
func TestNginx(t *testing.T) {
	t.Parallel()
	s, room := shared(t), roomOf(t)
	key := s.key(t, room)
	nginx := startNginx(t, fmt.Sprintf("application up { live on; push rtmp://%s/live/%s; }\napplication down { live on; pull rtmp://%s/live/%s name=copy static; }", s.rtmp, key, s.rtmp, room))

	tags := flvClip(t, "h264-aac", 5)
	encoder := launch(t, "ffmpeg", "-v", "error", "-re", "-stream_loop", "2", "-i", clip(t, "h264-aac", 5, "flv"), "-c", "copy", "-f", "flv", "rtmp://"+nginx+"/up/"+key)
	s.waitOnAir(t, room)
	pause(t, 2*time.Second) // nginx pushes sound at once and video from the next key frame on, without saying so before
	flv := watchFLV(t, s, room)
	pulled := filepath.Join(t.TempDir(), "pulled.flv")
	player := launch(t, "ffmpeg", "-v", "error", "-i", "rtmp://"+nginx+"/down/copy", "-c", "copy", "-f", "flv", pulled)
	flv.waitFrames(t, 300)
	rising(t, "pushed by nginx", flv.tags())
	headersFirst(t, "pushed by nginx", flv.tags(), typeVideo, typeAudio)
	known := map[string]bool{}
	for _, u := range bodiesOf(tags) {
		known[u.hash] = true
	}
	for _, u := range bodiesOf(flv.tags()) {
		if !known[u.hash] {
			t.Fatalf("a unit at %d ms was never sent", u.dts)
		}
	}
	encoder.succeed(t, 30*time.Second)
	flv.waitEnd(t, 15*time.Second)
	eventually(t, 20*time.Second, "what nginx pulled", func() bool {
		data, err := os.ReadFile(pulled)
		return err == nil && len(data) > 50_000
	})
	player.kill()
	data, err := os.ReadFile(pulled)
	if err != nil {
		t.Fatal(err)
	}
	pulledHashes := 0
	for r := bytes.NewReader(data[13:]); ; {
		next, err := readTag(r)
		if err != nil {
			break
		}
		if u := bodiesOf([]tag{next}); len(u) == 1 && known[u[0].hash] {
			pulledHashes++
		}
	}
	if pulledHashes < 50 {
		t.Errorf("nginx pulled %d units of ours", pulledHashes)
	}
}

// startNginx runs nginx with RTMP applications and returns its RTMP address.
func startNginx(t testing.TB, applications string) string {
	t.Helper()
	address := freeAddress(t)
	startNginxAt(t, address, applications)
	return address
}

// startNginxAt runs it at an address.
func startNginxAt(t testing.TB, address, applications string) *program {
	t.Helper()
	dir := t.TempDir()
	config := fmt.Sprintf(`load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;
daemon off; master_process off; pid %s/pid; error_log %s/log info; events {}
rtmp { server { listen %s; %s } }
`, dir, dir, address, applications)
	path := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	nginx := launch(t, "nginx", "-p", dir, "-c", path)
	eventually(t, 5*time.Second, "nginx listens", func() bool {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return false
		}
		conn.Close()
		return true
	})
	return nginx
}
