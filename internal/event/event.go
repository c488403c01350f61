// Package event carries what happens in the server to those who tell others: hooks, the API's
// stream of events, metrics. Who emits never waits; who reads too slowly misses events and learns
// how many.
package event

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Type says what happened.
type Type string

// The types of event. A stream is all its renditions, a rendition is one publication of it.
const (
	ServerStarted  Type = "server.started"
	ServerDraining Type = "server.draining"

	StreamStarted   Type = "stream.started"
	StreamLost      Type = "stream.lost"
	StreamReturned  Type = "stream.returned"
	StreamTakenOver Type = "stream.taken_over"
	StreamEnded     Type = "stream.ended"

	RenditionAdded   Type = "rendition.added"
	RenditionRemoved Type = "rendition.removed"

	PublishRefused Type = "publish.refused"
	PublishLimited Type = "publish.over_limit"
	ViewerJoined   Type = "viewer.joined"
	ViewerLeft     Type = "viewer.left"

	RecordingStarted   Type = "recording.started"
	RecordingCompleted Type = "recording.completed"
	RecordingFailed    Type = "recording.failed"
	RelayConnected     Type = "relay.connected"
	RelayFailed        Type = "relay.failed"
	CommandEnded       Type = "command.ended"
	KeyChanged         Type = "key.changed"
)

// Types lists all types of event.
func Types() []Type {
	return []Type{
		ServerStarted, ServerDraining,
		StreamStarted, StreamLost, StreamReturned, StreamTakenOver, StreamEnded,
		RenditionAdded, RenditionRemoved,
		PublishRefused, PublishLimited, ViewerJoined, ViewerLeft,
		RecordingStarted, RecordingCompleted, RecordingFailed, RelayConnected, RelayFailed, CommandEnded, KeyChanged,
	}
}

// Event is one thing that happened. No key, token or query of a URL is in it.
type Event struct {
	// ID names the event among those of all nodes and lives of a server. Emit sets it, and Time and
	// Node.
	ID   string    `json:"id"`
	Type Type      `json:"type"`
	Time time.Time `json:"time"`
	Node string    `json:"node,omitempty"`
	// Stream is app/stream, empty for events of the server. Rendition names one of its
	// publications.
	Stream    string   `json:"stream,omitempty"`
	Rendition string   `json:"rendition,omitempty"`
	Session   *Session `json:"session,omitempty"`
	// Data is what else there is to say, an object when it is written as JSON.
	Data any `json:"data,omitempty"`
}

// Session is the connection that an event is about.
type Session struct {
	ID       string `json:"id,omitempty"`
	Protocol string `json:"protocol,omitempty"`
	// Remote is the peer's address with its port.
	Remote string `json:"remote,omitempty"`
}

// Reason is the Data of events that have a cause.
type Reason struct {
	Reason string `json:"reason"`
}

// ErrClosed is returned by Next when the bus was closed and all its events were read.
var ErrClosed = errors.New("no more events")

// defaultRing is how many events a Bus keeps.
const defaultRing = 1024

// Options configures a Bus.
type Options struct {
	// Node names the server in events. Boot tells its lives apart, and must differ in each.
	Node, Boot string
	// Ring is how many of the newest events are kept for readers; 0: 1,024.
	Ring int
}

// Bus keeps the newest events. Its methods may be called from any goroutine.
type Bus struct {
	opt Options

	mu      sync.Mutex
	ring    []Event // the event with number n is at n modulo its length
	next    uint64  // number of the next event
	counts  map[Type]uint64
	changed chan struct{}
	closed  bool
}

// NewBus returns a bus without events.
func NewBus(opt Options) *Bus {
	if opt.Ring <= 0 {
		opt.Ring = defaultRing
	}
	return &Bus{opt: opt, ring: make([]Event, opt.Ring), counts: make(map[Type]uint64), changed: make(chan struct{})}
}

// Emit adds an event that happens now. It never waits.
func (b *Bus) Emit(e Event) { b.emit(e, time.Now()) }

func (b *Bus) emit(e Event, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	e.ID, e.Time, e.Node = b.id(b.next), now.UTC(), b.opt.Node
	b.ring[b.next%uint64(len(b.ring))] = e
	b.next++
	b.counts[e.Type]++
	b.wake()
}

// id names an event by its number.
func (b *Bus) id(number uint64) string { return fmt.Sprintf("%s-%d", b.opt.Boot, number) }

// Counts returns how many events of each type there were.
func (b *Bus) Counts() map[Type]uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.counts)
}

// wake tells all readers to look again. The caller holds mu.
func (b *Bus) wake() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// Close lets readers end once they have read what there is. Later events are dropped.
func (b *Bus) Close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.closed = true
		b.wake()
	}
}

// Cursor reads events in order. It has one user at a time, and needs no end.
type Cursor struct {
	bus    *Bus
	next   uint64
	missed uint64
	// end, if split is set, is where another cursor goes on; guarded by bus.mu.
	end   uint64
	split bool
}

// Follow returns a cursor at what happens from now on.
func (b *Bus) Follow() *Cursor {
	b.mu.Lock()
	defer b.mu.Unlock()
	return &Cursor{bus: b, next: b.next}
}

// Split ends the cursor with what has happened by now, as the end of the bus would, and returns one
// that goes on from there. It may be called from any goroutine.
func (c *Cursor) Split() *Cursor {
	b := c.bus
	b.mu.Lock()
	defer b.mu.Unlock()
	if !c.split {
		c.split, c.end = true, b.next
		b.wake()
	}
	return &Cursor{bus: b, next: c.end}
}

// FollowAfter returns a cursor behind the event of that ID. If the bus has it no more, or it is one
// of another life, the cursor stands at the oldest event that there is, and Missed counts those
// before.
func (b *Bus) FollowAfter(id string) *Cursor {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := &Cursor{bus: b}
	number, err := strconv.ParseUint(strings.TrimPrefix(id, b.opt.Boot+"-"), 10, 64)
	if err == nil && number < b.next {
		c.next = number + 1
	}
	c.skip()
	return c
}

// oldest is the number of the oldest event. The caller holds mu.
func (b *Bus) oldest() uint64 { return b.next - min(b.next, uint64(len(b.ring))) }

// Next waits for the next event. It returns ErrClosed at the end of the bus, and the cause of ctx
// when that ends first.
func (c *Cursor) Next(ctx context.Context) (Event, error) {
	for {
		e, changed, err := c.take()
		if changed == nil || err != nil {
			return e, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return Event{}, context.Cause(ctx)
		}
	}
}

// take returns the next event, or what to wait for.
func (c *Cursor) take() (Event, <-chan struct{}, error) {
	b := c.bus
	b.mu.Lock()
	defer b.mu.Unlock()
	if c.split && c.next >= c.end {
		return Event{}, nil, ErrClosed
	}
	c.skip()
	if c.next < b.next {
		c.next++
		return b.ring[(c.next-1)%uint64(len(b.ring))], nil, nil
	}
	if b.closed {
		return Event{}, nil, ErrClosed
	}
	return Event{}, b.changed, nil
}

// skip goes on to what the bus still has. The caller holds bus.mu.
func (c *Cursor) skip() {
	if oldest := c.bus.oldest(); c.next < oldest {
		c.missed += oldest - c.next
		c.next = oldest
	}
}

// Behind returns the ID with which FollowAfter goes on where the cursor is.
func (c *Cursor) Behind() string {
	if c.next == 0 {
		return ""
	}
	return c.bus.id(c.next - 1)
}

// Missed returns how many events the bus let go of before Next could return them.
func (c *Cursor) Missed() uint64 { return c.missed }
