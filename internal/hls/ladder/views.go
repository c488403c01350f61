package ladder

import (
	"math"
	"slices"
	"time"

	"livego/internal/fmp4"
	"livego/internal/hls/cut"
	"livego/internal/hls/playlist"
	"livego/internal/media"
	"livego/internal/spool"
)

// output is what can be fetched of all renditions, and those who keep complete segments.
type output struct {
	opt     Options
	counts  *Counts
	journal *journal
	roster  *roster
	line    *timeline
	show    *Presentation
	// stored takes the segments for rewinding, sink all that are complete. Either may be nil.
	stored *spool.Life
	sink   Sink
	// bytes is the size of all that can be fetched or is under way.
	bytes int
	// dependent: a segment cannot all be decoded without those before, as it began without a sync
	// sample, or has pictures that are skipped then.
	dependent bool
	// closing: the last parts are listed, but not that they are the last ones.
	closing bool
	// joined: a video and a sound are presented in one playlist, joint, nil as long as there is
	// none.
	joined bool
	joint  *playlist.Joint
}

// grow counts a part.
func (o *output) grow(size int) {
	o.bytes += size
	o.counts.Parts.Add(1)
	o.counts.Bytes.Add(uint64(size))
}

// depends notes whether there is something that cannot be decoded without what was before its
// segment.
func (o *output) depends(yes bool) { o.dependent = o.dependent || yes }

// remove takes the rendition of t away from requests.
func (o *output) remove(t *track) {
	o.bytes -= t.window.Bytes
	if t.segment != nil {
		o.bytes -= t.segment.Size
	}
	o.show.Remove(t.Rendition)
	if v := t.View.Load(); v != nil && !v.Ended {
		close(v.Replaced)
	}
	if o.joins(t) {
		o.separate()
	}
}

// complete takes a segment of t that is complete. publish says that it is listed at once.
func (o *output) complete(t *track, s *playlist.Segment, publish bool) {
	if s.Gap && len(t.window.Segments) == 0 {
		return // a playlist does not begin with a gap
	}
	o.depends(!s.Independent)
	t.rates.Note(s, o.line.target)
	if len(t.window.Segments) == 0 && s.Seq == o.line.first && len(o.line.lost) > 0 {
		t.window.Segments = o.leadingGaps(t, s)
	}
	o.bytes -= t.window.Add(s, o.opt.ListSize, o.line.target, t.Settled)
	o.store(t, s)
	o.trim()
	if publish {
		o.publish(t, false)
	}
	o.describe(t)
	o.record(t, s)
}

// publish gives requests a new view of a rendition, once its first segment is complete, or long
// enough.
func (o *output) publish(t *track, ended bool) {
	w := &t.window
	if len(w.Segments) == 0 {
		if !o.line.growing || t.segment == nil || len(t.segment.Parts) == 0 || t.segment.Duration < o.line.firstList() {
			return
		}
		w.Segments = o.leadingGaps(t, t.segment)
		if lead := w.Segments[0]; lead.Init == nil && t.segment.Seq == o.line.first {
			o.store(t, lead) // a restart does not take it away
		}
		defer o.describe(t)
	} else if o.show.View.Load() == nil {
		defer o.present(false)
	}
	segments, listed := append(make([]*playlist.Segment, 0, len(w.Segments)+1), w.Segments...), w.Listed
	n := len(segments) - 1
	if t.endless = o.closing && n > 0 && !segments[n].Gap; t.endless {
		last := *segments[n]
		last.Full, last.Complete = true, false
		segments[n] = &last
		listed = t.listedStill()
	}
	if s := t.segment; s != nil && len(s.Parts) > 0 {
		open := *s
		segments = append(segments, &open)
	}
	o.counts.Window.Store(int64(o.bytes))
	o.show.SetTarget(o.line.target)
	t.version++
	v := &playlist.View{
		Version:  t.version,
		Segments: segments, Listed: listed,
		DiscontinuitySeq: segments[listed].Before,
		Stored:           t.StoredBefore(segments[listed].Seq),
		Target:           o.line.target, PartTarget: t.target, PartHoldBack: o.line.partHoldBack(),
		Ended:    ended,
		Replaced: make(chan struct{}),
	}
	if ended {
		close(v.Replaced)
	}
	if old := t.View.Swap(v); old != nil {
		close(old.Replaced)
		o.noteDelay(t)
	} else {
		o.show.tell()
	}
	o.join(t)
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
func (o *output) noteDelay(t *track) {
	if t.arrived != 0 && o.opt.PartDelay != nil && !t.pub.Behind {
		o.opt.PartDelay(o.opt.Now().Sub(time.Unix(0, t.arrived)))
	}
	t.arrived = 0
}

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
func (o *output) leadingGaps(t *track, s *playlist.Segment) []*playlist.Segment {
	before, init := o.line.lost, t.init
	if s.Seq != o.line.first || len(before) == 0 {
		init = nil
		b := Boundary{Seq: s.Seq - 1, At: s.Start - 2*o.line.longestPart, Before: s.Before}
		if known := o.line.get(b.Seq); known != nil {
			b = *known
		}
		before = []Boundary{b}
	}
	gaps := make([]*playlist.Segment, len(before))
	for i, end := len(before)-1, s.Start; i >= 0; i-- {
		b := before[i]
		g := &playlist.Segment{Seq: b.Seq, Init: init, Before: b.Before, Discontinuity: b.Discontinuity, Gap: true, Complete: true}
		g.Duration = max(min(end-b.At, o.line.target), cut.MinDuration)
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
func (o *output) trim() {
	for o.bytes > o.opt.MaxStreamBytes {
		var largest *track
		for _, t := range o.roster.tracks {
			if t.member != nil && len(t.window.Segments) > 1 && (largest == nil || t.window.Bytes > largest.window.Bytes) {
				largest = t
			}
		}
		if largest == nil {
			return
		}
		o.bytes -= largest.window.Drop()
	}
}

// describe measures anew what the multivariant playlist says of t.
func (o *output) describe(t *track) {
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
	o.present(false)
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
// grows, and picturePatience where there would be sound alone: pictures may be behind for a moment,
// as those of an encoder that counts them at another rate.
const (
	earlyPatience   = time.Second
	picturePatience = 2500 * time.Millisecond
)

// awaits says that the first multivariant playlist waits for a rendition of t, which is late,
// beside those of which there is something.
func (o *output) awaits(t *track, infos []playlist.Info) bool {
	if o.line.growing {
		patience := earlyPatience
		if t.kind == media.Video && !slices.ContainsFunc(infos, func(i playlist.Info) bool { return i.Kind == media.Video }) {
			patience = picturePatience
		}
		grown := o.line.now - o.line.bounds[0].At
		return grown < patience || grown < patience+cut.MaxBurst && o.passed() < patience
	}
	return o.line.next-o.line.first <= patienceSegments
}

// passed is how long after the first unit the newest one came, by the clock. Where nobody stamped
// them it is long ago.
func (o *output) passed() time.Duration {
	first, newest := o.line.bounds[0].wall, int64(0)
	for _, t := range o.roster.tracks {
		newest = max(newest, t.came)
	}
	if first.IsZero() || newest == 0 {
		return time.Hour
	}
	return time.Unix(0, newest).Sub(first)
}

// present gives requests a new multivariant playlist, if there is something new. now says that
// nothing more is to be waited for.
func (o *output) present(now bool) {
	old := o.show.View.Load()
	if old == nil && !now && !o.roster.caughtUp() {
		return
	}
	infos := make([]playlist.Info, 0, len(o.roster.tracks))
	for _, t := range o.roster.tracks {
		switch {
		case t.member != nil && t.View.Load() != nil && t.info.Rendition == t.Rendition:
			infos = append(infos, t.info)
		case t.standing != out && old == nil && !now && o.awaits(t, infos):
			return // players take what the first playlist names for all that there will be
		}
	}
	if o.joined && oneOfEach(infos) {
		if j := o.joint; j != nil && j.View.Load() != nil {
			infos = []playlist.Info{j.Info(&infos[0], &infos[1])}
		} else if old == nil && !now {
			return
		}
	}
	if len(infos) == 0 || old != nil && old.Independent == !o.dependent && slices.Equal(infos, old.Renditions) {
		return
	}
	o.show.View.Store(&playlist.Multivariant{Renditions: infos, Independent: !o.dependent})
	o.show.Refusal.Store(nil)
	o.show.Answer()
}
