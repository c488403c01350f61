package ladder

import (
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"livego/internal/hls/playlist"
	"livego/internal/media"
)

// Presentation is what requests see of a stream's CMAF side: a multivariant playlist and its
// renditions. Packaging replaces the views, which never change; requests take no lock that
// packaging holds while it works.
type Presentation struct {
	// Answerable is closed when a request need not wait: there is a view, a refusal, or the stream
	// is over.
	Answerable chan struct{}
	open       sync.Once
	// Over is closed when the stream is.
	Over chan struct{}
	// View is nil until the first segment of each rendition that the stream begins with is
	// complete.
	View atomic.Pointer[playlist.Multivariant]
	// Refusal says why nothing of the stream can be packaged.
	Refusal atomic.Pointer[string]
	// Carries is set as soon as a track was found that can be packaged: where MPEG-TS has none, its
	// playlist leads here.
	Carries atomic.Bool
	// seconds is the target duration of all renditions, 0 as long as there was none.
	seconds atomic.Int64

	mu sync.RWMutex
	// renditions holds those of the ladder by their name in URLs; one that has left is not in it.
	renditions map[string]*playlist.Rendition
	// departed holds those that have left, for as long as players may ask for what their playlists
	// named.
	departed map[string]*playlist.Rendition
	// came is closed, and made anew, when a rendition has its first view, and when the stream is
	// over.
	came chan struct{}
	// doubtful is until when, by the clock of timers, the stream may end too, because one of its
	// publishers did.
	doubtful time.Time
}

// maxDeparted bounds the renditions that are kept although they left.
const maxDeparted = 16

// NewPresentation makes one that has nothing to show.
func NewPresentation() *Presentation {
	return &Presentation{
		Answerable: make(chan struct{}), Over: make(chan struct{}),
		renditions: make(map[string]*playlist.Rendition), departed: make(map[string]*playlist.Rendition),
		came: make(chan struct{}),
	}
}

// Refuse tells requests why there is nothing.
func (p *Presentation) Refuse(reason string) {
	p.Refusal.Store(&reason)
	p.Answer()
}

// Answer lets requests go on that wait for the first view.
func (p *Presentation) Answer() { p.open.Do(func() { close(p.Answerable) }) }

// Rendition returns the one with a name, nil if it is not in the ladder.
func (p *Presentation) Rendition(id string) *playlist.Rendition {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.renditions[id]
}

// Remove takes a rendition out of the ladder. Its files stay for the duration of its playlist, as
// the standard asks for (RFC 8216bis 6.2.1).
func (p *Presentation) Remove(r *playlist.Rendition) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.renditions[r.ID] != r {
		return
	}
	delete(p.renditions, r.ID)
	v := r.View.Load()
	if v == nil || len(p.departed) >= maxDeparted {
		return
	}
	p.departed[r.ID] = r
	time.AfterFunc(v.Duration(), func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.departed[r.ID] == r {
			delete(p.departed, r.ID)
		}
	})
}

// Finish says that the stream is over. With a proper end renditions that left just before have
// their end too: an encoder that publishes several ends them one after the other, and their viewers
// must not take that for a fault. It is called once.
func (p *Presentation) Finish(proper bool) {
	p.mu.Lock()
	for id, r := range p.departed {
		if v := r.View.Load(); proper && p.renditions[id] == nil && !v.Ended {
			r.View.Store(v.Ending())
			p.renditions[id] = r
		}
	}
	p.mu.Unlock()
	p.Answer()
	close(p.Over)
	p.tell() // who waits for a rendition
}

// Suspect says that the stream may end within a time, because one of its publishers just did.
func (p *Presentation) Suspect(within time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.doubtful = time.Now().Add(within)
}

// Doubt is for how long the stream may still end because one of its publishers did, 0 or less if
// that is over.
func (p *Presentation) Doubt() time.Duration {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return time.Until(p.doubtful)
}

// Left says whether the rendition left a short while ago.
func (p *Presentation) Left(id string) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.departed[id] != nil
}

// LastView returns what can still be fetched of a rendition that has left, nil if that is nothing.
func (p *Presentation) LastView(id string) (*playlist.View, media.Kind) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	if r := p.departed[id]; r != nil {
		return r.View.Load(), r.Kind
	}
	return nil, 0
}

// Known returns a rendition that has something to play, or had until a short while ago, nil if
// there is none.
func (p *Presentation) Known(id string) *playlist.Rendition {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, r := range []*playlist.Rendition{p.renditions[id], p.departed[id]} {
		if r != nil && r.View.Load() != nil {
			return r
		}
	}
	return nil
}

// Duration is that of the longest playlist.
func (p *Presentation) Duration() (longest time.Duration) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, r := range p.renditions {
		if v := r.View.Load(); v != nil {
			longest = max(longest, v.Duration())
		}
	}
	return longest
}

// MayHave says whether there is a playlist, or will be one.
func (p *Presentation) MayHave() bool {
	return p.View.Load() != nil || p.Carries.Load() && p.Refusal.Load() == nil
}

// Target is the target duration of all renditions, 0 as long as there was none.
func (p *Presentation) Target() time.Duration { return time.Duration(p.seconds.Load()) * time.Second }

// Segments is how many complete segments the renditions have.
func (p *Presentation) Segments() (n int) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	for _, r := range p.renditions {
		if v := r.View.Load(); v != nil {
			n = max(n, v.Complete())
		}
	}
	return n
}

// Playlist returns a form of the rendition's playlist.
func (p *Presentation) Playlist(r *playlist.Rendition, v *playlist.View, form playlist.Form, gzip *playlist.Compressor) *playlist.Text {
	return r.Playlist(v, form, func() []*playlist.Rendition { return p.others(r) }, gzip)
}

// others returns the rest of the ladder, by name: nothing for tracks that are joined, whose players
// need no other playlist.
func (p *Presentation) others(r *playlist.Rendition) []*playlist.Rendition {
	if r.Joined {
		return nil
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	others := make([]*playlist.Rendition, 0, len(p.renditions))
	for _, o := range p.renditions {
		if o != r && !o.Joined {
			others = append(others, o)
		}
	}
	slices.SortFunc(others, func(a, b *playlist.Rendition) int { return strings.Compare(a.ID, b.ID) })
	return others
}

// Put makes a rendition known to requests.
func (p *Presentation) Put(r *playlist.Rendition) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.renditions[r.ID] = r
}

// Came returns what is closed when there is something to play of one more rendition, and when the
// stream is over.
func (p *Presentation) Came() <-chan struct{} {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.came
}

// tell says that there is something to play of one more rendition.
func (p *Presentation) tell() {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.came)
	p.came = make(chan struct{})
}

// SetTarget says what the target duration of all renditions is.
func (p *Presentation) SetTarget(d time.Duration) { p.seconds.Store(int64(d / time.Second)) }
