package playlist

import (
	"slices"
	"time"

	"livego/internal/fmp4"
	"livego/internal/media"
)

// shortestPart is the least duration in a playlist: players refuse 0.
const shortestPart = time.Millisecond

// Joint is the rendition of a video and a sound in one playlist, so that players ask for half as
// many files. Its parts have the fragments of both, first those of the video, and hold no bytes of
// their own. What it lists is what both have. Only who packages calls its methods.
type Joint struct {
	*Rendition
	Video, Sound *Rendition

	version uint64
	pairs   []*pair
}

// Join makes a joint of two renditions, which has no view yet.
func Join(video, sound *Rendition) *Joint {
	return &Joint{
		Rendition: &Rendition{ID: video.ID + sound.ID, Kind: media.Video, Joined: true},
		Video:     video, Sound: sound,
	}
}

// pair is a segment that is made of one of each, and how many parts of the sound are in it.
type pair struct {
	Segment
	heard int
}

// Update makes the view that follows from those of the two, once these have so much media, and
// returns whether it is the first one. An error is of initialization sections that do not fit.
func (j *Joint) Update(least time.Duration) (first bool, err error) {
	video, sound := j.Video.View.Load(), j.Sound.View.Load()
	if video == nil || sound == nil {
		return false, nil
	}
	pairs := make([]*pair, 0, len(video.Segments))
	for _, v := range video.Segments {
		s := sound.Segment(v.Seq)
		if s == nil && len(pairs) == 0 {
			continue // the sound began later
		}
		if s == nil {
			break
		}
		p, err := j.pair(v, s)
		if err != nil {
			return false, err
		}
		p.extend(v, s, sound.PartTarget)
		if len(p.Parts) > 0 || p.Complete {
			pairs = append(pairs, p)
		}
		if !p.Complete {
			break
		}
	}
	j.pairs = pairs
	old := j.View.Load()
	if old == nil && !slices.ContainsFunc(pairs, func(p *pair) bool { return !p.Gap && (p.Complete || p.Duration >= least) }) {
		return false, nil
	}
	j.show(video, sound)
	return old == nil, nil
}

// pair returns the joint segment with the number of v and s, which begins if it is not known.
func (j *Joint) pair(v, s *Segment) (*pair, error) {
	for _, p := range j.pairs {
		if p.Seq == v.Seq {
			return p, nil
		}
	}
	p := &pair{Segment: *v}
	p.Init, p.Parts, p.Complete, p.Full, p.Gap, p.Size, p.Duration = nil, nil, false, false, false, 0, 0
	if v.Init == nil || s.Init == nil {
		return p, nil
	}
	seq := max(v.Init.Seq, s.Init.Seq)
	if n := len(j.pairs); n > 0 && j.pairs[n-1].Init != nil && j.pairs[n-1].Init.Seq == seq {
		p.Init = j.pairs[n-1].Init
		return p, nil
	}
	data, err := fmp4.JoinInits(v.Init.Data, s.Init.Data)
	p.Init = &Init{Seq: seq, Data: data}
	return p, err
}

// extend adds what the segments v and s have by now. partTarget is that of the sound.
func (p *pair) extend(v, s *Segment, partTarget time.Duration) {
	if p.Complete {
		return
	}
	p.Independent, p.Key, p.Dates = v.Independent, v.Key, v.Dates
	videoOver, soundOver := v.Full || v.Complete, s.Full || s.Complete
	if v.Gap || s.Gap {
		if videoOver && soundOver {
			p.miss(v, v.Complete && s.Complete)
		}
		return
	}
	for len(p.Parts) < len(v.Parts) {
		part := v.Parts[len(p.Parts)]
		last := videoOver && len(p.Parts) == len(v.Parts)-1
		n, there := p.upTo(s, part.Start+part.Duration, partTarget)
		if last {
			n = len(s.Parts)
		}
		if !soundOver && (last || !there) {
			return
		}
		p.add(part, s.Parts[p.heard:n])
	}
	if !videoOver || !soundOver {
		return
	}
	if rest := s.Parts[p.heard:]; len(rest) > 0 { // the video's last part was not known to be that
		p.add(Part{Duration: shortestPart}, rest)
	}
	p.Full = true
	if p.Complete = v.Complete && s.Complete; p.Complete {
		p.Duration = v.Duration
	}
}

// upTo returns how many parts of the sound belong before a time: those whose middle is. there says
// that the sound has come so far.
func (p *pair) upTo(s *Segment, end, partTarget time.Duration) (n int, there bool) {
	for n = p.heard; n < len(s.Parts); n++ {
		if part := &s.Parts[n]; part.Start+part.Duration/2 >= end {
			return n, true
		}
	}
	if n == 0 {
		return n, false
	}
	last := &s.Parts[n-1]
	return n, last.Start+last.Duration+partTarget/2 >= end
}

// add adds a part of the video with those of the sound that belong to it.
func (p *pair) add(part Part, sound []Part) {
	pieces := slices.Clone(part.Data.Pieces())
	for i := range sound {
		pieces = append(pieces, sound[i].Data.Pieces()...)
	}
	part.Data = NewContent(pieces...)
	p.Parts = append(p.Parts[:len(p.Parts):len(p.Parts)], part)
	p.heard += len(sound)
	p.Duration += part.Duration
	p.Size += part.Data.Size()
}

// miss notes that one of the two has nothing of the segment: then it is a gap, for players cannot
// play one without the other.
func (p *pair) miss(v *Segment, complete bool) {
	p.Gap, p.Full, p.Complete, p.Duration, p.Parts = true, true, complete, v.Duration, nil
	for i := range v.Parts {
		p.Parts = append(p.Parts, Part{Duration: v.Parts[i].Duration, Gap: true})
	}
}

// show replaces the view.
func (j *Joint) show(video, sound *View) {
	j.version++
	next := &View{
		Version: j.version, Segments: make([]*Segment, len(j.pairs)),
		Target: video.Target, PartTarget: video.PartTarget, PartHoldBack: video.PartHoldBack,
		Ended:    video.Ended && sound.Ended,
		Replaced: make(chan struct{}),
	}
	for i, p := range j.pairs {
		s := &p.Segment
		if !s.Complete { // there will be more of it
			open := *s
			s = &open
		}
		next.Segments[i] = s
		if s.Seq <= video.Segments[video.Listed].Seq {
			next.Listed = i
		}
	}
	next.DiscontinuitySeq = next.Segments[next.Listed].Before
	if next.Ended {
		close(next.Replaced)
	}
	if old := j.View.Swap(next); old != nil {
		close(old.Replaced)
	}
}

// Leave says that there will be no further view.
func (j *Joint) Leave() {
	if v := j.View.Load(); v != nil && !v.Ended {
		close(v.Replaced)
	}
}

// Info is what the multivariant playlist says of it, by what it says of the two.
func (j *Joint) Info(video, sound *Info) Info {
	info := *video
	info.Rendition = j.Rendition
	info.Codecs += "," + sound.Codecs
	info.Peak += sound.Peak
	info.Average += sound.Average
	return info
}
