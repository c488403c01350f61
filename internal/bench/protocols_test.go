package bench

import (
	"errors"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"livego/internal/flv"
	"livego/internal/server"
)

// secure gives a server a certificate that was made for tests, for all that it listens on.
func secure(t *testing.T) func(*server.Options) {
	t.Helper()
	made := httptest.NewTLSServer(nil)
	made.Close()
	return func(o *server.Options) {
		o.TLSConfig, o.RTMPTLS, o.FLVTLS, o.HLSTLS = made.TLS.Clone(), true, true, true
		o.TLSConfig.NextProtos = nil
	}
}

// TestTLS publishes and plays by TLS: some players decrypt, the others let the ciphertext be.
func TestTLS(t *testing.T) {
	t.Parallel()
	addrs, store := startServer(t, secure(t))
	flv, name := addrs["http-flv"].String(), "/live/{stream}"
	o := Options{
		Publish: "rtmps://" + addrs["rtmp"].String() + "/live/{key}",
		Play: []string{
			"rtmps://" + addrs["rtmp"].String() + name, "https://" + flv + name + ".flv", "wss://" + flv + name + ".flv",
			"https://" + addrs["hls"].String() + name + ".m3u8",
		},
		Keys: store.Get, Stream: "test", Streams: 1, Players: 16, Sample: 8, JoinRate: 1000, Insecure: true,
		VideoRate: 452_000, AudioRate: 64_000, Warmup: time.Second, Duration: time.Second,
	}
	r, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if r.Connected != 16 || r.Delivered+r.Starved == 0 || r.LatencyMS.Count == 0 || r.FirstKeyMS.Count != 8 || r.Faults != (Faults{}) || r.Reconnects != 0 {
		t.Errorf("%v", r)
	}
	o.Insecure, o.Players, o.Publish, o.Play = false, 0, "rtmps://"+addrs["rtmp"].String()+"/live/{key}", nil
	if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("a certificate that nobody knows: %v", err)
	}
}

// TestStorm has more players join while others watch.
func TestStorm(t *testing.T) {
	t.Parallel()
	addrs, store := startServer(t)
	r, err := Run(t.Context(), Options{
		Publish: "rtmp://" + addrs["rtmp"].String() + "/live/{key}",
		Play: []string{
			"rtmp://" + addrs["rtmp"].String() + "/live/{stream}", "http://" + addrs["http-flv"].String() + "/live/{stream}.flv",
			"ws://" + addrs["http-flv"].String() + "/live/{stream}.flv",
		},
		Keys: store.Get, Stream: "test", Streams: 1, Players: 6, Sample: 3, Storm: 30, JoinRate: 1000,
		VideoRate: 452_000, AudioRate: 64_000, Duration: 2 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Connected != 6 || r.StormConnected != 30 || r.StormFirstKeyMS.Count != 30 || r.FirstKeyMS.Count != 3 || r.Faults != (Faults{}) {
		t.Errorf("%v", r)
	}
	// Three players that check saw pictures for two seconds, however many of them a busy machine
	// let through: half of the time between them is not more than there was.
	if r.GapMS.Count < 3 || r.GapMS.P50 <= 0 || float64(r.GapMS.Count)*r.GapMS.P50/2 > 3*10*2000 {
		t.Errorf("%v", r)
	}
	if !strings.Contains(r.String(), "30 of 30 connected") {
		t.Errorf("the report lacks the storm:\n%v", r)
	}
}

// clipFile writes the built-in clip's first seconds as an FLV file.
func clipFile(t *testing.T, length time.Duration) string {
	t.Helper()
	c, err := builtIn(452_000, 64_000)
	if err != nil {
		t.Fatal(err)
	}
	var tags []flv.Tag
	for _, m := range c.headers {
		tags = append(tags, flv.Tag{Type: m.kind, Body: m.body})
	}
	for _, m := range c.media {
		if m.at < length {
			tags = append(tags, flv.Tag{Type: m.kind, TimestampMS: uint32(m.at.Milliseconds()), Body: m.body})
		}
	}
	name := filepath.Join(t.TempDir(), "a:clip.flv")
	if err := os.WriteFile(name, file(tags...), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestFile publishes a file of a second over and over: no time goes back at the seams, and each
// picture is a new one.
func TestFile(t *testing.T) {
	t.Parallel()
	addrs, store := startServer(t)
	r, err := Run(t.Context(), Options{
		Publish: "rtmp://" + addrs["rtmp"].String() + "/live/{key}", Play: []string{"rtmp://" + addrs["rtmp"].String() + "/live/{stream}"},
		Keys: store.Get, Stream: "test", Streams: 1, Players: 2, Sample: 1, JoinRate: 1000,
		File: clipFile(t, time.Second), Duration: 3 * time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Connected != 2 || r.LatencyMS.Count < 80 || r.Faults != (Faults{}) || r.Jumps != 0 {
		t.Errorf("%v", r)
	}
}

// TestConvertedFile reads what is not FLV with ffmpeg.
func TestConvertedFile(t *testing.T) {
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Setenv("PATH", t.TempDir())
		if _, err := openClip(t.Context(), os.Args[0]); !errors.Is(err, exec.ErrNotFound) {
			t.Errorf("%v", err)
		}
		return
	}
	source := clipFile(t, 4*time.Second)
	converted := filepath.Join(t.TempDir(), "clip.mp4")
	out, err := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-i", "file:"+source, "-c", "copy", converted).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	c, err := openClip(t.Context(), converted)
	if err != nil {
		t.Fatal(err)
	}
	stamped := 0
	for _, m := range c.media {
		if m.stamp > 0 {
			stamped++
		}
	}
	if stamped != 4*frameRate || (c.length-4*time.Second).Abs() > 100*time.Millisecond {
		t.Errorf("%d pictures with a stamp in %v", stamped, c.length)
	}
	if _, err := openClip(t.Context(), os.Args[0]); err == nil || !strings.Contains(err.Error(), "ffmpeg") {
		t.Errorf("a program as a clip: %v", err)
	}
}

func TestOpenFiles(t *testing.T) {
	if err := allowFiles(10); err != nil {
		t.Error(err)
	}
	if err := allowFiles(1 << 62); err == nil || !strings.Contains(err.Error(), "ulimit") {
		t.Errorf("%v", err)
	}
	o := Options{Streams: 2, Players: 100, Storm: 50}
	if got := o.files(); got != 152+spareFiles {
		t.Error(got)
	}
}

func TestDoubts(t *testing.T) {
	good := Report{OwnCPU: 0.5, PublishLateMS: 5, DrainLateMS: 30}
	if got := good.doubts(1); got != nil {
		t.Errorf("%q", got)
	}
	for want, change := range map[string]func(*Report){
		"0.90 of 1 cores": func(r *Report) { r.OwnCPU = 0.9 },
		"published up to": func(r *Report) { r.PublishLateMS = 100 },
		"emptied up to":   func(r *Report) { r.DrainLateMS = 1000 },
	} {
		bad := good
		change(&bad)
		got := bad.doubts(1)
		if len(got) != 1 || !strings.Contains(got[0], want) {
			t.Errorf("%s: %q", want, got)
		}
		if bad.Doubts = got; !strings.Contains(bad.String(), "not sound") {
			t.Errorf("the report does not say so:\n%v", &bad)
		}
	}
	if busy := (&Report{OwnCPU: 0.9}).doubts(2); busy != nil {
		t.Errorf("%q", busy)
	}
}
