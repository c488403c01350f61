package fanout

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// push writes everything that is new without waiting. If the socket takes no more, the player gets
// a goroutine until it has caught up.
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
			p.finish(p.failure(err))
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
			err = p.write(b, p.writeChunks)
		}
		if err != nil {
			p.finish(err)
			p.shard.kick(p)
			return
		}
	}
}

// writeChunks writes b in pieces, each of which has the whole write timeout: a long message may
// take longer.
func (p *Player) writeChunks(b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var k int
		p.extend()
		k, err = p.opt.Conn.Write(b[n:min(len(b), n+blockingChunk)])
		n += k
	}
	return n, err
}

// write writes b with a deadline and counts it.
func (p *Player) write(b []byte, write func([]byte) (int, error)) error {
	p.extend()
	n, err := write(b)
	if n == 0 && p.sock != nil && errors.Is(err, os.ErrDeadlineExceeded) {
		// This process may have stood still while the peer took everything: whether there is room
		// now decides.
		if n, _ = p.sock.try(b); n > 0 {
			err = nil
		}
	}
	p.wrote(b, n)
	if err != nil {
		return p.failure(err)
	}
	return nil
}

// failure says why the player is over after a write has failed.
func (p *Player) failure(err error) error {
	switch {
	case p.flags.Load()&flagClosed != 0:
		return p.closedBy()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return ErrStalled
	}
	return fmt.Errorf("%w: %w", ErrGone, err)
}

// extend gives the peer another write timeout.
func (p *Player) extend() { p.deadline(time.Now().Add(p.feed.owner.writeTimeout())) }

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
	p.untrack()
	p.mu.Unlock()
	p.block, p.pending, p.headers = nil, nil, nil
	if p.sock != nil {
		p.descriptor = -1
		p.sock.release()
	}
	p.owner.Store(ownerNone)
	if p.opt.OnEnd != nil {
		p.opt.OnEnd(err)
	}
	close(p.done)
}

// socket writes to a connection without the detour over its blocking methods.
type socket interface {
	// try writes what the socket takes now. wait waits until it takes something, or the write
	// deadline.
	try(b []byte) (int, error)
	wait(b []byte) (int, error)
	// descriptor is what a ring may write to until release; negative: nothing.
	descriptor() int
	// release is called once, by the player's owner, after the last write.
	release()
}
