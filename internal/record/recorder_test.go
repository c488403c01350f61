package record

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"livego/internal/bucket"
	"livego/internal/event"
	"livego/internal/hls"
	"livego/internal/media"
)

var errAway = errors.New("bucket is away")

// memory is a bucket in memory. A test may let it fail.
type memory struct {
	mu    sync.Mutex
	files map[string][]byte
	fail  func(name string) error
}

func (m *memory) err(name string) error {
	if m.fail != nil {
		return m.fail(name)
	}
	return nil
}

func (m *memory) Put(ctx context.Context, name, path string, as bucket.Meta) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return m.Write(ctx, name, data, as)
}

func (m *memory) Write(_ context.Context, name string, data []byte, _ bucket.Meta) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.err(name); err != nil {
		return err
	}
	m.files[name] = bytes.Clone(data)
	return nil
}

type reader struct{ *bytes.Reader }

func (reader) Close() error { return nil }

func (m *memory) Open(_ context.Context, name string) (*bucket.File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	data, ok := m.files[name]
	if !ok {
		return nil, bucket.ErrNotFound
	}
	return &bucket.File{ReadSeekCloser: reader{bytes.NewReader(data)}, Size: int64(len(data))}, m.err(name)
}

func (m *memory) Stat(_ context.Context, name string) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	data, ok := m.files[name]
	if !ok {
		return 0, bucket.ErrNotFound
	}
	return int64(len(data)), m.err(name)
}

func (m *memory) List(_ context.Context, folder string) (names []string, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name := range m.files {
		if path.Dir(name) == folder {
			names = append(names, path.Base(name))
		}
	}
	return names, m.err(folder)
}

func (m *memory) Remove(_ context.Context, names ...string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, name := range names {
		delete(m.files, name)
		if err := m.err(name); err != nil {
			return err
		}
	}
	return nil
}

// text returns the file of the only recording, "" if there is none.
func (m *memory) text(name string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	for full, data := range m.files {
		if strings.HasSuffix(full, "/"+name) {
			return string(data)
		}
	}
	return ""
}

func (m *memory) names() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Sorted(maps.Keys(m.files))
}

func (m *memory) setFail(f func(name string) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = f
}

// bench is a recorder with what it writes to.
type bench struct {
	*Recorder
	opt    Options
	bucket *memory
	log    *lockedBuffer
	events *event.Cursor
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func newBench(t *testing.T, change ...func(*Options)) *bench {
	t.Helper()
	b := &bench{bucket: &memory{files: map[string][]byte{}}, log: &lockedBuffer{}}
	name, err := ParseTemplate("{app}/{stream}/{start}-{id}")
	if err != nil {
		t.Fatal(err)
	}
	bus := event.NewBus(event.Options{})
	b.events = bus.Follow()
	b.opt = Options{
		Dir: filepath.Join(t.TempDir(), "work"), To: "memory", Name: name, Join: 10 * time.Minute, Events: bus,
		Mode: func(string) Mode { return All }, Log: slog.New(slog.NewTextHandler(b.log, nil)),
		open: func(string) (bucket.Bucket, error) { return b.bucket, nil },
	}
	for _, f := range change {
		f(&b.opt)
	}
	b.start(t)
	return b
}

func (b *bench) start(t *testing.T) {
	t.Helper()
	r, err := Open(b.opt)
	if err != nil {
		t.Fatal(err)
	}
	b.Recorder = r
}

// stop ends the recorder as the end of the process does.
func (b *bench) stop(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := b.Close(ctx); err != nil {
		t.Error(err)
	}
}

// told lists the types of the events so far.
func (b *bench) told(t *testing.T) (types []event.Type) {
	t.Helper()
	b.opt.Events.Close()
	for {
		e, err := b.events.Next(t.Context())
		if err != nil {
			return types
		}
		types = append(types, e.Type)
	}
}

// source makes the segments of a stream of a video and a sound, of 3 s each.
type source struct {
	sink hls.Sink
	seq  int64
	at   time.Duration
	step time.Duration
	init string
}

func (b *bench) source(stream string, seq int64) *source {
	return &source{sink: b.Begin(stream), seq: seq, at: time.Duration(seq) * 3 * time.Second, step: 3 * time.Second, init: "init"}
}

func describe(id string, kind media.Kind) hls.Description {
	d := hls.Description{ID: id, Kind: kind, Codec: media.AAC, Codecs: "mp4a.40.2", Channels: 2}
	if kind == media.Video {
		d.Codec, d.Codecs, d.Channels, d.Width, d.Height = media.H264, "avc1.64001f", 0, 1280, 720
	}
	return d
}

// segment is that of one rendition.
func (s *source) segment(id string, kind media.Kind) hls.Segment {
	return hls.Segment{
		Description: describe(id, kind), Seq: s.seq, Start: s.at, Duration: s.step, Target: s.step, Independent: true,
		At:   time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Add(s.at),
		Init: []byte(s.init + " " + id), Pieces: [][]byte{[]byte(id), fmt.Appendf(nil, " %d", s.seq)},
	}
}

// play makes n segments of each rendition, each when its time has come.
func (s *source) play(n int) *source {
	for range n {
		time.Sleep(s.step)
		s.sink.Segment(s.segment("v0", media.Video))
		s.sink.Segment(s.segment("a0", media.Audio))
		s.next()
	}
	synctest.Wait()
	return s
}

func (s *source) next() { s.seq, s.at = s.seq+1, s.at+s.step }

// names of the segments in a playlist, with - for a gap and | for a discontinuity.
func listed(playlist string) string {
	var b strings.Builder
	gap := false
	for line := range strings.Lines(playlist) {
		line = strings.TrimSpace(line)
		switch {
		case line == "#EXT-X-GAP":
			gap = true
		case line == "#EXT-X-DISCONTINUITY":
			b.WriteString("| ")
		case line == "#EXT-X-ENDLIST":
			b.WriteString("end")
		case strings.HasPrefix(line, "#EXT-X-MAP"):
			b.WriteString("i")
		case line == "" || line[0] == '#':
		case gap:
			b.WriteString("- ")
			gap = false
		default:
			b.WriteString(strings.TrimSuffix(path.Base(line), ".m4s") + " ")
		}
	}
	return strings.TrimSpace(b.String())
}

// TestRecord: the playlists of a stream while it goes on and at its end, all of its bytes, and
// nothing is left behind.
func TestRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(o *Options) { o.Join = 0 })
		s := b.source("live/movie", 100).play(20)
		time.Sleep(2 * time.Second)
		text := b.bucket.text("v0.m3u8")
		if !strings.Contains(text, "#EXT-X-PLAYLIST-TYPE:EVENT\n") || !strings.HasPrefix(listed(text), "i100 101 102") || strings.Contains(text, "ENDLIST") {
			t.Errorf("while it goes on:\n%s", text)
		}
		s.sink.End()
		time.Sleep(5 * time.Second)
		want := "i"
		for i := range 20 {
			want += fmt.Sprintf("%d ", 100+i)
		}
		for _, id := range []string{"v0", "a0"} {
			text := b.bucket.text(id + ".m3u8")
			if got := listed(text); got != want+"end" || !strings.Contains(text, "#EXT-X-PLAYLIST-TYPE:VOD\n") {
				t.Errorf("%s\n%s", got, text)
			}
			for i := range 20 {
				if got := b.bucket.text(fmt.Sprintf("%s/%d.m4s", id, 100+i)); got != fmt.Sprintf("%s %d", id, 100+i) {
					t.Errorf("segment %d of %s: %q", i, id, got)
				}
			}
			if got := b.bucket.text(id + "/100.mp4"); got != "init "+id {
				t.Errorf("init %q", got)
			}
		}
		if text := b.bucket.text("index.m3u8"); !strings.Contains(text, "\nv0.m3u8\n") || !strings.Contains(text, `URI="a0.m3u8"`) {
			t.Errorf("index:\n%s", text)
		}
		all := b.List("")
		if len(all) != 1 || all[0].State != Complete || all[0].Duration != 60 || len(all[0].Renditions) != 2 || all[0].Lost != 0 {
			t.Errorf("%+v", all)
		}
		if files, _ := filepath.Glob(filepath.Join(b.opt.Dir, "*", "*")); len(files) != 1 {
			t.Errorf("left behind: %q", files)
		}
		if got := fmt.Sprint(b.told(t)); got != "[recording.started recording.completed]" {
			t.Error(got)
		}
		b.stop(t)
		b.start(t)
		if again := b.List("live/movie"); len(again) != 1 || again[0].State != Complete {
			t.Errorf("after a restart: %+v", again)
		}
		b.stop(t)
	})
}

// TestJoin: a publisher that is back goes on with the recording; the hole is listed as missing, and
// there is a discontinuity if the initialization section is another one.
func TestJoin(t *testing.T) {
	for _, c := range []struct {
		name, init, want string
	}{
		{"same", "init", "i100 101 102 103 104 - - - 1000 1001 1002 1003 1004 end"},
		{"other", "other", "i100 101 102 103 104 - - - | i1000 1001 1002 1003 1004 end"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				s := b.source("live/movie", 100).play(5)
				s.sink.End()
				time.Sleep(9 * time.Second)
				again := b.source("live/movie", 1000)
				again.at, again.init = s.at+9*time.Second, c.init
				again.play(5).sink.End()
				time.Sleep(9 * time.Minute)
				if all := b.List(""); len(all) != 1 || all[0].State != Live {
					t.Errorf("%+v", all)
				}
				time.Sleep(2 * time.Minute)
				if all := b.List(""); len(all) != 1 || all[0].State != Complete {
					t.Errorf("%+v", all)
				}
				for _, id := range []string{"v0", "a0"} {
					if got := listed(b.bucket.text(id + ".m3u8")); got != c.want {
						t.Errorf("%s: %s", id, got)
					}
				}
				b.stop(t)
			})
		})
	}
}

// TestLadder: a rendition that comes late, misses segments and leaves has the same places as the
// others.
func TestLadder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(o *Options) { o.Join = 0 })
		s := b.source("live/movie", 100)
		s.play(8)
		for i := range 6 {
			time.Sleep(3 * time.Second)
			s.sink.Segment(s.segment("v0", media.Video))
			if i != 2 {
				low := s.segment("360p.v0", media.Video)
				low.Gap = i == 3
				s.sink.Segment(low)
			}
			s.next()
		}
		s.play(8).sink.End()
		time.Sleep(5 * time.Second)
		want := map[string]string{
			"v0":      "i100 101 102 103 104 105 106 107 108 109 110 111 112 113 114 115 116 117 118 119 120 121 end",
			"a0":      "i100 101 102 103 104 105 106 107 - - - - - - 114 115 116 117 118 119 120 121 end",
			"360p.v0": "- - - - - - - - i108 109 - - 112 113 - - - - - - - - end",
		}
		for id, text := range want {
			if got := listed(b.bucket.text(id + ".m3u8")); got != text {
				t.Errorf("%s: %s", id, got)
			}
		}
		b.stop(t)
	})
}

// TestBucketAway: a bucket that is away costs nothing as long as there is room, and the oldest
// segments beyond that.
func TestBucketAway(t *testing.T) {
	t.Run("room", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, func(o *Options) { o.Join = 0 })
			s := b.source("live/movie", 100).play(5)
			b.bucket.setFail(func(string) error { return errAway })
			s.play(40)
			b.bucket.setFail(nil)
			s.play(20).sink.End()
			time.Sleep(time.Minute)
			got := listed(b.bucket.text("v0.m3u8"))
			if strings.Contains(got, "-") || strings.Count(got, " ") != 65 || b.Stats().Lost != 0 || b.Stats().Spooled != 0 {
				t.Errorf("%s, %+v", got, b.Stats())
			}
			if n := strings.Count(b.log.String(), "level=ERROR"); n != 1 {
				t.Errorf("%d errors in the log:\n%s", n, b.log)
			}
			b.stop(t)
		})
	})
	t.Run("no room", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, func(o *Options) { o.Join, o.MaxSpoolBytes = 0, 100 })
			s := b.source("live/movie", 100).play(5)
			b.bucket.setFail(func(string) error { return errAway })
			s.play(40)
			b.bucket.setFail(nil)
			s.play(20).sink.End()
			time.Sleep(time.Minute)
			got := listed(b.bucket.text("v0.m3u8"))
			if !strings.HasPrefix(got, "i100 101 102 103 104 - -") || !strings.HasSuffix(got, "162 163 164 end") {
				t.Errorf("%s", got)
			}
			all := b.List("")
			if len(all) != 1 || all[0].Lost == 0 || uint64(all[0].Lost) != b.Stats().Lost {
				t.Errorf("%+v %+v", all, b.Stats())
			}
			b.stop(t)
		})
	})
}

// TestDamagedFile: what the local disk does not give back as it was written is missing, whether the
// bucket was away for long or not at all.
func TestDamagedFile(t *testing.T) {
	for name, away := range map[string]int{"long": 20, "short": 0} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, func(o *Options) {
					o.Join = 0
					o.disk = func(name string, pieces ...[]byte) error {
						err := writeFile(name, pieces...)
						switch filepath.Base(name) {
						case "106.m4s":
							if away > 0 { // it is noticed after a while only
								err = os.WriteFile(name, []byte("v0 666"), 0o600)
							}
						case "107.m4s":
							err = os.Remove(name)
						}
						return err
					}
				})
				s := b.source("live/movie", 100).play(5)
				if away > 0 {
					b.bucket.setFail(func(string) error { return errAway })
				}
				s.play(5 + away)
				b.bucket.setFail(nil)
				s.play(5).sink.End()
				time.Sleep(time.Minute)
				want, lost := "105 - - 108", 4 // of picture and sound
				if away == 0 {
					want, lost = "105 106 - 108", 2
				}
				if got := listed(b.bucket.text("v0.m3u8")); !strings.Contains(got, want) || b.Stats().Lost != uint64(lost) || b.Stats().Spooled != 0 {
					t.Errorf("%s, %+v", got, b.Stats())
				}
				b.stop(t)
			})
		})
	}
}

// TestFullDisk: a local disk that is full costs segments, with one line in the log; the recording
// goes on.
func TestFullLocalDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		full := false
		b := newBench(t, func(o *Options) {
			o.Join = 0
			o.disk = func(name string, pieces ...[]byte) error {
				mu.Lock()
				defer mu.Unlock()
				if full {
					return &fs.PathError{Op: "write", Path: name, Err: errors.New("no space left on device")}
				}
				return writeFile(name, pieces...)
			}
		})
		set := func(v bool) { mu.Lock(); defer mu.Unlock(); full = v }
		s := b.source("live/movie", 100).play(5)
		set(true)
		s.play(3)
		set(false)
		s.play(5).sink.End()
		time.Sleep(time.Minute)
		if got := listed(b.bucket.text("v0.m3u8")); got != "i100 101 102 103 104 - - - 108 109 110 111 112 end" {
			t.Error(got)
		}
		if n := strings.Count(b.log.String(), "level=ERROR"); n != 1 {
			t.Errorf("%d errors in the log:\n%s", n, b.log)
		}
		b.stop(t)
	})
}

// TestRestart: a process that ends in the midst of a recording goes on with it, with all that the
// bucket did not have.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		s := b.source("live/movie", 100).play(15)
		b.bucket.setFail(func(string) error { return errAway })
		s.play(5)
		s.sink.End()
		b.stop(t)
		before := listed(b.bucket.text("v0.m3u8"))
		b.bucket.setFail(nil)
		b.start(t)
		again := b.source("live/movie", 1000)
		again.at = s.at + 3*time.Second
		again.play(5).sink.End()
		time.Sleep(11 * time.Minute)
		want := "i"
		for i := range 20 {
			want += fmt.Sprintf("%d ", 100+i)
		}
		want += "- 1000 1001 1002 1003 1004 end"
		for _, id := range []string{"v0", "a0"} {
			if got := listed(b.bucket.text(id + ".m3u8")); got != want || !strings.HasPrefix(got, before) {
				t.Errorf("%s: %s, before: %s", id, got, before)
			}
		}
		if all := b.List(""); len(all) != 1 || all[0].State != Complete || all[0].Lost != 0 {
			t.Errorf("%+v", all)
		}
		b.stop(t)
	})
}

// TestAbandoned: a recording whose publisher does not come back after a restart is closed.
func TestAbandoned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.source("live/movie", 100).play(6)
		b.stop(t)
		time.Sleep(time.Hour)
		b.start(t)
		time.Sleep(5 * time.Second)
		if got := listed(b.bucket.text("a0.m3u8")); got != "i100 101 102 103 104 105 end" {
			t.Error(got)
		}
		b.stop(t)
	})
}

// TestByAPI: recordings that the API starts and stops have the same segments of all renditions.
func TestByAPI(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(o *Options) { o.Mode = func(string) Mode { return ByAPI } })
		if _, err := b.Start("live/movie"); !errors.Is(err, ErrOffAir) {
			t.Error(err)
		}
		s := b.source("live/movie", 100).play(3)
		if len(b.List("")) > 0 {
			t.Error("it is recorded")
		}
		s.sink.Segment(s.segment("v0", media.Video)) // its sound comes later
		started, err := b.Start("live/movie")
		if err != nil || started.State != Live {
			t.Error(started, err)
		}
		if again, err := b.Start("live/movie"); err != nil || again.ID != started.ID {
			t.Error(again, err)
		}
		s.sink.Segment(s.segment("a0", media.Audio))
		s.next()
		s.play(4)
		s.sink.Segment(s.segment("v0", media.Video))
		if _, err := b.Stop("live/movie"); err != nil {
			t.Error(err)
		}
		s.sink.Segment(s.segment("a0", media.Audio))
		s.next()
		s.play(20)
		for _, id := range []string{"v0", "a0"} {
			if got := listed(b.bucket.text(id + ".m3u8")); got != "i104 105 106 107 108 end" {
				t.Errorf("%s: %s", id, got)
			}
		}
		if all := b.List(""); len(all) != 1 || all[0].State != Complete {
			t.Errorf("%+v", all)
		}
		if _, err := b.Stop("live/movie"); !errors.Is(err, ErrNotFound) {
			t.Error(err)
		}
		b.stop(t)
	})
}

// TestStartWhileStops: a recording that is started while the one before it still waits for what its
// other renditions have takes nothing from that.
func TestStartWhileStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(o *Options) { o.Mode = func(string) Mode { return ByAPI } })
		s := b.source("live/movie", 100).play(3)
		first, err := b.Start("live/movie")
		if err != nil {
			t.Fatal(err)
		}
		s.play(4)
		s.sink.Segment(s.segment("v0", media.Video)) // its sound comes later
		if _, err := b.Stop("live/movie"); err != nil {
			t.Error(err)
		}
		second, err := b.Start("live/movie")
		if err != nil || second.ID == first.ID {
			t.Fatal(second, err)
		}
		s.sink.Segment(s.segment("a0", media.Audio))
		s.next()
		s.play(4)
		if _, err := b.Stop("live/movie"); err != nil {
			t.Error(err)
		}
		s.play(20)
		name := func(id string) string { // the folder of a recording
			for _, name := range b.bucket.names() {
				if folder := path.Base(path.Dir(name)); strings.HasSuffix(folder, "-"+id) {
					return folder
				}
			}
			return ""
		}
		for id, want := range map[string]string{first.ID: "i103 104 105 106 107 end", second.ID: "i108 109 110 111 end"} {
			for _, rendition := range []string{"v0", "a0"} {
				if got := listed(b.bucket.text(name(id) + "/" + rendition + ".m3u8")); got != want {
					t.Errorf("%s of %s: %s, want %s", rendition, id, got, want)
				}
			}
		}
		b.stop(t)
	})
}

// TestLong: a recording of more than a day is several, with all segments, and old ones go.
func TestLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(o *Options) { o.Keep = 30 * time.Hour })
		s := b.source("live/movie", 1000)
		s.step = time.Minute
		s.play(25 * 60)
		all := b.List("")
		if len(all) != 2 || all[1].State != Complete || all[1].Duration < 86_400 || all[1].Duration > 87_000 || all[0].State != Live {
			t.Fatalf("%+v", all)
		}
		s.play(30 * 60).sink.End()
		time.Sleep(time.Hour)
		after := b.List("")
		if len(after) != 2 || after[1].ID != all[0].ID {
			t.Fatalf("%+v", after)
		}
		for _, name := range b.bucket.names() {
			if strings.Contains(name, all[1].ID) {
				t.Fatalf("%s is still there", name)
			}
		}
		if len(b.bucket.text("x")) > 0 || b.Stats().Lost > 0 {
			t.Errorf("%+v", b.Stats())
		}
		b.stop(t)
	})
}
