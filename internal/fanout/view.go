package fanout

import (
	"time"

	"livego/internal/live"
	"livego/internal/media"
)

// View says which tracks a player gets. The zero View is an ordinary stream, as every player
// understands it: the first track of each kind. Messages that carry several tracks are cut; all
// others pass as they came.
type View struct {
	// Whole: all tracks, in the messages as they came. Choices do not count then.
	Whole bool
	// Video and Audio pick other tracks.
	Video, Audio Choice
}

// Choice is one of the following, or what Track returns.
type Choice int16

const (
	// First is the track with the lowest id, of video tracks the lowest that has key frames.
	First Choice = 0
	// None leaves the kind out.
	None Choice = -1
)

// Track chooses a track by its id (Enhanced RTMP v2 trackId).
func Track(id uint8) Choice { return Choice(id) + 1 }

// of returns the choice for a kind of media.
func (v View) of(kind media.Kind) Choice {
	if kind == media.Video {
		return v.Video
	}
	return v.Audio
}

// shared returns the view that others have of a stream with the same result, so that they share a
// feed: without messages of several tracks there is no other view of a kind than all or nothing. A
// stream whose tracks are not known yet may become anything.
func (v View) shared(pub *live.Publication) View {
	select {
	case <-pub.Settled():
	default:
		return v
	}
	if pub.Multitrack() {
		return v
	}
	v.Whole = false
	for _, choice := range []*Choice{&v.Video, &v.Audio} {
		if *choice == Track(0) {
			*choice = First
		}
	}
	return v
}

// gops returns how many cached GOPs a feed begins with so that its players get n: those of a chosen
// video track may be out of step with the stream's, so that one more is needed.
func (v View) gops(n int) int {
	if n > 0 && !v.Whole && v.Video > First {
		return n + 1
	}
	return n
}

// joinInterval is the least time between two places to join of a view without video.
const joinInterval = time.Second

// cutter makes the units of a view from those of a stream: with the tracks that it has, each as the
// only one of its kind. Its zero value but for view and body is ready. It has one user at a time.
type cutter struct {
	view View
	// body makes the body of a unit that has none of its own.
	body func(dst []byte, u *media.AccessUnit) ([]byte, error)

	headers      *media.Headers // of the stream
	epoch        uint32
	video, audio pick
	joined       time.Duration // last place to join of a view without video
	hasJoined    bool

	out     []media.AccessUnit
	scratch []byte
}

// pick is the track of a kind that a view has.
type pick struct {
	known bool
	id    uint8
	fixed bool // readers join on it: only another such track replaces it
	open  bool // a chosen video track has had a random access point
	// A track with another id is shown as track 0: as is what was from.
	from, as *media.Track
}

// cut returns the units of the view that u makes: none, u or what it becomes, or the headers of a
// track that is new to the view before it. They are valid until the next call, but for headers.
func (c *cutter) cut(u *media.AccessUnit) []media.AccessUnit {
	c.out = c.out[:0]
	before := c.headers
	c.headers = before.After(u)
	if u.Epoch != c.epoch {
		c.epoch, c.video, c.audio = u.Epoch, pick{}, pick{}
	}
	if u.Discontinuity {
		c.video.open = false
	}
	if u.Track.Kind == media.Data {
		return append(c.out, *u)
	}
	p := &c.video
	if u.Track.Kind == media.Audio {
		p = &c.audio
	}
	switch choice := c.view.of(u.Track.Kind); {
	case choice == None:
		return nil
	case choice == First:
		c.follow(p, u, before)
	default:
		p.known, p.id = true, uint8(choice-1)
	}
	if p.known && p.id == u.Track.ID && c.opens(p, u) {
		c.add(p, u)
	}
	return c.out
}

// follow keeps the first track picked: of video the one on which readers join, until there is one
// the lowest.
func (c *cutter) follow(p *pick, u *media.AccessUnit, before *media.Headers) {
	id := u.Track.ID
	joins := u.Join && u.Track.Kind == media.Video
	switch {
	case u.Header == media.Command && (u.Multitrack || p.known):
		return
	case p.known && id != p.id && (joins || (id < p.id && !p.fixed)):
		p.id = id
		c.addHeaders(p, u, before)
	case !p.known:
		p.known, p.id = u.Header != media.Command, id
	}
	p.fixed = p.fixed || joins
}

// addHeaders adds the headers in force of the track of u, which the view has not had yet.
func (c *cutter) addHeaders(p *pick, u *media.AccessUnit, before *media.Headers) {
	units := before.Units()
	for i := range units {
		if h := &units[i]; h.Track.Kind == u.Track.Kind && h.Track.ID == p.id {
			header := *h
			header.Epoch, header.DTS, header.PTS, header.Arrived = u.Epoch, u.DTS, u.DTS, u.Arrived
			c.add(p, &header)
		}
	}
}

// opens says whether u is to be shown, as far as its track's random access points go.
func (c *cutter) opens(p *pick, u *media.AccessUnit) bool {
	if u.Header != media.Sample || u.Track.Kind != media.Video || c.view.Video == First {
		return true
	}
	p.open = p.open || u.RandomAccess
	return p.open
}

// add appends u as a unit of its own message. One without body cannot be shown.
func (c *cutter) add(p *pick, u *media.AccessUnit) {
	c.out = append(c.out, *u)
	v := &c.out[len(c.out)-1]
	v.Join = c.joins(u)
	if (v.Multitrack || v.Body == nil) && !c.build(v) {
		c.out = c.out[:len(c.out)-1]
		return
	}
	if u.Track.ID != 0 {
		v.Track = p.alone(u.Track)
	}
}

// alone returns the track as the only one of its kind.
func (p *pick) alone(t *media.Track) *media.Track {
	if p.from != t {
		as := *t
		as.ID = 0
		p.from, p.as = t, &as
	}
	return p.as
}

// build gives v a body of its own: headers, which are kept, get new memory.
func (c *cutter) build(v *media.AccessUnit) bool {
	if c.body == nil {
		return false
	}
	dst := c.scratch[:0]
	if v.Header != media.Sample {
		dst = nil
	}
	body, err := c.body(dst, v)
	if err != nil {
		return false // a codec that has no body of its own, or a message that only makes sense among others
	}
	if v.Header == media.Sample {
		c.scratch = body
	}
	if body == nil {
		body = []byte{}
	}
	v.Body, v.Shared, v.Multitrack = body, false, false
	return true
}

// joins says whether players may begin with u.
func (c *cutter) joins(u *media.AccessUnit) bool {
	switch {
	case u.Header != media.Sample:
		return false
	case u.Track.Kind == media.Video && c.view.Video != First:
		return u.RandomAccess
	case u.Track.Kind == media.Audio && c.view.Video == None:
		if c.hasJoined && u.DTS-c.joined < joinInterval && u.DTS >= c.joined {
			return false
		}
		c.joined, c.hasJoined = u.DTS, true
		return true
	}
	return u.Join
}
