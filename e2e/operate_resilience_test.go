package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestStandstill stops the process for longer than its timeouts, as the move of a virtual machine
// does: an encoder that sends all the time stays on air, and viewers stay.
func TestStandstill(t *testing.T) {
	t.Parallel()
	s, room := start(t, "--read_timeout", "1500ms", "--write_timeout", "1500ms"), roomOf(t)
	encoder := publish(t, s, s.key(t, room), flvClip(t, "h264-aac", 5), pacing{loop: true})
	s.waitOnAir(t, room)
	viewer := watchFLV(t, s, room)
	before := func() int { return len(viewer.tags()) }
	eventually(t, 5*time.Second, "the viewer gets something", func() bool { return before() > 20 })
	for range 2 {
		if err := s.command.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		pause(t, 3*time.Second)
		sent := encoder.sent.Load()
		if err := s.command.Process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		eventually(t, 5*time.Second, "the viewer gets what was sent afterwards", func() bool { return int64(before()) > sent+20 })
	}
	for _, line := range []string{"publisher lost", "publisher ended", "player left"} {
		if strings.Contains(s.log(), line) {
			t.Errorf("the log says %q", line)
		}
	}
}

// startInNamespace starts a server by a shell script in its folder, in a namespace of mounts of its
// own; "$0" "$@" there is the server.
func startInNamespace(t *testing.T, s *server, script string, args ...string) {
	t.Helper()
	dir, err := os.MkdirTemp(work, "disk-")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "start")
	text := fmt.Sprintf("#!/bin/sh\nexec unshare -r -m sh -c 'set -e; %s' %s \"$@\"\n", script, raceBinary(t))
	writeScript(t, file, text)
	s.launch(t, file, nil, args...)
}

// fullDisk starts a server whose data_dir is a file system of its own, which is full when fill is
// set.
func fullDisk(t *testing.T, s *server, fill bool, args ...string) {
	t.Helper()
	startInNamespace(t, s, fmt.Sprintf(`mkdir -p data; mount -t tmpfs -o size=16m,mode=700 none data; if [ -d kept ]; then cp -a kept/. data; fi
if %v; then cat /dev/zero > data/filler || true; fi 2> filled; exec "$0" "$@"`, fill), args...)
	if filler, err := os.Stat(s.disk("filler")); fill && (err != nil || filler.Size() < 4096) {
		t.Fatalf("this test mounts a small file system, for which it needs to be root or user namespaces: %v", err)
	}
}

// disk is the path of a file in the data_dir of a server with a file system of its own.
func (s *server) disk(name string) string {
	return filepath.Join("/proc", fmt.Sprint(s.command.Process.Pid), "root", s.dir, "data", name)
}

// TestFirstStartOnAFullDisk: the server starts, says what is wrong, delivers, and has keys and
// rewinding when there is room.
func TestFirstStartOnAFullDisk(t *testing.T) {
	t.Parallel()
	s, room := &server{}, roomOf(t)
	fullDisk(t, s, true, "--hls_dvr_window", "1h", "--hls_segment_duration", "1", "--rtmp_noauth")
	defer func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	}()
	for _, line := range []string{"no channel key can be made until there is room", "segments get lost for rewinding"} {
		if !strings.Contains(s.log(), line) {
			t.Errorf("the log lacks %q", line)
		}
	}
	if status, answer := s.control(t, "/control/get?room="+room); status != 500 || !strings.Contains(answer, "no space left on device") {
		t.Errorf("a key on a full disk: %d %s", status, answer)
	}
	publish(t, s, room, flvClip(t, "h264-aac", 5), pacing{loop: true})
	s.waitOnAir(t, room)
	playlist := strings.Replace(s.indexURL(room), "index.m3u8", "index-v0.m3u8", 1)
	eventually(t, 10*time.Second, "segments are listed", func() bool {
		status, body, _ := get(playlist)
		return status == 200 && strings.Count(string(body), "#EXTINF") >= 3
	})
	if err := os.Remove(s.disk("filler")); err != nil {
		t.Fatal(err)
	}
	eventually(t, 10*time.Second, "segments are stored", func() bool {
		stored, _ := filepath.Glob(s.disk("hls/*/*/*.m4s"))
		return len(stored) >= 2
	})
	s.key(t, room)
}

// TestRestartOnAFullDisk: what was there before is there still, and the keys hold.
func TestRestartOnAFullDisk(t *testing.T) {
	t.Parallel()
	s, room := start(t, "--hls_dvr_window", "1h", "--hls_segment_duration", "1"), roomOf(t)
	key := s.key(t, room)
	first := publish(t, s, key, flvClip(t, "h264-aac", 5), pacing{loop: true})
	playlist := strings.Replace(s.indexURL(room), "index.m3u8", "index-v0.m3u8", 1)
	listed := func(n int) func() bool {
		return func() bool {
			status, body, _ := get(playlist)
			return status == 200 && strings.Count(string(body), "#EXTINF") >= n
		}
	}
	eventually(t, 10*time.Second, "segments are listed", listed(3))
	first.lose()
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(s.dir, "data"), filepath.Join(s.dir, "kept")); err != nil {
		t.Fatal(err)
	}
	stored, _ := filepath.Glob(filepath.Join(s.dir, "kept/hls/*/*/*.m4s"))

	again := &server{dir: s.dir}
	fullDisk(t, again, true, "--hls_dvr_window", "1h", "--hls_segment_duration", "1")
	defer func() {
		if err := again.stop(); err != nil {
			t.Error(err)
		}
	}()
	s.hls = again.hls
	playlist = strings.Replace(s.indexURL(room), "index.m3u8", "index-v0.m3u8", 1)
	publish(t, again, key, flvClip(t, "h264-aac", 5), pacing{loop: true})
	eventually(t, 10*time.Second, "old and new segments are listed", listed(len(stored)+1))
	if status, answer := again.control(t, "/control/reset?room="+room); status == 200 && strings.Contains(answer, key) {
		t.Errorf("a reset kept the key: %s", answer)
	}
}
