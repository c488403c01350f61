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
	pub.idle, pub.others = true, p.roster.videoBeside(pub)
	others := slices.ContainsFunc(p.roster.pubs, func(o *Publication) bool { return !o.idle })
	if others && p.leader.track != nil && p.leader.track.pub == pub {
		if t := p.leader.successor(); t != nil && t.kind == media.Video && !t.pub.idle {
			p.leader.promote(t)
			p.proceed()
			p.moveSound()
		}
	}
	if !p.line.fixed() && others {
		return
	}
	p.releaseSound(pub)
	for _, t := range p.roster.tracks {
		if t.pub == pub && p.roster.withoutSound(t) != nil {
			p.audio.silence(t, "its publisher was lost, and nobody else has sound")
		}
	}
	if others {
		p.flush(pub)
	} else {
		p.level((*track).nextSession)
	}
}

// flush publishes what there is of a publication as it is.
func (p *Packager) flush(pub *Publication) {
	if !p.leader.fixNow() {
		return
	}
	p.output.closing = true
	for _, t := range slices.Clone(p.roster.tracks) {
		if t.pub == pub {
			p.ladder.empty(t, 0)
		}
	}
	p.output.closing = false
}

// EndSegments lists the ends of segments that were not listed with their last parts.
func (p *Packager) EndSegments() {
	for _, t := range p.roster.tracks {
		if t.member != nil && t.endless {
			p.output.publish(t, false)
		}
	}
}

// Exit removes a publication while others go on: its renditions leave the ladder unless others have
// the same sound, and the others are not held up by it.
func (p *Packager) Exit(pub *Publication) {
	p.show.Suspect(cut.Departure)
	p.releaseSound(pub)
	for _, t := range slices.Clone(p.roster.tracks) {
		if t.pub == pub && !p.audio.keepSound(t) {
			p.ladder.leave(t, "its publisher ended")
		}
	}
	p.roster.exit(pub)
	if p.leader.track == nil && len(p.roster.tracks) > 0 {
		p.leader.promote(p.leader.successor())
		p.proceed()
		p.moveSound()
	}
}

// End ends the life. proper says that the playlists will get their ENDLIST: all there is is listed
// now, and Seal or Abandon must be called. It is false if there is nothing to be sealed.
func (p *Packager) End(proper bool) (listed bool) {
	if proper || p.output.kept() && p.line.fixed() { // what was seen can be seen again after a restart
		p.level((*track).shownUntil)
	}
	if proper {
		p.output.present(true)
	}
	p.output.end()
	listed = slices.ContainsFunc(p.roster.tracks, func(t *track) bool { return t.last() != nil })
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
	for _, t := range p.roster.tracks {
		if t.last() != nil {
			p.output.publish(t, true)
		}
	}
	p.roster.clear()
	p.leader.track = nil
}

// Abandon lets the playlists go without an end: their viewers go on with the next life. It may take
// the place of Seal.
func (p *Packager) Abandon() {
	for _, t := range p.roster.tracks {
		if v := t.last(); v != nil {
			close(v.Replaced)
		}
	}
	if p.output.joint != nil {
		p.output.joint.Leave()
	}
	p.roster.clear()
	p.leader.track = nil
}

// level publishes what there is of all publications, and lets all tracks end together where players
// need it: hls.js (1.7.4, _streamEnded) asks for the middle of each track's last part to be there
// in all tracks. So the last picture lasts as long as the sound, and silence follows sound that
// ends before the middle of the last part of video. until says how far a track has come.
func (p *Packager) level(until func(*track) time.Duration) {
	end := time.Duration(0)
	for _, t := range slices.Clone(p.roster.tracks) {
		if t.isSilent() {
			p.stopSilence(t)
		}
		end = max(end, until(t))
	}
	p.reached = end
	if !p.leader.fixNow() {
		return
	}
	p.output.closing = true
	middle := time.Duration(0)
	for _, t := range slices.Clone(p.roster.tracks) { // video first
		short := end - until(t)
		if t.member != nil && t.segment == nil || short > cut.MaxLag {
			short = 0
		}
		if t.kind == media.Video {
			p.ladder.empty(t, t.newest+t.length()+short)
			middle = max(middle, t.lastMiddle())
		} else if short > 0 && until(t) <= middle {
			p.makeSilence(t, end)
		}
		p.ladder.empty(t, 0)
	}
	p.output.closing = false
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
	if len(p.roster.tracks) > 0 || p.show.Refusal.Load() != nil || p.show.View.Load() != nil {
		return
	}
	p.show.Refuse("HLS with CMAF segments cannot carry " + strings.Join(p.roster.codecs(), " and ") + ": watch this stream over RTMP or HTTP-FLV")
}
