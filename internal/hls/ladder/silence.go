package ladder

import (
	"slices"
	"time"

	"livego/internal/fmp4"
	"livego/internal/hls/cut"
	"livego/internal/media"
)

// Where a stream has sound, players wait for it: they play what is there of all tracks. So when the
// sound stops and the video goes on, silence takes its place if there is a frame for it in the
// codec: playback must not stall for want of sound (E-RTMP v2, AudioPacketType).

const (
	// lateBegin is by how much later than the pictures sound begins at least that begins late, and
	// lateFrames how many frames later. Less is as good as the same date, and usual: frames do not
	// begin with pictures, and encoders leave out the samples that prime their decoder, which are
	// 2.5 frames at most (HE-AAC).
	lateBegin  = 100 * time.Millisecond
	lateFrames = 3
)

// watchSound makes silence in t if no sound comes: as far as the leading video has come, less what
// the sound was always late, so that the first frame of sound is not late for it. It is true if the
// sound is to go on from another publication instead.
func (p *Packager) watchSound(t *track) (moves bool) {
	if t.kind != media.Audio || t.member == nil || !p.audio.hasPictures(t) {
		return false
	}
	away := p.line.now - t.newest
	if !t.silent && away > cut.Departure && away > p.audio.silencePatience(t) && !p.leader.track.bursts(t, away) {
		if s := p.audio.standIn(t); s.hasSound(p.line) && s.queue.len() > 0 {
			p.audio.moves = append(p.audio.moves, move{t, s})
			return true
		}
		p.audio.silence(t, "nothing comes for it")
	}
	for until := p.line.now - t.lateness - t.length(); t.isSilent(); p.ladder.placeDecided(t) {
		u, ok := p.audio.silentFrame(t, until)
		if !ok {
			break
		}
		p.leader.accept(t, &u)
	}
	return false
}

// hasPictures says that there is video that shows how late the sound of t is, and that neither
// waits to be read.
func (a *audio) hasPictures(t *track) bool {
	return a.leader.track != nil && a.leader.track.kind == media.Video && !a.leader.track.pub.Behind && !t.pub.Behind
}

// fillSilence makes the silence of t up to a time.
func (p *Packager) fillSilence(t *track, until time.Duration) {
	if t.isSilent() {
		p.makeSilence(t, until)
	}
}

// makeSilence makes silence behind the last frame of t up to a time, to within half a frame. It is
// true if any was made.
func (p *Packager) makeSilence(t *track, until time.Duration) (made bool) {
	for t.standing == active {
		u, ok := p.audio.silentFrame(t, until)
		if !ok {
			break
		}
		p.enqueue(t, &u)
		made = true
	}
	return made
}

// silentFrame returns the next frame of silence of t if there is room for it before a time.
func (a *audio) silentFrame(t *track, until time.Duration) (u media.AccessUnit, ok bool) {
	if u, ok = t.sound.Fill(until-cut.MaxLag, until); ok {
		a.counts.Silence.Add(uint64(t.length()))
	}
	return u, ok
}

// fillHole fills a hole in the sound of t before u with silence: players stand still in front of
// it, and hls.js goes on to do so behind it, as it has less in its buffer.
func (p *Packager) fillHole(t *track, u *media.AccessUnit) {
	if !t.sound.Misses(u.DTS) {
		return
	}
	hole := u.DTS - t.sound.Due
	goesOn := u.Track == t.sound.Track || t.member != nil && t.sameSound(u.Track, u.Data)
	if goesOn && p.makeSilence(t, u.DTS) {
		p.journal.tellFilled(t, u.DTS, hole)
	}
}

// fillBegin makes silence at the begin of the segment of b, with which t joins the ladder, if its
// sound begins much later than what is shown first there, with u: a segment has one date in all
// renditions (RFC 8216bis 6.2.4).
func (d *ladder) fillBegin(t *track, u *media.AccessUnit, b *Boundary) {
	if t.kind != media.Audio {
		return
	}
	begin := b.At
	if d.leader.track != nil {
		begin += d.leader.track.reorder
	}
	late := u.DTS - begin
	if late <= max(lateBegin, lateFrames*t.length()) || late > d.line.limit() {
		return
	}
	silence, length := fmp4.Silence(u.Track, u.Data)
	if silence == nil || late/length > maxQueue {
		return
	}
	d.journal.tellFilled(t, u.DTS, late)
	for n := late / length; n > 0; n-- {
		at := u.DTS - n*length
		d.counts.Silence.Add(uint64(length))
		d.cutter.add(t, &media.AccessUnit{Track: u.Track, DTS: at, PTS: at, RandomAccess: true, Epoch: u.Epoch, Data: silence}, b)
	}
}

// stopSilence ends the silence of a track for which neither sound nor pictures come any more.
func (p *Packager) stopSilence(t *track) {
	p.fillSilence(t, p.line.now)
	t.endSilence()
}

// silencePatience is how long, in media time, the sound of t may be away before there is silence.
// Nothing is late of a publisher that was lost, another one's sound is better, and what an encoder
// always sends late is not away.
func (a *audio) silencePatience(t *track) time.Duration {
	wait := soundPatience
	switch {
	case t.pub.idle:
		return cut.Departure
	case t.quiet:
		wait = patience
	case a.standIn(t).hasSound(a.line):
		wait += patience
	}
	return max(wait, t.lateness+cut.Departure)
}

// silence lets t be silent from here on, until sound comes. It is false if that cannot be.
func (a *audio) silence(t *track, reason string) bool {
	if t.member == nil || t.silent {
		return t.isSilent()
	}
	if t.sound.Silence == nil {
		return false
	}
	t.silent = true
	a.journal.tellSilent(t, reason)
	return true
}

// admitSound ends silence in t, for which u came. It is false if u cannot be used: it is too late
// for the silence that there is.
func (p *Packager) admitSound(t *track, u *media.AccessUnit) bool {
	t.quiet = false
	if p.audio.hasPictures(t) {
		t.lateness = min(max(t.lateness-t.lateness/cut.LatenessMemory, p.line.now-u.DTS), cut.MaxLag)
	}
	if !t.isSilent() {
		return u.DTS >= t.resumes
	}
	if u.DTS < t.newest {
		return false
	}
	p.fillSilence(t, min(u.DTS, p.line.now+cut.MaxLag))
	t.resumes = t.reached()
	t.endSilence()
	p.journal.tellSound(t)
	return u.DTS >= t.resumes
}

// keepSound gives the sound of a publication that ends, which nobody else has, to one that goes on:
// as silence, until that one has sound. Players would not go on without the playlist. It is false
// if the rendition must leave.
func (a *audio) keepSound(t *track) bool {
	other := a.roster.withoutSound(t)
	if other == nil || !a.silence(t, "its publisher ended, and nobody else has sound") {
		return false
	}
	t.pub.tracks = slices.DeleteFunc(t.pub.tracks, func(o *track) bool { return o == t })
	t.pub = other
	t.pub.tracks = append(t.pub.tracks, t)
	t.lateness = 0
	return true
}
