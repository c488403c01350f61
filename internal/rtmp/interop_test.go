package rtmp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Tests against the programs that people use. Each is skipped where its program is not installed;
// the end-to-end tests of the project insist on them.

func tool(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("%s is not installed", name)
	}
}

// run runs a program for 30 s at most and returns its standard output.
func run(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var out, problems bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problems
	err := cmd.Run()
	if err != nil {
		err = fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, problems.String())
	}
	return out.String(), err
}

// recorder keeps what is published under a name and plays it, once, from the beginning to the end.
type recorder struct {
	mu      sync.Mutex
	streams map[string]*recording
	status  error // to refuse publishers with
}

type recording struct {
	messages []Message
	ended    chan struct{}
	cause    error
}

func (h *recorder) stream(name string) *recording {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.streams == nil {
		h.streams = make(map[string]*recording)
	}
	if h.streams[name] == nil {
		h.streams[name] = &recording{ended: make(chan struct{})}
	}
	return h.streams[name]
}

func (h *recorder) Stray(uint32, uint8) {}

func (h *recorder) Connect(_ context.Context, r *ConnectRequest) error {
	if r.App != "live" {
		return &StatusError{Code: CodeConnectRejected, Description: "No such app."}
	}
	return nil
}

func (h *recorder) Publish(_ context.Context, r *PublishRequest) (Publication, error) {
	if h.status != nil {
		return nil, h.status
	}
	return h.stream(r.Name), nil
}

func (s *recording) Message(m Message) error {
	s.messages = append(s.messages, m)
	return nil
}

func (s *recording) Close(cause error) {
	s.cause = cause
	close(s.ended)
}

func (h *recorder) Play(ctx context.Context, r *PlayRequest, ps *PlayStream) error {
	s := h.stream(r.Name)
	select {
	case <-s.ended:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	b, nc := ps.Start(newTestControl())
	f := Format{StreamID: r.StreamID}
	for _, m := range s.messages {
		body := m.Body
		if m.Type == TypeDataAMF0 {
			body = bytes.TrimPrefix(body, []byte("\x02\x00\x0d@setDataFrame"))
		}
		b = f.AppendMessage(b, m.Type, m.TimestampMS, body)
	}
	_, err := nc.Write(append(b, EndOfStream(r.StreamID)...))
	return err
}

// media counts the messages of a recording.
func (s *recording) media(t *testing.T) (video, audio int) {
	t.Helper()
	<-s.ended
	if s.cause != ErrUnpublished {
		t.Errorf("publication ended by %v, want %v", s.cause, ErrUnpublished)
	}
	for _, m := range s.messages {
		switch m.Type {
		case TypeVideo:
			video++
		case TypeAudio:
			audio++
		}
	}
	return video, audio
}

const clipFrames = 100 // four seconds

// clip makes a file with H.264 and AAC whose times begin at start. From 16,777 s on they need 32
// bits.
func clip(t *testing.T, start int) string {
	t.Helper()
	tool(t, "ffmpeg")
	file := filepath.Join(t.TempDir(), "clip.flv")
	_, err := run(t, "ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc=s=640x480:r=25", "-f", "lavfi", "-i", "sine",
		"-t", "4", "-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-pix_fmt", "yuv420p", "-c:a", "aac",
		"-output_ts_offset", strconv.Itoa(start), file)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// hashes returns a line for each packet that FFmpeg finds in an input: track and hash, without
// times, which players may shift.
func hashes(t *testing.T, input string) string {
	t.Helper()
	out, err := run(t, "ffmpeg", "-v", "error", "-copyts", "-i", input, "-c", "copy", "-f", "framemd5", "-")
	if err != nil {
		t.Fatal(err)
	}
	var video, audio []string
	for line := range strings.Lines(out) {
		if fields := strings.Split(line, ","); len(fields) == 6 {
			if fields[0] == "0" {
				video = append(video, fields[5])
			} else {
				audio = append(audio, fields[5])
			}
		}
	}
	return strings.Join(video, "") + strings.Join(audio, "")
}

// FFmpeg publishes and plays, at times of 24 and of 32 bits and across the border.
func TestFFmpeg(t *testing.T) {
	t.Parallel()
	for _, start := range []int{0, 16775, 20000} {
		t.Run(fmt.Sprint("from ", start, " s"), func(t *testing.T) {
			file := clip(t, start)
			h := &recorder{}
			url := listen(t, h, ServerOptions{}, nil) + "/live/x"
			if _, err := run(t, "ffmpeg", "-v", "error", "-copyts", "-i", file, "-c", "copy", "-f", "flv", url); err != nil {
				t.Fatal(err)
			}
			video, audio := h.stream("x").media(t)
			if video < clipFrames || audio < 170 {
				t.Errorf("%d video, %d audio messages", video, audio)
			}
			for _, m := range h.stream("x").messages {
				isPicture := m.Type == TypeVideo && m.Body[1] == 1 // FFmpeg's sequence headers have time 0
				if at := int(m.TimestampMS) / 1000; isPicture && (at < start || at > start+5) {
					t.Fatalf("video at %d s of a clip from %d s on", at, start)
				}
			}
			want := hashes(t, file)
			wantEqual(t, "played", want, hashes(t, url))

			tool(t, "rtmpdump")
			dump := filepath.Join(t.TempDir(), "dump.flv")
			if _, err := run(t, "rtmpdump", "--quiet", "--live", "--rtmp", url, "--flv", dump); err != nil {
				t.Log(err) // it calls the end of a live stream an incomplete download
			}
			wantEqual(t, "rtmpdump", want, hashes(t, dump))
		})
	}
}

func TestFFmpegRefused(t *testing.T) {
	t.Parallel()
	file := clip(t, 0)
	h := &recorder{status: &StatusError{Code: CodePublishDenied, Description: "Unknown channel key."}}
	url := listen(t, h, ServerOptions{}, nil)
	_, err := run(t, "ffmpeg", "-v", "error", "-i", file, "-c", "copy", "-f", "flv", url+"/live/x")
	if err == nil || !strings.Contains(err.Error(), "Unknown channel key.") {
		t.Errorf("publish: %v", err)
	}
	_, err = run(t, "ffmpeg", "-v", "error", "-i", file, "-c", "copy", "-f", "flv", url+"/other/x")
	if err == nil || !strings.Contains(err.Error(), "No such app.") {
		t.Errorf("connect: %v", err)
	}
}

func TestGStreamer(t *testing.T) {
	t.Parallel()
	tool(t, "gst-launch-1.0")
	file := clip(t, 0)
	for _, sink := range []string{"rtmpsink", "rtmp2sink"} {
		t.Run(sink, func(t *testing.T) {
			t.Parallel()
			if _, err := run(t, "gst-inspect-1.0", sink); err != nil {
				t.Skipf("%s is not installed", sink)
			}
			h := &recorder{}
			url := listen(t, h, ServerOptions{}, nil) + "/live/x"
			_, err := run(t, "gst-launch-1.0", "-q", "filesrc", "location="+file, "!", "flvdemux", "name=d", "flvmux", "name=m", "streamable=true",
				"!", sink, "location="+url, "d.video", "!", "queue", "!", "h264parse", "!", "m.video", "d.audio", "!", "queue", "!", "aacparse", "!", "m.audio")
			if err != nil {
				t.Fatal(err)
			}
			<-h.stream("x").ended
			video, audio := 0, 0
			for _, m := range h.stream("x").messages {
				switch m.Type {
				case TypeVideo:
					video++
				case TypeAudio:
					audio++
				}
			}
			if video < clipFrames || audio < 170 {
				t.Errorf("%d video, %d audio messages; ended by %v", video, audio, h.stream("x").cause)
			}
		})
	}
}

// nginx-rtmp takes what our client publishes, and our client plays what nginx-rtmp sends.
func TestNginx(t *testing.T) {
	t.Parallel()
	url := nginx(t, "application live { live on; }") + "/live"
	for _, digest := range []bool{false, true} {
		name := fmt.Sprint("digest ", digest)
		t.Run(name, func(t *testing.T) {
			publisher, err := Dial(t.Context(), url, ClientOptions{Digest: digest})
			if err != nil {
				t.Fatal(err)
			}
			defer publisher.Close()
			if err := publisher.Publish(t.Context(), "x"); err != nil {
				t.Fatal(err)
			}
			player, err := Dial(t.Context(), url, ClientOptions{Digest: digest})
			if err != nil {
				t.Fatal(err)
			}
			defer player.Close()
			if err := player.Play(t.Context(), "x"); err != nil {
				t.Fatal(err)
			}
			want := []Message{
				{TypeVideo, 1, 0, []byte{0x17, 0, 0, 0, 0, 1, 0x64, 0, 31, 0xff, 0xe1, 0, 0, 1, 0, 0}},
				{TypeVideo, 1, 0, append([]byte{0x17, 1, 0, 0, 0}, make([]byte, 200_000)...)},
				{TypeVideo, 1, 0x1000000, append([]byte{0x27, 1, 0, 0, 0}, make([]byte, 100_000)...)},
				{TypeAudio, 1, 0x1000020, append([]byte{0xaf, 1}, make([]byte, 300)...)},
			}
			if err := writeAll(publisher, want); err != nil {
				t.Fatal(err)
			}
			var got []Message
			for len(got) < len(want) {
				m, err := player.Read()
				if err != nil {
					t.Fatalf("after %d messages: %v", len(got), err)
				}
				if m.Type == TypeVideo || m.Type == TypeAudio {
					m.StreamID = 1
					got = append(got, m)
				}
			}
			for i := range got {
				if !bytes.Equal(got[i].Body, want[i].Body) || got[i].Type != want[i].Type {
					t.Errorf("message %d: type %d, %d bytes", i, got[i].Type, len(got[i].Body))
				}
			}
			if err := publisher.Unpublish(); err != nil {
				t.Fatal(err)
			}
			for {
				if _, err := player.Read(); err == io.EOF {
					break
				} else if err != nil {
					t.Fatalf("end of the stream: %v", err)
				}
			}
		})
	}
}

// nginx-rtmp as our client: it pushes what it gets to us, and pulls what it is asked for from us.
func TestNginxRelays(t *testing.T) {
	t.Parallel()
	h := relay()
	ours := listen(t, h, ServerOptions{}, nil) + "/live"
	url := nginx(t, fmt.Sprintf("application push { live on; push %s; } application pull { live on; pull %s; }", ours, ours))
	publisher, err := Dial(t.Context(), url+"/push/x", ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer publisher.Close()
	if err := publisher.Publish(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	player, err := Dial(t.Context(), url+"/pull/x", ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer player.Close()
	if err := player.Play(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	// Whatever comes before both relays are up is lost: publish key frames until some arrive.
	picture := append([]byte{0x17, 1, 0, 0, 0}, bytes.Repeat([]byte{7}, 150_000)...)
	received, done := make(chan struct{}), make(chan error, 1)
	go func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for at := uint32(0); ; at += 20 {
			if err := writeAll(publisher, []Message{{TypeVideo, 1, at, picture}}); err != nil {
				done <- err
				return
			}
			select {
			case <-tick.C:
			case <-received:
				done <- nil
				return
			}
		}
	}()
	for n := 0; n < 5; {
		m, err := player.Read()
		if err != nil {
			t.Fatal(err)
		}
		if m.Type == TypeVideo {
			n++
			if !bytes.Equal(m.Body, picture) {
				t.Fatalf("picture of %d bytes changed", len(m.Body))
			}
		}
	}
	close(received)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if name := h.published[0].Name; name != "x" {
		t.Errorf("nginx published %q", name)
	}
}

// nginx starts nginx-rtmp with these applications and returns its URL.
func nginx(t *testing.T, applications string) string {
	t.Helper()
	tool(t, "nginx")
	const module = "/usr/lib/nginx/modules/ngx_rtmp_module.so"
	if _, err := os.Stat(module); err != nil {
		t.Skip("nginx has no rtmp module")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	dir := t.TempDir()
	config := filepath.Join(dir, "nginx.conf")
	text := fmt.Sprintf("load_module %s; daemon off; master_process off; pid %s/pid; error_log %s/log; worker_rlimit_nofile 64;\n"+
		"events { worker_connections 32; }\nrtmp { server { listen %s; %s } }\n", module, dir, dir, addr, applications)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("nginx", "-e", filepath.Join(dir, "start"), "-c", config)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for deadline := time.Now().Add(10 * time.Second); ; {
		nc, err := net.Dial("tcp", addr)
		if err == nil {
			nc.Close()
			return "rtmp://" + addr
		}
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(filepath.Join(dir, "start"))
			t.Fatal(errors.Join(err, errors.New(string(log))))
		}
	}
}
