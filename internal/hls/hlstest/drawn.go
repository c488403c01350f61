// Package hlstest makes what the tests of HLS packaging and of its requests need: renditions whose
// views are drawn by hand.
package hlstest

import (
	"context"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"livego/internal/hls/playlist"
	"livego/internal/media"
	"livego/internal/spool"
)

// Drawn is a rendition whose views a test draws by hand.
type Drawn struct {
	*playlist.Rendition
	Segs []playlist.Segment
	// Header is the initialization section of segments to come.
	Header *playlist.Init
	Now    playlist.View // without segments
	gzip   playlist.Compressor
	clock  time.Time
	// Shown is called with each new view, Left when the rendition leaves its ladder.
	Shown func(*playlist.View)
	Left  func()
	// Others are the rest of the ladder.
	Others []*playlist.Rendition
}

// Draw begins a rendition. Its segments are numbered from first on.
func Draw(id string, kind media.Kind, first int64) *Drawn {
	d := &Drawn{
		Rendition: &playlist.Rendition{ID: id, Kind: kind},
		Header:    &playlist.Init{Seq: first, Data: []byte("init of " + id)},
		Now:       playlist.View{Target: 2 * time.Second, PartTarget: 500 * time.Millisecond, DiscontinuitySeq: first},
		clock:     time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
	}
	d.begin(first)
	return d
}

// Open is the open segment.
func (d *Drawn) Open() *playlist.Segment { return &d.Segs[len(d.Segs)-1] }

func (d *Drawn) begin(seq int64) {
	d.Segs = append(d.Segs, playlist.Segment{Seq: seq, At: d.clock, Init: d.Header, Independent: true})
}

// Part adds a part to the open segment.
func (d *Drawn) Part(length time.Duration) *Drawn {
	s := d.Open()
	data := fmt.Appendf(nil, "<%s %d.%d>", d.ID, s.Seq, len(s.Parts))
	if len(s.Parts) == 0 {
		s.Key = 4
	}
	s.Parts = append(s.Parts[:len(s.Parts):len(s.Parts)], playlist.Part{Duration: length, Independent: d.Kind == media.Audio || len(s.Parts) == 0, Data: playlist.NewContent(data)})
	s.Duration += length
	s.Size += len(data)
	d.clock = d.clock.Add(length)
	return d
}

// Cut completes the open segment and opens the next.
func (d *Drawn) Cut() *Drawn {
	d.Open().Complete = true
	d.begin(d.Open().Seq + 1)
	return d
}

// Gap makes a segment without media.
func (d *Drawn) Gap(length time.Duration) *Drawn {
	s := d.Open()
	s.Gap, s.Duration = true, length
	d.clock = d.clock.Add(length)
	return d.Cut()
}

// Full adds a segment of four parts.
func (d *Drawn) Full() *Drawn {
	for range 4 {
		d.Part(500 * time.Millisecond)
	}
	return d.Cut()
}

// Show makes what was drawn visible: the last so many complete segments are listed, all others can
// be fetched.
func (d *Drawn) Show(listed int) *Drawn {
	old := d.View.Load()
	v := &playlist.View{
		Version: 1, Target: d.Now.Target, PartTarget: d.Now.PartTarget, PartHoldBack: d.Now.PartHoldBack,
		DiscontinuitySeq: d.Now.DiscontinuitySeq, Ended: d.Now.Ended, Replaced: make(chan struct{}),
	}
	for _, s := range slices.Clone(d.Segs) {
		if s.Complete || len(s.Parts) > 0 {
			v.Segments = append(v.Segments, &s)
		}
	}
	complete := 0
	for _, s := range v.Segments {
		if s.Complete {
			complete++
		}
	}
	v.Listed = max(0, complete-listed)
	d.View.Store(v)
	if d.Shown != nil {
		d.Shown(v)
	}
	if old != nil {
		close(old.Replaced)
	}
	return d
}

// End shows the playlist with its end.
func (d *Drawn) End() {
	d.Open().Complete = len(d.Open().Parts) > 0
	d.Now.Ended = true
	d.Show(1000)
}

// VideoInfo is what a multivariant playlist says of a drawn video.
func VideoInfo(r *playlist.Rendition) playlist.Info {
	return playlist.Info{
		Rendition: r, Track: &media.Track{Kind: media.Video, Codec: media.H264}, Codecs: "avc1.64001f", VideoRange: "SDR",
		Width: 1280, Height: 720, FrameRate: 29.97, Peak: 2_600_000, Average: 2_500_000,
	}
}

// AudioInfo is the same of an audio.
func AudioInfo(r *playlist.Rendition) playlist.Info {
	return playlist.Info{
		Rendition: r, Track: &media.Track{Kind: media.Audio, Codec: media.AAC, Channels: 2}, Codecs: "mp4a.40.2", Peak: 130_000, Average: 128_000,
	}
}

// DrawPair draws a video and an audio: segments 100 to 105 of four parts, the open one has two.
func DrawPair() (video, audio *Drawn) {
	video, audio = Draw("v0", media.Video, 100), Draw("a0", media.Audio, 100)
	video.Others, audio.Others = []*playlist.Rendition{audio.Rendition}, []*playlist.Rendition{video.Rendition}
	for _, d := range []*Drawn{video, audio} {
		for range 6 {
			d.Full()
		}
		d.Part(500 * time.Millisecond).Part(500 * time.Millisecond).Show(3)
	}
	return video, audio
}

// playlist is a form of the rendition's playlist at a view.
func (d *Drawn) TextAt(v *playlist.View, form playlist.Form) *playlist.Text {
	return d.Rendition.Playlist(v, form, func() []*playlist.Rendition { return d.Others }, &d.gzip)
}

// Text is the plain form of a rendition's playlist as it is now.
func (d *Drawn) Text(form playlist.Form) string {
	return Joined(d.TextAt(d.View.Load(), form).Plain.Body)
}

// Rewound shows what was drawn with the complete segments but the last few on disk, and all of them
// in the playlist.
func (d *Drawn) Rewound(t testing.TB, store *spool.Store, life *spool.Life, inMemory int) *playlist.View {
	t.Helper()
	d.Rendition.Disk = life.Rendition(d.ID)
	discontinuities := d.Now.DiscontinuitySeq
	d.Show(1 << 30)
	v := d.View.Load()
	move := 0
	for _, s := range v.Segments {
		if s.Complete {
			move++
		}
	}
	move = max(0, move-inMemory)
	for _, s := range v.Segments[:move] {
		e := s.ToStore(v.Target)
		e.DiscontinuitySeq = discontinuities
		if s.Discontinuity {
			discontinuities++
		}
		var pieces [][]byte
		for i := range s.Parts {
			pieces = append(pieces, s.Parts[i].Data.Bytes())
		}
		if err := d.Disk.Append(e, s.Init.Data, pieces...); err != nil {
			t.Fatal(err)
		}
	}
	spooled(t, store)
	rest := &playlist.View{
		Version: 2, Target: v.Target, PartTarget: v.PartTarget, DiscontinuitySeq: discontinuities, Ended: v.Ended,
		Segments: v.Segments[move:], Replaced: make(chan struct{}),
	}
	rest.Stored = d.Rendition.StoredBefore(rest.Segments[0].Seq)
	if rest.Stored.Len() != move {
		t.Fatalf("%d segments on disk, want %d", rest.Stored.Len(), move)
	}
	return rest
}

// OpenSpool opens a store in a folder of its own.
func OpenSpool(t testing.TB, o spool.Options) *spool.Store {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	s, err := spool.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { CloseSpool(t, s) })
	return s
}

// CloseSpool closes a store, for tests that open it again.
func CloseSpool(t testing.TB, s *spool.Store) {
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

// Again is a view whose texts were not rendered.
func Again(v *playlist.View) *playlist.View {
	return &playlist.View{
		Version: v.Version, Segments: v.Segments, Listed: v.Listed, DiscontinuitySeq: v.DiscontinuitySeq, Stored: v.Stored,
		Target: v.Target, PartTarget: v.PartTarget, PartHoldBack: v.PartHoldBack, Ended: v.Ended, Replaced: v.Replaced,
	}
}

// Joined is the text of all pieces.
func Joined(d playlist.Document) string {
	b, err := io.ReadAll(d.Reader())
	if err != nil {
		panic(err)
	}
	return string(b)
}

// Leave takes the rendition out of its ladder.
func (d *Drawn) Leave() {
	d.Left()
	close(d.View.Load().Replaced)
}
