package hls

import (
	"context"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"livego/internal/media"
	"livego/internal/spool"
)

// drawn is a rendition whose views a test draws by hand.
type drawn struct {
	*rendition
	segs []cmafSegment
	// header is the initialization section of segments to come.
	header *initSegment
	now    renditionView // without segments
	gzip   compressor
	clock  time.Time
	// shown is called with each new view, left when the rendition leaves its ladder.
	shown func(*renditionView)
	left  func()
	// others are the rest of the ladder.
	others []*rendition
}

// draw begins a rendition. Its segments are numbered from first on.
func draw(id string, kind media.Kind, first int64) *drawn {
	d := &drawn{
		rendition: &rendition{id: id, kind: kind},
		header:    &initSegment{seq: first, data: []byte("init of " + id)},
		now:       renditionView{target: 2 * time.Second, partTarget: 500 * time.Millisecond, discontinuitySeq: first},
		clock:     time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
	}
	d.begin(first)
	return d
}

func (d *drawn) open() *cmafSegment { return &d.segs[len(d.segs)-1] }

func (d *drawn) begin(seq int64) {
	d.segs = append(d.segs, cmafSegment{seq: seq, at: d.clock, init: d.header, independent: true})
}

// part adds a part to the open segment.
func (d *drawn) part(length time.Duration) *drawn {
	s := d.open()
	data := fmt.Appendf(nil, "<%s %d.%d>", d.id, s.seq, len(s.parts))
	if len(s.parts) == 0 {
		s.key = 4
	}
	s.parts = append(s.parts[:len(s.parts):len(s.parts)], part{duration: length, independent: d.kind == media.Audio || len(s.parts) == 0, data: data})
	s.duration += length
	s.size += len(data)
	d.clock = d.clock.Add(length)
	return d
}

// cut completes the open segment and opens the next.
func (d *drawn) cut() *drawn {
	d.open().complete = true
	d.begin(d.open().seq + 1)
	return d
}

// gap makes a segment without media.
func (d *drawn) gap(length time.Duration) *drawn {
	s := d.open()
	s.gap, s.duration = true, length
	d.clock = d.clock.Add(length)
	return d.cut()
}

// full adds a segment of four parts.
func (d *drawn) full() *drawn {
	for range 4 {
		d.part(500 * time.Millisecond)
	}
	return d.cut()
}

// show makes what was drawn visible: the last so many complete segments are listed, all others can
// be fetched.
func (d *drawn) show(listed int) *drawn {
	old := d.view.Load()
	v := &renditionView{
		version: 1, target: d.now.target, partTarget: d.now.partTarget, partHoldBack: d.now.partHoldBack,
		discontinuitySeq: d.now.discontinuitySeq, ended: d.now.ended, replaced: make(chan struct{}),
	}
	for _, s := range slices.Clone(d.segs) {
		if s.complete || len(s.parts) > 0 {
			v.segments = append(v.segments, &s)
		}
	}
	complete := 0
	for _, s := range v.segments {
		if s.complete {
			complete++
		}
	}
	v.listed = max(0, complete-listed)
	d.view.Store(v)
	if d.shown != nil {
		d.shown(v)
	}
	if old != nil {
		close(old.replaced)
	}
	return d
}

// end shows the playlist with its end.
func (d *drawn) end() {
	d.open().complete = len(d.open().parts) > 0
	d.now.ended = true
	d.show(1000)
}

func videoInfo(r *rendition) renditionInfo {
	return renditionInfo{
		rendition: r, track: &media.Track{Kind: media.Video, Codec: media.H264}, codecs: "avc1.64001f", videoRange: "SDR",
		width: 1280, height: 720, frameRate: 29.97, peak: 2_600_000, average: 2_500_000,
	}
}

func audioInfo(r *rendition) renditionInfo {
	return renditionInfo{
		rendition: r, track: &media.Track{Kind: media.Audio, Codec: media.AAC, Channels: 2}, codecs: "mp4a.40.2", peak: 130_000, average: 128_000,
	}
}

// drawPair draws a video and an audio: segments 100 to 105 of four parts, the open one has two.
func drawPair() (video, audio *drawn) {
	video, audio = draw("v0", media.Video, 100), draw("a0", media.Audio, 100)
	video.others, audio.others = []*rendition{audio.rendition}, []*rendition{video.rendition}
	for _, d := range []*drawn{video, audio} {
		for range 6 {
			d.full()
		}
		d.part(500 * time.Millisecond).part(500 * time.Millisecond).show(3)
	}
	return video, audio
}

// playlist is a form of the rendition's playlist at a view.
func (d *drawn) textAt(v *renditionView, form playlistForm) *lazyText {
	return d.rendition.playlist(v, form, func() []*rendition { return d.others }, &d.gzip)
}

// text is the plain form of a rendition's playlist as it is now.
func (d *drawn) text(form playlistForm) string {
	return joined(d.textAt(d.view.Load(), form).plain.body)
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

// again is a view whose texts were not rendered.
func again(v *renditionView) *renditionView {
	return &renditionView{
		version: v.version, segments: v.segments, listed: v.listed, discontinuitySeq: v.discontinuitySeq, stored: v.stored,
		target: v.target, partTarget: v.partTarget, partHoldBack: v.partHoldBack, ended: v.ended, replaced: v.replaced,
	}
}

// joined is the text of all pieces.
func joined(d document) string {
	b, err := io.ReadAll(d.reader())
	if err != nil {
		panic(err)
	}
	return string(b)
}

// leave takes the rendition out of its ladder.
func (d *drawn) leave() {
	d.left()
	close(d.view.Load().replaced)
}
