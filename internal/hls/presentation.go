package hls

import (
	"sync"
	"sync/atomic"
	"time"

	"livego/internal/media"
	"livego/internal/spool"
)

// presentation is what requests see of a stream's CMAF side: a multivariant playlist and its
// renditions. Packaging replaces the views, which never change; requests take no lock that
// packaging holds while it works.
type presentation struct {
	// answerable is closed when a request need not wait: there is a view, a refusal, or the stream
	// is over.
	answerable chan struct{}
	open       sync.Once
	// over is closed when the stream is.
	over chan struct{}
	// view is nil until the first segment of each rendition that the stream begins with is
	// complete.
	view atomic.Pointer[presentationView]
	// refusal says why nothing of the stream can be packaged.
	refusal atomic.Pointer[string]
	// carries is set as soon as a track was found that can be packaged: where MPEG-TS has none, its
	// playlist leads here.
	carries atomic.Bool
	// seconds is the target duration of all renditions, 0 as long as there was none.
	seconds atomic.Int64

	mu sync.RWMutex
	// renditions holds those of the ladder by their name in URLs; one that has left is not in it.
	renditions map[string]*rendition
	// departed holds those that have left, for as long as players may ask for what their playlists
	// named.
	departed map[string]*rendition
	// doubtful is until when the stream may end too, because one of its publishers did.
	doubtful time.Time
}

// maxDeparted bounds the renditions that are kept although they left.
const maxDeparted = 16

// departure is by how much an encoder that publishes several renditions ends them, or loses its
// connections, one after the other. Only then is it known that the others go on, and players are
// told to go on with them. It must be short: a player in Low-Latency mode has little more than the
// PART-HOLD-BACK in its buffer, and hls.js (1.7.4, PlaylistLoader.load) gives up a request that is
// held for 0.8 target durations.
const departure = 250 * time.Millisecond

func newPresentation() *presentation {
	return &presentation{
		answerable: make(chan struct{}), over: make(chan struct{}),
		renditions: make(map[string]*rendition), departed: make(map[string]*rendition),
	}
}

// refuse tells requests why there is nothing.
func (p *presentation) refuse(reason string) {
	p.refusal.Store(&reason)
	p.answer()
}

func (p *presentation) answer() { p.open.Do(func() { close(p.answerable) }) }

// rendition returns the one with a name, nil if it is not in the ladder.
func (p *presentation) rendition(id string) *rendition {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.renditions[id]
}

// remove takes a rendition out of the ladder. Its files stay for the duration of its playlist, as
// the standard asks for (RFC 8216bis 6.2.1).
func (p *presentation) remove(r *rendition) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.renditions[r.id] != r {
		return
	}
	delete(p.renditions, r.id)
	v := r.view.Load()
	if v == nil || len(p.departed) >= maxDeparted {
		return
	}
	p.departed[r.id] = r
	time.AfterFunc(v.duration(), func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.departed[r.id] == r {
			delete(p.departed, r.id)
		}
	})
}

// finish says that the stream is over. With a proper end renditions that left just before have
// their end too: an encoder that publishes several ends them one after the other, and their viewers
// must not take that for a fault. It is called once.
func (p *presentation) finish(proper bool) {
	p.mu.Lock()
	for id, r := range p.departed {
		if v := r.view.Load(); proper && p.renditions[id] == nil && !v.ended {
			r.view.Store(v.ending())
			p.renditions[id] = r
		}
	}
	p.mu.Unlock()
	p.answer()
	close(p.over)
}

// suspect says that the stream may end soon, because one of its publishers just did.
func (p *presentation) suspect() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.doubtful = time.Now().Add(departure)
}

// doubt is until when the stream may end because one of its publishers did.
func (p *presentation) doubt() time.Time {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.doubtful
}

// left says whether the rendition left a short while ago.
func (p *presentation) left(id string) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.departed[id] != nil
}

// lastView returns what can still be fetched of a rendition that has left, nil if that is nothing.
func (p *presentation) lastView(id string) (*renditionView, media.Kind) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if r := p.departed[id]; r != nil {
		return r.view.Load(), r.kind
	}
	return nil, 0
}

// mayHave says whether there is a playlist, or will be one.
func (p *presentation) mayHave() bool {
	return p.view.Load() != nil || p.carries.Load() && p.refusal.Load() == nil
}

// target is the target duration of all renditions, 0 as long as there was none.
func (p *presentation) target() time.Duration { return time.Duration(p.seconds.Load()) * time.Second }

// segments is how many complete segments the renditions have.
func (p *presentation) segments() (n int) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, r := range p.renditions {
		if v := r.view.Load(); v != nil {
			n = max(n, v.complete())
		}
	}
	return n
}

// rendition is one media playlist: one track of one publication, or one of sound that several have.
type rendition struct {
	// id names it in URLs, the same over restarts: "v0" is video track 0 of the stream's default
	// publication, "720p.v0" that of the one that was published as rendition 720p, and "a1" is
	// audio track 1 of any of them.
	id   string
	kind media.Kind
	// view is nil until the first segment is complete.
	view atomic.Pointer[renditionView]
	// disk has the segments for rewinding, nil if there are none; rewind the texts of these, of all
	// media and of I-frames.
	disk   *spool.Rendition
	rewind [2]runTexts
}

// presentationView is a multivariant playlist to be. It never changes.
type presentationView struct {
	// renditions are in the order in which the playlist names them: of each kind the preferred one
	// first.
	renditions []renditionInfo
	// independent: each segment of each rendition begins with a random access point.
	independent bool
	// text is rendered by the first request.
	text lazyText
}

// renditionInfo is what the multivariant playlist says of a rendition (RFC 8216bis 4.4.6).
type renditionInfo struct {
	*rendition
	track *media.Track
	// codecs is as in RFC 6381, supplemental as in RFC 8216bis 4.4.6.2 (empty: none).
	codecs, supplemental string
	// videoRange is SDR, PQ or HLG; frameRate is measured, 0 if not known.
	videoRange    string
	width, height int
	frameRate     float64
	// peak is the bit rate of the segment with the highest one so far, average that of all so far,
	// in bits per second.
	peak, average int
	captions      captionSet
}

// captionSet names the caption channels that were seen inside a video: CEA-608 CC1 to CC4 as bits 0
// to 3, CEA-708 services 1 to 63 as bits of their own.
type captionSet struct {
	channels uint8
	services uint64
}

// renditionView is a media playlist to be, and what can be fetched of it. It never changes.
type renditionView struct {
	// version rises with each view of a rendition.
	version uint64
	// segments are those that can be fetched, oldest first, without gaps in their numbers. From
	// index listed on they are in the playlist. The last one may be open: more parts will come.
	segments []*cmafSegment
	listed   int
	// discontinuitySeq is that of the playlist: it counts the discontinuities before
	// segments[listed], without one that stands right before it.
	discontinuitySeq int64
	// stored is what the playlist lists before segments[listed]: it ends there, or is empty.
	stored spool.Window
	// target is the target duration, partTarget the part target duration. They do not change.
	target, partTarget time.Duration
	// partHoldBack is at least three times the part target duration of each rendition, and the same
	// in all of them (RFC 8216bis 6.2.4). Zero: three times partTarget.
	partHoldBack time.Duration
	ended        bool
	// replaced is closed when there is a newer view, or never will be one: the rendition left, or
	// the stream is over.
	replaced chan struct{}
	// texts are the playlist's forms, each rendered by the first request for it.
	texts [playlistForms]lazyText
}

// cmafSegment is one segment, maybe open. It never changes: while it is open each view has its own.
type cmafSegment struct {
	// seq is the media sequence number and the segment's name, the same in all renditions for the
	// same media time.
	seq int64
	// start is the decode time at which the segment begins on the stream's timeline. duration is
	// that of the parts.
	start, duration time.Duration
	// at is the wall clock at start, zero if nobody stamped the stream.
	at            time.Time
	init          *initSegment
	discontinuity bool
	// independent: decoding may begin with this segment. gap: it has no media (EXT-X-GAP). full: no
	// more parts will come, complete: and playlists say so.
	independent, gap, full, complete bool
	parts                            []part
	// size is that of all parts. key is the length of the segment up to and with its first picture.
	size, key int
	// before counts the discontinuities before the segment, as discontinuitySeq does.
	before int64
	// dates are the EXT-X-DATERANGE attributes, rendered, that stand before the segment.
	dates []string
}

// part is one partial segment. It never changes.
type part struct {
	duration    time.Duration
	independent bool
	// gap: there is no media of this time, and no data.
	gap  bool
	data []byte
}

// initSegment is a media initialization section. It never changes.
type initSegment struct {
	// seq is that of the first segment that needs it, and its name.
	seq  int64
	data []byte
}
