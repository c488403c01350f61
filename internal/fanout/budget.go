package fanout

import "sync/atomic"

const (
	// minViewMemory is what a feed of a picked view must be able to keep, in bytes, for a further
	// one to be made.
	minViewMemory = 1 << 20
	// minViews is how many feeds of picked views may be made however little memory is left.
	minViews = 4
	// minBlocks is how many blocks a feed keeps however little memory it may use: those that
	// players are in who keep up.
	minBlocks = 2
)

// class says who goes first where memory is short.
type class uint8

const (
	// ordinary are the views of players that pick nothing. There is one for each wire format.
	ordinary class = iota
	// picked are all others. Anybody may pick, so they get what the ordinary ones leave.
	picked
)

func (v View) class() class {
	if v.Whole || v == (View{}) {
		return ordinary
	}
	return picked
}

// budget is the memory for the logs of all feeds of a stream. Feeds use it from their own
// goroutines; how many there are is guarded by the Fanout's mu.
type budget struct {
	memory int64
	feeds  [2]atomic.Int64
	bytes  [2]atomic.Int64
}

// left is what the feeds of a class may use together.
func (b *budget) left(c class) int64 {
	if c == picked {
		return max(b.memory-b.bytes[ordinary].Load(), 0)
	}
	return b.memory
}

// allowance is what a feed of a class that uses own bytes may use: what the others of its class
// leave, and at least an equal share.
func (b *budget) allowance(c class, own int64) int64 {
	left := b.left(c)
	return max(left/max(b.feeds[c].Load(), 1), left-(b.bytes[c].Load()-own))
}

// admits says whether there may be one more feed of a class.
func (b *budget) admits(c class) bool {
	n := b.feeds[c].Load()
	return c == ordinary || n < minViews || b.left(c)/(n+1) >= minViewMemory
}

// over says that no feed uses the budget.
func (b *budget) over() bool { return b.feeds[ordinary].Load()+b.feeds[picked].Load() == 0 }
