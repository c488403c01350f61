package v1

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"livego/internal/event"
)

const (
	// maxClients bounds those who follow events at a time.
	maxClients = 64
	// maxKept is how many events are kept for clients that come back.
	maxKept = 1024
	// maxQueued bounds the messages that wait for a client; who takes no more is dropped, and may
	// come back for what is kept.
	maxQueued = maxKept
	// eventTimeout bounds how long a client may take to accept what is sent.
	eventTimeout = 10 * time.Second
	// heartbeat is the longest silence on a connection: less than what proxies allow.
	heartbeat = 15 * time.Second
	// figuresInterval is the time between two messages with figures.
	figuresInterval = time.Second
	// maxFigures bounds the streams in one of them: those that have most viewers.
	maxFigures = 200
)

// Types of message that are no events of the server.
const (
	typeFigures event.Type = "figures"
	typeMissed  event.Type = "events.missed"
)

// Event is something that happened, as hooks get it.
type Event struct {
	ID        string        `json:"id"`
	Type      string        `json:"type" example:"stream.started"`
	Time      time.Time     `json:"time"`
	Node      string        `json:"node,omitempty"`
	Stream    string        `json:"stream,omitempty" doc:"app/room" example:"live/movie"`
	Rendition string        `json:"rendition,omitempty"`
	Session   *EventSession `json:"session,omitempty"`
	Data      any           `json:"data,omitempty" doc:"What else there is to say, an object."`
}

// EventSession is the connection that an event is about.
type EventSession struct {
	ID       string `json:"id,omitempty"`
	Protocol string `json:"protocol,omitempty"`
	Remote   string `json:"remote,omitempty"`
}

// Figures are the present state in numbers, each second.
type Figures struct {
	Time       time.Time       `json:"time"`
	Streams    []StreamFigures `json:"streams" nullable:"false" doc:"Those with most viewers, at most 200."`
	OnAir      int             `json:"on_air" doc:"All streams."`
	Viewers    int             `json:"viewers" doc:"Of all streams."`
	BitRateIn  uint64          `json:"bit_rate_in" doc:"What all encoders send, in bit/s."`
	BitRateOut uint64          `json:"bit_rate_out" doc:"What all viewers get, in bit/s, mean of 5 s."`
}

// StreamFigures are those of one stream.
type StreamFigures struct {
	Name    string `json:"name"`
	State   string `json:"state"`
	Viewers int    `json:"viewers"`
	BitRate uint64 `json:"bit_rate"`
}

// EventFilter says what a client wants.
type EventFilter struct {
	Types       string `query:"types" maxLength:"1024" doc:"Types of event, and figures, with commas between them. Without: all but viewer.joined and viewer.left." example:"stream.started,stream.ended"`
	LastEventID string `header:"Last-Event-ID" maxLength:"128" doc:"The last event that the client has: what came since then follows, as far as it is among the last 1,024."`
}

func (a *API) happenings() {
	schemas := a.api.OpenAPI().Components.Schemas
	schemas.Schema(reflect.TypeFor[Event](), true, "")
	schemas.Schema(reflect.TypeFor[Figures](), true, "")
	op := operation("followEvents", http.MethodGet, "/events", "Events", "What happens, as server-sent events", http.StatusServiceUnavailable)
	op.Description = "The field event is the type, data is an Event; for figures, each second, Figures. Events that a client has missed for good " +
		"are replaced by one of the type events.missed: ask for the lists again. A client that does not read fast enough is disconnected."
	op.Responses = map[string]*huma.Response{"200": {
		Description: "A stream of events that ends with the connection.",
		Content:     map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString}}},
	}}
	huma.Register(a.api, op, func(_ context.Context, in *EventFilter) (*huma.StreamResponse, error) {
		types, err := in.types()
		if err != nil {
			return nil, err
		}
		c, err := a.events.join(types, in.LastEventID)
		if err != nil {
			return nil, err
		}
		return &huma.StreamResponse{Body: func(ctx huma.Context) {
			defer a.events.leave(c)
			_, w := humago.Unwrap(ctx)
			c.serve(ctx.Context(), w)
		}}, nil
	})
}

// types returns what the filter names.
func (f EventFilter) types() (map[event.Type]bool, error) {
	known := append(event.Types(), typeFigures)
	wanted := map[event.Type]bool{typeMissed: true}
	if f.Types == "" {
		for _, t := range known {
			wanted[t] = t != event.ViewerJoined && t != event.ViewerLeft
		}
		return wanted, nil
	}
	for name := range strings.SplitSeq(f.Types, ",") {
		t := event.Type(strings.TrimSpace(name))
		if !slices.Contains(known, t) {
			return nil, problem(http.StatusUnprocessableEntity, "query.types", fmt.Sprintf("a type is not known; there are %v", known))
		}
		wanted[t] = true
	}
	return wanted, nil
}

// Run tells clients what happens until the bus is closed or ctx ends. It is called once.
func (a *API) Run(ctx context.Context) {
	var both sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	both.Go(func() { a.tellFigures(ctx) })
	if a.opt.Elsewhere != nil {
		both.Go(func() { a.followElsewhere(ctx) })
	}
	for missed := uint64(0); ; missed = a.cursor.Missed() {
		e, err := a.cursor.Next(ctx)
		if err != nil {
			break
		}
		if a.cursor.Missed() > missed {
			a.tellMissed()
		}
		a.tellEvent(e)
	}
	cancel()
	a.events.close()
	both.Wait()
}

// tellMissed tells that events are lost, now and to who comes back.
func (a *API) tellMissed() { a.events.add(typeMissed, []byte("{}"), "") }

func (a *API) tellEvent(e event.Event) {
	out := Event{ID: e.ID, Type: string(e.Type), Time: e.Time, Node: e.Node, Stream: e.Stream, Rendition: e.Rendition, Data: e.Data}
	if s := e.Session; s != nil {
		out.Session = &EventSession{s.ID, s.Protocol, s.Remote}
	}
	data, err := json.Marshal(out)
	if err != nil {
		a.opt.Log.Error("event cannot be told", "type", string(e.Type), "err", err)
		return
	}
	a.events.add(e.Type, data, e.ID)
}

// tellFigures makes figures each second, once for all clients, and not at all without.
func (a *API) tellFigures(ctx context.Context) {
	tick := time.NewTicker(figuresInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			if a.events.wants(typeFigures) {
				data, _ := json.Marshal(a.figures(now))
				a.events.add(typeFigures, data, "")
			}
		}
	}
}

func (a *API) figures(now time.Time) Figures {
	f := Figures{Time: now.UTC(), Streams: []StreamFigures{}, BitRateOut: a.opt.Streams.BitRateOut()}
	for _, s := range a.opt.Streams.Streams().Items {
		f.OnAir++
		f.Viewers += s.Viewers.Total
		f.BitRateIn += s.BitRate
		f.Streams = append(f.Streams, StreamFigures{s.Name, s.State, s.Viewers.Total, s.BitRate})
	}
	slices.SortFunc(f.Streams, func(a, b StreamFigures) int {
		if a.Viewers != b.Viewers {
			return b.Viewers - a.Viewers
		}
		return strings.Compare(a.Name, b.Name)
	})
	f.Streams = f.Streams[:min(len(f.Streams), maxFigures)]
	return f
}

// numberOf is the number of an event in its ID, 0 if that is none.
func numberOf(id string) uint64 {
	n, _ := strconv.ParseUint(id[strings.LastIndexByte(id, '-')+1:], 10, 64)
	return n
}

// lifeOf is what the IDs of a server's life have in common.
func lifeOf(id string) string { return id[:strings.LastIndexByte(id, '-')+1] }

// message is one server-sent event, as it goes to all clients.
type message struct {
	id   string
	kind event.Type
	text []byte
}

// missedText is the message that some are lost.
var missedText = []byte("event: events.missed\ndata: {}\n\n")

// stream hands messages to clients. Who adds one never waits.
type stream struct {
	mu      sync.Mutex
	kept    []message // the newest, in order of their arrival, at most maxKept
	gone    string    // the ID of the last one that was kept and is not any more
	clients map[*client]bool
	changed chan struct{} // closed when there are other clients
	closed  bool
	// alone: what happens at other nodes is not told now.
	alone bool
}

func newStream() *stream {
	return &stream{clients: make(map[*client]bool), changed: make(chan struct{})}
}

// add gives a message to all who want it. One with an ID is kept, unless it is of viewers, which
// come and go by thousands, and so is that some are lost.
func (s *stream) add(kind event.Type, data []byte, id string) {
	var text bytes.Buffer
	if id != "" {
		fmt.Fprintf(&text, "id: %s\n", id)
	}
	fmt.Fprintf(&text, "event: %s\ndata: %s\n\n", kind, data)
	m := message{id, kind, text.Bytes()}
	s.mu.Lock()
	defer s.mu.Unlock()
	if kind == typeMissed || id != "" && kind != event.ViewerJoined && kind != event.ViewerLeft {
		s.keep(m)
	}
	for c := range s.clients {
		if !c.types[kind] {
			continue
		}
		select {
		case c.queue <- m.text:
		default:
			s.drop(c)
		}
	}
}

// keep keeps a message for who comes back. The caller holds mu.
func (s *stream) keep(m message) {
	if len(s.kept) == maxKept {
		s.gone = s.kept[0].id
		copy(s.kept, s.kept[1:])
		s.kept = s.kept[:maxKept-1]
	}
	s.kept = append(s.kept, m)
}

// drop ends a client. The caller holds mu.
func (s *stream) drop(c *client) {
	if s.clients[c] {
		delete(s.clients, c)
		close(c.queue)
		s.wake()
	}
}

// wake tells that there are other clients. The caller holds mu.
func (s *stream) wake() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// wants says whether any client wants that.
func (s *stream) wants(kind event.Type) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.clients {
		if c.types[kind] {
			return true
		}
	}
	return false
}

// join adds a client that has all up to the event with that ID.
func (s *stream) join(types map[event.Type]bool, last string) (*client, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || len(s.clients) >= maxClients {
		return nil, huma.ErrorWithHeaders(
			problem(http.StatusServiceUnavailable, "", fmt.Sprintf("%d clients follow events, more are not possible", maxClients)),
			http.Header{"Retry-After": {"5"}})
	}
	c := &client{types: types, queue: make(chan []byte, maxQueued)}
	if last != "" {
		c.before = s.since(last, types)
	}
	s.clients[c] = true
	s.wake()
	return c, nil
}

// since returns what was told after the event with that ID, with a word before it if that is not
// all. The caller holds mu.
func (s *stream) since(id string, types map[event.Type]bool) (texts [][]byte) {
	from, whole := s.behind(id)
	if !whole || s.alone {
		texts = append(texts, missedText)
	}
	for _, m := range s.kept[from:] {
		if types[m.kind] {
			texts = append(texts, m.text)
		}
	}
	return texts
}

// behind returns where in what is kept goes on who has seen the event with that ID, which need not
// be kept itself, and whether nothing is lost before. The caller holds mu.
func (s *stream) behind(id string) (from int, whole bool) {
	life, number := lifeOf(id), numberOf(id)
	for i, m := range slices.Backward(s.kept) {
		if m.id != "" && lifeOf(m.id) == life && numberOf(m.id) <= number {
			return i + 1, true
		}
	}
	return 0, s.gone != "" && s.gone == id
}

func (s *stream) leave(c *client) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drop(c)
}

// close ends all clients once they have what was told.
func (s *stream) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for c := range s.clients {
		s.drop(c)
	}
}

// client follows events.
type client struct {
	types  map[event.Type]bool
	before [][]byte    // goes out first
	queue  chan []byte // closed: the end
}

// serve sends until the client is gone, was dropped, or the stream ends.
func (c *client) serve(ctx context.Context, w http.ResponseWriter) {
	if p, ok := w.(*patient); ok {
		w = p.ResponseWriter // here it matters whether the client is there
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{}) // else the server's own would end the request
	send := func(texts ...[]byte) error {
		err := control.SetWriteDeadline(time.Now().Add(eventTimeout))
		if errors.Is(err, http.ErrNotSupported) { // tests
			err = nil
		}
		for _, text := range texts {
			if err == nil {
				_, err = w.Write(text)
			}
		}
		if err != nil {
			return err
		}
		return control.Flush()
	}
	if send(append([][]byte{[]byte("retry: 2000\n\n")}, c.before...)...) != nil {
		return
	}
	c.before = nil
	silence := time.NewTicker(heartbeat)
	defer silence.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case text, ok := <-c.queue:
			if !ok {
				return
			}
			err = send(text)
		case <-silence.C:
			err = send([]byte(": \n\n"))
		}
		if err != nil {
			return
		}
	}
}
