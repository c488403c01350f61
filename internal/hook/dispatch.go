package hook

import (
	"container/list"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"livego/internal/event"
)

const (
	// maxQueue bounds the deliveries that wait. Beyond it the oldest go.
	maxQueue = 10_000
	// maxWorkers bounds the deliveries under way.
	maxWorkers = 32
	// logEvery is how often a receiver that fails is logged at most.
	logEvery = time.Minute
)

// delays are the times between the tries of a delivery.
var delays = []time.Duration{time.Second, 5 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute}

// Options configures a Dispatcher.
type Options struct {
	Log *slog.Logger
	// URLs are the receivers: each gets every event.
	URLs []string
	// Secrets sign each delivery. Without any there is no signature.
	Secrets []Secret
	// Events are the types to tell; nil: all but those of viewers.
	Events []event.Type
	// Timeout (2 s) bounds one try.
	Timeout time.Duration
	// Format writes bodies and reads answers; nil: events as JSON, any 2xx will do.
	Format Format
	// Counts, if set, are of several dispatchers together: those that follow each other, so that
	// what is counted never goes back.
	Counts *Counts
	// Transport, if set, is used in place of the network (tests).
	Transport http.RoundTripper
}

// Format is how a receiver wants to be told.
type Format interface {
	// Body returns what to send, nil if the receiver does not want to know of that event.
	Body(e *event.Event) []byte
	// Accepted says whether the answer means that the receiver has got it.
	Accepted(status int, body []byte) bool
}

// Dispatcher delivers events: in order for each receiver and stream, at least once, with five
// further tries. What waits is in memory only, and lost at the end of the process.
type Dispatcher struct {
	opt    Options
	client *http.Client

	mu      sync.Mutex
	lanes   map[laneKey]*lane
	queue   *list.List // of *delivery, oldest first, without those under way
	ready   []*lane    // lanes that have something to deliver now
	work    *sync.Cond
	running int
	closed  bool
	missed  uint64 // so far
	logged  map[string]time.Time
}

// laneKey is what deliveries have an order for.
type laneKey struct{ url, stream string }

// lane is the deliveries of one receiver and stream.
type lane struct {
	key   laneKey
	queue []*delivery
	// busy: its first delivery is under way, or waits for its next try.
	busy bool
}

// delivery is one event for one receiver.
type delivery struct {
	id    string
	body  []byte
	lane  *lane
	place *list.Element // in Dispatcher.queue, nil while it is under way
	tries int
}

// Stats counts deliveries.
type Stats struct {
	// Delivered and Failed are over; Dropped were never tried to the end, as too many waited.
	// Missed are events that came faster than they could be taken.
	Delivered, Failed, Dropped, Missed uint64
	// Tries is how often a receiver was called.
	Tries uint64
	// Waiting is how many wait now.
	Waiting int
}

// Counts are what several dispatchers count, and read by anyone. The zero value is ready.
type Counts struct {
	delivered, failed, dropped, missed, tries atomic.Uint64
	waiting                                   atomic.Int64
}

// Stats returns what became of the deliveries so far.
func (c *Counts) Stats() Stats {
	return Stats{
		Delivered: c.delivered.Load(), Failed: c.failed.Load(), Dropped: c.dropped.Load(), Missed: c.missed.Load(), Tries: c.tries.Load(),
		Waiting: int(c.waiting.Load()),
	}
}

// New checks the options.
func New(opt Options) (*Dispatcher, error) {
	for _, address := range opt.URLs {
		if err := CheckURL(address); err != nil {
			return nil, fmt.Errorf("hook_url %s: %w", Redact(address), err)
		}
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Timeout <= 0 {
		opt.Timeout = defaultTimeout
	}
	if opt.Format == nil {
		opt.Format = plain{}
	}
	if opt.Transport == nil {
		opt.Transport = newTransport()
	}
	if opt.Counts == nil {
		opt.Counts = new(Counts)
	}
	d := &Dispatcher{
		opt: opt, client: newClient(opt.Transport),
		lanes: make(map[laneKey]*lane), queue: list.New(), logged: make(map[string]time.Time),
	}
	d.work = sync.NewCond(&d.mu)
	return d, nil
}

// Run delivers what a cursor gives until its bus closes, then what waits without a further try,
// until ctx ends. It returns nil at the end of the bus and the cause of ctx when that ends first.
func (d *Dispatcher) Run(ctx context.Context, events *event.Cursor) error {
	var workers sync.WaitGroup
	for range maxWorkers {
		workers.Go(func() { d.deliver(ctx) })
	}
	stop := context.AfterFunc(ctx, d.wakeAll)
	defer stop()
	var err error
	for {
		var e event.Event
		if e, err = events.Next(ctx); err != nil {
			break
		}
		d.add(&e, events.Missed())
	}
	d.close()
	workers.Wait()
	if errors.Is(err, event.ErrClosed) {
		err = context.Cause(ctx)
	}
	return err
}

// Stats returns what became of the deliveries so far: of all dispatchers, if they share Counts.
func (d *Dispatcher) Stats() Stats { return d.opt.Counts.Stats() }

// wants says whether the receivers are told of a type of event.
func (d *Dispatcher) wants(t event.Type) bool {
	if d.opt.Events == nil {
		return t != event.ViewerJoined && t != event.ViewerLeft
	}
	return slices.Contains(d.opt.Events, t)
}

// add puts an event in line for all receivers.
func (d *Dispatcher) add(e *event.Event, missed uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.opt.Counts.missed.Add(missed - d.missed)
	d.missed = missed
	if !d.wants(e.Type) {
		return
	}
	body := d.opt.Format.Body(e)
	if body == nil {
		return
	}
	for _, address := range d.opt.URLs {
		key := laneKey{address, e.Stream}
		l := d.lanes[key]
		if l == nil {
			l = &lane{key: key}
			d.lanes[key] = l
		}
		v := &delivery{id: e.ID, body: body, lane: l}
		v.place = d.queue.PushBack(v)
		d.opt.Counts.waiting.Add(1)
		l.queue = append(l.queue, v)
		d.makeReady(l)
		for d.queue.Len() > maxQueue {
			d.dropOldest()
		}
	}
}

// makeReady lets a worker take a lane's first delivery, if there is one. The caller holds mu.
func (d *Dispatcher) makeReady(l *lane) {
	switch {
	case l.busy:
	case len(l.queue) == 0:
		delete(d.lanes, l.key)
	default:
		l.busy = true
		d.ready = append(d.ready, l)
		d.work.Signal()
	}
}

// dropOldest gives up the delivery that waits longest. The caller holds mu.
func (d *Dispatcher) dropOldest() {
	v := d.queue.Remove(d.queue.Front()).(*delivery)
	v.place = nil
	d.opt.Counts.waiting.Add(-1)
	v.lane.queue = slices.DeleteFunc(v.lane.queue, func(o *delivery) bool { return o == v })
	d.opt.Counts.dropped.Add(1)
}

func (d *Dispatcher) wakeAll() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.work.Broadcast()
}

// close lets workers end when nothing waits any more: a delivery that waits for its next try has it
// at once, as its last one.
func (d *Dispatcher) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	for _, l := range d.lanes {
		if len(l.queue) > 0 && l.busy && !slices.Contains(d.ready, l) && l.queue[0].place != nil {
			d.ready = append(d.ready, l)
		}
	}
	d.work.Broadcast()
}

// deliver is one worker.
func (d *Dispatcher) deliver(ctx context.Context) {
	for {
		v := d.take(ctx)
		if v == nil {
			return
		}
		d.done(ctx, v, d.try(ctx, v))
	}
}

// take waits for the next delivery, nil at the end.
func (d *Dispatcher) take(ctx context.Context) *delivery {
	d.mu.Lock()
	defer d.mu.Unlock()
	for {
		if ctx.Err() != nil || d.closed && len(d.ready) == 0 && d.running == 0 {
			d.work.Broadcast()
			return nil
		}
		if len(d.ready) > 0 {
			l := d.ready[0]
			d.ready = d.ready[1:]
			if len(l.queue) == 0 { // it was dropped
				l.busy = false
				d.makeReady(l)
				continue
			}
			v := l.queue[0]
			d.queue.Remove(v.place)
			v.place = nil
			d.opt.Counts.waiting.Add(-1)
			d.running++
			return v
		}
		d.work.Wait()
	}
}

// try calls the receiver once.
func (d *Dispatcher) try(ctx context.Context, v *delivery) error {
	ctx, cancel := context.WithTimeout(ctx, d.opt.Timeout)
	defer cancel()
	a, err := post(ctx, d.client, v.lane.key.url, v.id, v.body, d.opt.Secrets, time.Now())
	switch {
	case err != nil:
		return err
	case !d.opt.Format.Accepted(a.status, a.body):
		return fmt.Errorf("the receiver answered with status %d", a.status)
	}
	return nil
}

// done says what becomes of a delivery that was tried.
func (d *Dispatcher) done(ctx context.Context, v *delivery, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.running--
	d.opt.Counts.tries.Add(1)
	v.tries++
	l := v.lane
	if err != nil && v.tries <= len(delays) && !d.closed && ctx.Err() == nil {
		d.tell(l.key.url, err, "it is tried again")
		v.place = d.queue.PushFront(v)
		d.opt.Counts.waiting.Add(1)
		time.AfterFunc(delays[v.tries-1], func() { d.again(l) })
		return
	}
	l.queue = l.queue[1:]
	l.busy = false
	if err != nil {
		d.opt.Counts.failed.Add(1)
		d.tell(l.key.url, err, "that event is given up")
	} else {
		d.opt.Counts.delivered.Add(1)
	}
	d.makeReady(l)
	if d.closed {
		d.work.Broadcast()
	}
}

// again lets a lane's first delivery have its next try.
func (d *Dispatcher) again(l *lane) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.closed { // else close did it
		d.ready = append(d.ready, l)
		d.work.Signal()
	}
}

// tell logs a receiver that fails, once in a while. The caller holds mu.
func (d *Dispatcher) tell(address string, err error, then string) {
	now := time.Now()
	if last, ok := d.logged[address]; ok && now.Sub(last) < logEvery {
		return
	}
	d.logged[address] = now
	d.opt.Log.Warn("hook not delivered", "url", Redact(address), "err", err, "then", then)
}

// plain is events as they are.
type plain struct{}

func (plain) Body(e *event.Event) []byte {
	body, err := json.Marshal(e)
	if err != nil {
		return nil
	}
	return body
}

func (plain) Accepted(status int, _ []byte) bool { return status/100 == 2 }
