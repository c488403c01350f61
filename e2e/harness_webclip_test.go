package e2e

import (
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// barClip makes a clip of H.264 and AAC whose pictures carry their number as bars in the upper
// quarter, as web/player.js reads them. It is eight seconds long, for eight bars can tell 200
// pictures apart.
var barClip = sync.OnceValues(func() (string, error) {
	path := filepath.Join(work, "bars.flv")
	const bars = "geq=lum='if(lt(Y,H/4),if(bitand(N,pow(2,floor(X*8/W))),235,16),lum(X,Y))':cb='if(lt(Y,H/8),128,cb(X,Y))':cr='if(lt(Y,H/8),128,cr(X,Y))'"
	command := exec.Command("ffmpeg", "-v", "error", "-y", "-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound, "-t", "8", "-vf", bars,
		"-c:v", "libx264", "-preset", "veryfast", "-tune", "zerolatency", "-pix_fmt", "yuv420p", "-g", "25", "-bf", "0", "-c:a", "aac", "-b:a", "64k", path)
	output, err := command.CombinedOutput()
	if err != nil {
		return string(output), err
	}
	return path, nil
})

// barred is a stream whose pictures tell when they were sent.
type barred struct {
	*publication
	tags []tag
}

func publishBars(t testing.TB, s *server, key string) barred {
	t.Helper()
	path, err := barClip()
	if err != nil {
		t.Fatalf("making the numbered clip: %v: %s", err, path)
	}
	tags := readFLV(t, path)
	return barred{publish(t, s, key, tags, pacing{loop: true}), tags}
}

// age returns how long before it was seen the picture was sent, in seconds, which must be less than
// the clip is long.
func (b barred) age(r webReport) float64 {
	if r.Stamp == nil {
		return -1
	}
	round, sent := uint32(0), uint32(0)
	number := -1
	for _, tag := range b.tags {
		round = max(round, tag.time+20)
		if tag.kind != typeVideo || tag.isHeader() {
			continue
		}
		if number++; number == r.Stamp.Value {
			sent = tag.time
		}
	}
	seen := time.UnixMicro(int64(r.Stamp.At * 1000)).Sub(b.began)
	length := time.Duration(round) * time.Millisecond
	return ((seen - time.Duration(sent)*time.Millisecond) % length).Seconds()
}

// ffmpegLoop publishes a file in real time and without end with FFmpeg, without changing its coded
// data.
func ffmpegLoop(t testing.TB, s *server, file, key string) *program {
	t.Helper()
	return launch(t, "ffmpeg", "-v", "error", "-re", "-stream_loop", "-1", "-i", file, "-c", "copy", "-f", "flv", s.publishURL(key))
}
