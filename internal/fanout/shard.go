package fanout

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"livego/internal/iouring"
)

// shard is the part of a feed's players that one goroutine delivers to.
type shard struct {
	feed *feed
	wake chan struct{}

	load    int  // players; guarded by owner.mu
	running bool // has a goroutine of its own; guarded by owner.mu

	mu    sync.Mutex
	dirty []*Player // that want attention before the next pass

	// Only for the shard's goroutine.
	players []*Player
	kinds   uint32
	spare   []*Player
	ticked  atomic.Bool // there is something new in the log
	passes  uint
	// oldest is the number of the oldest block that a player is in.
	oldest atomic.Uint64
}

// run is the goroutine of all shards but the first.
func (sh *shard) run() {
	for {
		select {
		case <-sh.feed.stop:
			return
		case <-sh.wake:
		}
		sh.service()
		if sh.ticked.Swap(false) {
			sh.pass()
		}
	}
}

// signal tells a shard with a goroutine of its own that the log grew or ended.
func (sh *shard) signal() {
	sh.ticked.Store(true)
	sh.poke()
}

func (sh *shard) poke() {
	select {
	case sh.wake <- struct{}{}:
	default:
	}
}

// kick asks the shard to look at p soon. From any goroutine.
func (sh *shard) kick(p *Player) {
	if !p.kicked.CompareAndSwap(false, true) {
		return
	}
	sh.mu.Lock()
	sh.dirty = append(sh.dirty, p)
	sh.mu.Unlock()
	sh.poke()
}

// service attends to the players that asked for it: new ones, ones that caught up, ones with
// control messages, ended ones.
func (sh *shard) service() {
	sh.mu.Lock()
	dirty := sh.dirty
	sh.dirty = sh.spare[:0]
	sh.mu.Unlock()
	for i, p := range dirty {
		dirty[i] = nil
		p.kicked.Store(false)
		if p.removed {
			continue
		}
		if !p.listed {
			p.listed, p.slot = true, len(sh.players)
			sh.players = append(sh.players, p)
			p.checkKinds(sh.kinds)
		}
		if sh.attend(p) {
			sh.remove(p)
		}
		sh.oldest.Store(p.needs(sh.oldest.Load()))
	}
	sh.spare = dirty[:0]
}

// pass delivers what is new to every player.
func (sh *shard) pass() {
	newest := sh.feed.log.newest.Load()
	sh.checkKinds()
	if ring := sh.feed.owner.rings.take(len(sh.players)); ring != nil {
		sh.passBy(ring)
		sh.feed.owner.rings.give(ring)
	}
	oldest := uint64(math.MaxUint64)
	for i := 0; i < len(sh.players); {
		p := sh.players[i]
		if !p.upToNow && sh.attend(p) {
			sh.remove(p)
			continue
		}
		p.upToNow = false
		oldest = p.needs(oldest)
		i++
	}
	sh.oldest.Store(oldest)
	sh.noteLatency(newest)
}

// sampledPasses is of how many passes one is measured.
const sampledPasses = 64

// noteLatency measures a pass that is over, and that was for what came last at a time, in ns since
// 1970.
func (sh *shard) noteLatency(newest int64) {
	told := sh.feed.owner.opt.Latency
	if sh.passes++; told == nil || sh.passes%sampledPasses != 0 || len(sh.players) == 0 || newest == 0 {
		return
	}
	told(time.Since(time.Unix(0, newest)))
}

// passBy delivers through a ring to the players that are a descriptor and nothing unusual. Those
// that got all have upToNow set; the others, in whatever state they are, are left to attend.
func (sh *shard) passBy(ring *ring) {
	tail := sh.feed.log.tail.Load()
	for _, p := range sh.players {
		fd, b := p.ordinary()
		if len(b) > 0 && ring.Add(p, fd, b) {
			settle(ring.Flush(), tail)
		}
	}
	settle(ring.Flush(), tail)
}

// settle moves players on by what was sent. What did not work will not work in attend either, which
// knows what to do.
func settle(sends []iouring.Send[*Player], tail int64) {
	for i := range sends {
		s := &sends[i]
		if s.N > 0 {
			s.User.wrote(s.Bytes, s.N)
		}
		s.User.upToNow = s.User.at() >= tail
		*s = iouring.Send[*Player]{}
	}
}

// attend does what a player needs now. It says whether the player is over.
func (sh *shard) attend(p *Player) (over bool) {
	switch p.owner.Load() {
	case ownerShard:
		p.push()
		return p.owner.Load() == ownerNone
	case ownerNone:
		return true
	}
	p.poke()
	return false
}

// checkKinds ends the players that were told of fewer kinds of media than the stream has.
func (sh *shard) checkKinds() {
	kinds := sh.feed.kinds.Load()
	if kinds == sh.kinds {
		return
	}
	sh.kinds = kinds
	for _, p := range sh.players {
		p.checkKinds(kinds)
	}
}

func (sh *shard) remove(p *Player) {
	last := len(sh.players) - 1
	sh.players[last].slot = p.slot
	sh.players[p.slot] = sh.players[last]
	sh.players[last] = nil
	sh.players = sh.players[:last]
	p.removed = true
	sh.feed.owner.release(p)
}
