package e2e

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// account is what a player did so far.
type account struct {
	// played is how many seconds it played, stood for how many it stood still once it played.
	played, stood float64
	// begun is how often it was begun anew after it gave up.
	begun int
	// first is when its first picture was there, zero before, and for players that do not say.
	first time.Time
	// said is what it complained of.
	said string
}

// player plays a stream for as long as the test runs.
type player interface {
	account(testing.TB) account
}

func (p *webPlayer) account(t testing.TB) account {
	r := p.report(t)
	a := account{played: r.Played, stood: r.stood(), begun: r.Begun, said: strings.Join(append(r.Errors, r.Fatal...), "; ")}
	if r.First > 0 {
		a.first = time.UnixMilli(int64(r.First))
	}
	return a
}

// playhead is what a viewer would see of frames that come when they come: each is played when the
// one before it is over, or when it comes, if that is later.
type playhead struct {
	mu      sync.Mutex
	tracks  map[string]*track
	restart int
	words   []string
	first   time.Time // of the pictures, where they are told from the sound
}

// track is one kind of frames. free is when the frames that came are played.
type track struct {
	free   time.Time
	played time.Duration
	stood  time.Duration
}

// add notes a frame of a track that lasts so long.
func (h *playhead) add(name string, length time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.tracks == nil {
		h.tracks = make(map[string]*track)
	}
	now := time.Now()
	k := h.tracks[name]
	if k == nil {
		k = &track{free: now}
		h.tracks[name] = k
	}
	if late := now.Sub(k.free); late > 0 {
		if late > standing {
			k.stood += late
		}
		k.free = now
	}
	k.free = k.free.Add(length)
	k.played += length
}

// see notes a picture.
func (h *playhead) see() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.first.IsZero() {
		h.first = time.Now()
	}
}

// standing is how late a frame may be that does not count as a halt.
const standing = 300 * time.Millisecond

func (h *playhead) account(testing.TB) (a account) {
	h.mu.Lock()
	defer h.mu.Unlock()
	first := true
	for _, k := range h.tracks {
		stood := k.stood
		if late := time.Since(k.free); late > standing {
			stood += late
		}
		a.stood = max(a.stood, stood.Seconds())
		if played := min(k.played, k.played-time.Until(k.free)).Seconds(); first || played < a.played {
			a.played = played
		}
		first = false
	}
	a.begun, a.said, a.first = h.restart, strings.Join(h.words, "; "), h.first
	return a
}

// again runs a program that plays until the test is over, and begins it anew a second after it
// ended. read gets its output.
func (h *playhead) again(t testing.TB, read func(io.Reader), name string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	t.Cleanup(func() {
		cancel()
		<-done
	})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			problem := h.once(ctx, read, name, args...)
			if ctx.Err() != nil {
				return
			}
			h.mu.Lock()
			h.restart++
			h.words = append(h.words, problem)
			h.mu.Unlock()
			select {
			case <-ctx.Done():
			case <-time.After(time.Second):
			}
		}
	}()
}

// once runs the program, and returns what it complained of.
func (h *playhead) once(ctx context.Context, read func(io.Reader), name string, args ...string) string {
	command := exec.CommandContext(ctx, name, args...)
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	command.Cancel = func() error { return syscall.Kill(-command.Process.Pid, syscall.SIGKILL) }
	var problems strings.Builder
	command.Stderr = &problems
	out, err := command.StdoutPipe()
	if err != nil {
		return err.Error()
	}
	if err := command.Start(); err != nil {
		return err.Error()
	}
	read(out)
	err = command.Wait()
	text := problems.String()
	return fmt.Sprint(err, " ", text[max(0, len(text)-300):])
}

// playFFmpeg decodes a stream with FFmpeg. Its demuxer plays nothing: playhead does.
func playFFmpeg(t testing.TB, address string) player {
	t.Helper()
	h := &playhead{}
	h.again(t, h.framecrc, "ffmpeg", "-v", "error", "-nostdin", "-i", address, "-map", "0:v:0?", "-map", "0:a:0?",
		"-fps_mode", "passthrough", "-flush_packets", "1", "-f", "framecrc", "-")
	return h
}

// framecrc reads FFmpeg's list of frames.
func (h *playhead) framecrc(out io.Reader) {
	var pictures string // the number of the stream that has them
	rates := map[string]time.Duration{}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		line := lines.Text()
		var stream string
		var rate int
		if _, err := fmt.Sscanf(line, "#sample_rate %1s: %d", &stream, &rate); err == nil && rate > 0 {
			rates[stream] = time.Duration(rate)
		}
		if strings.HasPrefix(line, "#media_type ") && strings.HasSuffix(line, ": video") {
			pictures = line[len("#media_type "):][:1]
		}
		fields := strings.Split(line, ",")
		if strings.HasPrefix(line, "#") || len(fields) < 4 {
			continue
		}
		if fields[0] == pictures {
			h.see()
			h.add(fields[0], time.Second/pictureRate)
			continue
		}
		if samples, err := strconv.Atoi(strings.TrimSpace(fields[3])); err == nil && rates[fields[0]] > 0 {
			h.add(fields[0], time.Duration(samples)*time.Second/rates[fields[0]])
		}
	}
}

// pictureRate is how many pictures a second the clips have.
const pictureRate = 25

// playGStreamer plays a stream with GStreamer, whose sinks wait for the time of each frame.
func playGStreamer(t testing.TB, address string) player {
	t.Helper()
	h := &playhead{}
	sink := "fakesink sync=true silent=false name="
	h.again(t, h.fakesink, "gst-launch-1.0", "-v", "playbin3", "uri="+address, "video-sink="+sink+"pictures", "audio-sink="+sink+"sound")
	return h
}

// chained is what a fakesink says of a frame that it was given.
var chained = regexp.MustCompile(`(pictures|sound): last-message = "?chain .*duration: (?:none|0:00:(\d\d\.\d+))`)

func (h *playhead) fakesink(out io.Reader) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if found := chained.FindStringSubmatch(lines.Text()); found != nil {
			length := time.Second / pictureRate
			if seconds, err := strconv.ParseFloat(found[2], 64); err == nil {
				length = time.Duration(seconds * float64(time.Second))
			}
			h.add(found[1], length)
		}
	}
}

// hasVLC says whether VLC is there to be played with: make players does.
func hasVLC() bool {
	_, err := exec.LookPath("cvlc")
	return err == nil
}

// playVLC plays a stream with VLC, which is asked for its statistics again and again. It refuses to
// run as root.
func playVLC(t testing.TB, address string) player {
	t.Helper()
	h := &playhead{}
	vlc := "cvlc -I oldrc --rc-fake-tty --vout dummy --aout dummy --play-and-exit " + address
	if os.Geteuid() == 0 {
		vlc = "runuser -u nobody -- env HOME=/tmp " + vlc
	}
	h.again(t, h.statistics, "sh", "-c", "while echo stats; do sleep .1; done | "+vlc)
	return h
}

// counted is what VLC's statistics say of pictures and blocks of sound.
var counted = regexp.MustCompile(`\| (frames displayed|buffers played) *: *(\d+)`)

func (h *playhead) statistics(out io.Reader) {
	lines := bufio.NewScanner(out)
	before := map[string]int{}
	for lines.Scan() {
		found := counted.FindStringSubmatch(lines.Text())
		if found == nil {
			continue
		}
		n, _ := strconv.Atoi(found[2])
		length := time.Second / pictureRate
		if found[1] == "buffers played" {
			length = time.Second * 1024 / 48000
		}
		if more := n - before[found[1]]; more > 0 {
			h.add(found[1], time.Duration(more)*length)
			before[found[1]] = n
		}
	}
}
