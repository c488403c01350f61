package fanout

import (
	"net"
	"sync"
	"sync/atomic"
	"time"

	"livego/internal/media"
)

const (
	// maxControl bounds, in bytes, what a player's session may have queued for it.
	maxControl = 4 << 10
	// blockingChunk is how much is written at a time where each write waits until all is taken: a
	// TLS record. It has to make it within the write timeout.
	blockingChunk = 16 << 10
	// slowChunk is about how much is written at a time to a player that is behind, so that its lag
	// is looked at often.
	slowChunk = 64 << 10
)

// PlayerOptions describes a player to Play.
type PlayerOptions struct {
	// Conn is written to directly when it is a TCP connection, or a Holder of one, and through a
	// goroutine otherwise.
	Conn   net.Conn
	Format Format
	// View is what the player gets of the stream's tracks.
	View View
	// TimeLimit is the first time that the format cannot express; 0: it wraps.
	TimeLimit time.Duration
	// FixedCodecs: the player ends where a track goes on with another codec, for it would not
	// notice or not decode it. One that begins anew is right.
	FixedCodecs bool
	// UntilMoved: the player ends with live.ErrMoved, and everything before it, where the stream
	// moves to another node: it goes on there, and so has nothing of what came from elsewhere
	// before.
	UntilMoved bool
	// FromBegin: the player begins where the newest session does, as far as that is kept: it has
	// all that came before. It is for players that come with that session.
	FromBegin bool
	// Trailer goes out when the stream ends.
	Trailer []byte
	// Kinds lists the kinds of media that the player was told of, if its protocol says that
	// beforehand: it ends when others come.
	Kinds []media.Kind
	// OnEnd, if set, is called when the player has ended, just before Done is closed, with what Err
	// returns. It must not wait.
	OnEnd func(error)
}

// The owners of a player's writes: at any time exactly one goroutine.
const (
	ownerShard int32 = iota // the shard's goroutine
	ownerSelf               // the player's own goroutine, while it is behind or for ever
	ownerNone               // over
)

// Flags say that a player needs more than the next bytes of the log.
const (
	flagControl uint32 = 1 << iota
	flagPaused
	flagStopped
	flagClosed
)

// Player is one viewer of a feed. The exported methods may be called from any goroutine.
type Player struct {
	// What a pass looks at comes first and close together: with thousands of players it is in no
	// cache.
	feed  *feed
	owner atomic.Int32
	flags atomic.Uint32

	// Only for the owner of the writes.
	descriptor int    // what a ring may write to; negative: nothing
	block      *block // nil: waiting for a place to join
	pos        int
	pending    []byte // goes out before the log
	partial    bool   // pos is inside a message
	slow       bool   // behind: look at the lag
	ending     bool   // the trailer is on its way

	// Only for the shard.
	upToNow         bool // got all in this pass
	listed, removed bool

	sent  atomic.Uint64
	jumps atomic.Uint64
	// The player's place in the log, for others to look at.
	atPos   atomic.Int64
	atBlock atomic.Pointer[block]

	shard   *shard
	slot    int    // in the shard, and only for it
	sock    socket // nil: blocking writes through the player's own goroutine
	opt     PlayerOptions
	kinds   uint32
	kicked  atomic.Bool
	skipped atomic.Uint64
	done    chan struct{}
	wakeup  chan struct{} // only with blocking writes

	mu      sync.Mutex
	control []byte
	cause   error // why the session closes the player
	err     error // why the player ended
	// The payload that the player got is that of the log from start on, plus what it got before its
	// last jump.
	tracked                bool // the player has a place in the log
	startVideo, startAudio uint64
	doneVideo, doneAudio   uint64

	// Only for the owner of the writes.
	from     int64  // a place to join has to be at or after it; negative: the cached GOPs may be used
	has      int64  // up to where in the log it has got everything before a jump
	left     uint64 // the number of the first message that it did not get before a jump
	headers  *media.Headers
	joinLag  time.Duration
	joinSize int64
	// lostSince is when it was first seen that the block, in a message of which the player is, had
	// left the log.
	lostSince time.Time
}

func newPlayer(fd *feed, sh *shard, o PlayerOptions) *Player {
	p := &Player{feed: fd, shard: sh, opt: o, done: make(chan struct{}), from: -1, descriptor: -1}
	p.kicked.Store(true) // until Start
	for _, k := range o.Kinds {
		p.kinds |= 1 << k
	}
	if fd.owner.opt.GOPs == 0 && !fd.key.begin {
		p.from = fd.log.tail.Load()
	}
	p.sock = newSocket(o.Conn)
	if p.sock == nil {
		p.slow = true
		p.wakeup = make(chan struct{}, 1)
		p.owner.Store(ownerSelf)
	} else {
		p.descriptor = p.sock.descriptor()
	}
	return p
}

// Start begins delivery with preamble, which goes out before everything else. From here on the
// write deadline of the connection is the player's.
func (p *Player) Start(preamble []byte) {
	p.pending = preamble
	p.deadline(time.Time{})
	if p.sock == nil {
		p.feed.owner.wg.Go(p.writeBlocking)
	}
	p.kicked.Store(false)
	p.shard.kick(p)
}

// Done is closed when the player has ended; Err says why.
func (p *Player) Done() <-chan struct{} { return p.done }

// Err returns why the player ended, nil while it has not.
func (p *Player) Err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// Close ends the player without flushing anything. Its Err is cause, unless it has ended before.
func (p *Player) Close(cause error) {
	p.mu.Lock()
	if p.flags.Load()&flagClosed == 0 {
		if p.cause == nil {
			p.cause = cause
		}
		p.setFlag(flagClosed)
		// A write that waits for the peer returns at once.
		_ = p.opt.Conn.SetWriteDeadline(time.Unix(1, 0))
	}
	p.mu.Unlock()
	p.attention()
}

// Stop ends the player between two messages, so that its connection can be used for something else.
// Its Err is cause, unless it has ended before.
func (p *Player) Stop(cause error) {
	p.mu.Lock()
	if p.cause == nil {
		p.cause = cause
		p.setFlag(flagStopped)
	}
	p.mu.Unlock()
	p.attention()
}

// Post queues a message of the player's session, to be written between two messages of the stream.
// The queue is small: a peer that asks and never reads ends with ErrControlFull. A player that ends
// says nothing more.
func (p *Player) Post(b []byte) error {
	p.mu.Lock()
	if p.flags.Load()&flagStopped != 0 { // the last word is said
		p.mu.Unlock()
		return nil
	}
	if len(p.control)+len(b) > maxControl {
		p.mu.Unlock()
		p.Close(ErrControlFull)
		return ErrControlFull
	}
	p.control = append(p.control, b...)
	p.setFlag(flagControl)
	p.mu.Unlock()
	p.attention()
	return nil
}

// Pause stops or resumes the media. A player that was paused for longer than its place stays in the
// log holds nothing, and resumes at the newest random access point.
func (p *Player) Pause(paused bool) {
	p.mu.Lock()
	if paused {
		p.setFlag(flagPaused)
	} else {
		p.clearFlag(flagPaused)
	}
	p.mu.Unlock()
	p.attention()
}

// PlayerStats is what a player has got so far.
type PlayerStats struct {
	// Sent counts all bytes written; Video and Audio count payload bytes.
	Sent, Video, Audio uint64
	// Jumps counts how often the player fell too far behind, Skipped the messages that it did not
	// get for that.
	Jumps, Skipped uint64
	// Behind is the time between the arrivals of what the player gets next and of the newest that
	// there is.
	Behind time.Duration
}

// Stats returns the player's figures, at most some messages old.
func (p *Player) Stats() PlayerStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	st := PlayerStats{Sent: p.sent.Load(), Jumps: p.jumps.Load(), Skipped: p.skipped.Load(), Video: p.doneVideo, Audio: p.doneAudio}
	if p.tracked {
		b, pos := p.atBlock.Load(), int(p.atPos.Load())
		v, a := b.payloadAt(pos)
		st.Video += v - min(v, p.startVideo)
		st.Audio += a - min(a, p.startAudio)
		if i := b.find(pos); i < int(b.count.Load()) {
			st.Behind = max(0, time.Duration(p.feed.log.newest.Load()-b.entries[i].arrived))
		}
	}
	return st
}

// setFlag and clearFlag are called with mu held.
func (p *Player) setFlag(f uint32)   { p.flags.Store(p.flags.Load() | f) }
func (p *Player) clearFlag(f uint32) { p.flags.Store(p.flags.Load() &^ f) }

// attention makes the owner look at the player soon.
func (p *Player) attention() {
	if p.sock == nil {
		p.poke()
		return
	}
	p.shard.kick(p)
}

// poke wakes the goroutine of a player with blocking writes.
func (p *Player) poke() {
	if p.wakeup == nil {
		return
	}
	select {
	case p.wakeup <- struct{}{}:
	default:
	}
}

func (p *Player) checkKinds(kinds uint32) {
	if p.kinds != 0 && kinds&^(p.kinds|1<<media.Data) != 0 {
		p.End(ErrTracksChanged)
	}
}

// End ends the player between two messages, with its trailer. Its Err is cause, unless it has ended
// before.
func (p *Player) End(cause error) {
	p.mu.Lock()
	if p.cause == nil {
		p.cause = cause
		p.setFlag(flagStopped)
		if p.control = append(p.control, p.opt.Trailer...); len(p.control) > 0 {
			p.setFlag(flagControl)
		}
	}
	p.mu.Unlock()
	p.attention()
}
