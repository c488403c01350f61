package ladder

import (
	"slices"
	"strings"
	"time"

	"livego/internal/hls/cut"
	"livego/internal/media"
)

// Suspend publishes what there is of a publication whose publisher was lost and may come back.
func (p *Packager) Suspend(pub *Publication) {
	pub.idle, pub.others = true, p.videoBeside(pub)
	others := slices.ContainsFunc(p.pubs, func(o *Publication) bool { return !o.idle })
	if others && p.lead != nil && p.lead.pub == pub {
		if t := p.heir(); t != nil && t.kind == media.Video && !t.pub.idle {
			p.promote(t)
			p.settle()
		}
	}
	if !p.line.fixed() && others {
		return
	}
	p.relieve(pub)
	for _, t := range p.tracks {
		if t.pub == pub && p.withoutSound(t) != nil {
			p.silence(t, "its publisher was lost, and nobody else has sound")
		}
	}
	p.flush(pub)
	for _, t := range slices.Clone(p.tracks) {
		if t.isSilent() && !others {
			p.unhush(t)
			p.empty(t)
		}
	}
}

// videoBeside returns how far the video of other publications has come.
func (p *Packager) videoBeside(pub *Publication) map[*cmafTrack]time.Duration {
	reached := make(map[*cmafTrack]time.Duration)
	for _, t := range p.tracks {
		if t.kind == media.Video && t.pub != pub {
			reached[t] = t.newest
		}
	}
	return reached
}

// deserted says that the publisher of t was lost while other video of the ladder goes on, so that
// it was not the encoder of all, or its network. Players must not stand still with t until the
// publisher is back, or is waited for no more.
func (p *Packager) deserted(t *cmafTrack) bool {
	return t.pub.idle && t.kind == media.Video && t.member != nil && slices.ContainsFunc(p.tracks, func(o *cmafTrack) bool {
		from, beside := t.pub.others[o]
		return beside && o.member != nil && !o.pub.idle && o.newest-from > cut.Departure
	})
}

// flush publishes what there is of a publication as it is.
func (p *Packager) flush(pub *Publication) {
	if !p.line.fixed() {
		if p.lead == nil || len(p.line.bounds) == 0 {
			return
		}
		p.fix(p.lead.newest + p.lead.length())
	}
	for _, t := range slices.Clone(p.tracks) {
		if t.pub == pub {
			p.empty(t)
		}
	}
}

// empty places all units of t and ends its segment.
func (p *Packager) empty(t *cmafTrack) {
	for t.queue.len() > 0 {
		u := t.queue.pop()
		p.place(t, &u)
	}
	if t.member != nil && !t.silent && t.segment != nil && len(t.segment.Parts)+len(t.part) > 0 {
		p.close(t, 0, nil, false)
	}
}

// Exit removes a publication while others go on: its renditions leave the ladder unless others have
// the same sound, and the others are not held up by it.
func (p *Packager) Exit(pub *Publication) {
	p.show.Suspect()
	p.relieve(pub)
	for _, t := range slices.Clone(p.tracks) {
		if t.pub == pub && !p.inherit(t) {
			p.leave(t, "its publisher ended")
		}
	}
	p.tracks = slices.DeleteFunc(p.tracks, func(t *cmafTrack) bool { return t.pub == pub })
	p.pubs = slices.DeleteFunc(p.pubs, func(o *Publication) bool { return o == pub })
	if p.lead == nil && len(p.tracks) > 0 {
		p.promote(p.heir())
		p.settle()
	}
}

// heir is the best of the tracks to lead instead of the one that does: one whose publisher is
// there, one that is in the ladder, and of those the first.
func (p *Packager) heir() *cmafTrack {
	score := func(t *cmafTrack) (n int) {
		if !t.pub.idle {
			n += 2
		}
		if t.member != nil {
			n++
		}
		return n
	}
	var best *cmafTrack
	for _, t := range p.tracks {
		if t != p.lead && (best == nil || score(t) > score(best)) {
			best = t
		}
	}
	return best
}

// End ends the life. proper says that the playlists get their ENDLIST.
func (p *Packager) End(proper bool) {
	if proper || (p.stored != nil || p.sink != nil) && p.line.fixed() { // what was seen can be seen again after a restart
		for _, t := range slices.Clone(p.tracks) {
			if t.isSilent() {
				p.unhush(t)
			}
		}
		for _, pub := range p.pubs {
			p.flush(pub)
		}
	}
	if proper {
		p.Present(true)
	}
	if p.stored != nil {
		p.stored.End(p.line.next)
	}
	if p.sink != nil {
		p.sink.End()
	}
	for _, t := range p.tracks {
		if t.member == nil {
			continue
		}
		if v := t.View.Load(); v != nil && proper {
			p.publish(t, true)
		} else if v != nil {
			close(v.Replaced)
		}
	}
	p.pubs, p.tracks, p.lead = nil, nil, nil
}

// refuse tells viewers why nothing of the stream is packaged, once its media flow.
func (p *Packager) refuse() {
	if len(p.tracks) > 0 || p.show.Refusal.Load() != nil || p.show.View.Load() != nil {
		return
	}
	var names []string
	for _, pub := range p.pubs {
		for _, t := range pub.tracks {
			if name := cut.CodecName(t.header); t.header.Kind != media.Data && !slices.Contains(names, name) && len(names) < cut.MaxTrackLogs {
				names = append(names, name)
			}
		}
	}
	reason := "HLS with CMAF segments cannot carry " + strings.Join(names, " and ") + ": watch this stream over RTMP or HTTP-FLV"
	p.show.Refuse(reason)
}
