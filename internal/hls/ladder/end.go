package ladder

import (
	"slices"
	"strings"
	"time"

	"livego/internal/hls/cut"
	"livego/internal/hls/playlist"
	"livego/internal/media"
)

// Suspend publishes what there is of a publication whose publisher was lost and may come back.
func (p *Packager) Suspend(pub *Publication) {
	pub.idle, pub.others = true, p.videoBeside(pub)
	others := slices.ContainsFunc(p.pubs, func(o *Publication) bool { return !o.idle })
	if others && p.lead != nil && p.lead.pub == pub {
		if t := p.successor(); t != nil && t.kind == media.Video && !t.pub.idle {
			p.promote(t)
			p.proceed()
			p.moveSound()
		}
	}
	if !p.line.fixed() && others {
		return
	}
	p.releaseSound(pub)
	for _, t := range p.tracks {
		if t.pub == pub && p.withoutSound(t) != nil {
			p.silence(t, "its publisher was lost, and nobody else has sound")
		}
	}
	if others {
		p.flush(pub)
	} else {
		p.level((*track).nextSession)
	}
}

// videoBeside returns how far the video of other publications has come.
func (p *Packager) videoBeside(pub *Publication) map[*track]time.Duration {
	reached := make(map[*track]time.Duration)
	for _, t := range p.tracks {
		if t.kind == media.Video && t.pub != pub {
			reached[t] = t.newest
		}
	}
	return reached
}

// isLost says that the publisher of t was lost while other video of the ladder goes on, so that
// it was not the encoder of all, or its network. Players must not stand still with t until the
// publisher is back, or is waited for no more.
func (p *Packager) isLost(t *track) bool {
	return t.pub.idle && t.kind == media.Video && t.member != nil && slices.ContainsFunc(p.tracks, func(o *track) bool {
		from, beside := t.pub.others[o]
		return beside && o.member != nil && !o.pub.idle && o.newest-from > cut.Departure
	})
}

// flush publishes what there is of a publication as it is.
func (p *Packager) flush(pub *Publication) {
	if !p.fixNow() {
		return
	}
	p.closing = true
	for _, t := range slices.Clone(p.tracks) {
		if t.pub == pub {
			p.empty(t, 0)
		}
	}
	p.closing = false
}

// fixNow settles what depends on the first segment, which ends here. It is false if none has begun.
func (p *Packager) fixNow() bool {
	if !p.line.fixed() && p.lead != nil && len(p.line.bounds) > 0 {
		p.fix(p.lead.newest + p.lead.length())
	}
	return p.line.fixed()
}

// EndSegments lists the ends of segments that were not listed with their last parts.
func (p *Packager) EndSegments() {
	for _, t := range p.tracks {
		if t.member != nil && t.endless {
			p.publish(t, false)
		}
	}
}

// empty places all units of t and ends its segment, at a time if that is not 0.
func (p *Packager) empty(t *track, end time.Duration) {
	for t.queue.len() > 0 {
		u := t.queue.pop()
		p.place(t, &u)
	}
	if t.member != nil && !t.silent && t.segment != nil && len(t.segment.Parts)+len(t.part) > 0 {
		p.close(t, end, nil, false)
	}
}

// Exit removes a publication while others go on: its renditions leave the ladder unless others have
// the same sound, and the others are not held up by it.
func (p *Packager) Exit(pub *Publication) {
	p.show.Suspect(cut.Departure)
	p.releaseSound(pub)
	for _, t := range slices.Clone(p.tracks) {
		if t.pub == pub && !p.keepSound(t) {
			p.leave(t, "its publisher ended")
		}
	}
	p.tracks = slices.DeleteFunc(p.tracks, func(t *track) bool { return t.pub == pub })
	p.pubs = slices.DeleteFunc(p.pubs, func(o *Publication) bool { return o == pub })
	if p.lead == nil && len(p.tracks) > 0 {
		p.promote(p.successor())
		p.proceed()
		p.moveSound()
	}
}

// successor is the best of the tracks to lead instead of the one that does: one whose publisher is
// there, one that is in the ladder, and of those the first.
func (p *Packager) successor() *track {
	score := func(t *track) (n int) {
		if !t.pub.idle {
			n += 2
		}
		if t.member != nil {
			n++
		}
		return n
	}
	var best *track
	for _, t := range p.tracks {
		if t != p.lead && (best == nil || score(t) > score(best)) {
			best = t
		}
	}
	return best
}

// End ends the life. proper says that the playlists will get their ENDLIST: all there is is listed
// now, and Seal or Abandon must be called. It is false if there is nothing to be sealed.
func (p *Packager) End(proper bool) (listed bool) {
	if proper || (p.stored != nil || p.sink != nil) && p.line.fixed() { // what was seen can be seen again after a restart
		p.level((*track).shownUntil)
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
	listed = slices.ContainsFunc(p.tracks, func(t *track) bool { return t.last() != nil })
	if !proper {
		p.Abandon()
	}
	return listed && proper
}

// last returns the newest view of a rendition of the ladder, nil if there is none.
func (t *track) last() *playlist.View {
	if t.member == nil {
		return nil
	}
	return t.View.Load()
}

// Seal puts the ENDLIST into the playlists.
func (p *Packager) Seal() {
	for _, t := range p.tracks {
		if t.last() != nil {
			p.publish(t, true)
		}
	}
	p.pubs, p.tracks, p.lead = nil, nil, nil
}

// Abandon lets the playlists go without an end: their viewers go on with the next life. It may take
// the place of Seal.
func (p *Packager) Abandon() {
	for _, t := range p.tracks {
		if v := t.last(); v != nil {
			close(v.Replaced)
		}
	}
	p.pubs, p.tracks, p.lead = nil, nil, nil
}

// level publishes what there is of all publications, and lets all tracks end together where players
// need it: hls.js (1.7.4, _streamEnded) asks for the middle of each track's last part to be there
// in all tracks. So the last picture lasts as long as the sound, and silence follows sound that
// ends before the middle of the last part of video. until says how far a track has come.
func (p *Packager) level(until func(*track) time.Duration) {
	end := time.Duration(0)
	for _, t := range slices.Clone(p.tracks) {
		if t.isSilent() {
			p.stopSilence(t)
		}
		end = max(end, until(t))
	}
	p.reached = end
	if !p.fixNow() {
		return
	}
	p.closing = true
	middle := time.Duration(0)
	for _, t := range slices.Clone(p.tracks) { // video first
		short := end - until(t)
		if t.member != nil && t.segment == nil || short > cut.MaxLag {
			short = 0
		}
		if t.kind == media.Video {
			p.empty(t, t.newest+t.length()+short)
			middle = max(middle, t.lastMiddle())
		} else if short > 0 && until(t) <= middle {
			p.makeSilence(t, end)
		}
		p.empty(t, 0)
	}
	p.closing = false
}

// Reached is where what Suspend published of all ends, 0 if it never did.
func (p *Packager) Reached() time.Duration { return p.reached }

// lastMiddle is the middle of the last part of t, 0 if there is none.
func (t *track) lastMiddle() time.Duration {
	if t.member == nil || len(t.window.Segments) == 0 {
		return 0
	}
	s := t.window.Segments[len(t.window.Segments)-1]
	if s.Gap || len(s.Parts) == 0 {
		return 0
	}
	return s.Start + t.reorder + s.Duration - s.Parts[len(s.Parts)-1].Duration/2
}

// shownUntil is when the last unit of t has been shown or heard.
func (t *track) shownUntil() time.Duration {
	if t.kind == media.Audio && t.sound.Track != nil {
		return t.sound.End
	}
	return t.shown + t.length()
}

// nextSession is the earliest time of the first unit of t when its publisher is back.
func (t *track) nextSession() time.Duration {
	if t.kind == media.Audio {
		return t.shownUntil()
	}
	return t.newest + t.length()
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
