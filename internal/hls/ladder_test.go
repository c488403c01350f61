package hls

import (
	"fmt"
	"slices"
	"time"

	"livego/internal/media"
)

// drawn is a rendition whose views a test draws by hand.
type drawn struct {
	*rendition
	ladder *presentation
	segs   []cmafSegment
	init   *initSegment
	now    renditionView // without segments
	gzip   compressor
	clock  time.Time
}

// draw adds a rendition to a ladder. Its segments are numbered from first on.
func draw(p *presentation, id string, kind media.Kind, first int64) *drawn {
	d := &drawn{
		rendition: &rendition{id: id, kind: kind}, ladder: p,
		init:  &initSegment{seq: first, data: []byte("init of " + id)},
		now:   renditionView{target: 2 * time.Second, partTarget: 500 * time.Millisecond, discontinuitySeq: first},
		clock: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
	}
	d.begin(first)
	p.mu.Lock()
	p.renditions[id] = d.rendition
	p.mu.Unlock()
	return d
}

func (d *drawn) open() *cmafSegment { return &d.segs[len(d.segs)-1] }

func (d *drawn) begin(seq int64) {
	d.segs = append(d.segs, cmafSegment{seq: seq, at: d.clock, init: d.init, independent: true})
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
	d.ladder.seconds.Store(int64(v.target / time.Second))
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

// leave takes the rendition out of the ladder.
func (d *drawn) leave() {
	d.ladder.remove(d.rendition)
	close(d.view.Load().replaced)
}

// lowLatency is a server with the stream live/movie of a video and an audio: segments 100 to 105 of
// four parts, the open one has two.
func lowLatency(opt Options) (s *Server, l *life, video, audio *drawn) {
	if opt.Now == nil {
		opt.Now = func() time.Time { return time.Unix(1000, 0) }
	}
	s = NewServer(opt)
	l = s.begin("live/movie", &publication{})
	video, audio = draw(l.cmaf, "v0", media.Video, 100), draw(l.cmaf, "a0", media.Audio, 100)
	for _, d := range []*drawn{video, audio} {
		for range 6 {
			d.full()
		}
		d.part(500 * time.Millisecond).part(500 * time.Millisecond).show(3)
	}
	l.cmaf.view.Store(&presentationView{independent: true, renditions: []renditionInfo{videoInfo(video.rendition), audioInfo(audio.rendition)}})
	l.cmaf.answer()
	return s, l, video, audio
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
