package v1

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"livego/internal/event"
)

// otherNode is what happens at another node.
type otherNode struct {
	events chan event.Event
	lost   chan struct{}
	// asked has an entry for each call of Follow: whether viewers are wanted.
	asked chan bool
}

func newOtherNode() *otherNode {
	return &otherNode{make(chan event.Event), make(chan struct{}), make(chan bool, 10)}
}

func (o *otherNode) Follow(ctx context.Context, viewers bool, tell func(event.Event), missed func()) {
	o.asked <- viewers
	for {
		select {
		case e := <-o.events:
			tell(e)
		case <-o.lost:
			missed()
		case <-ctx.Done():
			return
		}
	}
}

// TestEventsElsewhere: clients hear of other nodes too, of their viewers if they want to, and those
// who come back go on behind whatever they saw last.
func TestEventsElsewhere(t *testing.T) {
	o := newOtherNode()
	server, bus := running(t, func(opt *Options) { opt.Elsewhere = func() Follower { return o } })
	b := follow(t, server, "/events?types=key.changed", "Last-Event-ID: boot-0")
	if got := next(t, b); !strings.HasPrefix(got, "event: events.missed\n") {
		t.Errorf("who comes back while no other node is followed gets %q", got)
	}
	if <-o.asked {
		t.Error("viewers are asked for, and nobody wants them")
	}
	o.events <- event.Event{ID: "other-7", Type: event.KeyChanged, Node: "b"}
	if got := next(t, b); !strings.HasPrefix(got, "id: other-7\n") || !strings.Contains(got, `"node":"b"`) {
		t.Errorf("of another node comes %q", got)
	}
	bus.Emit(event.Event{Type: event.KeyChanged})
	if got := next(t, b); !strings.HasPrefix(got, "id: boot-0\n") {
		t.Errorf("of this node comes %q", got)
	}
	again := follow(t, server, "/events?types=key.changed", "Last-Event-ID: other-7")
	if got := next(t, again); !strings.HasPrefix(got, "id: boot-0\n") {
		t.Errorf("behind an event of another node comes %q", got)
	}
	o.lost <- struct{}{}
	if got := next(t, b); !strings.HasPrefix(got, "event: events.missed\n") {
		t.Errorf("where events are lost comes %q", got)
	}
}

// TestViewersElsewhere: viewers at other nodes are told of to whom that wants it.
func TestViewersElsewhere(t *testing.T) {
	o := newOtherNode()
	server, _ := running(t, func(opt *Options) { opt.Elsewhere = func() Follower { return o } })
	follow(t, server, "/events?types=key.changed")
	if <-o.asked {
		t.Error("viewers are asked for, and nobody wants them")
	}
	b := follow(t, server, "/events?types=viewer.joined")
	if !<-o.asked {
		t.Error("viewers are not asked for")
	}
	o.events <- event.Event{ID: "other-9", Type: event.ViewerJoined}
	if got := next(t, b); !strings.HasPrefix(got, "id: other-9\n") {
		t.Errorf("it gets %q", got)
	}
}

// TestFollowOn: other nodes are followed for a while after the last client has left, and who comes
// back later learns that something is missing.
func TestFollowOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, made := newOtherNode(), 0
		a := &API{events: newStream()}
		a.opt.Elsewhere = func() Follower { made++; return o }
		a.events.alone = true
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { a.followElsewhere(ctx); close(done) }()
		visit := func(last string) (missed bool) {
			c, err := a.events.join(map[event.Type]bool{event.KeyChanged: true, typeMissed: true}, last)
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			a.events.leave(c)
			return bytes.Contains(bytes.Join(c.before, nil), missedText)
		}
		visit("")
		a.events.add(event.KeyChanged, []byte("{}"), "boot-0")
		time.Sleep(followOn - time.Second)
		if visit("boot-0") || made != 1 {
			t.Error("who is back soon has missed something")
		}
		time.Sleep(followOn + time.Second)
		if !visit("boot-0") || made != 2 {
			t.Error("who is back late has missed nothing")
		}
		if !visit("boot-0") {
			t.Error("who is back after somebody else has missed nothing")
		}
		cancel()
		<-done
	})
}
