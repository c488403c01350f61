package live

import (
	"bytes"
	"sync/atomic"
	"time"

	"livego/internal/media"
)

const (
	// maxForwardJump and maxBackJump: a track whose time moves further than that between two units
	// has a new timeline.
	maxForwardJump = 10 * time.Second
	maxBackJump    = time.Second
	// videoGone: video without a picture for that long has stopped, and readers may join without
	// it.
	videoGone = 10 * time.Second
	// noVideo: a session begins with its audio if the video that it announces has had no picture
	// for that long, and if it has had pictures but no random access point, after videoGone.
	noVideo = 3 * time.Second
	// maxHeld bounds, in units, what a session keeps back until its first random access point; in
	// bytes the bound is that of a ring.
	maxHeld = 1024
	// noAccess: video without a random access point for that long may have no other, and readers
	// join anywhere once memory does not hold the last one any more.
	noAccess = 30 * time.Second
	// maxEarly: video tracks that begin that much before the one to join on keep their first GOP.
	maxEarly = 500 * time.Millisecond
	// defaultFrame is the distance to the next picture where nothing better is known.
	defaultFrame = 33 * time.Millisecond
)

// Publisher is one session that feeds a publication. Write, Expect and Close are called from one
// goroutine.
type Publisher struct {
	pub   *Publication
	evict func(cause error)
	grace time.Duration // for which the stream waits when the session is lost

	// Guarded by pub.mu.
	gone    error // why the session may write no more
	started bool
	settled bool
	held    []arrival     // until the session starts
	holds   int           // bytes in held
	tracks  []*trackState // in the order of their appearance
	known   bool          // metadata named tracks
	video   int           // tracks of video that metadata names
	audio   int           // tracks of audio
	floor   time.Duration // stream time of the session's start
	jumped  bool          // the next sample where readers may join follows a discontinuity
	joined  time.Duration // DTS of the last join unit of a session without video
	written *byte         // body of the last unit that readers got
	copyOf  *byte         // body of the last header message
	copied  []byte        // its copy
	dropped uint64
	jumps   atomic.Uint64 // of the encoder's time
	faults  []Fault       // that nobody asked for yet
	faulty  atomic.Bool   // there are some
	began   time.Time     // when the first unit came
	now     time.Time     // of the present Write
	came    time.Time     // when the unit in hand came

	placing

	// A session that has to be aligned with other renditions keeps its first random access point,
	// and what follows it, until that is decided.
	first  *arrival
	queued []arrival
	queue  int // bytes in queued
}

// trackState is what a session knows of one of its tracks.
type trackState struct {
	track *media.Track
	open  bool // a random access point was seen
	keys  int  // random access points of it that others came before
	seen  bool // a picture came before the session started
	// access is the stream time of the last random access point.
	access time.Duration
	times  trackTimes
	// kept is what came since the track began, while it is not known where its time base lies.
	kept arrivals
}

// Publication returns what the session feeds.
func (p *Publisher) Publication() *Publication { return p.pub }

// Expect tells how many tracks of each kind the session's metadata names, so that the set of tracks
// settles as soon as they are there.
func (p *Publisher) Expect(video, audio int) {
	pub := p.pub
	pub.mu.Lock()
	defer pub.mu.Unlock()
	p.known, p.video, p.audio = true, video, audio
	if video > 0 && audio > 0 {
		pub.setNamed()
	}
	p.trySettle()
}

// Write adds units to the publication. What Body and Data point to must not change any more. It
// never waits for readers. It fails with the cause once the session was taken over or the
// publication has ended, and with ErrMisaligned when this is a rendition whose key frames do not
// come together with those of the others.
func (p *Publisher) Write(units []media.AccessUnit) error { return p.write(units, time.Now()) }

func (p *Publisher) write(units []media.AccessUnit, now time.Time) error {
	pub := p.pub
	pub.mu.Lock()
	defer pub.mu.Unlock()
	if p.gone != nil {
		return p.gone
	}
	end := pub.ring.next
	if p.began.IsZero() {
		p.began = now
	}
	p.now, p.came = now, now
	p.align()
	for i := range units {
		p.admit(&arrival{units[i], now})
	}
	p.announce(end)
	return p.gone
}

// announce tells others and the readers what is new since the ring ended at end.
func (p *Publisher) announce(end uint64) {
	if pub := p.pub; pub.ring.next > end {
		pub.gauges.ringBytes.Store(int64(pub.ring.bytes))
		pub.timeline.note(pub, p.now)
		pub.notify(p.now, pub.ring.pictures > end)
	}
}

// Dropped returns how many units were left out because they came before the first random access
// point of their track.
func (p *Publisher) Dropped() uint64 {
	p.pub.mu.Lock()
	defer p.pub.mu.Unlock()
	return p.dropped
}

// admit takes a unit in line.
func (p *Publisher) admit(a *arrival) {
	switch {
	case p.first != nil:
		p.enqueue(a)
	case len(p.pending.waiting()) > 0:
		p.postpone(a)
		p.resolve(false)
	case !p.take(a, nil, false):
		p.postpone(a)
	}
}

// take takes a unit into the session. It is false if it cannot tell the unit's time without next,
// the next sample of its track; with must it takes it anyway.
func (p *Publisher) take(a *arrival, next *media.AccessUnit, must bool) bool {
	u := a.unit
	p.came = a.at
	u.Join, u.Discontinuity, u.Epoch = false, false, p.pub.epoch
	if u.Header != media.Sample {
		u.Body, u.Data = p.copyHeader(&u), bytes.Clone(u.Data)
	}
	p.pub.multitrack = p.pub.multitrack || u.Multitrack
	if u.Header == media.Command {
		// It may come on a track of which nothing is known.
		if p.started {
			p.emit(u, p.timeBeside(nil, u.DTS))
		}
		return true
	}
	t := p.state(&u)
	if !p.started {
		p.hold(t, &arrival{u, a.at})
		return true
	}
	if len(t.kept.all) > 0 {
		p.wait(t, a)
		return true
	}
	if u.Header != media.Sample || t.track.Kind == media.Data || t.track.Kind == media.Audio && len(u.Data) == 0 {
		p.emit(u, p.timeBeside(t, u.DTS))
		return true
	}
	at, v := p.place(t, a, next, must)
	switch {
	case v == needsNext, v == isApart && p.gathers(t, a):
		return false
	case v == isApart:
		p.wait(t, a)
	case v == tooOld, t.track.Kind == media.Video && !t.open && !u.RandomAccess:
		p.dropped++
	default:
		t.open = true
		p.emit(u, at)
	}
	return true
}

// copyHeader copies the body of a header message, once for all units that share it. Headers outlive
// the ring: they must not keep the slab alive that their message was read into.
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

// leading returns the video track on which readers may join: the one with the lowest id of those
// that have had a random access point, and before that of all. Nil without video.
func (p *Publisher) leading() *trackState {
	var lead *trackState
	for _, t := range p.tracks {
		if t.track.Kind == media.Video && (lead == nil || before(t, lead)) {
			lead = t
		}
	}
	return lead
}

// before says which of two video tracks is the one to join on.
func before(a, b *trackState) bool {
	if a.open != b.open {
		return a.open
	}
	return a.track.ID < b.track.ID
}

// Jumps returns how often the encoder's time jumped.
func (p *Publisher) Jumps() uint64 { return p.jumps.Load() }

// emit hands a unit to the readers, with its stream time.
func (p *Publisher) emit(u media.AccessUnit, at time.Duration) {
	pub := p.pub
	composition := u.PTS - u.DTS
	sample := u.Header == media.Sample && u.Track.Kind != media.Data
	u.DTS = max(at.Truncate(time.Millisecond), p.floor)
	if last, ok := pub.lastOut[trackKey{u.Track.Kind, u.Track.ID}]; ok {
		u.DTS = max(u.DTS, last)
	}
	u.PTS = u.DTS + composition
	u.Shared = (u.Shared || u.Multitrack) && len(u.Body) > 0 && p.written == &u.Body[0]
	if len(u.Body) > 0 {
		p.written = &u.Body[0]
	}
	if sample {
		u.Join = p.joinsAt(&u)
		if p.jumped && (u.Join || p.leading() == nil) {
			u.Discontinuity, p.jumped = true, false
		}
		if u.Join && u.Track.Kind == media.Video {
			pub.timeline.notePoint(pub, u.DTS, p.came)
		}
	}
	pub.append(u)
}

// joinsAt says whether readers may begin with u: a random access point of the leading video track,
// or any picture of it if there is none in memory and long was none; without video, or when it has
// stopped, one audio unit a second.
func (p *Publisher) joinsAt(u *media.AccessUnit) bool {
	if lead := p.leading(); lead != nil && lead.open {
		if lead.track == u.Track {
			if u.RandomAccess {
				lead.access = u.DTS
			}
			return u.RandomAccess || u.DTS-lead.access >= noAccess && p.pub.ring.joinless()
		}
		if u.DTS-p.pub.lastOut[trackKey{media.Video, lead.track.ID}] <= videoGone {
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
	pub := p.pub
	if p.settled || pub.settle != nil {
		return
	}
	pub.settle = time.AfterFunc(settleTime, func() {
		pub.mu.Lock()
		defer pub.mu.Unlock()
		if pub.publisher == p && p.gone == nil && !p.settled {
			p.settle()
		}
	})
}

// trySettle settles the set of tracks if all that the metadata names are there.
func (p *Publisher) trySettle() {
	if p.settled || !p.known || p.video+p.audio == 0 {
		return
	}
	video, audio := 0, 0
	for _, t := range p.tracks {
		switch t.track.Kind {
		case media.Video:
			video++
		case media.Audio:
			audio++
		}
	}
	if video >= p.video && audio >= p.audio {
		p.settle()
	}
}

func (p *Publisher) settle() {
	p.settled = true
	p.tryStartAudio()
	p.pub.setSettled()
}

// finish hands out what is kept back. Nothing follows.
func (p *Publisher) finish() {
	pub := p.pub
	pub.mu.Lock()
	defer pub.mu.Unlock()
	if p.gone != nil || !p.started || pub.ended {
		return
	}
	end := pub.ring.next
	p.resolve(true)
	for _, t := range p.tracks {
		p.release(t, true)
	}
	p.announce(end)
}

// forgetAll lets go of what is kept back.
func (p *Publisher) forgetAll() {
	p.held, p.holds, p.first, p.queued, p.pending = nil, 0, nil, nil, arrivals{}
	for _, t := range p.tracks {
		t.kept = arrivals{}
	}
	if p.timer != nil {
		p.timer.Stop()
	}
}

// Unpublish ends the publication at once, as the encoder asked.
func (p *Publisher) Unpublish() {
	p.finish()
	p.pub.hub.leave(p, ErrUnpublished, 0)
}

// Lose says that the session's connection is gone without a farewell: the stream waits for its
// return for the grace time. Without a cause it is ErrLost.
func (p *Publisher) Lose(cause error) {
	if cause == nil {
		cause = ErrLost
	}
	p.finish()
	p.pub.hub.leave(p, cause, p.grace)
}

// Move says that what follows is published at another node: the stream waits for what comes from
// there, for ten seconds at least.
func (p *Publisher) Move() {
	p.finish()
	p.pub.hub.leave(p, ErrMoved, max(p.grace, copyGrace))
}
