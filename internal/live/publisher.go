package live

import (
	"bytes"
	"slices"
	"time"

	"livego/internal/media"
)

const (
	// maxForwardJump and maxBackJump: a track whose time moves further than that between two units has a new timeline.
	maxForwardJump = 10 * time.Second
	maxBackJump    = time.Second
	// videoGone: video without a picture for that long has stopped, and readers may join without it.
	videoGone = 10 * time.Second
	// maxHeld bounds, in units, what a session keeps back until its first random access point; in bytes the bound is that of a ring.
	maxHeld = 1024
	// defaultFrame is the distance to the next unit where nothing better is known.
	defaultFrame = 33 * time.Millisecond
)

// Publisher is one session that feeds a stream. Write, Expect and Close are called from one goroutine.
type Publisher struct {
	stream *Stream
	evict  func(cause error)

	// Guarded by stream.mu.
	gone    error // why the session may write no more
	started bool
	settled bool
	held    []media.AccessUnit // until the session starts
	holds   int                // bytes in held
	tracks  []*trackState      // in the order of their appearance
	known   bool               // metadata named tracks
	video   bool               // metadata names video
	audio   bool               // metadata names audio
	offset  time.Duration      // stream time minus encoder time
	floor   time.Duration      // stream time of the session's or timeline's start
	jumped  bool               // the next sample follows a discontinuity
	joined  time.Duration      // DTS of the last join unit of a session without video
	written *byte              // body of the last unit that readers got
	copyOf  *byte              // body of the last header message
	copied  []byte             // its copy
	dropped uint64
}

// trackState is what a session knows of one of its tracks.
type trackState struct {
	track  *media.Track
	open   bool          // a random access point was seen
	lastIn time.Duration // encoder time of the newest unit
	timed  bool          // lastIn is valid
}

// Stream returns the stream that the session feeds.
func (p *Publisher) Stream() *Stream { return p.stream }

// Expect tells which tracks the session's metadata names, so that the set of tracks settles as soon as they are there.
func (p *Publisher) Expect(video, audio bool) {
	s := p.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	p.known, p.video, p.audio = true, video, audio
	p.trySettle()
}

// Write adds units to the stream. What Body and Data point to must not change any more. It never waits for readers. It fails
// with the cause once the session was taken over or the stream has ended.
func (p *Publisher) Write(units []media.AccessUnit) error {
	s := p.stream
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.gone != nil {
		return p.gone
	}
	end := s.ring.next
	picture := false
	for i := range units {
		p.admit(&units[i])
	}
	for seq := max(end, s.ring.first); seq < s.ring.next; seq++ {
		u := s.ring.at(seq)
		picture = picture || (u.Header == media.Sample && u.Track.Kind == media.Video)
	}
	if s.ring.next > end {
		s.notify(now, picture)
	}
	return nil
}

// Dropped returns how many units were left out because they came before the first random access point of their track.
func (p *Publisher) Dropped() uint64 {
	p.stream.mu.Lock()
	defer p.stream.mu.Unlock()
	return p.dropped
}

func (p *Publisher) admit(unit *media.AccessUnit) {
	u := *unit
	u.Join, u.Discontinuity, u.Epoch = false, false, p.stream.epoch
	if u.Header != media.Sample {
		u.Body = p.copyHeader(&u)
	}
	if u.Header == media.Command {
		// It may come on a track of which nothing is known.
		if p.started {
			p.emit(u)
		}
		return
	}
	t := p.state(&u)
	if p.started && t.timed && u.Header == media.Sample && t.track.Kind != media.Data {
		p.checkJump(t, &u)
	}
	if u.Header == media.Sample {
		t.lastIn, t.timed = u.DTS, true
	}
	if !p.started {
		p.hold(t, u)
		return
	}
	if t.track.Kind == media.Video && u.Header == media.Sample {
		if !t.open && !u.RandomAccess {
			p.dropped++
			return
		}
		t.open = true
	}
	p.emit(u)
}

// copyHeader copies the body of a header message, once for all units that share it. Headers outlive the ring: they must not keep the
// slab alive that their message was read into.
func (p *Publisher) copyHeader(u *media.AccessUnit) []byte {
	if len(u.Body) == 0 {
		return u.Body
	}
	if !u.Shared || p.copyOf != &u.Body[0] {
		p.copyOf, p.copied = &u.Body[0], bytes.Clone(u.Body)
	}
	return p.copied
}

// state finds or makes the state of the unit's track.
func (p *Publisher) state(u *media.AccessUnit) *trackState {
	for _, t := range p.tracks {
		if t.track == u.Track || (t.track.Kind == u.Track.Kind && t.track.ID == u.Track.ID) {
			t.track = u.Track
			return t
		}
	}
	t := &trackState{track: u.Track}
	p.tracks = append(p.tracks, t)
	if u.Track.Kind != media.Data {
		p.armSettle()
		p.trySettle()
	}
	return t
}

func (p *Publisher) currentTracks() []*media.Track {
	var tracks []*media.Track
	for _, t := range p.tracks {
		if t.track.Kind != media.Data {
			tracks = append(tracks, t.track)
		}
	}
	return tracks
}

// leading returns the video track on which readers may join: the one with the lowest id. Nil without video.
func (p *Publisher) leading() *trackState {
	var lead *trackState
	for _, t := range p.tracks {
		if t.track.Kind == media.Video && (lead == nil || t.track.ID < lead.track.ID) {
			lead = t
		}
	}
	return lead
}

// hold keeps units back until the session's first random access point, from which on it is visible.
func (p *Publisher) hold(t *trackState, u media.AccessUnit) {
	sample := u.Header == media.Sample
	if sample && t.track.Kind == media.Video {
		if !u.RandomAccess || t != p.leading() {
			p.dropped++
			return
		}
		t.open = true
		p.start(&u)
		return
	}
	p.keep(u)
	if sample && t.track.Kind == media.Audio {
		p.tryStartAudio()
	}
}

// keep adds a unit to those that are held back. The newest header of a track counts, and of samples the newest ones.
func (p *Publisher) keep(u media.AccessUnit) {
	if u.Header != media.Sample {
		p.forget(slices.IndexFunc(p.held, func(o media.AccessUnit) bool {
			return o.Header == u.Header && o.Track.Kind == u.Track.Kind && o.Track.ID == u.Track.ID
		}))
	}
	p.held = append(p.held, u)
	p.holds += cost(&u)
	for len(p.held) > maxHeld || p.holds > p.stream.ring.maxBytes {
		oldest := slices.IndexFunc(p.held, func(o media.AccessUnit) bool { return o.Header == media.Sample })
		p.forget(max(oldest, 0))
		p.dropped++
	}
}

// forget takes a unit out of those that are held back; -1 is none.
func (p *Publisher) forget(i int) {
	if i < 0 {
		return
	}
	p.holds -= cost(&p.held[i])
	p.held = slices.Delete(p.held, i, i+1)
}

// tryStartAudio starts a session that has audio and, as far as is known, no video.
func (p *Publisher) tryStartAudio() {
	if p.started || !p.settled || p.leading() != nil {
		return
	}
	i := slices.IndexFunc(p.held, func(u media.AccessUnit) bool {
		return u.Header == media.Sample && u.Track.Kind == media.Audio
	})
	if i < 0 {
		return
	}
	first := p.held[i]
	p.forget(i)
	p.start(&first)
}

// start makes the session visible: its headers, then first, then the audio from there on that was held back.
func (p *Publisher) start(first *media.AccessUnit) {
	p.started = true
	p.rebase(first.DTS)
	held := p.held
	p.held, p.holds = nil, 0
	for _, u := range held {
		if u.Header != media.Sample {
			p.emit(u)
		}
	}
	p.emit(*first)
	for _, u := range held {
		switch {
		case u.Header != media.Sample:
		case u.DTS < first.DTS, u.DTS > first.DTS+maxForwardJump: // the latter is of another timeline
			p.dropped++
		default:
			p.emit(u)
		}
	}
	p.stream.suspended = false
}

// rebase maps encoder time from to one frame after everything that was sent.
func (p *Publisher) rebase(from time.Duration) {
	s := p.stream
	if s.ring.next == 0 {
		p.floor = from
		p.joined = from - audioJoinInterval
		return
	}
	frame := s.frame
	if frame <= 0 {
		frame = defaultFrame
	}
	p.floor = (s.last + frame).Round(time.Millisecond)
	p.offset = p.floor - from
	p.joined = p.floor - audioJoinInterval
	p.jumped = true
}

// checkJump starts a new timeline when the track's time jumps.
func (p *Publisher) checkJump(t *trackState, u *media.AccessUnit) {
	step := u.DTS - t.lastIn
	if step <= maxForwardJump && step >= -maxBackJump {
		if lead := p.leading(); step > 0 && (t == lead || lead == nil) {
			p.stream.frame = min(step, time.Second)
		}
		return
	}
	// A track that follows another one to its new timeline needs no further one.
	if lead := u.DTS + p.offset - p.stream.last; lead <= maxForwardJump && lead >= -maxBackJump {
		return
	}
	p.rebase(u.DTS)
}

// emit maps a unit to stream time and hands it to the readers.
func (p *Publisher) emit(u media.AccessUnit) {
	s := p.stream
	composition := u.PTS - u.DTS
	sample := u.Header == media.Sample && u.Track.Kind != media.Data
	u.DTS += p.offset
	if !sample || (s.ring.next > 0 && u.DTS > s.last+maxForwardJump) {
		// The latter is a track that has not followed the others to their new timeline yet.
		u.DTS = min(u.DTS, s.last)
	}
	u.DTS = max(u.DTS, p.floor)
	if last, ok := s.lastOut[trackKey{u.Track.Kind, u.Track.ID}]; ok {
		u.DTS = max(u.DTS, last)
	}
	u.PTS = u.DTS + composition
	u.Shared = u.Shared && len(u.Body) > 0 && p.written == &u.Body[0]
	if len(u.Body) > 0 {
		p.written = &u.Body[0]
	}
	if sample {
		u.Discontinuity, p.jumped = p.jumped, false
		u.Join = p.joinsAt(&u)
	}
	s.append(u)
}

// joinsAt says whether readers may begin with u: a random access point of the leading video track; without video, or when it has
// stopped, one audio unit a second.
func (p *Publisher) joinsAt(u *media.AccessUnit) bool {
	if lead := p.leading(); lead != nil && lead.open {
		if lead.track == u.Track {
			return u.RandomAccess
		}
		if u.DTS-p.stream.lastOut[trackKey{media.Video, lead.track.ID}] <= videoGone {
			return false
		}
	}
	if u.Track.Kind != media.Audio || u.DTS-p.joined < audioJoinInterval {
		return false
	}
	p.joined = u.DTS
	return true
}

// armSettle bounds the time for which the session's set of tracks stays open.
func (p *Publisher) armSettle() {
	s := p.stream
	if p.settled || s.settle != nil {
		return
	}
	s.settle = time.AfterFunc(settleTime, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.publisher == p && p.gone == nil && !p.settled {
			p.settle()
		}
	})
}

// trySettle settles the set of tracks if all that the metadata names are there.
func (p *Publisher) trySettle() {
	if p.settled || !p.known || !(p.video || p.audio) {
		return
	}
	has := func(k media.Kind) bool {
		return slices.ContainsFunc(p.tracks, func(t *trackState) bool { return t.track.Kind == k })
	}
	if (!p.video || has(media.Video)) && (!p.audio || has(media.Audio)) {
		p.settle()
	}
}

func (p *Publisher) settle() {
	p.settled = true
	p.tryStartAudio()
	p.stream.setSettled()
}

// Unpublish ends the stream at once, as the encoder asked.
func (p *Publisher) Unpublish() { p.stream.hub.leave(p, ErrUnpublished, 0) }

// Lose says that the session's connection is gone without a farewell: the stream waits for its return for the grace time.
func (p *Publisher) Lose(cause error) { p.stream.hub.leave(p, cause, p.stream.hub.opt.Grace) }
