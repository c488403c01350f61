package ladder

import (
	"bytes"
	"slices"
	"time"

	"livego/internal/fmp4"
	"livego/internal/hls/cut"
	"livego/internal/media"
)

// The sound of a ladder is one rendition for each track number, whichever publication it comes
// from: players learn its URL from the first multivariant playlist and hls.js never asks for
// another one. The same track of the other publications is spare. It stands by, and the rendition
// goes on with it when its own publication is gone.

// soundPatience is how long, in media time, the sound waits for its publication when another one
// goes on: as long as the leading video.
const soundPatience = videoPatience

// audio keeps the sound of a ladder going: from another publication, or as silence.
type audio struct {
	counts  *Counts
	journal *journal
	roster  *roster
	line    *timeline
	leader  *leader
	// moves are due when the walk of a unit is over: sound goes on from another publication.
	moves []move
}

// spare says that the audio of t is not used, because another publication has it too.
func (a *audio) spare(t *track) bool {
	if t.kind != media.Audio {
		return false
	}
	if t.pub == a.roster.pubs[0] {
		return a.roster.holder(t) != nil
	}
	silent := len(a.roster.pubs[0].tracks) == 0 && a.line.next-a.line.first <= patienceSegments
	return silent || !a.line.fixed() || slices.ContainsFunc(a.roster.pubs, func(o *Publication) bool { return o != t.pub && o.has(media.Audio) })
}

// standBy keeps u, of the spare track s, for as long as the track in its place has nothing of that
// time.
func (p *Packager) standBy(s *track, u *media.AccessUnit) {
	t := p.roster.holder(s)
	if t == nil {
		s.queue = unitQueue{}
		return
	}
	s.newest = u.DTS
	s.queue.push(u)
	for s.queue.len() > 0 && s.queue.waiting()[0].DTS < t.reached() {
		s.queue.pop()
	}
	p.leader.bound(s)
	if s.queue.len() > 0 && (t.pub.idle || t.isSilent() || p.audio.isStalled(t, u)) {
		p.moveTo(t, s)
	}
}

// isStalled says that nothing comes for t any more, though the ladder goes on and has come to u.
func (a *audio) isStalled(t *track, u *media.AccessUnit) bool {
	now := u.DTS
	if !a.leader.leads(t) {
		now = min(now, a.line.now) // u may be of an encoder whose clock jumped
	}
	return t.member != nil && !t.pub.Behind && now-t.newest > soundPatience
}

// reached is the time from which on another publication's frames follow those that came for t.
func (t *track) reached() time.Duration { return t.newest + t.length()/2 }

// standIn returns the spare track with which the rendition of t can go on, nil if there is none:
// best one for which something comes, and of those one of the same codec.
func (a *audio) standIn(t *track) (best *track) {
	if t.kind != media.Audio {
		return nil
	}
	score := func(s *track) (n int) {
		if s.hasSound(a.line) {
			n += 2
		}
		if s.header.Codec == t.header.Codec {
			n++
		}
		return n
	}
	for _, pub := range a.roster.pubs {
		for _, s := range pub.tracks {
			if pub == t.pub || pub.idle || s.standing != spare || s.number != t.number {
				continue
			}
			if best == nil || score(s) > score(best) {
				best = s
			}
		}
	}
	return best
}

// hasSound says that something comes for s, which is audio.
func (s *track) hasSound(l *timeline) bool {
	return s != nil && l.now-s.newest <= soundPatience+s.lateness
}

// releaseSound lets the sound of a publication that is gone go on with others.
func (p *Packager) releaseSound(pub *Publication) {
	for _, t := range slices.Clone(p.roster.tracks) {
		if s := p.audio.standIn(t); t.pub == pub && s != nil {
			p.moveTo(t, s)
		}
	}
}

// move is a rendition of sound, and the spare track with which it is to go on.
type move struct{ t, s *track }

// moveSound lets sound go on from other publications where that is due.
func (p *Packager) moveSound() {
	for len(p.audio.moves) > 0 {
		m := p.audio.moves[0]
		p.audio.moves = p.audio.moves[1:]
		if m.t.member != nil && m.s.standing == spare && p.audio.standIn(m.t) == m.s {
			p.moveTo(m.t, m.s)
		}
	}
	p.audio.moves = nil
}

// moveTo lets the rendition of t go on with the track for which s stood by: they swap publications.
// With the same initialization section the new sound just follows, for both are on one timeline.
// With another one it begins a segment (waitsForHeader).
func (p *Packager) moveTo(t, s *track) {
	p.journal.tellMoved(t, s)
	silent, waiting := !s.hasSound(p.line), s.queue.waiting()
	if len(waiting) > 0 {
		p.fillSilence(t, min(waiting[0].DTS, p.line.now+cut.MaxLag))
	}
	s.queue, s.newest, t.newest = unitQueue{}, t.newest, t.reached()
	t.pub.tracks[slices.Index(t.pub.tracks, t)], s.pub.tracks[slices.Index(s.pub.tracks, s)] = s, t
	t.pub, s.pub = s.pub, t.pub
	t.header, s.header = s.header, t.header
	t.lateness, s.lateness, t.quiet, s.quiet = s.lateness, t.lateness, s.quiet, t.quiet
	t.endSilence()
	p.roster.sort()
	for i := range waiting {
		if u := &waiting[i]; u.DTS >= t.newest {
			p.take(t, u)
		}
	}
	if silent && len(waiting) == 0 {
		t.newest = s.newest
		p.audio.silence(t, "nothing comes from the publication either")
	}
}

// adopt makes u one of the track that is written, if nothing that a player sees is different.
func (t *track) adopt(u *media.AccessUnit) {
	if t.kind == media.Audio && t.member != nil && t.sameSound(u.Track, u.Data) {
		u.Track = t.track
	}
}

// sameSound says whether a frame of a header has the initialization section of the track that is
// written. That of a header is compared once.
func (t *track) sameSound(header *media.Track, frame []byte) bool {
	switch header {
	case t.track, t.alike:
		return true
	case t.unlike:
		return false
	}
	data, err := fmp4.AppendInit(nil, header, frame)
	if err != nil {
		return false // it may be this frame
	}
	if !bytes.Equal(data, t.init.Data) {
		t.unlike = header
		return false
	}
	t.alike = header
	return true
}
