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

	mu      sync.Mutex
	running map[live.Name]demand
	// failed are those that could not be had, and are not pulled again at once.
	failed *recent[live.Name, struct{}]
}

// demand is why a pull runs.
type demand struct {
	// asked is when the stream was asked for last, and times how often it was.
	asked time.Time
	times int
	// path are the servers by way of which it was asked for first, and latest those of the last
	// time.
	path, latest []string
}

// openPulls lets streams of apps with Pull be brought.
func (s *Server) openPulls() {
	p := &pulls{server: s, running: make(map[live.Name]demand), failed: newRecent[live.Name, struct{}](maxPulls, pullPause, time.Now)}
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
	if p.failed.has(name) {
		return 0
	}
	d, runs := p.running[name]
	if !runs {
		r := relay.Relay{Direction: relay.Pull, App: name.App, Stream: name.Stream, URL: pullURL(app.Pull, name.Stream)}
		if len(p.running) >= maxPulls || !p.start(name, r) {
			return 0
		}
		if !p.server.writers.Go(func() { p.run(p.server.outCtx, name, r) }) {
			return 0 // shutting down, which ends all relays
		}
		d.path = path
	}
	d.asked, d.times, d.latest = time.Now(), d.times+1, path
	p.running[name] = d
	return pullWait
}

// start starts the relay of a pull.
func (p *pulls) start(name live.Name, r relay.Relay) bool {
	err := p.server.relays.Start(r, true)
	if err != nil && !errors.Is(err, relay.ErrRunning) {
		p.server.log.Error("stream cannot be pulled", "stream", name.String(), "err", err)
	}
	return err == nil
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

// run ends a pull when nobody watches any more, or when its stream cannot be had. Who asks while it
// ends has the stream pulled anew.
func (p *pulls) run(ctx context.Context, name live.Name, r relay.Relay) {
	for again := true; again; {
		p.server.log.Info("stream is pulled, as somebody wants to watch it", "stream", name.String())
		times, why := p.await(ctx, name, r)
		p.server.log.Info("stream is pulled no more", "stream", name.String(), "reason", why)
		_, _ = p.server.relays.Stop(r) // ctx may have ended it before
		again = p.over(ctx, name, r, times)
	}
}

// over forgets a pull that has ended. It is true if the stream was asked for more than so many
// times by now, and is pulled again.
func (p *pulls) over(ctx context.Context, name live.Name, r relay.Relay, times int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := p.running[name]
	if d.times > times && ctx.Err() == nil && !p.failed.has(name) && p.start(name, r) {
		d.path = d.latest
		p.running[name] = d
		return true
	}
	delete(p.running, name)
	return false
}

// askers returns by way of which servers a stream was asked for, none if it was for a viewer here.
func (p *pulls) askers(name live.Name) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.running[name].path)
}

// await returns why a pull is to end, and how often the stream had been asked for until then.
func (p *pulls) await(ctx context.Context, name live.Name, r relay.Relay) (times int, why string) {
	app, _ := p.server.app(name.App)
	look := time.NewTicker(pullLook)
	defer look.Stop()
	there := time.Now() // when the stream was last
	for {
		var now time.Time
		select {
		case <-ctx.Done():
			return 0, errShutdown.Error()
		case now = <-look.C:
		}
		st, _ := p.server.relays.Status(r)
		if _, onAir := p.server.hub.Lookup(name); onAir {
			there = now
		} else if now.Sub(there) > pullWait || st.State == relay.Failed && st.Tries >= pullTries {
			p.failed.put(name, struct{}{})
			return 0, "it cannot be had: " + st.Error
		}
		last, times := p.wanted(name, now)
		if now.Sub(last) > app.PullIdle {
			return times, "nobody watches"
		}
	}
}

// wanted is when somebody wanted to watch a stream last, and how often it was asked for by then.
func (p *pulls) wanted(name live.Name, now time.Time) (last time.Time, times int) {
	p.mu.Lock()
	d := p.running[name]
	p.mu.Unlock()
	if p.server.sessions.playing(name.Key()) > 0 {
		return now, d.times
	}
	if asked := p.server.hls.Asked(name.Key()); asked.After(d.asked) {
		return asked, d.times
	}
	return d.asked, d.times
}
