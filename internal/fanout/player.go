package fanout

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"livego/internal/media"
)

const (
	// maxControl bounds, in bytes, what a player's session may have queued for it.
	maxControl = 4 << 10
	// slowChunk is about how much is written at a time to a player that is behind, so that its lag is looked at often.
	slowChunk = 64 << 10
)

// PlayerOptions describes a player to Play.
type PlayerOptions struct {
	// Conn is written to directly when it is a TCP connection, through a goroutine otherwise.
	Conn   net.Conn
	Format Format
	// TimeLimit is the first time that the format cannot express; 0: it wraps.
	TimeLimit time.Duration
	// Trailer goes out when the stream ends.
	Trailer []byte
	// Kinds lists the kinds of media that the player was told of, if its protocol says that beforehand: it ends when others come.
	Kinds []media.Kind
	// OnEnd, if set, is called when the player has ended, with what Err returns. It must not wait.
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
	feed  *feed
	shard *shard
	opt   PlayerOptions
	kinds uint32
	sock  socket // nil: blocking writes through the player's own goroutine
	done  chan struct{}

	owner  atomic.Int32
	kicked atomic.Bool
	flags  atomic.Uint32
	wakeup chan struct{} // only with blocking writes
	sent   atomic.Uint64
	jumps  atomic.Uint64
	// The player's place in the log, for others to look at.
	atBlock atomic.Pointer[block]
	atPos   atomic.Int64

	mu      sync.Mutex
	control []byte
	cause   error // why the session closes the player
	err     error // why the player ended
	// The payload that the player got is that of the log from start on, plus what it got before its last jump.
	tracked                bool // the player has a place in the log
	startVideo, startAudio uint64
	doneVideo, doneAudio   uint64

	// Only for the shard.
	listed, removed bool
	slot            int

	// Only for the owner of the writes.
	pending  []byte // goes out before the log
	block    *block // nil: waiting for a place to join
	pos      int
	from     int64 // a place to join has to be at or after it; negative: the cached GOPs may be used
	partial  bool  // pos is inside a message
	slow     bool  // behind: look at the lag
	ending   bool  // the trailer is on its way
	headers  *media.Headers
	joinLag  time.Duration
	joinSize int64
}

func newPlayer(fd *feed, sh *shard, o PlayerOptions) *Player {
	p := &Player{feed: fd, shard: sh, opt: o, done: make(chan struct{}), from: -1}
	p.kicked.Store(true) // until Start
	for _, k := range o.Kinds {
		p.kinds |= 1 << k
	}
	if fd.owner.opt.GOPs == 0 {
		p.from = fd.log.tail.Load()
	}
	p.sock = newSocket(o.Conn)
	if p.sock == nil {
		p.slow = true
		p.wakeup = make(chan struct{}, 1)
		p.owner.Store(ownerSelf)
	}
	return p
}

// Start begins delivery with preamble, which goes out before everything else.
func (p *Player) Start(preamble []byte) {
	p.pending = preamble
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

// Stop ends the player between two messages, so that its connection can be used for something else. Its Err is cause, unless it
// has ended before.
func (p *Player) Stop(cause error) {
	p.mu.Lock()
	if p.cause == nil {
		p.cause = cause
		p.setFlag(flagStopped)
	}
	p.mu.Unlock()
	p.attention()
}

// Post queues a message of the player's session, to be written between two messages of the stream. The queue is small: a peer
// that asks and never reads ends with ErrControlFull.
func (p *Player) Post(b []byte) error {
	p.mu.Lock()
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

// Pause stops or resumes the media. A player that was paused for long resumes at the newest random access point.
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
	// Jumps counts how often the player fell too far behind and skipped media.
	Jumps uint64
}

// Stats returns the player's figures, at most some messages old.
func (p *Player) Stats() PlayerStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	st := PlayerStats{Sent: p.sent.Load(), Jumps: p.jumps.Load(), Video: p.doneVideo, Audio: p.doneAudio}
	if p.tracked {
		v, a := p.atBlock.Load().payloadAt(int(p.atPos.Load()))
		st.Video += v - min(v, p.startVideo)
		st.Audio += a - min(a, p.startAudio)
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
		p.Close(ErrTracksChanged)
	}
}

// next returns the bytes that have to go out now, none when there are none yet. An error says that the player is over. It is the one place that
// knows the policy; the ways of writing call it in a loop with wrote.
func (p *Player) next() ([]byte, error) {
	flags := p.flags.Load()
	if flags&flagClosed != 0 {
		return nil, p.closedBy()
	}
	if len(p.pending) > 0 {
		return p.pending, nil
	}
	if flags != 0 {
		if p.partial {
			return p.message(), nil
		}
		if flags&flagControl != 0 {
			p.takeControl()
			return p.pending, nil
		}
		if flags&flagStopped != 0 {
			return nil, p.closedBy()
		}
		if flags&flagPaused != 0 {
			p.slow = true
			return nil, p.endIfOver()
		}
	}
	if p.block == nil {
		if !p.join() {
			return nil, p.endIfOver()
		}
		if len(p.pending) > 0 {
			return p.pending, nil
		}
	}
	if p.slow {
		return p.nextSlow()
	}
	return p.rest()
}

// rest returns what the log has after the player's position.
func (p *Player) rest() ([]byte, error) {
	for {
		sealed := p.block.sealed.Load()
		if b := p.block.rest(p.pos); len(b) > 0 {
			return b, nil
		}
		if !sealed {
			return p.upToDate()
		}
		next, lost := p.feed.log.index.Load().after(p.block)
		switch {
		case lost:
			return p.jump()
		case next == nil:
			return p.upToDate()
		}
		p.enter(next, 0)
	}
}

// nextSlow is rest for a player that is behind: less at a time, and a jump when it is too far behind.
func (p *Player) nextSlow() ([]byte, error) {
	if !p.partial && p.tooFarBehind() {
		return p.jump()
	}
	b, err := p.rest()
	if len(b) <= slowChunk || err != nil || len(p.pending) > 0 {
		return b, err
	}
	i := p.block.find(p.pos + slowChunk - 1)
	return b[:p.block.entries[i].end-p.pos], nil
}

// upToDate says that there is nothing to write, or writes the trailer if nothing will come.
func (p *Player) upToDate() ([]byte, error) {
	if err := p.endIfOver(); err != nil {
		return nil, err
	}
	return p.pending, nil
}

// endIfOver puts the trailer into pending at the end of the stream, and then says that the player is over.
func (p *Player) endIfOver() error {
	cause := p.feed.ended.Load()
	if cause == nil || p.hasMore() {
		return nil
	}
	if p.ending || len(p.opt.Trailer) == 0 {
		return *cause
	}
	p.ending = true
	p.pending = p.opt.Trailer
	return nil
}

// hasMore says whether the log grew between the player's look at it and its end.
func (p *Player) hasMore() bool {
	return p.block != nil && p.flags.Load()&flagPaused == 0 && p.block.base+int64(p.pos) < p.feed.log.tail.Load()
}

// message returns the rest of the message that the player is in.
func (p *Player) message() []byte {
	i := p.block.find(p.pos)
	return p.block.buf[p.pos:p.block.entries[i].end]
}

func (p *Player) takeControl() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pending, p.control = p.control, nil
	p.clearFlag(flagControl)
}

func (p *Player) closedBy() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cause
}

// join finds the place where the player begins, or goes on after a jump.
func (p *Player) join() bool {
	joins := p.feed.log.index.Load().joins
	if len(joins) == 0 {
		return false
	}
	at := joins[len(joins)-1]
	if p.from < 0 {
		at = joins[max(0, len(joins)-p.feed.owner.opt.GOPs)]
	} else if at.at < p.from {
		return false
	}
	p.moveTo(at)
	return true
}

// moveTo puts the player at a join; the headers in force there go out first unless the player has them.
func (p *Player) moveTo(j *join) {
	if p.headers != j.headers || p.headers == nil {
		p.pending = j.framedPrefix(p.opt.Format)
	}
	log := p.feed.log
	p.headers = nil
	p.joinLag = time.Duration(max(log.newest.Load()-j.arrived, 0))
	p.joinSize = log.tail.Load() - j.at
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tracked = true
	p.startVideo, p.startAudio = j.block.payloadAt(j.pos)
	p.enter(j.block, j.pos)
}

// enter moves the player to another block.
func (p *Player) enter(b *block, pos int) {
	p.block, p.pos = b, pos
	p.atPos.Store(0) // never a position of one block with another one
	p.atBlock.Store(b)
	p.atPos.Store(int64(pos))
}

// leave gives up the player's place in the log.
func (p *Player) leave() {
	v, a := p.block.payloadAt(p.pos)
	p.headers = p.block.headersAt(p.pos)
	p.from = p.block.base + int64(p.pos) + 1
	p.block = nil
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tracked = false
	p.doneVideo += v - min(v, p.startVideo)
	p.doneAudio += a - min(a, p.startAudio)
}

// tooFarBehind compares the player's lag with the one it joined with.
func (p *Player) tooFarBehind() bool {
	log, opt := p.feed.log, &p.feed.owner.opt
	lag := log.tail.Load() - p.block.base - int64(p.pos)
	if lag <= 0 {
		return false
	}
	if lag > p.joinSize+int64(opt.PlayerBytes) {
		return true
	}
	i := p.block.find(p.pos)
	if i >= int(p.block.count.Load()) {
		return false
	}
	return time.Duration(log.newest.Load()-p.block.entries[i].arrived) > p.joinLag+opt.PlayerLag
}

// jump moves the player forward to the newest random access point, or lets it wait for the next one.
func (p *Player) jump() ([]byte, error) {
	p.leave()
	p.jumps.Add(1)
	if !p.join() {
		return nil, p.endIfOver()
	}
	if len(p.pending) > 0 {
		return p.pending, nil
	}
	return p.rest()
}

// wrote moves the player on by n bytes of what next returned, b.
func (p *Player) wrote(b []byte, n int) {
	p.sent.Add(uint64(n))
	if len(p.pending) > 0 {
		if p.pending = p.pending[n:]; len(p.pending) == 0 {
			p.pending = nil
		}
		return
	}
	p.pos += n
	p.partial = n < len(b)
	p.atPos.Store(int64(p.pos))
}

// push writes everything that is new without waiting. If the socket takes no more, the player gets a goroutine until it has caught up.
func (p *Player) push() {
	for {
		b, err := p.next()
		if err != nil {
			p.finish(err)
			return
		}
		if len(b) == 0 {
			return
		}
		n, err := p.sock.try(b)
		if err != nil {
			p.finish(fmt.Errorf("%w: %w", ErrGone, err))
			return
		}
		p.wrote(b, n)
		if n < len(b) {
			p.slow = true
			p.owner.Store(ownerSelf)
			p.feed.owner.wg.Go(p.catchUp)
			return
		}
	}
}

// catchUp writes with waiting until the player has everything, and gives it back to its shard.
func (p *Player) catchUp() {
	for {
		b, err := p.next()
		if err == nil && len(b) > 0 {
			err = p.write(b, p.sock.wait)
		}
		if err != nil {
			p.finish(err)
			p.shard.kick(p)
			return
		}
		if len(b) == 0 {
			p.slow = p.flags.Load()&flagPaused != 0 || p.block == nil
			p.deadline(time.Time{})
			p.owner.Store(ownerShard)
			p.shard.kick(p)
			return
		}
	}
}

// writeBlocking serves a player whose connection can only be written to by waiting.
func (p *Player) writeBlocking() {
	for {
		b, err := p.next()
		if err == nil && len(b) == 0 {
			<-p.wakeup
			continue
		}
		if err == nil {
			err = p.write(b, p.opt.Conn.Write)
		}
		if err != nil {
			p.finish(err)
			p.shard.kick(p)
			return
		}
	}
}

// write writes b with a deadline and counts it.
func (p *Player) write(b []byte, write func([]byte) (int, error)) error {
	p.deadline(time.Now().Add(p.feed.owner.opt.WriteTimeout))
	n, err := write(b)
	p.wrote(b, n)
	switch {
	case err == nil:
		return nil
	case p.flags.Load()&flagClosed != 0:
		return p.closedBy()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return ErrStalled
	}
	return fmt.Errorf("%w: %w", ErrGone, err)
}

// deadline sets the write deadline, unless Close has set its own.
func (p *Player) deadline(t time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.flags.Load()&flagClosed == 0 {
		_ = p.opt.Conn.SetWriteDeadline(t)
	}
}

// finish ends the player. Its shard forgets it at the next look.
func (p *Player) finish(err error) {
	p.mu.Lock()
	p.err = err
	p.mu.Unlock()
	p.block, p.pending, p.headers = nil, nil, nil
	p.owner.Store(ownerNone)
	close(p.done)
	if p.opt.OnEnd != nil {
		p.opt.OnEnd(err)
	}
}

// socket writes to a connection without the detour over its blocking methods.
type socket interface {
	// try writes what the socket takes now. wait waits until it takes something, or the write deadline.
	try(b []byte) (int, error)
	wait(b []byte) (int, error)
}
