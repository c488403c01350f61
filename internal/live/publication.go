package live

import (
	"slices"
	"sync"
	"time"

	"livego/internal/media"
)

const (
	// settleTime is how long after its first media a session's set of tracks is open if its
	// metadata names tracks that do not come.
	settleTime = 500 * time.Millisecond
	// nameTime is for how long after its first media a session's metadata is believed that names a
	// kind of media which does not come.
	nameTime = 6 * time.Second
	// maxPictureWait bounds the time for which other units wait for the next picture, audioWait the
	// time without video.
	maxPictureWait = 50 * time.Millisecond
	audioWait      = 60 * time.Millisecond
	// audioJoinInterval is the least time between two join units of a stream without video.
	audioJoinInterval = time.Second
	// takeoverWindow, maxTakeovers: more takeovers than that within the window look like two
	// encoders that share a key.
	takeoverWindow = 30 * time.Second
	maxTakeovers   = 3
)

// Publication is the life of one: a stream, or one rendition of a stream that has several,
// from its first publisher until the grace time after its last one is over. The publications of a
// stream share its time, and nothing else. Its methods may be called from any goroutine.
type Publication struct {
	name     Name
	hub      *Hub
	timeline *timeline
	done     chan struct{}
	settled  chan struct{}
	named    chan struct{}
	begun    time.Time
	gauges   gauges
	home     bool // it is published here, and no copy; guarded by the hub's mu

	mu          sync.Mutex
	ring        ring
	readers     []*Reader
	publisher   *Publisher     // nil in grace
	lost        *Publisher     // the last one that was lost
	tracks      []*media.Track // of the last session that was settled and is over
	epoch       uint32
	last        time.Duration              // largest DTS sent
	frame       time.Duration              // last known distance of two units of the leading track
	lastOut     map[trackKey]time.Duration // largest DTS sent per track
	multitrack  bool                       // a message of a form for several tracks came
	suspended   bool
	suspensions uint32
	moves       uint32 // sessions that moved to another node
	movedAt     uint64 // the number of the unit behind the last of them
	sessionAt   uint64 // the number of the first unit of the newest session
	ended       bool
	cause       error // why it ended
	takeovers   []time.Time
	refuseUntil time.Time
	grace       *time.Timer
	settle      *time.Timer

	// What lazy readers wait for.
	lastPicture  time.Time
	pictureEvery time.Duration // smoothed
}

type trackKey struct {
	kind media.Kind
	id   uint8
}

func newPublication(h *Hub, name Name, t *timeline) *Publication {
	return &Publication{
		name: name, hub: h, timeline: t, begun: time.Now(),
		done: make(chan struct{}), settled: make(chan struct{}), named: make(chan struct{}),
		ring:    newRing(h.opt.Memory, h.opt.GOPs, h.store),
		lastOut: make(map[trackKey]time.Duration),
	}
}

// Name returns the publication's name.
func (pub *Publication) Name() Name { return pub.name }

// Begun returns when its life began.
func (pub *Publication) Begun() time.Time { return pub.begun }

// Done is closed when the publication has ended: nothing will be added to it.
func (pub *Publication) Done() <-chan struct{} { return pub.done }

// Cause says why the publication has ended, nil before Done is closed.
func (pub *Publication) Cause() error {
	pub.mu.Lock()
	defer pub.mu.Unlock()
	return pub.cause
}

// Settled is closed when the first session's set of tracks is known: all tracks that its metadata
// names have appeared, or 500 ms have passed since its first media.
func (pub *Publication) Settled() <-chan struct{} { return pub.settled }

// Named is closed when it is known which kinds of media there are: Settled is closed, or the first
// session's metadata names both.
func (pub *Publication) Named() <-chan struct{} { return pub.named }

// Kinds says which kinds of media the publication has, or will have: also those which the present
// session's metadata names, unless they have not come for 6 s.
func (pub *Publication) Kinds() (video, audio bool) {
	video, audio = pub.present()
	if pub.Awaits() > 0 {
		pub.mu.Lock()
		defer pub.mu.Unlock()
		if p := pub.publisher; p != nil {
			video, audio = video || p.video > 0, audio || p.audio > 0
		}
	}
	return video, audio
}

// present says which kinds of media the publication has.
func (pub *Publication) present() (video, audio bool) {
	for _, t := range pub.Tracks() {
		video = video || t.Kind == media.Video
		audio = audio || t.Kind == media.Audio
	}
	return video, audio
}

// Awaits returns for how long it is still believed that kinds of media will come which the
// metadata names and the publication does not have, 0 if there are none.
func (pub *Publication) Awaits() time.Duration {
	video, audio := pub.present()
	pub.mu.Lock()
	defer pub.mu.Unlock()
	p := pub.publisher
	switch {
	case p == nil || (video || p.video == 0) && (audio || p.audio == 0):
		return 0
	case p.began.IsZero():
		return nameTime
	}
	return max(0, nameTime-time.Since(p.began))
}

// Readers returns how many readers the publication has.
func (pub *Publication) Readers() int {
	pub.mu.Lock()
	defer pub.mu.Unlock()
	return len(pub.readers)
}

// OnAir says whether there is a publisher now.
func (pub *Publication) OnAir() bool {
	pub.mu.Lock()
	defer pub.mu.Unlock()
	return pub.publisher != nil
}

// Moved returns how often sessions have moved to another node, and the number of the unit behind
// the last one of the last that did.
func (pub *Publication) Moved() (times uint32, behind uint64) {
	pub.mu.Lock()
	defer pub.mu.Unlock()
	return pub.moves, pub.movedAt
}

// HasBegun says whether there is a publisher now of which readers get something.
func (pub *Publication) HasBegun() bool {
	pub.mu.Lock()
	defer pub.mu.Unlock()
	return pub.publisher != nil && pub.publisher.started
}

// Tracks returns the tracks of the current session, in the order of their appearance; until those
// are settled, and after a loss, the tracks of the session before.
func (pub *Publication) Tracks() []*media.Track {
	pub.mu.Lock()
	defer pub.mu.Unlock()
	if p := pub.publisher; p != nil && (p.settled || pub.tracks == nil) {
		return p.currentTracks()
	}
	return slices.Clone(pub.tracks)
}

// Multitrack says whether messages of a form for several tracks have come since the publication's
// life began.
func (pub *Publication) Multitrack() bool {
	pub.mu.Lock()
	defer pub.mu.Unlock()
	return pub.multitrack
}

// keepTracks notes the tracks of a session that is over.
func (pub *Publication) keepTracks(p *Publisher) {
	if p != nil && (p.settled || pub.tracks == nil) {
		pub.tracks = p.currentTracks()
	}
}

// Keep has the publication hold at least so much of the stream, if memory allows, for readers that
// begin with all of it. Without it there are the GOPs with which players begin, and what readers
// that are behind have not read yet. It is packed until such a reader comes.
func (pub *Publication) Keep(d time.Duration) {
	pub.mu.Lock()
	defer pub.mu.Unlock()
	pub.ring.keep = max(pub.ring.keep, d)
}

// Bytes returns how much memory the ring accounts for.
func (pub *Publication) Bytes() int {
	pub.mu.Lock()
	defer pub.mu.Unlock()
	return pub.ring.bytes
}

func (pub *Publication) isSettled() bool {
	select {
	case <-pub.settled:
		return true
	default:
		return false
	}
}

func (pub *Publication) setSettled() {
	if !pub.isSettled() {
		close(pub.settled)
	}
	pub.setNamed()
	pub.wakeAll()
}

// append puts a unit that is ready for readers into the ring.
func (pub *Publication) append(u media.AccessUnit) {
	pub.last = max(pub.last, u.DTS)
	if u.Track != nil {
		pub.lastOut[trackKey{u.Track.Kind, u.Track.ID}] = u.DTS
	}
	pub.ring.push(u, pub.reading())
}

// reading returns the next unit of the reader that is furthest behind.
func (pub *Publication) reading() uint64 {
	next := pub.ring.next
	for _, r := range pub.readers {
		next = min(next, r.next)
	}
	return next
}

// notify wakes the readers after units were appended. picture says that a picture was among them.
func (pub *Publication) notify(now time.Time, picture bool) {
	if picture {
		pub.tick(now)
	}
	for _, r := range pub.readers {
		if picture || !r.dozing {
			r.wake()
		}
	}
}

// tick keeps the smoothed interval of pictures.
func (pub *Publication) tick(now time.Time) {
	if !pub.lastPicture.IsZero() {
		gap := min(now.Sub(pub.lastPicture), maxPictureWait)
		if pub.pictureEvery == 0 {
			pub.pictureEvery = gap
		}
		pub.pictureEvery += (gap - pub.pictureEvery) / 8
	}
	pub.lastPicture = now
}

// lazyWait is how long lazy readers wait for the next picture.
func (pub *Publication) lazyWait(now time.Time) time.Duration {
	if pub.lastPicture.IsZero() || now.Sub(pub.lastPicture) > time.Second {
		return audioWait
	}
	if pub.pictureEvery == 0 {
		return maxPictureWait
	}
	return min(pub.pictureEvery*3/2, maxPictureWait)
}

func (pub *Publication) setNamed() {
	select {
	case <-pub.named:
	default:
		close(pub.named)
	}
}

func (pub *Publication) wakeAll() {
	for _, r := range pub.readers {
		r.wake()
	}
}

// finish ends the publication. The caller holds pub.mu and takes it out of the hub.
func (pub *Publication) finish(cause error) {
	if pub.ended {
		return
	}
	pub.keepTracks(pub.publisher)
	pub.ended, pub.cause, pub.suspended, pub.publisher = true, cause, false, nil
	pub.gauges.onAir.Store(false)
	pub.timeline.leave(pub)
	for _, t := range []*time.Timer{pub.grace, pub.settle} {
		if t != nil {
			t.Stop()
		}
	}
	pub.ring.forgetCold()
	close(pub.done)
	pub.wakeAll()
}
