package hls

import (
	"slices"
	"time"

	"livego/internal/fmp4"
	"livego/internal/media"
)

// Where a stream has sound, players wait for it: they play what is there of all tracks. So when the sound stops and the video goes on, silence
// takes its place if there is a frame for it in the codec: playback must not stall for want of sound (E-RTMP v2, AudioPacketType).

// hush makes silence in t if no sound comes: as far as the leading video has come, less what the sound was always late, so that the first frame
// of sound is not late for it.
func (p *packager) hush(t *cmafTrack) {
	if t.kind != media.Audio || t.standing != member || p.lead == nil || p.lead.kind != media.Video || t.pub.behind {
		return
	}
	if !t.silent && p.line.now-t.newest > p.silencePatience(t) {
		p.silence(t, "nothing comes for it")
	}
	p.fill(t, p.line.now-t.skew-t.length())
}

// fill makes the silence of t up to a time, to within half a frame.
func (p *packager) fill(t *cmafTrack, until time.Duration) {
	if !t.silent {
		return
	}
	frame, length := fmp4.Silence(t.track)
	for t.silent {
		at := max(t.newest+length, until-maxLag)
		if at+length/2 > until {
			return
		}
		p.take(t, &media.AccessUnit{Track: t.track, DTS: at, PTS: at, RandomAccess: true, Epoch: t.turn, Data: frame})
	}
}

// silencePatience is how long, in media time, the sound of t may be away before there is silence: nothing is late of a publisher that was lost,
// another one's sound is better, and what an encoder always sends late is not away.
func (p *packager) silencePatience(t *cmafTrack) time.Duration {
	wait := soundPatience
	switch {
	case t.pub.idle:
		return departure
	case t.quiet:
		wait = patience
	case p.sounds(p.standIn(t)):
		wait += patience
	}
	return max(wait, t.skew+departure)
}

// silence lets t be silent from here on, until sound comes. It is false if that cannot be.
func (p *packager) silence(t *cmafTrack, reason string) bool {
	if t.silent || t.standing != member {
		return t.silent
	}
	if frame, _ := fmp4.Silence(t.track); frame == nil {
		return false
	}
	t.silent = true
	if p.hushed++; p.hushed <= maxTrackLogs {
		p.log.Warn("silence instead of sound", "rendition", t.id(), "reason", reason, "skew", t.skew, "away", p.line.now-t.newest, "last_line", p.hushed == maxTrackLogs)
	}
	return true
}

// quieten notes that the encoder says that no sound comes for a track.
func (pub *publication) quieten(header *media.Track) {
	for _, t := range pub.tracks {
		if t.kind == header.Kind && t.number == header.ID {
			t.quiet = true
		}
	}
}

// heard ends silence in t, for which u came.
func (p *packager) heard(t *cmafTrack, u *media.AccessUnit) {
	t.quiet = false
	t.skew = min(max(t.skew, p.line.now-u.DTS), maxLag)
	if !t.silent {
		return
	}
	p.fill(t, min(u.DTS, p.line.now+departure))
	t.silent, t.resumes = false, t.reached()
	if p.hushed <= maxTrackLogs {
		p.log.Info("sound again", "rendition", t.id())
	}
}

// silentVideo returns video of another publication that goes on without sound of its own in the place of t, nil if there is none.
func (p *packager) silentVideo(t *cmafTrack) *cmafTrack {
	i := slices.IndexFunc(p.tracks, func(o *cmafTrack) bool {
		return t.kind == media.Audio && o.kind == media.Video && o.standing == member && o.pub != t.pub && !o.pub.idle && !o.pub.carries(t)
	})
	if i < 0 {
		return nil
	}
	return p.tracks[i]
}

// inherit gives the sound of a publication that ends, which nobody else has, to one that goes on: as silence, until that one has sound. Players
// would not go on without the playlist. It is false if the rendition must leave.
func (p *packager) inherit(t *cmafTrack) bool {
	heir := p.silentVideo(t)
	if heir == nil || !p.silence(t, "its publisher ended, and nobody else has sound") {
		return false
	}
	t.pub.tracks = slices.DeleteFunc(t.pub.tracks, func(o *cmafTrack) bool { return o == t })
	t.pub = heir.pub
	t.pub.tracks = append(t.pub.tracks, t)
	return true
}

// carries says whether a publication has a track of the kind and number of t.
func (pub *publication) carries(t *cmafTrack) bool {
	return slices.ContainsFunc(pub.tracks, func(o *cmafTrack) bool { return o.kind == t.kind && o.number == t.number })
}
