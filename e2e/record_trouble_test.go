package e2e

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// troubled publishes a stream for 12 s that is recorded below a folder while something is wrong
// with that, and puts it right; then all of it must be recorded, and no viewer has noticed.
func troubled(t *testing.T, dir string, s *server, wrong, right func()) {
	t.Helper()
	room := roomOf(t)
	tags := flvClip(t, "h264-aac-b", 12)
	pub := publish(t, s, s.key(t, room), tags, pacing{})
	s.waitOnAir(t, room)
	v := watchFLV(t, s, room)
	v.waitFrames(t, 100)
	wrong()
	pub.finish(t)
	gapless(t, v.name, v.waitEnd(t, 10*time.Second), 250)
	eventually(t, 20*time.Second, "the log names the trouble", func() bool { return strings.Contains(s.log(), "recordings wait for their place") })
	if strings.Contains(s.log(), gatewaySecret) {
		t.Error("the log has the secret")
	}
	right()
	recordedWhole(t, dir, room, tags)
}

// recordedWhole waits until a stream is recorded, and compares that with what was published.
func recordedWhole(t *testing.T, dir, room string, tags []tag) {
	t.Helper()
	all, folders := waitRecorded(t, dir, room, 1)
	if all[0].Lost != 0 {
		t.Errorf("%+v", all[0])
	}
	in := unitsOf(tags, h264NAL)
	for id, kind := range map[string]byte{"v0": typeVideo, "a0": typeAudio} {
		comparison{tolerance: 1, whole: true}.check(t, id, only(in, kind), recordedUnits(t, folders[0], id))
	}
}

// fillDisk writes a file until a small file system takes no more.
func fillDisk(t *testing.T, filler string) {
	t.Helper()
	zero := must(os.Open("/dev/zero"))
	defer zero.Close()
	f := must(os.Create(filler))
	defer f.Close()
	if n, err := f.ReadFrom(io.LimitReader(zero, 64<<20)); err == nil || n == 0 {
		t.Fatalf("this test mounts a small file system, for which it needs to be root or user namespaces: %d, %v", n, err)
	}
}

// TestRecordFolderFull fills the disk of record_to in mid-recording.
func TestRecordFolderFull(t *testing.T) {
	t.Parallel()
	s := &server{}
	startInNamespace(t, s, `mkdir -p to; mount -t tmpfs -o size=8m,mode=700 none to; exec "$0" "$@"`,
		"--record", "all", "--record_to", "to", "--record_join", "1s", "--hls_segment_duration", "1")
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
	to := filepath.Join("/proc", fmt.Sprint(s.command.Process.Pid), "root", s.dir, "to")
	filler := filepath.Join(to, "filler")
	troubled(t, to, s, func() { fillDisk(t, filler) }, func() {
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
	})
}
