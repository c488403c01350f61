package bench

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"runtime"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// joinPatience is how long the players may take to connect beyond what the join rate says.
	joinPatience = 30 * time.Second
	// starvedShare of what was sent in a second is the least that a player may get in it.
	starvedShare = 0.5
)

// load is a running benchmark.
type load struct {
	opt     Options
	net     *network
	clip    *clip
	drain   *drain
	streams []*stream
	players []*player
	found   *findings
	// The players of the storm wait for calm to end, and have findings of their own.
	storm      []*player
	stormFound *findings
	calm       chan struct{}

	measuring bool
	// What was at the last look, at the one before, and at the beginning of the measurement. sent
	// is by stream.
	sent, sentBefore, sentFirst []uint64
	cpu, cpuFirst               time.Duration
	own, ownFirst               time.Duration
	rss                         uint64
	looked, began               time.Time
}

// Run puts the load on the server and measures, or returns the cause of ctx.
func Run(ctx context.Context, o Options) (*Report, error) {
	l, err := prepare(ctx, o)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancelCause(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer stop(nil)
	spawn := func(f func() error) {
		running.Go(func() {
			if err := f(); err != nil {
				stop(err)
			}
		})
	}
	running.Go(func() { l.drain.run(ctx) })
	if o.Publish != "" {
		for _, s := range l.streams {
			spawn(func() error { return s.publish(ctx, l.net, l.clip) })
		}
		if err := l.awaitStreams(ctx); err != nil {
			return nil, err
		}
	}
	joins := rate.NewLimiter(rate.Limit(o.JoinRate), 1)
	for _, p := range l.players {
		spawn(func() error { return p.play(ctx, l.net, l.drain, joins) })
	}
	rush := rate.NewLimiter(rate.Limit(max(o.Storm, 1)), 1)
	for _, p := range l.storm {
		spawn(func() error {
			select {
			case <-l.calm:
				return p.play(ctx, l.net, l.drain, rush)
			case <-ctx.Done():
				return nil
			}
		})
	}
	return l.measure(ctx)
}

// prepare makes everything that needs no connection to the server, and asks for the keys.
func prepare(ctx context.Context, o Options) (*load, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	l := &load{
		opt: o, net: newNetwork(&o), drain: newDrain(), found: newFindings(), stormFound: newFindings(), calm: make(chan struct{}),
	}
	if _, _, err := Usage(o.PIDs...); err != nil {
		return nil, err
	}
	if err := allowFiles(l.opt.files()); err != nil {
		return nil, err
	}
	if o.Publish != "" {
		if err := l.loadClip(ctx); err != nil {
			return nil, err
		}
	}
	for i := range o.Streams {
		s := &stream{index: i, name: o.streamName(i), onAir: make(chan struct{})}
		s.delay = time.Duration(i) * gopPictures * time.Second / frameRate / time.Duration(o.Streams)
		if o.Publish != "" {
			key := ""
			if o.Keys != nil {
				var err error
				if key, err = o.Keys(ctx, s.name); err != nil {
					return nil, fmt.Errorf("key of stream %s: %w", s.name, err)
				}
			}
			s.url = expand(o.Publish, s.name, key)
		}
		l.streams = append(l.streams, s)
	}
	l.sent, l.sentBefore, l.sentFirst = make([]uint64, o.Streams), make([]uint64, o.Streams), make([]uint64, o.Streams)
	return l, l.makePlayers()
}

func (l *load) loadClip(ctx context.Context) (err error) {
	if l.opt.File == "" {
		l.clip, err = builtIn(l.opt.VideoRate, l.opt.AudioRate)
		return err
	}
	if l.clip, err = openClip(ctx, l.opt.File); err != nil {
		return fmt.Errorf("%s: %w", l.opt.File, err)
	}
	return nil
}

// makePlayers spreads players over streams and URLs, and the sample over the players.
func (l *load) makePlayers() error {
	o := &l.opt
	o.Sample = min(o.Sample, o.Players)
	for i := range o.Players {
		p, err := l.makePlayer(i)
		if err != nil {
			return err
		}
		if i*o.Sample/o.Players != (i+1)*o.Sample/o.Players {
			p.sample = l.found
		}
		l.players = append(l.players, p)
	}
	for i := range o.Storm {
		p, err := l.makePlayer(i)
		if err != nil {
			return err
		}
		p.arrival = l.stormFound
		l.storm = append(l.storm, p)
	}
	return nil
}

// makePlayer makes player i. Players of one stream take the URLs in turn.
func (l *load) makePlayer(i int) (*player, error) {
	o := &l.opt
	p := &player{stream: l.streams[i%o.Streams]}
	var err error
	if p.url, err = url.Parse(expand(o.Play[i/o.Streams%len(o.Play)], p.stream.name, "")); err != nil {
		return nil, fmt.Errorf("play URL: %w", err)
	}
	return p, nil
}

// awaitStreams waits until every stream has sent something.
func (l *load) awaitStreams(ctx context.Context) error {
	for _, s := range l.streams {
		select {
		case <-s.onAir:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// measure waits for the players, lets them play, and measures.
func (l *load) measure(ctx context.Context) (*Report, error) {
	joining := time.Duration(float64(len(l.players))/l.opt.JoinRate*float64(time.Second)) + joinPatience
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	if _, err := l.look(time.Now()); err != nil {
		return nil, err
	}
	var warmUntil, end time.Time
	for giveUp := time.Now().Add(joining); ; {
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-ticker.C:
		}
		now := time.Now()
		progress, err := l.look(now)
		if err != nil {
			return nil, err
		}
		if l.opt.Progress != nil {
			l.opt.Progress(progress)
		}
		switch {
		case warmUntil.IsZero() && (progress.Connected == len(l.players) || now.After(giveUp)):
			if progress.Connected == 0 && len(l.players) > 0 {
				return nil, fmt.Errorf("no player can connect: %w", errors.Join(progress.LastError))
			}
			warmUntil = now.Add(l.opt.Warmup)
		case !warmUntil.IsZero() && !l.measuring && !now.Before(warmUntil):
			l.begin(now)
			end = now.Add(l.opt.Duration - 10*time.Millisecond) // ticks come a little early or late
		case l.measuring && !now.Before(end):
			return l.report(), nil
		}
	}
}

// begin starts the measurement at the last look.
func (l *load) begin(now time.Time) {
	l.measuring, l.began = true, now
	l.found.begin()
	copy(l.sentFirst, l.sent)
	l.cpuFirst, l.ownFirst = l.cpu, l.own
	for _, p := range l.players {
		p.first = p.before
	}
	for _, p := range l.storm {
		p.first = p.before
	}
	for _, s := range l.streams {
		s.worst.Store(0)
	}
	l.drain.worst.Store(0)
	close(l.calm)
}

// look takes stock, once a second.
func (l *load) look(now time.Time) (Progress, error) {
	p := Progress{Measuring: l.measuring, Players: len(l.players), Delay: l.found.takeRecent()}
	received := uint64(0)
	best := make([]uint64, len(l.streams)) // what the player of a stream got that got most
	for _, player := range l.players {
		player.look()
		received += player.got
		best[player.stream.index] = max(best[player.stream.index], player.got)
		if player.joined.Load() {
			p.Connected++
		} else if err := player.lastErr.Load(); err != nil {
			p.LastError = *err
		}
	}
	for _, player := range l.storm {
		player.look()
		received += player.got
	}
	p.Starved = l.countStarved(now, l.due(best))
	cpu, rss, err := Usage(l.opt.PIDs...)
	if err != nil {
		return p, err
	}
	passed := now.Sub(l.looked).Seconds()
	p.Gbits, p.CPU, p.RSS = float64(received)*8/1e9/passed, (cpu-l.cpu).Seconds()/passed, rss
	l.looked, l.cpu, l.rss = now, cpu, rss
	l.own, _, _ = Usage(os.Getpid()) // 0 where the system does not tell
	return p, nil
}

// due returns how many bytes each stream had since the last look: those sent, or, if somebody else
// publishes, those of its best player.
func (l *load) due(best []uint64) []uint64 {
	copy(l.sentBefore, l.sent)
	due := best
	for i, s := range l.streams {
		if l.opt.Publish != "" {
			due[i] = s.bytes.Load() - l.sent[i]
		}
		l.sent[i] += due[i]
	}
	return due
}

func (l *load) countStarved(now time.Time, due []uint64) (n int) {
	for _, p := range l.players {
		starved := float64(p.got) < starvedShare*float64(due[p.stream.index])
		if isHLS(p.url) {
			starved = p.stalled(now)
		}
		if starved {
			n++
			p.starved = p.starved || l.measuring
		}
	}
	return n
}

// look notes how many bytes the player got since the last call.
func (p *player) look() {
	total := p.bytes.Load()
	p.got, p.before = total-p.before, total
}

// report sums up the measurement at the last look.
func (l *load) report() *Report {
	o := &l.opt
	passed := l.looked.Sub(l.began).Seconds()
	r := &Report{Streams: o.Streams, Players: o.Players, Play: o.Play, Sample: o.Sample, Seconds: passed, Storm: o.Storm}
	for _, s := range l.streams {
		r.PublisherReconnects += s.reconnects.Load()
		r.PublishLateMS = max(r.PublishLateMS, milliseconds(time.Duration(s.worst.Load())))
	}
	total := uint64(0)
	for _, p := range l.players {
		got, i := p.before-p.first, p.stream.index
		total += got
		r.Reconnects += max(p.attempts.Load(), 1) - 1
		switch {
		case p.starved:
			r.Starved++
		case isHLS(p.url), got+l.sentFirst[i] >= l.sentBefore[i]:
			r.Delivered++
		}
		if p.joined.Load() {
			r.Connected++
		}
	}
	for _, p := range l.storm {
		total += p.before - p.first
		if p.joined.Load() {
			r.StormConnected++
		}
	}
	r.Gbit = float64(total) * 8 / 1e9
	r.GbitPerSecond = r.Gbit / passed
	r.OwnCPU = (l.own - l.ownFirst).Seconds() / passed
	r.DrainLateMS = milliseconds(time.Duration(l.drain.worst.Load()))
	l.found.describe(r)
	l.stormFound.describeStorm(r)
	if len(o.PIDs) > 0 {
		r.Server = l.serverCost(r.Gbit, passed)
	}
	r.Doubts = r.doubts(runtime.GOMAXPROCS(0))
	return r
}

func (l *load) serverCost(gbit, passed float64) *ServerCost {
	cpu := (l.cpu - l.cpuFirst).Seconds()
	c := &ServerCost{CPUSeconds: cpu, Cores: cpu / passed, RSS: l.rss}
	if gbit > 0 {
		c.CPUSecondsPerGbit = cpu / gbit
	}
	if n := len(l.players) + len(l.storm); n > 0 {
		c.RSSPerPlayer = float64(l.rss) / float64(n)
	}
	return c
}
