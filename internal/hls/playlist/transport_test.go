package playlist

import (
	"bytes"
	"compress/gzip"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/bluenviron/gohlslib/v2/pkg/playlist"
	"github.com/google/go-cmp/cmp"
)

var Update = flag.Bool("update", false, "rewrite golden files")

// seg makes a segment for window tests.
func seg(seq int64, d time.Duration) *TSSegment {
	return &TSSegment{Seq: seq, Duration: d, Independent: true, Data: NewTSMedia(make([]byte, 1000), nil)}
}

func newTestWindow() *TSWindow {
	return &TSWindow{Dir: "movie", ListSize: 3, MaxBytes: 1 << 20, Target: 4 * time.Second, DiscontinuitySeq: 1000, Gzip: &Compressor{}}
}

func TestWindow(t *testing.T) {
	cases := []struct {
		name     string
		duration time.Duration
		count    int
		max      int
		// expired segments, listed ones
		expired, listed int
	}{
		{"first", 4 * time.Second, 1, 1 << 20, 0, 1},
		{"full", 4 * time.Second, 3, 1 << 20, 0, 3},
		{"one expired", 4 * time.Second, 4, 1 << 20, 1, 3},
		{"steady", 4 * time.Second, 40, 1 << 20, 4, 3},
		{"shorter than the target: three target durations", 3 * time.Second, 40, 1 << 20, 5, 4},
		{"short", time.Second, 40, 1 << 20, 13, 12},
		{"cut to pieces", time.Millisecond, 1000, 1 << 20, 65, 64},
		{"bounded by bytes: the expired go first", 4 * time.Second, 40, 5000, 2, 3},
		{"bounded by bytes: then the list", 4 * time.Second, 40, 2500, 0, 2},
		{"one larger than the bound", 4 * time.Second, 40, 500, 0, 1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := newTestWindow()
			w.MaxBytes = c.max
			for i := range c.count {
				w.Add(seg(int64(1000+i), c.duration))
			}
			if w.listed != c.expired || len(w.Segments)-w.listed != c.listed {
				t.Errorf("%d expired, %d listed", w.listed, len(w.Segments)-w.listed)
			}
			if w.bytes != 1000*len(w.Segments) {
				t.Errorf("%d bytes in %d segments", w.bytes, len(w.Segments))
			}
			view, err := w.View(false)
			if err != nil {
				t.Fatal(err)
			}
			first, last := w.Segments[0].Seq, int64(1000+c.count-1)
			for _, seq := range []int64{first, last} {
				if s := view.Segment(seq); s == nil || s.Seq != seq {
					t.Errorf("segment %d: %v", seq, s)
				}
			}
			for _, seq := range []int64{first - 1, last + 1, -1 << 63, 1<<63 - 1} {
				if s := view.Segment(seq); s != nil {
					t.Errorf("segment %d: %v", seq, s)
				}
			}
		})
	}
}

// TestPlaylistHistory holds a playlist that moves on against RFC 8216 6.2.2: sequence numbers never
// go back, a segment keeps its numbers, the target duration stays.
func TestPlaylistHistory(t *testing.T) {
	w := newTestWindow()
	type place struct {
		discontinuity int
		uri           string
	}
	known := map[int]place{}
	lastMedia, lastDiscontinuity := 0, 0
	for i := range 200 {
		s := seg(int64(1000+i), time.Duration(1+i*7%4)*time.Second)
		s.Discontinuity = i > 0 && i%5 == 0 || i > 100 && i < 110
		w.Add(s)
		view, err := w.View(false)
		if err != nil {
			t.Fatal(err)
		}
		var p playlist.Media
		if err := p.Unmarshal(view.playlist); err != nil {
			t.Fatalf("%v\n%s", err, view.playlist)
		}
		total := time.Duration(0)
		number := *p.DiscontinuitySequence
		for j, line := range p.Segments {
			if line.Discontinuity {
				number++
			}
			here := place{number, line.URI}
			if before, ok := known[p.MediaSequence+j]; ok && before != here {
				t.Fatalf("segment %d was %v, is %v", p.MediaSequence+j, before, here)
			}
			known[p.MediaSequence+j] = here
			total += line.Duration
		}
		if p.MediaSequence < lastMedia || *p.DiscontinuitySequence < lastDiscontinuity || p.TargetDuration != 4 {
			t.Fatalf("sequence %d, discontinuity sequence %d, target %d", p.MediaSequence, *p.DiscontinuitySequence, p.TargetDuration)
		}
		lastMedia, lastDiscontinuity = p.MediaSequence, *p.DiscontinuitySequence
		if i > 20 && (total < 12*time.Second || len(p.Segments) < 3) {
			t.Fatalf("%d segments, %v", len(p.Segments), total)
		}
	}
	if lastDiscontinuity == 1000 {
		t.Error("no discontinuity left the playlist")
	}
}

func TestPlaylistGolden(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	live := newTestWindow()
	for i, d := range []time.Duration{4 * time.Second, 3960 * time.Millisecond, 4 * time.Second, 1200 * time.Millisecond, 4 * time.Second, 4 * time.Second} {
		s := seg(1772366400+int64(i), d)
		s.At = at
		at = at.Add(d)
		s.Discontinuity = i == 1 || i == 4
		live.Add(s)
	}
	forced := newTestWindow()
	forced.Dir = "höhe #1: \"x\"?"
	for i := range 3 {
		s := seg(7+int64(i), 4*time.Second)
		s.Independent = i != 1
		forced.Add(s)
	}
	cases := []struct {
		name  string
		w     *TSWindow
		ended bool
	}{{"live", live, false}, {"ended", live, true}, {"forced", forced, false}}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			view, err := c.w.View(c.ended)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join("testdata", c.name+".m3u8")
			if *Update {
				if err := os.WriteFile(file, view.playlist, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(view.playlist)); diff != "" {
				t.Error(diff)
			}
			z, err := gzip.NewReader(bytes.NewReader(view.Text().Compressed.Body[0].Data.Bytes()))
			if err != nil {
				t.Fatal(err)
			}
			if plain, err := io.ReadAll(z); err != nil || !bytes.Equal(plain, view.playlist) {
				t.Errorf("compressed differs: %v", err)
			}
		})
	}
}

// TestSnapshotStays: what a request holds does not change while the window moves on.
func TestSnapshotStays(t *testing.T) {
	w := newTestWindow()
	w.Add(seg(1000, 4*time.Second))
	view, err := w.View(false)
	if err != nil {
		t.Fatal(err)
	}
	before := fmt.Sprintf("%p %s", view.Segment(1000), view.playlist)
	for i := range 50 {
		w.Add(seg(int64(1001+i), 4*time.Second))
	}
	if after := fmt.Sprintf("%p %s", view.Segment(1000), view.playlist); after != before {
		t.Errorf("%s became %s", before, after)
	}
}
