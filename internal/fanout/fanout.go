// Package fanout delivers the bytes of one stream to many sockets: each message is encoded once per
// wire format into an append-only log, and a player is a socket and an offset in it. DESIGN.md
// beside this file says why it is built this way.
package fanout

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"livego/internal/live"
	"livego/internal/media"
)

// Why a player ended. A failed write wraps ErrGone; a player that its session closes ends with the
// session's cause.
var (
	ErrStreamEnded   = errors.New("stream ended")
	ErrGone          = errors.New("connection lost")
	ErrStalled       = errors.New("took nothing for the write timeout")
	ErrControlFull   = errors.New("too many unanswered requests")
	ErrTracksChanged = errors.New("stream has tracks that the player was not told of")
	ErrTimeLimit     = errors.New("time reached the limit of the format")
	ErrCodecChanged  = errors.New("a track goes on with another codec")
	// ErrTooManyViews is why Play adds no player.
	ErrTooManyViews = errors.New("too many different selections of tracks are being played")
)

const (
	defaultPlayerLag    = 5 * time.Second
	defaultPlayerBytes  = 8 << 20
	defaultWriteTimeout = 10 * time.Second
	defaultMemory       = 64 << 20
)

// Format frames messages for one wire format. Implementations are comparable values: equal formats
// share a feed.
type Format interface {
	// AppendMessage appends the message, framed, to dst. It adds at most Overhead(len(body)) bytes
	// to the body's.
	AppendMessage(dst []byte, messageType uint8, timestampMS uint32, body []byte) []byte
	Overhead(bodyLen int) int
}

// ArrivalFormat is a Format that also says when a message entered the system.
type ArrivalFormat interface {
	Format
	// AppendArrived is AppendMessage for a message that arrived at a time, in nanoseconds since
	// 1970; 0: that is not known.
	AppendArrived(dst []byte, messageType uint8, timestampMS uint32, arrived int64, body []byte) []byte
}

// Options configures a Fanout. Zero fields mean the defaults named.
type Options struct {
	// GOPs is how many cached GOPs a joining player gets; 0: it waits for the next random access
	// point.
	GOPs int
	// Memory (64 MiB) bounds the logs of all feeds of a stream together, in bytes, as its ring is
	// bounded too: where even the newest GOP is longer, joining players wait for the next random
	// access point.
	Memory int
	// PlayerLag (5 s) and PlayerBytes (8 MiB) are how far a player may fall behind, beyond the lag
	// it joined with, before it jumps.
	PlayerLag   time.Duration
	PlayerBytes int
	// WriteTimeout (10 s) bounds the time for which a player takes nothing although bytes are
	// pending.
	WriteTimeout time.Duration
	// MaxBatch bounds the time for which delivery waits to save CPU when that is short; 0: one
	// write per picture.
	MaxBatch time.Duration
	// MinBatch is how long delivery waits at least between two writes, whatever the load.
	MinBatch time.Duration
	// Body makes the body of a message for a unit that has none, or that came in a message with
	// other tracks. An error says that there is none: the unit is left out. Nil: all such units
	// are.
	Body func(dst []byte, u *media.AccessUnit) ([]byte, error)
	// Rings sends to many players with one system call, where io_uring is allowed. Without it each
	// player is written to with a system call of its own.
	Rings bool
	// Latency, if set, is told now and then how long after a unit came from the publisher its
	// players had been sent it: of one in 64 passes over the players of a shard, each of which is
	// for a picture. It must not wait.
	Latency func(time.Duration)
	// MaxShards bounds the goroutines that deliver one feed; 0: the number of CPUs.
	MaxShards int
}

// Fanout owns the feeds of all streams. Its methods may be called from any goroutine.
type Fanout struct {
	opt Options
	// stall is the write timeout.
	stall atomic.Int64
	pace  *pace
	// rings send to many players at once, where the system can do that.
	rings rings
	wg    sync.WaitGroup

	mu      sync.Mutex
	feeds   map[feedKey]*feed
	budgets map[*live.Publication]*budget
}

type feedKey struct {
	pub    *live.Publication
	format Format
	limit  time.Duration
	codecs bool
	moves  bool
	begin  bool
	view   View
}

// New returns a Fanout without feeds.
func New(opt Options) *Fanout {
	if opt.PlayerLag <= 0 {
		opt.PlayerLag = defaultPlayerLag
	}
	if opt.PlayerBytes <= 0 {
		opt.PlayerBytes = defaultPlayerBytes
	}
	if opt.Memory <= 0 {
		opt.Memory = defaultMemory
	}
	if opt.MaxShards <= 0 {
		opt.MaxShards = defaultShards()
	}
	f := &Fanout{
		opt: opt, pace: newPace(opt.MinBatch, opt.MaxBatch), rings: rings{off: !opt.Rings},
		feeds: make(map[feedKey]*feed), budgets: make(map[*live.Publication]*budget),
	}
	f.SetWriteTimeout(opt.WriteTimeout)
	return f
}

// SetWriteTimeout changes Options.WriteTimeout, for whatever begins to wait from now on.
func (f *Fanout) SetWriteTimeout(d time.Duration) {
	if d <= 0 {
		d = defaultWriteTimeout
	}
	f.stall.Store(int64(d))
}

func (f *Fanout) writeTimeout() time.Duration { return time.Duration(f.stall.Load()) }

// Play adds a player to the stream's feed. It gets nothing before its Start, which must be called
// once in any case. From then on it writes to o.Conn until it ends, and never closes it. It fails
// with ErrTooManyViews.
func (f *Fanout) Play(pub *live.Publication, o PlayerOptions) (*Player, error) {
	key := feedKey{pub: pub, format: o.Format, limit: o.TimeLimit, codecs: o.FixedCodecs, moves: o.UntilMoved, begin: o.FromBegin, view: o.View.shared(pub)}
	f.mu.Lock()
	fd := f.feeds[key]
	if fd == nil {
		if fd = f.open(key); fd == nil {
			f.mu.Unlock()
			return nil, ErrTooManyViews
		}
	}
	fd.players++
	sh := fd.leastLoaded()
	f.mu.Unlock()

	return newPlayer(fd, sh, o), nil
}

// open makes a feed, nil if there may be no more of its kind. The caller holds mu.
func (f *Fanout) open(key feedKey) *feed {
	b := f.budgets[key.pub]
	if b == nil {
		b = &budget{memory: int64(f.opt.Memory)}
	}
	if !b.admits(key.view.class()) {
		return nil
	}
	fd := newFeed(f, key, b)
	b.feeds[fd.class].Add(1)
	f.budgets[key.pub] = b
	f.feeds[key] = fd
	f.wg.Go(func() {
		fd.run()
		f.forget(fd)
	})
	return fd
}

// forget gives back what a feed used that is gone.
func (f *Fanout) forget(fd *feed) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fd.budget.bytes[fd.class].Add(-fd.counted)
	if fd.budget.feeds[fd.class].Add(-1); fd.budget.over() {
		delete(f.budgets, fd.key.pub)
	}
}

// release counts a player out. The feed of the last one retires.
func (f *Fanout) release(p *Player) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p.shard.load--
	p.feed.players--
	if p.feed.players == 0 {
		f.retire(p.feed)
		close(p.feed.stop)
	}
}

// retire takes a feed out of the registry: the next player gets a new one.
func (f *Fanout) retire(fd *feed) {
	if f.feeds[fd.key] == fd {
		delete(f.feeds, fd.key)
	}
}

// Stats is a snapshot of all feeds.
type Stats struct {
	Feeds, Players int
	// LogBytes is what the logs hold.
	LogBytes int64
	// Wait is for how long delivery waits now at least between two writes (MinBatch, MaxBatch).
	Wait time.Duration
}

// Stats sums up the feeds.
func (f *Fanout) Stats() Stats {
	f.mu.Lock()
	defer f.mu.Unlock()
	st := Stats{Wait: time.Duration(f.pace.delay.Load())}
	for _, fd := range f.feeds {
		st.Feeds++
		st.Players += fd.players
		st.LogBytes += fd.log.bytes.Load()
	}
	return st
}

// Wait returns when all feeds are gone: after the last player has ended.
func (f *Fanout) Wait() {
	f.wg.Wait()
	f.rings.close()
}
