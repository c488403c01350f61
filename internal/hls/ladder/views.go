package ladder

import (
	"math"
	"slices"
	"time"

	"livego/internal/fmp4"
	"livego/internal/hls/cut"
	"livego/internal/hls/playlist"
	"livego/internal/media"
)

// publish gives requests a new view of a rendition, once its first segment is complete, or long
// enough.
func (p *Packager) publish(t *track, ended bool) {
	w := &t.window
	if len(w.Segments) == 0 {
		if !p.growing || t.segment == nil || t.segment.Duration < p.partHoldBack() {
			return
		}
		w.Segments = p.leadingGaps(t, t.segment)
		defer p.describe(t)
	} else if p.show.View.Load() == nil {
		defer p.Present(false)
	}
	segments, listed := append(make([]*playlist.Segment, 0, len(w.Segments)+1), w.Segments...), w.Listed
	n := len(segments) - 1
	if t.endless = p.closing && n > 0 && !segments[n].Gap; t.endless {
		last := *segments[n]
		last.Full, last.Complete = true, false
		segments[n] = &last
		listed = t.listedStill()
	}
	if s := t.segment; s != nil && len(s.Parts) > 0 {
		open := *s
		segments = append(segments, &open)
	}
	p.counts.Window.Store(int64(p.bytes))
	p.show.SetTarget(p.line.target)
	t.version++
	v := &playlist.View{
		Version:  t.version,
		Segments: segments, Listed: listed,
		DiscontinuitySeq: segments[listed].Before,
		Stored:           t.StoredBefore(segments[listed].Seq),
		Target:           p.line.target, PartTarget: t.target, PartHoldBack: p.partHoldBack(),
		Ended:    ended,
		Replaced: make(chan struct{}),
	}
	if ended {
		close(v.Replaced)
	}
	if old := t.View.Swap(v); old != nil {
		close(old.Replaced)
		p.noteDelay(t)
	} else {
		p.show.tell()
	}
}

// listedStill is from where on the window is listed as long as the end of its last segment is not:
// as before.
func (t *track) listedStill() int {
	if v := t.View.Load(); v != nil {
		return min(int(max(0, v.Segments[v.Listed].Seq-t.window.Segments[0].Seq)), t.window.Listed)
	}
	return t.window.Listed
}

// noteDelay tells how long after its last unit the newest part was published. What was kept for who
// comes late says nothing.
func (p *Packager) noteDelay(t *track) {
	if t.arrived != 0 && p.opt.PartDelay != nil && !t.pub.Behind {
		p.opt.PartDelay(p.opt.Now().Sub(time.Unix(0, t.arrived)))
	}
	t.arrived = 0
}

// partHoldBack is the least distance of players from the end of the playlist, and the same in all
// renditions.
func (p *Packager) partHoldBack() time.Duration { return playlist.PartHoldBacks * p.longestPart }

// leadingGaps are what stands before the first segment of a rendition: segments that are missing.
//
// As long as that is open, players want one that is whole: hls.js (1.7.4) gives up a playlist
// without, and loads no parts unless there are some of an earlier segment.
//
// After a life that broke off they are its last segments, and the last one lasts until this life:
// hls.js (adjustSliding) goes on as many target durations further as there are numbers that it does
// not know. Else the one that stands there has no initialization section: hls.js (1.7.4) without
// Low-Latency mode gives up to load that with the gap, and with it the first segment of the sound,
// for which it waited for good.
func (p *Packager) leadingGaps(t *track, s *playlist.Segment) []*playlist.Segment {
	before, init := p.line.lost, t.init
	if s.Seq != p.line.first || len(before) == 0 {
		init = nil
		b := Boundary{Seq: s.Seq - 1, At: s.Start - 2*p.longestPart, Before: s.Before}
		if known := p.line.get(b.Seq); known != nil {
			b = *known
		}
		before = []Boundary{b}
	}
	gaps := make([]*playlist.Segment, len(before))
	for i, end := len(before)-1, s.Start; i >= 0; i-- {
		b := before[i]
		g := &playlist.Segment{Seq: b.Seq, Init: init, Before: b.Before, Discontinuity: b.Discontinuity, Gap: true, Complete: true}
		g.Duration = max(min(end-b.At, p.line.target), cut.MinDuration)
		g.Start = end - g.Duration
		if !s.At.IsZero() {
			g.At = s.At.Add(g.Start - s.Start)
		}
		gaps[i], end = g, g.Start
	}
	last := gaps[len(gaps)-1]
	n := (last.Duration + t.target - 1) / t.target
	for range n {
		last.Parts = append(last.Parts, playlist.Part{Duration: last.Duration / n, Gap: true})
	}
	return gaps
}

// trim keeps all renditions together within their bound, but for the newest segment of each.
func (p *Packager) trim() {
	for p.bytes > p.opt.MaxStreamBytes {
		var largest *track
		for _, t := range p.tracks {
			if t.member != nil && len(t.window.Segments) > 1 && (largest == nil || t.window.Bytes > largest.window.Bytes) {
				largest = t
			}
		}
		if largest == nil {
			return
		}
		p.bytes -= largest.window.Drop()
	}
}

// describe measures anew what the multivariant playlist says of t.
func (p *Packager) describe(t *track) {
	if t.info.Track != t.track || t.info.Rendition != t.Rendition {
		width, height := fmp4.Resolution(t.track)
		t.info = playlist.Info{
			Rendition: t.Rendition, Track: t.track,
			Codecs: fmp4.Codecs(t.track), Supplemental: fmp4.SupplementalCodecs(t.track),
			VideoRange: fmp4.VideoRange(t.track), Width: width, Height: height,
		}
	}
	t.info.Peak, t.info.Average = int(math.Ceil(t.rates.Highest())), int(math.Ceil(t.rates.Average()))
	if t.info.Average == 0 && t.segment != nil {
		t.info.Peak = t.segment.Estimate()
	}
	t.info.Captions = t.captions.set
	if t.kind == media.Video {
		t.info.FrameRate = frameRate(t)
	}
	p.Present(false)
}

// frameRate is the measured one; what the header says counts if it is within a hundredth of that,
// so that the playlist stays as it is.
func frameRate(t *track) float64 {
	measured := t.rates.PerSecond()
	if header := fmp4.FrameRate(t.track); measured > 0 && math.Abs(header-measured) < measured/100 {
		return header
	}
	if old := t.info.FrameRate; math.Abs(old-measured) < measured/100 {
		return old
	}
	return math.Round(measured*100) / 100
}

// patienceSegments is how many segments the first multivariant playlist waits for renditions that
// are late.
const patienceSegments = 3

// earlyPatience is how much media it waits for them where the first segment is listed while it
// grows.
const earlyPatience = time.Second

// catchUp bounds how long the first multivariant playlist waits for publications whose kept units
// are being read.
const catchUp = time.Second

// caughtUp says that what was kept of all publications has been read.
func (p *Packager) caughtUp() bool {
	behind := slices.ContainsFunc(p.pubs, func(pub *Publication) bool { return pub.Behind })
	return !behind || p.opt.Now().Sub(p.begun) > catchUp
}

// awaits says that the first multivariant playlist waits for renditions that are late.
func (p *Packager) awaits() bool {
	if p.growing {
		return p.line.now-p.line.bounds[0].At < earlyPatience
	}
	return p.line.next-p.line.first <= patienceSegments
}

// Present gives requests a new multivariant playlist, if there is something new. now says that
// nothing more is to be waited for.
func (p *Packager) Present(now bool) {
	old := p.show.View.Load()
	if old == nil && !now && !p.caughtUp() {
		return
	}
	infos := make([]playlist.Info, 0, len(p.tracks))
	for _, t := range p.tracks {
		switch {
		case t.member != nil && t.View.Load() != nil && t.info.Rendition == t.Rendition:
			infos = append(infos, t.info)
		case t.standing != out && old == nil && !now && p.awaits():
			return // players take what the first playlist names for all that there will be
		}
	}
	if len(infos) == 0 || old != nil && old.Independent == !p.dependent && slices.Equal(infos, old.Renditions) {
		return
	}
	p.show.View.Store(&playlist.Multivariant{Renditions: infos, Independent: !p.dependent})
	p.show.Refusal.Store(nil)
	p.show.Answer()
}
