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
	// feeds counts the other nodes that get a stream from here.
	feeds map[live.Name]int
	// failed are those that could not be had, and are not pulled again at once.
	failed *recent[live.Name, struct{}]
	// rested are those that ended because nobody watched them, and have not begun again. What is
	// left of them for HLS says that they are over, but they are to be had.
	rested *recent[live.Name, struct{}]
}

// demand is why a pull runs.
type demand struct {
	// asked is when the stream was asked for or watched last, and times how often it was asked for.
	asked time.Time
	times int
	// ending is closed when the pull has ended; nil while it does not end.
	ending chan struct{}
	// path are the servers by way of which it was asked for first, and latest those of the last
	// time.
	path, latest []string
}

// openPulls lets streams of apps with Pull be brought.
func (s *Server) openPulls() {
	p := &pulls{
		server: s, running: make(map[live.Name]demand), feeds: make(map[live.Name]int),
		failed: newRecent[live.Name, struct{}](maxPulls, pullPause, time.Now), rested: newRecent[live.Name, struct{}](maxPulls, 0, time.Now),
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

// joins notes that somebody is about to watch a stream that is on air. If its pull ends, as nobody
// did, it returns what is closed then: it is to be asked for anew.
func (p *pulls) joins(name live.Name) (ending <-chan struct{}) {
	name.Rendition = ""
	p.mu.Lock()
	defer p.mu.Unlock()
	d, runs := p.running[name]
	if !runs || d.ending != nil {
		return d.ending
	}
	d.asked, d.times = time.Now(), d.times+1
	p.running[name] = d
	return nil
}

// feed notes that another node gets a stream from here, until what it returns is called: its
// viewers are there.
func (p *pulls) feed(name live.Name) (over func()) {
	name.Rendition = ""
	add := func(n int) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.feeds[name] += n; p.feeds[name] == 0 {
			delete(p.feeds, name)
		}
	}
	add(1)
	return func() { add(-1) }
}

// goes says whether another node gets a stream from here.
func (p *pulls) goes(name live.Name) bool {
	name.Rendition = ""
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.feeds[name] > 0
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
	if d.ending != nil {
		close(d.ending)
		d.ending = nil
	}
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
		st, runs := p.server.relays.Status(r)
		_, onAir := p.server.hub.Lookup(name)
		switch {
		case !runs: // who has asked since the last look waits for it
			return times, "it was stopped"
		case onAir:
			there = now
		case now.Sub(there) > pullWait || st.State == relay.Failed && st.Tries >= pullTries:
			p.failed.put(name, struct{}{})
			return 0, "it cannot be had: " + st.Error
		}
		var idle bool
		if times, idle = p.letGo(name, now, app.PullIdle); idle {
			return times, "nobody watches"
		}
	}
}

// letGo says whether a pull is to end, as nobody has watched its stream for a while, and how often
// that was asked for until now. Nobody joins it then.
func (p *pulls) letGo(name live.Name, now time.Time, idle time.Duration) (times int, ends bool) {
	watched := p.server.sessions.playing(name.Key()) > 0
	asked := p.server.hls.Asked(name.Key())
	p.mu.Lock()
	defer p.mu.Unlock()
	d := p.running[name]
	switch {
	case watched || p.feeds[name] > 0:
		d.asked = now
	case asked.After(d.asked):
		d.asked = asked
	}
	if ends = now.Sub(d.asked) > idle; ends {
		d.ending = make(chan struct{})
		p.rested.put(name, struct{}{})
	}
	p.running[name] = d
	return d.times, ends
}
