package server

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"sync"
	"time"

	v1 "livego/internal/api/v1"
	"livego/internal/cluster"
	"livego/internal/event"
)

const (
	// eventsPath is where a node tells others what happens here, below /api.
	eventsPath = "/events"
	// eventsPulse is how often it says something at least, eventsTimeout how long another node may
	// take to accept that.
	eventsPulse   = time.Second
	eventsTimeout = 5 * time.Second
	// followRetry is how often it is looked which nodes there are that are not followed.
	followRetry = 500 * time.Millisecond
	// maxEventLine bounds one event of another node, in bytes.
	maxEventLine = 64 << 10
	// fromTheBegin is behind no event.
	fromTheBegin = "-"
)

// eventLine is what a node tells others, one line of JSON each: an event; that some are lost; or
// behind which event it stands, so that who comes back goes on there.
type eventLine struct {
	*event.Event
	// Data takes the place of that of the event, which is passed on as it came.
	Data   json.RawMessage `json:"data,omitempty"`
	Missed bool            `json:"missed,omitempty"`
	Behind string          `json:"behind,omitempty"`
}

// serveEvents tells another node what happens here, from behind the event that it names, or from
// now on, until one of both ends.
func (n *node) serveEvents(w http.ResponseWriter, r *http.Request) {
	after, viewers := r.URL.Query().Get("after"), r.URL.Query().Get("viewers") == "true"
	c := n.events.Follow()
	if after != "" {
		c = n.events.FollowAfter(after)
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(n.ctx, cancel)()
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Time{}) // else the server's own would end the request
	n.log.Debug("another node follows what happens here", "remote", r.RemoteAddr, "viewers", viewers)
	out := json.NewEncoder(w)
	say := func(l any) bool {
		_ = control.SetWriteDeadline(time.Now().Add(eventsTimeout))
		return out.Encode(l) == nil && control.Flush() == nil
	}
	if c.Missed() > 0 && !say(eventLine{Missed: true}) || !say(eventLine{Behind: c.Behind()}) {
		return
	}
	for missed := c.Missed(); ; missed = c.Missed() {
		e, err := within(ctx, eventsPulse, c.Next)
		var line any = e
		switch {
		case errors.Is(err, context.DeadlineExceeded):
			line = eventLine{Behind: c.Behind()}
		case err != nil:
			return
		case !viewers && (e.Type == event.ViewerJoined || e.Type == event.ViewerLeft):
			line = nil
		}
		if c.Missed() > missed && !say(eventLine{Missed: true}) || line != nil && !say(line) {
			return
		}
	}
}

// within calls f with a context that ends after a time.
func within[T any](ctx context.Context, most time.Duration, f func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	return f(ctx)
}

// follower follows what happens at the other nodes, also over breaks of the connections.
type follower struct {
	node *node
	// since is when it was made: of nodes that started later all is told.
	since time.Time

	mu sync.Mutex
	// behind is the last event that is known of each node, asked are those that are followed now.
	behind map[string]string
	asked  map[string]bool
}

func (n *node) newFollower() v1.Follower {
	return &follower{node: n, since: time.Now(), behind: make(map[string]string), asked: make(map[string]bool)}
}

// Follow implements v1.Follower.
func (f *follower) Follow(ctx context.Context, viewers bool, tell func(event.Event), missed func()) {
	var following sync.WaitGroup
	defer following.Wait()
	tick := time.NewTicker(followRetry)
	defer tick.Stop()
	for {
		for _, o := range f.node.others() {
			if behind, free := f.enter(o); free {
				following.Go(func() {
					defer f.leave(o.ID)
					if err := f.follow(ctx, o, behind, viewers, tell, missed); err != nil && ctx.Err() == nil {
						f.node.log.Debug("a node does not say what happens", "node", o.ID, "err", err)
					}
				})
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// enter returns behind which event a node is to be followed, unless it is already.
func (f *follower) enter(o cluster.Node) (behind string, free bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.asked[o.ID] {
		return "", false
	}
	f.asked[o.ID] = true
	behind, known := f.behind[o.ID]
	if known && behind == "" || !known && o.Started.After(f.since) {
		behind = fromTheBegin
	}
	return behind, true
}

func (f *follower) leave(id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.asked, id)
}

// note notes the last event that is known of a node.
func (f *follower) note(id, behind string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.behind[id] = behind
}

// follow tells what happens at a node, until ctx or the connection ends.
func (f *follower) follow(ctx context.Context, o cluster.Node, behind string, viewers bool, tell func(event.Event), missed func()) error {
	query := make(url.Values)
	if behind != "" {
		query.Set("after", behind)
	}
	if viewers {
		query.Set("viewers", "true")
	}
	resp, err := f.node.peers.Get(ctx, o, "/api"+eventsPath, query.Encode(), nil, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return errors.New(resp.Status)
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxEventLine)
	for lines.Scan() {
		var line eventLine
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil {
			return err
		}
		switch {
		case line.Missed:
			missed()
		case line.Event == nil:
			f.note(o.ID, line.Behind)
		default:
			if line.Data != nil {
				line.Event.Data = line.Data
			}
			tell(*line.Event)
			f.note(o.ID, line.ID)
		}
	}
	return lines.Err()
}
