package hls

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"livego/internal/hls/hlscheck"
	"livego/internal/hls/hlstest"
	"livego/internal/ledger"
	"livego/internal/spool"
)

// viewer is a client that asks for all playlists again and again, and for each segment that is new
// in them.
type viewer struct {
	t       *testing.T
	check   hlscheck.Checker
	fetched map[string]bool
	delta   bool
	// forgiven is a rule that a trouble breaks, in words of the checker.
	forgiven string
}

func newViewer(t *testing.T) *viewer { return &viewer{t: t, fetched: map[string]bool{}} }

func (v *viewer) get(s *Server, path string) (string, int) {
	v.t.Helper()
	r := ask(s, http.MethodGet, path)
	text := body(v.t, r)
	for _, problem := range v.check.Add(hlscheck.Response{URL: path, Asked: time.Now(), At: time.Now(), Status: r.StatusCode, Header: r.Header, Body: []byte(text)}) {
		if v.forgiven != "" && strings.Contains(problem.Text, v.forgiven) {
			continue
		}
		v.t.Errorf("%v\n%s", problem, text)
	}
	return text, r.StatusCode
}

// look asks for the playlists of some renditions and returns the segments in the first one.
func (v *viewer) look(s *Server, ids ...string) (segments []int64) {
	v.t.Helper()
	v.delta = !v.delta
	for i, id := range ids {
		path := "/live/movie/index-" + id + ".m3u8"
		if v.delta && v.fetched[id] {
			v.get(s, path+"?_HLS_skip=YES")
		}
		text, status := v.get(s, path)
		if status != 200 {
			v.t.Fatalf("%s: %d %s", path, status, text)
		}
		v.fetched[id] = true
		gap := false
		for line := range strings.Lines(text) {
			line = strings.TrimSpace(line)
			name := line
			if _, uri, ok := strings.Cut(line, `EXT-X-MAP:URI="`); ok {
				name = strings.TrimSuffix(uri, `"`)
			} else if strings.HasPrefix(line, "#") {
				gap = gap || line == "#EXT-X-GAP"
				continue
			} else if i == 0 {
				seq, err := strconv.ParseInt(strings.TrimSuffix(line[strings.IndexByte(line, '/')+1:], ".m4s"), 10, 64)
				if err != nil {
					v.t.Fatal(err)
				}
				segments = append(segments, seq)
			}
			if !gap && !v.fetched[name] {
				v.fetched[name] = true
				if _, status := v.get(s, "/live/movie/"+name); status != 200 {
					v.t.Errorf("%s: %d", name, status)
				}
			}
			gap = false
		}
	}
	return segments
}

// rewinding is a server with a store, and an encoder that is on air on it.
type rewinding struct {
	t      *testing.T
	s      *Server
	store  *spool.Store
	r      *fakeReader
	source *hlstest.Source
	done   chan error
	cancel context.CancelFunc
}

func startRewinding(t *testing.T, dir string) *rewinding {
	return startRewindingWith(t, spool.Options{Dir: dir, Window: time.Hour})
}

func startRewindingWith(t *testing.T, o spool.Options) *rewinding {
	store, err := spool.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return &rewinding{t: t, store: store, s: newServer(Options{Spool: store, SegmentDuration: 2 * time.Second})}
}

// publish begins a life.
func (r *rewinding) publish() {
	ctx, cancel := context.WithCancel(r.t.Context())
	r.r, r.done, r.cancel = newFakeReader(), make(chan error, 1), cancel
	r.source = &hlstest.Source{Video: hlstest.AVCTrack(0), Audio: hlstest.AAC(48000), Rate: 25, Gop: 50, AudioEvery: 1024.0 / 48000, Bytes: 1000}
	run := r.s.Begin("live/movie", "")
	go func() { r.done <- run(ctx, r.r) }()
}

// play sends so much media in steps, in real time, while somebody looks.
func (r *rewinding) play(from, to time.Duration, v *viewer, ids ...string) (segments []int64) {
	r.t.Helper()
	for at := from; at < to; at += 200 * time.Millisecond {
		units := r.source.Until(at + 200*time.Millisecond)
		for i := range units {
			units[i].Arrived = time.Now().Add(units[i].DTS - at).UnixNano()
		}
		r.r.feed <- units
		time.Sleep(200 * time.Millisecond)
		synctest.Wait()
		if at >= 4*time.Second {
			segments = v.look(r.s, ids...)
		}
	}
	return segments
}

func (r *rewinding) finish(err error) {
	r.r.feed <- err
	<-r.done
	r.cancel()
}

// wreck returns a folder with what kill -9 would leave of a store's now.
func wreck(t *testing.T, dir string) string {
	t.Helper()
	left := t.TempDir()
	if err := os.CopyFS(left, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return left
}

func (r *rewinding) stop() {
	r.cancel()
	<-r.done
	hlstest.CloseSpool(r.t, r.store)
}

func consecutive(t *testing.T, segments []int64) {
	t.Helper()
	for i := 1; i < len(segments); i++ {
		if segments[i] != segments[i-1]+1 {
			t.Errorf("segment %d after %d", segments[i], segments[i-1])
		}
	}
}

// TestRewindAcrossRestart: one viewer sees a stream before and after the server was killed, and
// everything since the start can be played.
func TestRewindAcrossRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, v := t.TempDir(), newViewer(t)
		ids := []string{"v0", "a0", "v0.iframes"}
		r := startRewinding(t, dir)
		r.publish()
		before := r.play(0, 41*time.Second, v, ids...)
		if len(before) < 18 {
			t.Errorf("%d segments before", len(before))
		}
		time.Sleep(3 * time.Second)

		again := startRewinding(t, wreck(t, dir))
		again.publish()
		after := again.play(0, 61*time.Second, v, ids...)
		consecutive(t, after)
		if after[0] != before[0] || len(after) < len(before)+34 || len(after) > len(before)+39 {
			t.Errorf("[%d to %d] became [%d to %d]", before[0], before[len(before)-1], after[0], after[len(after)-1])
		}
		text, _ := v.get(again.s, "/live/movie/index-v0.m3u8")
		for tag, want := range map[string]int{"EXT-X-DISCONTINUITY\n": 1, "EXT-X-GAP\n": 8, "EXT-X-MAP": 2, "EXT-X-PLAYLIST-TYPE": 0} {
			if n := strings.Count(text, tag); n != want {
				t.Errorf("%d times %s, want %d", n, tag, want)
			}
		}
		if v.check.Files() < 100 {
			t.Errorf("%d files were looked at", v.check.Files())
		}
		r.stop()
		again.stop()
	})
}

// TestRewindAcrossEarlyRestart: the gap before the first segment, which early viewers have, stays
// after a restart until the playlist is long enough without it.
func TestRewindAcrossEarlyRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, v := t.TempDir(), newViewer(t)
		r := startRewinding(t, dir)
		r.publish()
		early := later(t, r.s, "/live/movie/index.m3u8")
		before := r.play(0, 13*time.Second, v, "v0", "a0")
		if text := body(t, ask(r.s, "GET", "/live/movie/index-v0.m3u8")); (<-early).StatusCode != 200 || !strings.Contains(text, "TARGETDURATION:10\n") || !strings.Contains(text, "#EXT-X-GAP\n") {
			t.Errorf("at the start:\n%s", text)
		}
		r.stop()
		v.forgiven = "the parts of segment" // as in TestRewindAcrossShutdown
		again := startRewinding(t, dir)
		again.publish()
		after := again.play(0, 8*time.Second, v, "v0", "a0")
		consecutive(t, after)
		if after[0] != before[0] {
			t.Errorf("%v became %v", before, after)
		}
		rest := again.play(8*time.Second, 21*time.Second, v, "v0", "a0")
		if rest[0] != before[0]+1 {
			t.Errorf("the gap stays: %v", rest)
		}
		again.stop()
	})
}

// TestRewindAcrossShutdown: after a proper end of the server there is no hole.
func TestRewindAcrossShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, v := t.TempDir(), newViewer(t)
		r := startRewinding(t, dir)
		r.publish()
		before := r.play(0, 21*time.Second, v, "v0", "a0")
		r.stop()
		v.forgiven = "the parts of segment" // those that a server had in memory are in no playlist of the next one
		again := startRewinding(t, dir)
		again.publish()
		after := again.play(0, 21*time.Second, v, "v0", "a0")
		consecutive(t, after)
		if after[0] != before[0] || len(after) < 20 {
			t.Errorf("%v became %v", before, after)
		}
		text, _ := v.get(again.s, "/live/movie/index-v0.m3u8")
		if strings.Contains(text, "EXT-X-GAP") {
			t.Error(text)
		}
		again.stop()
	})
}

// TestRewindAcrossLives: a stream that ended and comes back within the window goes on where it was,
// for those who come then.
func TestRewindAcrossLives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newViewer(t)
		r := startRewinding(t, t.TempDir())
		r.publish()
		r.play(0, 21*time.Second, v, "v0", "a0")
		r.finish(io.EOF)
		before := v.look(r.s, "v0", "a0")
		text, _ := v.get(r.s, "/live/movie/index-v0.m3u8")
		if !strings.HasSuffix(text, "#EXT-X-ENDLIST\n") {
			t.Error(text)
		}
		for _, pause := range []time.Duration{3 * time.Second, 10 * time.Minute} {
			time.Sleep(pause)
			v = newViewer(t) // an ended playlist is not asked for again
			r.publish()
			after := r.play(0, 21*time.Second, v, "v0", "a0")
			consecutive(t, after)
			if after[0] != before[0] || len(after) < len(before)+9 {
				t.Errorf("%v became %v", before, after)
			}
			r.finish(io.EOF)
			before = v.look(r.s, "v0", "a0")
		}
		time.Sleep(2 * time.Hour)
		v = newViewer(t)
		r.publish()
		after := r.play(0, 21*time.Second, v, "v0", "a0")
		if slices.Contains(after, before[len(before)-1]) || len(after) > 11 {
			t.Errorf("after the window: %v became %v", before, after)
		}
		r.stop()
	})
}

// TestRewindWithoutDisk: where the disk takes nothing, the live stream goes on, and what memory let
// go is gaps.
func TestRewindWithoutDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newViewer(t)
		v.forgiven = "has changed" // a segment became a gap: to drop all that is before it instead would be worse
		r := startRewindingWith(t, spool.Options{Dir: t.TempDir(), MaxQueueBytes: 1})
		r.publish()
		segments := r.play(0, 41*time.Second, v, "v0", "a0", "v0.iframes")
		consecutive(t, segments)
		text, _ := v.get(r.s, "/live/movie/index-v0.m3u8")
		if gaps := strings.Count(text, "EXT-X-GAP"); len(segments) < 18 || gaps < 14 || gaps > len(segments)-3 {
			t.Errorf("%d segments, %d gaps", len(segments), gaps)
		}
		r.stop()
	})
}

// TestRewindTargetDuration: the target duration of a playlist that goes on is that of the longest
// segment in it.
func TestRewindTargetDuration(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startRewinding(t, t.TempDir())
		r.publish()
		r.source.Gop = 100
		r.play(0, 21*time.Second, newViewer(t), "v0")
		r.finish(io.EOF)
		r.publish()
		r.play(0, 21*time.Second, newViewer(t), "v0")
		text := body(t, ask(r.s, "GET", "/live/movie/index-v0.m3u8"))
		if !strings.Contains(text, "TARGETDURATION:4\n") {
			t.Error(text)
		}
		r.stop()
	})
}

// TestRewindRenditionThatLeft: a rendition of an old life that is not in the new one is in no
// playlist.
func TestRewindRenditionThatLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := startRewinding(t, t.TempDir())
		r.publish()
		r.play(0, 9*time.Second, newViewer(t), "v0", "a0")
		r.finish(io.EOF)
		r.publish()
		r.source.Audio = nil
		v := newViewer(t)
		r.play(0, 9*time.Second, v, "v0")
		if _, status := v.get(r.s, "/live/movie/index-a0.m3u8"); status != 404 {
			t.Errorf("status %d", status)
		}
		if text, _ := v.get(r.s, "/live/movie/index.m3u8"); strings.Contains(text, "a0") {
			t.Error(text)
		}
		r.stop()
	})
}

// TestRewindAndLedger: where the disk of rewinding stood still, the ledger knows which numbers were
// used, and where the ledger is lost, that disk does. The playlist goes on from the old segments.
func TestRewindAndLedger(t *testing.T) {
	for _, lost := range []string{"segments", "ledger"} {
		t.Run(lost, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir, path := t.TempDir(), filepath.Join(t.TempDir(), "ledger")
				first := openLedger(t, path)
				r := startRewinding(t, dir)
				r.s = newServer(Options{Spool: r.store, Ledger: first, SegmentDuration: 2 * time.Second})
				r.publish()
				r.play(0, 11*time.Second, newViewer(t), "v0", "a0")
				left := wreck(t, dir)
				r.play(11*time.Second, 61*time.Second, newViewer(t), "v0", "a0")
				last, _, _ := r.s.find("live/movie").cmaf.Rendition("v0").View.Load().Last()
				second := openLedger(t, filepath.Join(t.TempDir(), "ledger"))
				if lost == "segments" {
					copyFile(t, path, path+"-left")
					second = openLedger(t, path+"-left")
				} else {
					left = wreck(t, dir)
				}

				again := startRewinding(t, left)
				again.s = newServer(Options{Spool: again.store, Ledger: second, SegmentDuration: 2 * time.Second})
				again.publish()
				v := newViewer(t)
				segments := again.play(0, 11*time.Second, v, "v0", "a0")
				consecutive(t, segments)
				text, _ := v.get(again.s, "/live/movie/index-v0.m3u8")
				lives := strings.Split(text, "#EXT-X-DISCONTINUITY\n")
				name, _, _ := strings.Cut(lives[len(lives)-1], ".mp4") // its initialization section is named like its first segment
				seq, err := strconv.ParseInt(name[strings.LastIndexByte(name, '/')+1:], 10, 64)
				if err != nil || seq <= last || seq > last+20 || len(lives) != 2 {
					t.Errorf("the first new segment is %d after %d, %v\n%s", seq, last, err, text)
				}
				r.stop()
				again.stop()
			})
		})
	}
}

func openLedger(t *testing.T, path string) *ledger.Ledger {
	l := ledger.Open(ledger.Options{Path: path})
	t.Cleanup(func() {
		if err := l.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return l
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}
