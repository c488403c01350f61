package hls

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"livego/internal/media"
	"livego/internal/spool"
)

// openSpool opens a store in a folder of its own.
func openSpool(t testing.TB, o spool.Options) *spool.Store {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	s, err := spool.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeSpool(t, s) })
	return s
}

func closeSpool(t testing.TB, s *spool.Store) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Error(err)
	}
}

// spooled waits until the disk has all that was given to it.
func spooled(t testing.TB, s *spool.Store) {
	t.Helper()
	deadline, tick := time.NewTimer(20*time.Second), time.NewTicker(time.Millisecond)
	defer deadline.Stop()
	defer tick.Stop()
	for s.Stats().Queued > 0 {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatal("the disk is too slow")
		}
	}
}

// rewound shows what was drawn with the complete segments but the last few on disk, and all of them
// in the playlist.
func (d *drawn) rewound(t testing.TB, store *spool.Store, life *spool.Life, inMemory int) *renditionView {
	t.Helper()
	d.rendition.disk = life.Rendition(d.id)
	discontinuities := d.now.discontinuitySeq
	d.show(1 << 30)
	v := d.view.Load()
	move := 0
	for _, s := range v.segments {
		if s.complete {
			move++
		}
	}
	move = max(0, move-inMemory)
	for _, s := range v.segments[:move] {
		e := s.toStore(v.target)
		e.DiscontinuitySeq = discontinuities
		if s.discontinuity {
			discontinuities++
		}
		var pieces [][]byte
		for i := range s.parts {
			pieces = append(pieces, s.parts[i].data)
		}
		if err := d.disk.Append(e, s.init.data, pieces...); err != nil {
			t.Fatal(err)
		}
	}
	spooled(t, store)
	rest := &renditionView{
		version: 2, target: v.target, partTarget: v.partTarget, discontinuitySeq: discontinuities, ended: v.ended,
		segments: v.segments[move:], replaced: make(chan struct{}),
	}
	rest.stored = d.rendition.storedBefore(rest.segments[0].seq)
	if rest.stored.Len() != move {
		t.Fatalf("%d segments on disk, want %d", rest.stored.Len(), move)
	}
	return rest
}

// join is the text of all pieces.
func (d document) join() string {
	var b strings.Builder
	d.write(&b)
	return b.String()
}

func unpack(t testing.TB, d document) string {
	t.Helper()
	z, err := gzip.NewReader(strings.NewReader(d.join()))
	if err != nil {
		t.Fatal(err)
	}
	z.Multistream(false) // as browsers read it
	text, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestStoredTexts: a playlist says the same wherever its segments are, in each of its forms, plain
// and compressed.
func TestStoredTexts(t *testing.T) {
	store := openSpool(t, spool.Options{})
	stream := 0
	rapid.Check(t, func(rt *rapid.T) {
		first := rapid.Int64Range(100, 300).Draw(rt, "first")
		p := newPresentation()
		d := draw(p, "v0", media.Video, first)
		draw(p, "a0", media.Audio, first).full().show(1)
		for range rapid.IntRange(5, 140).Draw(rt, "segments") {
			switch rapid.IntRange(0, 20).Draw(rt, "kind") {
			case 0:
				d.gap(1500 * time.Millisecond)
			case 1:
				d.init = &initSegment{seq: d.open().seq, data: []byte("other")}
				d.open().init, d.open().discontinuity = d.init, true
				d.full()
			case 2:
				d.open().dates = []string{`ID="a"`, fmt.Sprintf(`ID="b%d"`, d.open().seq)}
				d.full()
			case 3:
				d.open().independent = false
				d.full()
			default:
				d.full()
			}
		}
		d.full().full().part(500 * time.Millisecond)
		d.now.ended = rapid.Bool().Draw(rt, "ended")
		if d.now.ended {
			d.open().complete = true
		}
		stream++
		life := store.Begin(fmt.Sprint(stream))
		defer life.End(1)
		view := d.rewound(t, store, life, rapid.IntRange(5, 9).Draw(rt, "in memory"))
		d.show(1 << 30)
		for form := range playlistForms {
			want := p.playlist(d.rendition, d.view.Load(), form, &compressor{}).plain.body.join()
			text := p.playlist(d.rendition, view, form, &compressor{})
			if diff := cmp.Diff(want, text.plain.body.join()); diff != "" {
				rt.Fatalf("form %d: %s", form, diff)
			}
			if got := unpack(t, text.compressed.body); got != want {
				rt.Fatalf("form %d: compressed: %s", form, cmp.Diff(want, got))
			}
		}
	})
}

// TestStoredTextsAreShared: what is on disk is rendered and compressed once, not for each part.
func TestStoredTextsAreShared(t *testing.T) {
	store := openSpool(t, spool.Options{})
	p := newPresentation()
	d := draw(p, "v0", media.Video, 100)
	for range 500 {
		d.full()
	}
	d.part(500 * time.Millisecond)
	view := d.rewound(t, store, store.Begin("a"), 4)
	first := p.playlist(d.rendition, view, fullForm, &compressor{}).plain.body
	view.texts = [playlistForms]lazyText{}
	second := p.playlist(d.rendition, view, fullForm, &compressor{}).plain.body
	for i := 1; i < len(first)-1; i++ {
		if &first[i].data[0] != &second[i].data[0] {
			t.Errorf("piece %d was rendered again", i)
		}
	}
	n := testing.AllocsPerRun(10, func() {
		view.texts = [playlistForms]lazyText{}
		p.playlist(d.rendition, view, fullForm, &d.gzip)
	})
	if n > 60 {
		t.Errorf("%v allocations", n)
	}
}

// TestStoredFiles: segments and initialization sections from disk are answered like those from
// memory.
func TestStoredFiles(t *testing.T) {
	store := openSpool(t, spool.Options{})
	s, l, video, _ := lowLatency(Options{})
	for range 5 {
		video.full()
	}
	video.gap(2 * time.Second)
	video.full().full().full().full()
	video.show(1 << 30)
	paths := []string{"/live/movie/v0/100.m4s", "/live/movie/v0/103.m4s", "/live/movie/v0/100.mp4"}
	ranges := [][]string{nil, {"Range", "bytes=2-5"}, {"Range", "bytes=999999-"}, {"If-None-Match", `"103"`}}
	answers := func() map[string]string {
		m := map[string]string{}
		for _, path := range paths {
			for _, method := range []string{"GET", "HEAD"} {
				for _, headers := range ranges {
					r := ask(s, method, path, headers...)
					m[fmt.Sprint(method, path, headers)] = fmt.Sprint(r.StatusCode, r.Header, body(t, r))
				}
			}
		}
		return m
	}
	was := answers()
	view := video.rewound(t, store, store.Begin(l.name), 4)
	video.view.Store(view)
	if diff := cmp.Diff(was, answers()); diff != "" {
		t.Error(diff)
	}
	for path, want := range map[string]int{
		"/live/movie/v0/111.m4s":   404, // the gap
		"/live/movie/v0/99.m4s":    404,
		"/live/movie/v0/103.0.m4s": 404, // parts are in memory only
		"/live/movie/v0/101.mp4":   404,
		"/live/movie/a0/99.m4s":    404, // of a rendition without a disk
	} {
		if r := ask(s, "GET", path); r.StatusCode != want {
			t.Errorf("%s: %d", path, r.StatusCode)
		}
	}
}

// TestHoleBeforeMemory: what would leave numbers out is not listed.
func TestHoleBeforeMemory(t *testing.T) {
	store := openSpool(t, spool.Options{})
	p := newPresentation()
	d := draw(p, "v0", media.Video, 100).full().full().full().full().full()
	d.rewound(t, store, store.Begin("a"), 2)
	if w := d.rendition.storedBefore(103); w.Len() != 3 {
		t.Errorf("%d segments", w.Len())
	}
	if w := d.rendition.storedBefore(104); w.Len() != 0 {
		t.Errorf("%d segments before a hole", w.Len())
	}
	if w := (&rendition{}).storedBefore(104); w.Len() != 0 {
		t.Errorf("%d segments without a disk", w.Len())
	}
}

func TestDeflateJoins(t *testing.T) {
	var c compressor
	var want bytes.Buffer
	r := rendered{head: []byte("head\n"), tail: nil}
	for i := range 20 {
		text := bytes.Repeat([]byte(fmt.Sprintf("line %d\n", i%3)), i*100)
		deflated, err := c.deflate(text, false)
		if err != nil {
			t.Fatal(err)
		}
		r.runs = append(r.runs, &runText{plain: text, deflated: deflated})
		want.Write(text)
	}
	d, err := c.join(&r, r.document().sum(), r.document().size())
	if err != nil {
		t.Fatal(err)
	}
	if got := unpack(t, d); got != "head\n"+want.String() {
		t.Errorf("%d bytes came out, want %d", len(got), 5+want.Len())
	}
}

// BenchmarkRewind is what a part costs in a playlist of six hours: rendering, and compression.
func BenchmarkRewind(b *testing.B) {
	store := openSpool(b, spool.Options{})
	p := newPresentation()
	d := draw(p, "v0", media.Video, 100)
	for range 6 * 1800 {
		d.full()
	}
	d.part(500 * time.Millisecond)
	view := d.rewound(b, store, store.Begin("a"), 4)
	for _, form := range []playlistForm{fullForm, deltaForm} {
		b.Run(fmt.Sprint("form", form), func(b *testing.B) {
			b.ReportAllocs()
			var size, packed int
			for b.Loop() {
				view.texts = [playlistForms]lazyText{}
				text := p.playlist(d.rendition, view, form, &d.gzip)
				size, packed = text.plain.body.size(), text.compressed.body.size()
			}
			b.ReportMetric(float64(size), "plain-B")
			b.ReportMetric(float64(packed), "gzip-B")
		})
	}
}
