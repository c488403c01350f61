package v1

import (
	"context"
	"sync"
	"time"

	"livego/internal/event"
)

// followOn is for how long other nodes are followed after the last client has left: one that comes
// back by then has missed nothing.
const followOn = time.Minute

// Follower follows what happens at the other nodes of a cluster.
type Follower interface {
	// Follow tells the events of the other nodes, those of each in order, until ctx ends: at first
	// from now on, when it is called again from where it ended. missed is called where some are
	// lost. Events of viewers are among them only if that is said. Both functions may be called at
	// the same time.
	Follow(ctx context.Context, viewers bool, tell func(event.Event), missed func())
}

// followElsewhere tells clients what happens at other nodes, which are followed while there are
// clients, until ctx ends.
func (a *API) followElsewhere(ctx context.Context) {
	for ctx.Err() == nil {
		wanted, _, changed := a.events.demand()
		if !wanted {
			select {
			case <-changed:
			case <-ctx.Done():
			}
			continue
		}
		a.events.setAlone(false)
		a.followWhileWanted(ctx, a.opt.Elsewhere())
		a.events.setAlone(true)
	}
}

// followWhileWanted follows other nodes until nobody has wanted that for a while.
func (a *API) followWhileWanted(ctx context.Context, f Follower) {
	for wanted := true; wanted && ctx.Err() == nil; {
		_, viewers, _ := a.events.demand()
		part, stop := context.WithCancel(ctx)
		var following sync.WaitGroup
		following.Go(func() { f.Follow(part, viewers, a.tellEvent, a.tellMissed) })
		wanted = a.awaitOther(ctx, viewers)
		stop()
		following.Wait()
	}
}

// awaitOther waits until something else is wanted, or for a while nothing at all, and says whether
// anything is.
func (a *API) awaitOther(ctx context.Context, viewers bool) (wanted bool) {
	for {
		wanted, now, changed := a.events.demand()
		if wanted && now != viewers {
			return true
		}
		var over <-chan time.Time
		if !wanted {
			over = time.After(followOn)
		}
		select {
		case <-changed:
		case <-over:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// demand says whether any client wants events, and whether one wants those of viewers, until the
// channel is closed.
func (s *stream) demand() (events, viewers bool, changed <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.clients {
		for kind := range c.types {
			events = events || kind != typeFigures && kind != typeMissed
		}
		viewers = viewers || c.types[event.ViewerJoined] || c.types[event.ViewerLeft]
	}
	return events, viewers, s.changed
}

// setAlone says whether what happens at other nodes is not told. Who has seen only what was before
// has missed some of it.
func (s *stream) setAlone(alone bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.alone = alone
	if !alone {
		s.keep(message{kind: typeMissed, text: missedText})
	}
}
