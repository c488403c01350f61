package bench

import (
	"bytes"
	"cmp"
	"context"
	"io"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"livego/internal/pause"
)

const (
	// maxPlaylist and maxSegment bound answers, in bytes; one minute of 100 Mbit/s is 750 MB.
	maxPlaylist = 1 << 20
	maxSegment  = 1 << 30
	// startBehind is how many segments before the end a player begins (RFC 8216 §6.3.3).
	startBehind = 3
)

// isHLS says whether a URL is one of a playlist.
func isHLS(u *url.URL) bool { return strings.HasSuffix(u.Path, ".m3u8") }

// clock tells how far a player of segments can play.
type clock struct {
	// since is when the first media came, in nanoseconds since 1970; media is how much came, in
	// nanoseconds.
	since, media atomic.Int64
}

func (c *clock) add(media time.Duration) {
	c.since.CompareAndSwap(0, time.Now().UnixNano())
	c.media.Add(int64(media))
}

// stalled says whether all was played: the clock runs from the first media on.
func (c *clock) stalled(now time.Time) bool {
	since := c.since.Load()
	return since == 0 || now.UnixNano()-since > c.media.Load()
}

// stalled says whether a player of segments waits for pictures or sound.
func (p *player) stalled(now time.Time) bool {
	clocks := p.clocks.Load()
	if clocks == nil {
		return true
	}
	for _, c := range *clocks {
		if c.stalled(now) {
			return true
		}
	}
	return false
}

// rendition is the playing of one media playlist.
type rendition struct {
	*player
	clock *clock
	list  *url.URL
	// lists and media are connections, one and the same but for Low-Latency HLS, where two requests
	// wait at a time.
	lists, media *httpConn
	out          *findings // nil for players that only count
	check        *checker
	ts           tsParser
	mp4          fragmentParser
	text, body   bytes.Buffer
	init         string // URI of the last initialization section
	at           position
}

// position is what to load next.
type position struct {
	sequence, part int
	known          bool
}

// playlist plays HLS: it loads the playlist as often as the standard wants, and all media once.
func (p *player) playlist(ctx context.Context, n *network, d *drain) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	p.clocks.Store(nil)
	if n.http2 {
		p.two = n.http2Client(p.url, &p.bytes)
		defer p.two.CloseIdleConnections()
	}
	first := p.rendition(n, d, p.url, true)
	defer first.stop()
	l, err := first.load(ctx)
	if err == nil && l.variant != "" {
		var audio *rendition
		if audio, l, err = first.choose(ctx, n, d, l); audio != nil {
			var running sync.WaitGroup
			defer running.Wait()
			defer stop(nil)
			running.Go(func() { stop(audio.play(ctx, nil)) })
		}
	}
	if err != nil {
		return err
	}
	p.joined.Store(true)
	err = first.play(ctx, l)
	stop(err)
	return context.Cause(ctx)
}

// rendition makes one. Only those with pictures, or without any beside them, are looked into for
// stamps.
func (p *player) rendition(n *network, d *drain, list *url.URL, stamps bool) *rendition {
	conn := newHTTPConn(n, d, &p.bytes)
	conn.timed, conn.two = cmp.Or(p.sample, p.arrival) != nil, p.two
	r := &rendition{player: p, clock: &clock{}, list: list, lists: conn, media: conn, out: cmp.Or(p.sample, p.arrival)}
	if r.out != nil {
		r.check = &checker{out: r.out, dialed: time.Now(), video: true}
		unit := func(random bool, b []byte) {
			if stamps {
				r.check.sample(r.media.arrived(), random, b)
			}
		}
		unreadable := func() { r.out.fault(&r.out.Unreadable) }
		r.ts = tsParser{fault: unreadable, unit: unit}
		r.mp4 = fragmentParser{fault: unreadable, unit: unit, back: func() { r.out.fault(&r.out.Backwards) }}
	}
	clocks := []*clock{r.clock}
	if before := p.clocks.Load(); before != nil {
		clocks = append(clocks, *before...)
	}
	p.clocks.Store(&clocks)
	return r
}

func (r *rendition) stop() {
	r.lists.stop()
	r.media.stop()
}

// choose follows a multivariant playlist to the first variant, and makes the rendition of its
// audio, if that is apart.
func (r *rendition) choose(ctx context.Context, n *network, d *drain, l *mediaPlaylist) (audio *rendition, _ *mediaPlaylist, err error) {
	base := r.list
	if r.list, err = base.Parse(l.variant); err != nil {
		return nil, nil, err
	}
	if l.audio != "" {
		list, err := base.Parse(l.audio)
		if err != nil {
			return nil, nil, err
		}
		audio = r.rendition(n, d, list, false)
	}
	l, err = r.load(ctx)
	return audio, l, err
}

// load gets the playlist.
func (r *rendition) load(ctx context.Context) (*mediaPlaylist, error) {
	r.text.Reset()
	u, err := r.lists.get(ctx, r.list, &r.text, maxPlaylist)
	if err != nil {
		return nil, err
	}
	r.list = u
	return r.lists.playlists.parse(r.text.Bytes())
}

// play goes on from a playlist, which it loads itself if it is nil, until the stream ends (io.EOF)
// or something fails.
func (r *rendition) play(ctx context.Context, l *mediaPlaylist) (err error) {
	defer r.stop()
	for {
		loaded := time.Now()
		if l == nil {
			if l, err = r.load(ctx); err != nil {
				return err
			}
		}
		if l.partTarget > 0 && l.blocks {
			return r.playParts(ctx, l)
		}
		wait, err := r.round(ctx, l)
		if err != nil {
			return err
		}
		l = nil
		if err := pause.For(ctx, time.Until(loaded.Add(wait))); err != nil {
			return err
		}
	}
}

// round loads what is new in the playlist, and says when to load that again (RFC 8216 §6.3.4).
func (r *rendition) round(ctx context.Context, l *mediaPlaylist) (time.Duration, error) {
	first := !r.at.known
	if first {
		r.at = position{sequence: l.sequence + max(0, len(l.segments)-startBehind), known: true}
	}
	fresh := false
	for i, s := range l.segments {
		if l.sequence+i < r.at.sequence || s.uri == "" {
			continue
		}
		if err := r.segment(ctx, &s, first && i < len(l.segments)-1); err != nil {
			return 0, err
		}
		r.at.sequence, fresh = l.sequence+i+1, true
	}
	switch {
	case l.ended:
		return 0, io.EOF
	case fresh:
		return l.target, nil
	}
	return l.target / 2, nil
}

// segment gets one. That of a history was there long ago, so that its delays say nothing.
func (r *rendition) segment(ctx context.Context, s *segment, history bool) error {
	if s.gap {
		r.clock.add(s.duration)
		return nil
	}
	if err := r.section(ctx, s.init); err != nil {
		return err
	}
	u, err := r.list.Parse(s.uri)
	if err != nil {
		return err
	}
	if _, err := r.media.get(ctx, u, r.buffer(), maxSegment); err != nil {
		return err
	}
	r.took(s.duration, history, s.init != "")
	return nil
}

// section gets an initialization section, once.
func (r *rendition) section(ctx context.Context, uri string) error {
	if uri == "" || uri == r.init {
		return nil
	}
	u, err := r.list.Parse(uri)
	if err != nil {
		return err
	}
	if _, err := r.media.get(ctx, u, r.buffer(), maxPlaylist); err != nil {
		return err
	}
	if r.out != nil {
		r.mp4.init(r.body.Bytes())
	}
	r.init = uri
	return nil
}

// buffer is where to put media; nil if nobody looks at it.
func (r *rendition) buffer() *bytes.Buffer {
	if r.out == nil {
		return nil
	}
	r.body.Reset()
	return &r.body
}

// took looks at the media in the buffer.
func (r *rendition) took(media time.Duration, history, fragmented bool) {
	r.clock.add(media)
	if r.out == nil {
		return
	}
	r.check.history = history
	if fragmented {
		r.mp4.fragments(r.body.Bytes())
	} else {
		r.ts.segment(r.body.Bytes())
	}
}
