package server

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"livego/internal/keys"
	"livego/internal/live"
	"livego/internal/relay"
)

const (
	// pullWait is how long viewers wait for a stream that is pulled for them, and how long one may
	// be away until its pull ends.
	pullWait = 10 * time.Second
	// pullTries is how often a pull may fail before the stream is there.
	pullTries = 2
	// pullPause is for how long a stream is not pulled again that could not be had.
	pullPause = 10 * time.Second
	// pullLook is how often it is looked whether somebody watches.
	pullLook = time.Second
	// maxPulls bounds the pulls on demand that run, and the streams that could not be had.
	maxPulls = 1024
)

// pulls bring streams from elsewhere while somebody watches them: App.Pull.
type pulls struct {
	server *Server

	mu sync.Mutex
	// running has when each was asked for last.
	running map[live.Name]time.Time
	// failed are those that could not be had, and are not pulled again at once.
	failed *recent[live.Name, struct{}]
	// asked has by way of which servers running ones were asked for.
	asked map[live.Name][]string
}

// openPulls lets streams of apps with Pull be brought.
func (s *Server) openPulls() {
	p := &pulls{
		server: s, running: make(map[live.Name]time.Time), asked: make(map[live.Name][]string),
		failed: newRecent[live.Name, struct{}](maxPulls, pullPause, time.Now),
	}
	s.pulls = p
	s.sources = append(s.sources, p.bring)
}

// bring is a source.
func (p *pulls) bring(name live.Name, path []string) time.Duration {
	app, _ := p.server.app(name.App)
	room, err := keys.CanonicalName(name.Stream)
	if app.Pull == "" || name.Rendition != "" || err != nil || room != name.Stream || keys.WellFormed(room) {
		return 0 // what looks like a channel key is not told to another server
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if _, ok := p.running[name]; ok {
		p.running[name] = now
		return pullWait
	}
	if p.failed.has(name) || len(p.running) >= maxPulls {
		return 0
	}
	r := relay.Relay{Direction: relay.Pull, App: name.App, Stream: name.Stream, URL: pullURL(app.Pull, name.Stream)}
	if err := p.server.relays.Start(r, true); err != nil {
		if !errors.Is(err, relay.ErrRunning) {
			p.server.log.Error("stream cannot be pulled", "stream", name.String(), "err", err)
		}
		return 0
	}
	if !p.server.writers.Go(func() { p.run(p.server.outCtx, name, r) }) {
		return 0 // shutting down, which ends all relays
	}
	p.running[name], p.asked[name] = now, path
	return pullWait
}

// streamPlace stands in the URL of an app for the name of the stream.
const streamPlace = "{stream}"

// pullURL is where a stream comes from: what the URL of an app says with the stream's name in its
// place, or below it; then its query goes behind.
func pullURL(base, stream string) string {
	if strings.Contains(base, streamPlace) {
		return strings.ReplaceAll(base, streamPlace, stream)
	}
	base, query, asks := strings.Cut(base, "?")
	address := strings.TrimRight(base, "/") + "/" + stream
	if strings.HasPrefix(base, "http") {
		address += ".flv"
	}
	if asks {
		address += "?" + query
	}
	return address
}

// run ends a pull when nobody watches any more, or when its stream cannot be had.
func (p *pulls) run(ctx context.Context, name live.Name, r relay.Relay) {
	p.server.log.Info("stream is pulled, as somebody wants to watch it", "stream", name.String())
	why := p.await(ctx, name, r)
	p.server.log.Info("stream is pulled no more", "stream", name.String(), "reason", why)
	_, _ = p.server.relays.Stop(r) // ctx may have ended it before
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.running, name)
	delete(p.asked, name)
}

// askers returns by way of which servers a stream was asked for, none if it was for a viewer here.
func (p *pulls) askers(name live.Name) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.asked[name])
}

// await returns why a pull is to end.
func (p *pulls) await(ctx context.Context, name live.Name, r relay.Relay) string {
	app, _ := p.server.app(name.App)
	look := time.NewTicker(pullLook)
	defer look.Stop()
	there := time.Now() // when the stream was last
	for {
		var now time.Time
		select {
		case <-ctx.Done():
			return errShutdown.Error()
		case now = <-look.C:
		}
		st, _ := p.server.relays.Status(r)
		if _, onAir := p.server.hub.Lookup(name); onAir {
			there = now
		} else if now.Sub(there) > pullWait || st.State == relay.Failed && st.Tries >= pullTries {
			p.failed.put(name, struct{}{})
			return "it cannot be had: " + st.Error
		}
		if now.Sub(p.wanted(name, now)) > app.PullIdle {
			return "nobody watches"
		}
	}
}

// wanted is when somebody wanted to watch a stream last.
func (p *pulls) wanted(name live.Name, now time.Time) time.Time {
	if p.server.sessions.playing(name.Key()) > 0 {
		return now
	}
	p.mu.Lock()
	last := p.running[name]
	p.mu.Unlock()
	if asked := p.server.hls.Asked(name.Key()); asked.After(last) {
		last = asked
	}
	return last
}
