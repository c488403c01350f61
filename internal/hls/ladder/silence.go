package ladder

import (
	"slices"
	"time"

	"livego/internal/hls/cut"
	"livego/internal/media"
)

// Where a stream has sound, players wait for it: they play what is there of all tracks. So when the
// sound stops and the video goes on, silence takes its place if there is a frame for it in the
// codec: playback must not stall for want of sound (E-RTMP v2, AudioPacketType).

// hush makes silence in t if no sound comes: as far as the leading video has come, less what the
// sound was always late, so that the first frame of sound is not late for it.
func (p *Packager) hush(t *cmafTrack) {
	if t.kind != media.Audio || t.member == nil || !p.judges(t) {
		return
	}
	if away := p.line.now - t.newest; !t.silent && away > cut.Departure && away > p.silencePatience(t) {
		if s := p.standIn(t); p.sounds(s) && s.queue.len() > 0 {
			p.hand(t, s)
			return
		}
		p.silence(t, "nothing comes for it")
	}
	p.fill(t, p.line.now-t.skew-t.length())
}

// judges says that there is video that shows how late the sound of t is, and that neither waits to
// be read.
func (p *Packager) judges(t *cmafTrack) bool {
	return p.lead != nil && p.lead.kind == media.Video && !p.lead.pub.Behind && !t.pub.Behind
}

// fill makes the silence of t up to a time.
func (p *Packager) fill(t *cmafTrack, until time.Duration) {
	if t.isSilent() {
		p.fillTo(t, until)
	}
}

// fillTo makes silence behind the last frame of t up to a time, to within half a frame. It is true
// if any was made.
func (p *Packager) fillTo(t *cmafTrack, until time.Duration) (made bool) {
	for t.standing == active {
		u, ok := t.sound.Fill(until-cut.MaxLag, until)
		if !ok {
			break
		}
		p.enqueue(t, &u)
		p.counts.Silence.Add(uint64(t.length()))
		made = true
	}
	return made
}

// bridge fills a hole in the sound of t before u with silence: players stand still in front of it,
// and hls.js goes on to do so behind it, as it has less in its buffer.
func (p *Packager) bridge(t *cmafTrack, u *media.AccessUnit) {
	if !t.sound.Misses(u.DTS) {
		return
	}
	hole := u.DTS - t.sound.Due
	goesOn := u.Track == t.sound.Track || t.member != nil && t.sameSound(u.Track, u.Data)
	if !goesOn || !p.fillTo(t, u.DTS) {
		return
	}
	if p.bridged++; p.bridged <= cut.MaxTrackLogs {
		p.log.Warn("hole in the sound filled with silence", "rendition", t.id(), "at", u.DTS, "length", hole, "last_line", p.bridged == cut.MaxTrackLogs)
	}
}

// unhush ends the silence of a track for which neither sound nor pictures come any more.
func (p *Packager) unhush(t *cmafTrack) {
	p.fill(t, p.line.now)
	t.endSilence()
}

// silencePatience is how long, in media time, the sound of t may be away before there is silence:
// nothing is late of a publisher that was lost, another one's sound is better, and what an encoder
// always sends late is not away.
func (p *Packager) silencePatience(t *cmafTrack) time.Duration {
	wait := soundPatience
	switch {
	case t.pub.idle:
		return cut.Departure
	case t.quiet:
		wait = patience
	case p.sounds(p.standIn(t)):
		wait += patience
	}
	return max(wait, t.skew+cut.Departure)
}

// silence lets t be silent from here on, until sound comes. It is false if that cannot be.
func (p *Packager) silence(t *cmafTrack, reason string) bool {
	if t.member == nil || t.silent {
		return t.isSilent()
	}
	if t.sound.Silence == nil {
		return false
	}
	t.silent = true
	if p.hushed++; p.hushed <= cut.MaxTrackLogs {
		p.log.Warn("silence instead of sound", "rendition", t.id(), "reason", reason, "last_line", p.hushed == cut.MaxTrackLogs)
	}
	return true
}

// quieten notes that the encoder says that no sound comes for a track.
func (pub *Publication) quieten(header *media.Track) {
	for _, t := range pub.tracks {
		if t.kind == header.Kind && t.number == header.ID {
			t.quiet = true
		}
	}
}

// heard ends silence in t, for which u came. It is false if u cannot be used: it is too late for
// the silence that there is.
func (p *Packager) heard(t *cmafTrack, u *media.AccessUnit) bool {
	t.quiet = false
	if p.judges(t) {
		t.skew = min(max(t.skew-t.skew/cut.LatenessMemory, p.line.now-u.DTS), cut.MaxLag)
	}
	if !t.isSilent() {
		return u.DTS >= t.resumes
	}
	if u.DTS < t.newest {
		return false
	}
	p.fill(t, min(u.DTS, p.line.now+cut.MaxLag))
	t.resumes = t.reached()
	t.endSilence()
	if p.hushed <= cut.MaxTrackLogs {
		p.log.Info("sound again", "rendition", t.id())
	}
	return u.DTS >= t.resumes
}

// withoutSound returns another publication whose video goes on without sound of its own in the
// place of t, nil if there is none.
func (p *Packager) withoutSound(t *cmafTrack) *Publication {
	for _, o := range p.tracks {
		if t.kind == media.Audio && o.kind == media.Video && o.member != nil && o.pub != t.pub && !o.pub.idle && !o.pub.carries(t) {
			return o.pub
		}
	}
	return nil
}

// inherit gives the sound of a publication that ends, which nobody else has, to one that goes on:
// as silence, until that one has sound. Players would not go on without the playlist. It is false
// if the rendition must leave.
func (p *Packager) inherit(t *cmafTrack) bool {
	heir := p.withoutSound(t)
	if heir == nil || !p.silence(t, "its publisher ended, and nobody else has sound") {
		return false
	}
	t.pub.tracks = slices.DeleteFunc(t.pub.tracks, func(o *cmafTrack) bool { return o == t })
	t.pub = heir
	t.pub.tracks = append(t.pub.tracks, t)
	t.skew = 0
	return true
}

// carries says whether a publication has a track of the kind and number of t.
func (pub *Publication) carries(t *cmafTrack) bool {
	return slices.ContainsFunc(pub.tracks, func(o *cmafTrack) bool { return o.kind == t.kind && o.number == t.number })
}
