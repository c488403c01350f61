package fanout

import "time"

// next returns the bytes that have to go out now, none when there are none yet. An error says that
// the player is over. It is the one place that knows the policy; the ways of writing call it in a
// loop with wrote.
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
			return p.message(), p.overdue()
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
			if p.block != nil && p.isLost() {
				p.leave() // or it would hold the block for as long as it likes
				p.jumps.Add(1)
			}
			return p.upToDate()
		}
	}
	if p.block == nil {
		if !p.join() {
			return p.upToDate()
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

// ordinary returns the descriptor of a player that needs nothing but what the log has after its
// position, and those bytes; none for any other player.
func (p *Player) ordinary() (fd int, b []byte) {
	if p.owner.Load() != ownerShard || p.flags.Load() != 0 || p.block == nil || p.slow || len(p.pending) > 0 {
		return 0, nil
	}
	if p.descriptor < 0 || p.feed.ended.Load() != nil {
		return 0, nil
	}
	b, _ = p.ahead()
	return p.descriptor, b
}

// rest returns what the log has after the player's position.
func (p *Player) rest() ([]byte, error) {
	b, lost := p.ahead()
	switch {
	case lost:
		return p.jump()
	case len(b) == 0:
		return p.upToDate()
	}
	return b, nil
}

// ahead returns what the log has after the player's position, in one block: none if there is
// nothing yet, or if it is lost.
func (p *Player) ahead() (b []byte, lost bool) {
	for {
		sealed := p.block.sealed.Load()
		if b := p.block.rest(p.pos); len(b) > 0 || !sealed {
			return b, false
		}
		next, lost := p.feed.log.index.Load().after(p.block)
		if next == nil {
			return nil, lost
		}
		p.enter(next, 0)
	}
}

// nextSlow is rest for a player that is behind: less at a time, and a jump when it is too far
// behind.
func (p *Player) nextSlow() ([]byte, error) {
	if p.partial {
		if err := p.overdue(); err != nil {
			return nil, err
		}
	} else if p.tooFarBehind() {
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

// endIfOver puts the trailer into pending at the end of the stream, and then says that the player
// is over.
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
	p.stopControl(*cause)
	return nil
}

// stopControl lets nothing follow the trailer.
func (p *Player) stopControl(cause error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cause == nil {
		p.cause = cause
	}
	p.control = nil
	p.clearFlag(flagControl)
	p.setFlag(flagStopped)
}

// hasMore says whether the log grew between the player's look at it and its end.
func (p *Player) hasMore() bool {
	return p.block != nil && p.flags.Load()&flagPaused == 0 && p.at() < p.feed.log.tail.Load()
}

// isLost says that the log has let the player's block go: nobody but this player may hold it.
func (p *Player) isLost() bool {
	blocks := p.feed.log.index.Load().blocks
	return len(blocks) > 0 && p.block.seq < blocks[0].seq
}

// overdue ends a player that has taken longer than the write timeout for the rest of a message
// whose block is lost: it takes a little now and then, and would hold a block of its own for very
// long.
func (p *Player) overdue() error {
	switch now := time.Now(); {
	case !p.isLost():
		p.lostSince = time.Time{}
	case p.lostSince.IsZero():
		p.lostSince = now
	case now.Sub(p.lostSince) > p.feed.owner.writeTimeout():
		return ErrStalled
	}
	return nil
}

// at is the offset in the log up to which the player has got everything.
func (p *Player) at() int64 { return p.block.base + int64(p.pos) }

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

// join finds the place where the player begins, or goes on after a jump.
func (p *Player) join() bool {
	joins := p.feed.log.index.Load().joins
	if len(joins) == 0 {
		return false
	}
	at := joins[len(joins)-1]
	if p.from < 0 {
		at = joins[max(0, len(joins)-p.feed.gops())]
	} else if at.at < p.from {
		return false
	}
	p.moveTo(at)
	return true
}

// moveTo puts the player at a join; the headers in force there go out first unless the player has
// them.
func (p *Player) moveTo(j *join) {
	p.pending = j.prefixFor(p.opt.Format, p.has, p.headers == j.headers && p.headers != nil)
	if p.from >= 0 && p.left > 0 {
		p.skipped.Add(j.block.numberAt(j.pos) - p.left)
		p.left = 0
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

// needs returns the number of the block that the player is in, if that is less than first.
func (p *Player) needs(first uint64) uint64 {
	if b := p.atBlock.Load(); b != nil && b.seq < first {
		return b.seq
	}
	return first
}

// leave gives up the player's place in the log.
func (p *Player) leave() {
	p.lostSince = time.Time{}
	p.headers, p.left = p.block.headersAt(p.pos), p.block.numberAt(p.pos)
	p.from, p.has = p.at()+1, p.at()
	p.block = nil
	p.mu.Lock()
	defer p.mu.Unlock()
	p.untrack()
}

// untrack counts what the player got and lets its block go. The caller holds mu.
func (p *Player) untrack() {
	if !p.tracked {
		return
	}
	v, a := p.atBlock.Load().payloadAt(int(p.atPos.Load()))
	p.tracked = false
	p.doneVideo += v - min(v, p.startVideo)
	p.doneAudio += a - min(a, p.startAudio)
	p.atBlock.Store(nil)
}

// tooFarBehind compares the player's lag with the one it joined with.
func (p *Player) tooFarBehind() bool {
	log, opt := p.feed.log, &p.feed.owner.opt
	lag := log.tail.Load() - p.at()
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

// jump moves the player forward to the newest random access point, or lets it wait for the next
// one.
func (p *Player) jump() ([]byte, error) {
	p.leave()
	p.jumps.Add(1)
	if !p.join() {
		return p.upToDate()
	}
	if len(p.pending) > 0 {
		return p.pending, nil
	}
	return p.rest()
}
