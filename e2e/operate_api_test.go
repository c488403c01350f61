package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// api calls the management API and decodes what it answers into out, unless that is nil.
func (s *server) resource(t testing.TB, method, path string, out any) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, "http://"+s.api+"/api/v1"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, _ := io.ReadAll(answer.Body)
	if out != nil && answer.StatusCode < 300 {
		if err := json.Unmarshal(body, out); err != nil {
			t.Fatalf("%s %s: status %d, %s: %v", method, path, answer.StatusCode, body, err)
		}
	}
	return answer.StatusCode
}

// resourceOf is the path of a stream in the management API.
func resourceOf(room string) string { return "/streams/live%2F" + room }

// apiStream is what tests look at of a stream.
type apiStream struct {
	State        string
	BitRate      int `json:"bit_rate"`
	Publications []struct {
		Session          string
		Encoder          string
		FrameRate        float64 `json:"frame_rate"`
		KeyFrameInterval float64 `json:"key_frame_interval"`
		GOP              int
		Tracks           []struct {
			Kind, Codec, Profile, Codecs string
			Width, Height                int
		}
	}
	Viewers struct {
		Total      int
		ByProtocol map[string]int `json:"by_protocol"`
	}
}

// happened collects the types of events of a room until the test ends.
func (s *server) happened(t testing.TB, room string) <-chan string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+s.api+"/api/v1/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil || answer.StatusCode != 200 {
		t.Fatalf("events: %v, %v", answer, err)
	}
	types := make(chan string, 1000)
	go func() {
		defer answer.Body.Close()
		kind := ""
		for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
			if of, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				kind = of
			}
			if strings.HasPrefix(lines.Text(), "data: ") && strings.Contains(lines.Text(), `"live/`+room+`"`) {
				types <- kind
			}
		}
	}()
	return types
}

// awaitEvent waits for an event and passes over others.
func awaitEvent(t testing.TB, types <-chan string, want string) {
	t.Helper()
	for timeout := time.After(20 * time.Second); ; {
		select {
		case kind := <-types:
			if kind == want {
				return
			}
		case <-timeout:
			t.Fatalf("there was no %s", want)
		}
	}
}

// TestAPI publishes with FFmpeg, sees what it is in the management API and by events, disconnects a
// viewer and ends the stream.
func TestAPI(t *testing.T) {
	t.Parallel()
	s, room := shared(t), roomOf(t)
	key, types := s.key(t, room), s.happened(t, room)
	encoder := ffmpegPublish(t, s, clip(t, "h264-aac", 30, "flv"), key)
	awaitEvent(t, types, "stream.started")
	kicked, stays := watchFLV(t, s, room), watchRTMP(t, s, room)
	kicked.waitFrames(t, 10)

	var stream apiStream
	eventually(t, 20*time.Second, "all figures are there", func() bool {
		return s.resource(t, "GET", resourceOf(room), &stream) == 200 && stream.Viewers.Total == 2 && stream.Publications[0].GOP > 0 && stream.BitRate > 0
	})
	p := stream.Publications[0]
	if stream.State != "live" || !strings.Contains(p.Encoder, "Lavf") || p.KeyFrameInterval <= 0 || stream.Viewers.ByProtocol["http-flv"] != 1 || stream.Viewers.ByProtocol["rtmp"] != 1 {
		t.Errorf("stream %+v", stream)
	}
	if v := p.Tracks[0]; v.Kind != "video" || v.Codec != "H264" || v.Profile == "" || v.Width == 0 || v.Height == 0 || !strings.HasPrefix(v.Codecs, "avc1.") {
		t.Errorf("video %+v", v)
	}
	if a := p.Tracks[1]; a.Kind != "audio" || a.Codec != "AAC" || a.Profile != "LC" {
		t.Errorf("audio %+v", a)
	}
	awaitEvent(t, types, "figures")

	var sessions struct {
		Items []struct{ ID, Protocol string }
	}
	s.resource(t, "GET", "/sessions?role=viewer&protocol=http-flv&stream=live/"+room, &sessions)
	if len(sessions.Items) != 1 {
		t.Fatalf("sessions %+v", sessions)
	}
	if status := s.resource(t, "DELETE", "/sessions/"+sessions.Items[0].ID+"?reason=test", nil); status != 204 {
		t.Errorf("kick: status %d", status)
	}
	kicked.waitEnd(t, 10*time.Second)
	stays.going(t)

	if status := s.resource(t, "DELETE", resourceOf(room), nil); status != 204 {
		t.Errorf("end: status %d", status)
	}
	awaitEvent(t, types, "stream.ended")
	stays.waitEnd(t, 10*time.Second)
	eventually(t, 10*time.Second, "the encoder hears of it", func() bool {
		select {
		case <-encoder.ended:
			return true
		default:
			return false
		}
	})
	if status := s.resource(t, "GET", resourceOf(room), nil); status != 404 {
		t.Errorf("a stream that was ended: status %d", status)
	}
}

// TestAPIReload writes another app into the file: encoders may publish to it at once, and who
// watches stays.
func TestAPIReload(t *testing.T) {
	t.Parallel()
	s := &server{}
	dir, err := os.MkdirTemp(work, "server-")
	if err != nil {
		t.Fatal(err)
	}
	s.dir = dir
	file := filepath.Join(dir, "livego.yaml")
	const before = "server:\n- appname: live\n  live: true\n  flv: true\n"
	if err := os.WriteFile(file, []byte(before), 0o600); err != nil {
		t.Fatal(err)
	}
	s.launch(t, raceBinary(t), nil)
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
	room := roomOf(t)
	key, tags := s.key(t, room), flvClip(t, "h264-aac", 5)
	publish(t, s, key, tags, pacing{loop: true})
	viewer := watchFLV(t, s, room)
	viewer.waitFrames(t, 10)
	event := strings.Replace(s.publishURL(s.key(t, room+"-2")), "/live/", "/event/", 1)
	toEvent := func() *program {
		return launch(t, "ffmpeg", "-v", "error", "-re", "-i", clip(t, "h264-aac", 5, "flv"), "-c", "copy", "-f", "flv", event)
	}
	refused := toEvent()
	eventually(t, 20*time.Second, "an app that there is not is refused", func() bool {
		select {
		case <-refused.ended:
			return true
		default:
			return false
		}
	})

	if err := os.WriteFile(file, []byte(before+"- appname: event\n  live: true\n  flv: true\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var done struct{ Taken, Left []string }
	eventually(t, 20*time.Second, "the file is taken over", func() bool { return strings.Contains(s.log(), "changed=server") })
	if status := s.resource(t, "POST", "/config/reload", &done); status != 200 || len(done.Taken)+len(done.Left) > 0 {
		t.Errorf("asked again: status %d, %+v", status, done)
	}
	toEvent()
	eventually(t, 20*time.Second, "the new app has a stream", func() bool {
		return s.resource(t, "GET", "/streams/event%2F"+room+"-2", nil) == 200
	})
	viewer.going(t)

	if err := os.WriteFile(file, []byte("server: nonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	eventually(t, 20*time.Second, "what is wrong is said", func() bool { return strings.Contains(s.log(), "the one before stays in force") })
	output, err := exec.Command(raceBinary(t), "status", "--api_addr", s.api, "--config_file", "").CombinedOutput()
	if err != nil || !strings.Contains(string(output), "live/"+room) || !strings.Contains(string(output), "event/"+room+"-2") {
		t.Errorf("livego status: %v\n%s", err, output)
	}
	t.Logf("livego status:\n%s", output)
	viewer.going(t)
}

// TestAPIDocument has somebody else check the OpenAPI document that the server sends.
func TestAPIDocument(t *testing.T) {
	t.Parallel()
	s := shared(t)
	file := filepath.Join(t.TempDir(), "openapi.json")
	_, text, _ := s.fetch(t, "http://"+s.api+"/api/v1/openapi.json")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	output, err := exec.Command("node", "web/openapi.mjs", file).CombinedOutput()
	if err != nil || strings.TrimSpace(string(output)) != "3.1 valid" {
		t.Errorf("%v\n%s", err, output)
	}
}

// The generator of clients, and what its output imports.
const (
	clientGenerator = "github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2"
	clientRuntime   = "github.com/oapi-codegen/runtime@v1.9.0"
)

// TestAPIClient steers a server through a client that is generated from its document.
func TestAPIClient(t *testing.T) {
	t.Parallel()
	s, room, dir := shared(t), roomOf(t), t.TempDir()
	source, err := os.ReadFile("testdata/apiclient.go.txt")
	if err != nil {
		t.Fatal(err)
	}
	document, err := filepath.Abs("../docs/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "client"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"main.go": string(source), "go.mod": "module apiclient\n\ngo 1.26\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, arguments := range [][]string{
		{"run", clientGenerator, "-generate", "types,client", "-package", "client", "-o", "client/client.go", document},
		{"get", clientRuntime},
		{"build", "-o", "apiclient", "."},
	} {
		command := exec.Command("go", arguments...)
		command.Dir, command.Env = dir, append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
		if output, err := command.CombinedOutput(); err != nil {
			t.Fatalf("go %v: %v\n%s", arguments, err, output)
		}
	}

	client := exec.CommandContext(t.Context(), filepath.Join(dir, "apiclient"), "http://"+s.api, room)
	done := make(chan []byte, 1)
	go func() {
		output, _ := client.CombinedOutput()
		done <- output
	}()
	publish(t, s, s.key(t, room), flvClip(t, "h264-aac", 5), pacing{loop: true})
	s.waitOnAir(t, room)
	viewer := watchFLV(t, s, room)
	var output []byte
	select {
	case output = <-done:
	case <-time.After(90 * time.Second):
		t.Fatal("the client does not end")
	}
	viewer.waitEnd(t, 10*time.Second)
	lines := strings.Split(strings.TrimSpace(string(output)), "\n")
	if len(lines) > 0 && strings.Contains(lines[0], s.key(t, room)) {
		lines = lines[1:]
	}
	want := []string{"stream live true H264", "kick http-flv 204", "end 204", "none 404 this stream is not on air"}
	if !slices.Equal(lines, want) {
		t.Errorf("the client says\n%s\nwant, behind the key,\n%s", output, strings.Join(want, "\n"))
	}
}
