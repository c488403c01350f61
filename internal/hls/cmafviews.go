package hls

import (
	"math"
	"slices"
	"time"

	"livego/internal/fmp4"
	"livego/internal/media"
)

// put makes a rendition known to requests.
func (p *presentation) put(r *rendition) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.renditions[r.id] = r
}

// publish gives requests a new view of a rendition, once its first segment is complete, or long
// enough.
func (p *packager) publish(t *cmafTrack, ended bool) {
	w := &t.window
	if len(w.segments) == 0 {
		if !p.growing || t.segment == nil || t.segment.duration < p.partHoldBack() {
			return
		}
		w.segments = p.leadingGaps(t, t.segment)
		defer p.describe(t)
	} else if p.show.view.Load() == nil {
		defer p.present(false)
	}
	segments := append(make([]*cmafSegment, 0, len(w.segments)+1), w.segments...)
	if s := t.segment; s != nil && len(s.parts) > 0 {
		open := *s
		segments = append(segments, &open)
	}
	p.counts.window.Store(int64(p.bytes))
	p.show.seconds.Store(int64(p.line.target / time.Second))
	t.version++
	v := &renditionView{
		version:  t.version,
		segments: segments, listed: w.listed,
		discontinuitySeq: w.segments[w.listed].before,
		stored:           t.storedBefore(w.segments[w.listed].seq),
		target:           p.line.target, partTarget: t.target, partHoldBack: p.partHoldBack(),
		ended:    ended,
		replaced: make(chan struct{}),
	}
	if ended {
		close(v.replaced)
	}
	if old := t.view.Swap(v); old != nil {
		close(old.replaced)
		p.noteDelay(t)
	}
}

// noteDelay tells how long after its last unit the newest part was published. What was kept for who
// comes late says nothing.
func (p *packager) noteDelay(t *cmafTrack) {
	if t.arrived != 0 && p.opt.PartDelay != nil && !t.pub.behind {
		p.opt.PartDelay(p.opt.Now().Sub(time.Unix(0, t.arrived)))
	}
	t.arrived = 0
}

// partHoldBack is the least distance of players from the end of the playlist, and the same in all
// renditions.
func (p *packager) partHoldBack() time.Duration { return partHoldBacks * p.longestPart }

// leadingGaps are what stands before the first segment of a rendition: segments that are missing.
//
// As long as that is open, players want one that is whole: hls.js (1.7.4) gives up a playlist
// without, and loads no parts unless there are some of an earlier segment.
//
// After a life that broke off they are its last segments, and the last one lasts until this life:
// hls.js (adjustSliding) goes on as many target durations further as there are numbers that it does
// not know.
func (p *packager) leadingGaps(t *cmafTrack, s *cmafSegment) []*cmafSegment {
	before := p.line.lost
	if s.seq != p.line.first || len(before) == 0 {
		b := boundary{seq: s.seq - 1, at: s.start - 2*p.longestPart, before: s.before}
		if known := p.line.get(b.seq); known != nil {
			b = *known
		}
		before = []boundary{b}
	}
	gaps := make([]*cmafSegment, len(before))
	for i, end := len(before)-1, s.start; i >= 0; i-- {
		b := before[i]
		g := &cmafSegment{seq: b.seq, init: t.init, before: b.before, discontinuity: b.discontinuity, gap: true, complete: true}
		g.duration = max(min(end-b.at, p.line.target), minDuration)
		g.start = end - g.duration
		if !s.at.IsZero() {
			g.at = s.at.Add(g.start - s.start)
		}
		gaps[i], end = g, g.start
	}
	last := gaps[len(gaps)-1]
	n := (last.duration + t.target - 1) / t.target
	for range n {
		last.parts = append(last.parts, part{duration: last.duration / n, gap: true})
	}
	return gaps
}

// trim keeps all renditions together within their bound, but for the newest segment of each.
func (p *packager) trim() {
	for p.bytes > p.opt.MaxStreamBytes {
		var largest *cmafTrack
		for _, t := range p.tracks {
			if t.standing == member && len(t.window.segments) > 1 && (largest == nil || t.window.bytes > largest.window.bytes) {
				largest = t
			}
		}
		if largest == nil {
			return
		}
		p.bytes -= largest.window.drop()
	}
}

// describe measures anew what the multivariant playlist says of t.
func (p *packager) describe(t *cmafTrack) {
	if t.info.track != t.track || t.info.rendition != t.rendition {
		width, height := fmp4.Resolution(t.track)
		t.info = renditionInfo{
			rendition: t.rendition, track: t.track,
			codecs: fmp4.Codecs(t.track), supplemental: fmp4.SupplementalCodecs(t.track),
			videoRange: fmp4.VideoRange(t.track), width: width, height: height,
		}
	}
	t.info.peak, t.info.average = int(math.Ceil(t.rates.highest())), int(math.Ceil(t.rates.average()))
	if t.info.average == 0 && t.segment != nil {
		t.info.peak = t.segment.estimate()
	}
	t.info.captions = t.captions.set
	if t.kind == media.Video {
		t.info.frameRate = frameRate(t)
	}
	p.present(false)
}

// frameRate is the measured one; what the header says counts if it is within a hundredth of that,
// so that the playlist stays as it is.
func frameRate(t *cmafTrack) float64 {
	measured := t.rates.perSecond()
	if measured == 0 && t.segment != nil && t.segment.duration > 0 {
		measured = float64(t.rates.units-len(t.part)) / t.segment.duration.Seconds()
	}
	if header := fmp4.FrameRate(t.track); measured > 0 && math.Abs(header-measured) < measured/100 {
		return header
	}
	if old := t.info.frameRate; math.Abs(old-measured) < measured/100 {
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
func (p *packager) caughtUp() bool {
	behind := slices.ContainsFunc(p.pubs, func(pub *publication) bool { return pub.behind })
	return !behind || p.opt.Now().Sub(p.begun) > catchUp
}

// awaits says that the first multivariant playlist waits for renditions that are late.
func (p *packager) awaits() bool {
	if p.growing {
		return p.line.now-p.line.bounds[0].at < earlyPatience
	}
	return p.line.next-p.line.first <= patienceSegments
}

// present gives requests a new multivariant playlist, if there is something new. now says that
// nothing more is to be waited for.
func (p *packager) present(now bool) {
	old := p.show.view.Load()
	if old == nil && !now && !p.caughtUp() {
		return
	}
	infos := make([]renditionInfo, 0, len(p.tracks))
	for _, t := range p.tracks {
		switch {
		case t.standing == member && t.view.Load() != nil && t.info.rendition == t.rendition:
			infos = append(infos, t.info)
		case t.standing != out && old == nil && !now && p.awaits():
			return // players take what the first playlist names for all that there will be
		}
	}
	if len(infos) == 0 || old != nil && old.independent == !p.dependent && slices.Equal(infos, old.renditions) {
		return
	}
	p.show.view.Store(&presentationView{renditions: infos, independent: !p.dependent})
	p.show.refusal.Store(nil)
	p.show.answer()
}
