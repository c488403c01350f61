package bench

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"livego/internal/pause"
)

// player plays one stream, connecting again whenever the connection ends.
type player struct {
	stream *stream
	url    *url.URL
	// sample is where a player that checks puts what it sees. Nil for those that only count bytes.
	sample *findings
	// arrival is where a player puts what it sees up to its first key frame, from which on it only
	// counts bytes. Nil for most.
	arrival *findings

	bytes    atomic.Uint64 // received, with all framing
	attempts atomic.Uint64
	joined   atomic.Bool // is connected
	lastErr  atomic.Pointer[error]
	// two is its connection if it speaks HTTP/2.
	two *http.Client
	// clocks are those of what a player of segments plays. Nil as long as it plays nothing.
	clocks atomic.Pointer[[]*clock]

	// For the monitor only.
	before  uint64 // bytes at the last look
	got     uint64 // bytes between the last two looks
	first   uint64 // bytes when the measurement began
	starved bool   // at some second of the measurement
}

// play runs until ctx ends. An error says that going on makes no sense.
func (p *player) play(ctx context.Context, n *network, d *drain, joins *rate.Limiter) error {
	for {
		if joins.Wait(ctx) != nil {
			return nil
		}
		p.attempts.Add(1)
		err := p.session(ctx, n, d)
		p.joined.Store(false)
		if ctx.Err() != nil {
			return nil
		}
		if errors.Is(err, ErrRemote) {
			return err
		}
		p.lastErr.Store(&err)
		if pause.For(ctx, retryDelay) != nil {
			return nil
		}
	}
}

// session is one connection.
func (p *player) session(ctx context.Context, n *network, d *drain) error {
	if isHLS(p.url) {
		return p.playlist(ctx, n, d)
	}
	dialed := time.Now()
	playback, err := n.open(ctx, p.url, &p.bytes)
	if err != nil {
		return err
	}
	p.joined.Store(true)
	if p.sample == nil && p.arrival == nil {
		return d.swallow(ctx, playback, &p.bytes)
	}
	defer playback.close()
	stop := context.AfterFunc(ctx, playback.close)
	defer stop()
	c := checker{out: p.sample, dialed: dialed, pushed: true}
	if p.sample == nil {
		c.out = p.arrival
	}
	for p.sample != nil || !c.started {
		tag, err := playback.next()
		if err != nil {
			return err
		}
		c.message(tag)
	}
	return d.swallow(ctx, playback, &p.bytes)
}
