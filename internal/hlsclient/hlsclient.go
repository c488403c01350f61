// Package hlsclient plays a live stream from an HLS server, as messages that RTMP and FLV have: of
// segments in MPEG-TS or in CMAF (fragmented MP4), with sound in them or in a playlist of its own.
//
// What comes from the other server is held to named limits, in bytes and in time, and its
// playlists cannot lead into networks that only this machine reaches.
package hlsclient

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"sync"
	"time"

	"livego/internal/media"
	"livego/internal/pause"
)

const (
	// maxPlaylist, maxInit and maxSegment bound what is read of a file, in bytes: a segment of six
	// seconds at 80 Mbit/s.
	maxPlaylist = 1 << 20
	maxInit     = 1 << 20
	maxSegment  = 64 << 20
	// maxURI bounds a URI in a playlist, in bytes, maxRedirects how often a request is sent
	// elsewhere.
	maxURI       = 4096
	maxRedirects = 5
	// connectTimeout bounds a connection, and the time until an answer begins; fetchTimeout the
	// time for a whole file.
	connectTimeout = 10 * time.Second
	fetchTimeout   = 60 * time.Second
	// maxTarget bounds the target duration.
	maxTarget = time.Minute
	// edge is how many target durations before the end of the list playing begins (RFC 8216
	// §6.3.3).
	edge = 3
	// staleAfter is after how many target durations without a new segment, and staleTime beside
	// that, a stream is taken for dead.
	staleAfter = 3
	staleTime  = 10 * time.Second
	// jump: time that moves further than that between two messages is another time.
	jump = 10 * time.Second
	// lateness is how late a message may be without moving what follows.
	lateness = time.Second
)

// Errors that a stream ends with, beside those of the network.
var (
	ErrNotHLS    = errors.New("not an HLS playlist that can be played")
	ErrCodec     = errors.New("the stream has nothing that can be played")
	ErrEncrypted = errors.New("the stream is encrypted")
	ErrTooLarge  = errors.New("a file is too large")
	ErrStale     = errors.New("the playlist has no new segments")
	ErrForbidden = errors.New("the playlist leads to an address that is not public")
	errClosed    = errors.New("closed")
)

// Options says what is played.
type Options struct {
	// URL is that of a multivariant or media playlist.
	URL string
	// TLS is for https; nil: Go's defaults.
	TLS *tls.Config
	// Header is sent with each request.
	Header http.Header
	// Body appends the message body of a unit.
	Body func(dst []byte, u *media.AccessUnit) ([]byte, error)
}

// Client plays one stream. Read has one user at a time, Close may be called from any goroutine.
type Client struct {
	opt   Options
	http  *http.Client
	end   context.CancelCauseFunc
	ctx   context.Context
	feeds []*feed
	all   sync.WaitGroup
	pace  pace
	said  http.Header // of the first answer

	tracks map[media.Kind]*media.Track // whose headers were sent
	next   []byte                      // a message that waits for its header to go before it
	nextMS uint32
	nextOf media.Kind
}

// Open reads the playlists and the first segments. ctx bounds that, and the life of the client.
func Open(ctx context.Context, opt Options) (*Client, error) {
	u, err := url.Parse(opt.URL)
	if err != nil {
		return nil, errors.New("bad URL")
	}
	c := &Client{opt: opt, http: newHTTP(u, opt.TLS), tracks: make(map[media.Kind]*media.Track)}
	c.ctx, c.end = context.WithCancelCause(ctx)
	if err := c.open(u); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Header returns that of the first answer.
func (c *Client) Header() http.Header { return c.said }

func (c *Client) open(u *url.URL) error {
	text, from, err := c.get(u, byteRange{}, maxPlaylist)
	if err != nil {
		return err
	}
	media, sound, err := choose(text, from)
	if err != nil {
		return err
	}
	if media == nil {
		list, err := parsePlaylist(text)
		if err != nil {
			return err
		}
		c.add(newFeed(c, from, list))
	} else {
		c.add(newFeed(c, media, nil))
	}
	if sound != nil {
		c.feeds[0].onlyVideo = true
		c.add(newFeed(c, sound, nil))
	}
	for _, f := range c.feeds {
		c.all.Go(f.run)
	}
	for _, f := range c.feeds {
		if err := f.fill(c.ctx); err != nil {
			return err
		}
	}
	return nil
}

func (c *Client) add(f *feed) { c.feeds = append(c.feeds, f) }

// Close ends the client and waits for that. A Read that waits returns.
func (c *Client) Close() error {
	c.end(errClosed)
	c.all.Wait()
	c.http.CloseIdleConnections()
	return nil
}

// Read returns the next message when it is due: its RTMP type, time in milliseconds, which goes
// round at 2^32, and body. The error is io.EOF at the end of the stream.
func (c *Client) Read() (messageType uint8, ms uint32, body []byte, err error) {
	if c.next != nil {
		body, c.next = c.next, nil
		return typeOf(c.nextOf), c.nextMS, body, nil
	}
	u, err := c.unit()
	if err != nil {
		return 0, 0, nil, err
	}
	if err := c.pace.await(c.ctx, u.DTS); err != nil {
		return 0, 0, nil, err
	}
	ms = uint32(u.DTS / time.Millisecond)
	if body, err = c.opt.Body(nil, &u.AccessUnit); err != nil {
		return 0, 0, nil, err
	}
	kind := u.Track.Kind
	if c.tracks[kind] == u.Track || u.Track.Config == nil {
		return typeOf(kind), ms, body, nil
	}
	header, err := c.opt.Body(nil, &media.AccessUnit{Track: u.Track, Header: media.SequenceHeader})
	if err != nil {
		return 0, 0, nil, err
	}
	c.tracks[kind] = u.Track
	c.next, c.nextMS, c.nextOf = body, ms, kind
	return typeOf(kind), ms, header, nil
}

// typeOf is the RTMP message type of a kind of track.
func typeOf(kind media.Kind) uint8 {
	if kind == media.Video {
		return 9
	}
	return 8
}

// unit returns the next unit of all feeds: that of the earliest time before the next discontinuity.
func (c *Client) unit() (u unit, err error) {
	var first *feed
	for _, f := range c.feeds {
		err := f.fill(c.ctx)
		switch {
		case errors.Is(err, io.EOF):
			continue // the others may go on for a moment
		case err != nil:
			return unit{}, err
		}
		if first == nil || f.units[0].before(&first.units[0]) {
			first = f
		}
	}
	if first == nil {
		return unit{}, io.EOF
	}
	u, first.units = first.units[0], first.units[1:]
	return u, nil
}

// unit is one of a segment. period counts discontinuities.
type unit struct {
	media.AccessUnit
	period int
}

func (u *unit) before(o *unit) bool {
	if u.period != o.period {
		return u.period < o.period
	}
	return u.DTS < o.DTS
}

// pace lets messages go in the time that they take: segments come at once.
type pace struct {
	begun bool
	base  time.Time     // when time 0 is
	last  time.Duration // of the message before
}

// await waits until a message is due. What comes much too late moves all that follows.
func (p *pace) await(ctx context.Context, at time.Duration) error {
	now := time.Now()
	move := at - p.last
	p.last = at
	due := p.base.Add(at)
	if !p.begun || move > jump || move < -jump || now.Sub(due) > lateness {
		p.begun, p.base = true, now.Add(-at)
		return context.Cause(ctx)
	}
	return pause.For(ctx, due.Sub(now))
}

// get fetches a file, or a part of it, of at most so many bytes, and returns where it came from.
func (c *Client) get(u *url.URL, part byteRange, most int64) (text []byte, from *url.URL, err error) {
	ctx, cancel := context.WithTimeout(c.ctx, fetchTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, nil, errors.New("bad URL")
	}
	maps.Copy(r.Header, c.opt.Header)
	r.Header.Set("User-Agent", "livego")
	if part.length > 0 {
		r.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", part.start, part.start+part.length-1))
	}
	answer, err := c.http.Do(r)
	if err != nil {
		if cause := context.Cause(c.ctx); cause != nil {
			err = cause
		}
		return nil, nil, withoutURL(err)
	}
	defer answer.Body.Close()
	if c.said == nil {
		c.said = answer.Header
	}
	switch {
	case answer.StatusCode == http.StatusOK && part.length == 0, answer.StatusCode == http.StatusPartialContent && part.length > 0:
	default:
		return nil, nil, fmt.Errorf("the server answers %.64q", answer.Status)
	}
	text, err = io.ReadAll(io.LimitReader(answer.Body, most+1))
	switch {
	case err != nil:
		return nil, nil, withoutURL(err)
	case int64(len(text)) > most:
		return nil, nil, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, most)
	}
	return text, answer.Request.URL, nil
}

// withoutURL leaves the address out of an error: it may hold a password or a token.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
