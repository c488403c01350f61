package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"livego/internal/cluster"
	"livego/internal/live"
)

const (
	// maxCopies bounds the streams that come from other nodes.
	maxCopies = 4096
	// copyRetryMin and copyRetryMax bound the time until a node is asked again, copyTries how often
	// one is asked that has sent nothing yet.
	copyRetryMin = 200 * time.Millisecond
	copyRetryMax = 2 * time.Second
	copyTries    = 4
	// copyWait is how long a viewer waits for a stream that comes.
	copyWait = 5 * time.Second
	// idleInterval is how often it is looked whether a copy has viewers.
	idleInterval = time.Second
	// passTimeout is how long a node waits at most for a stream that comes from another region for
	// another node, which asks the next one then.
	passTimeout = 1500 * time.Millisecond
)

// errIdle: nobody watches a stream that comes from another node.
var errIdle = errors.New("nobody watches the stream here")

// copied is a stream that comes from another node, once for all viewers here.
type copied struct {
	node *node
	name live.Name
	// via are the nodes that it passes after this one, if it is brought for one of them.
	via []string
	// ready is closed when stream is known, or that there is none.
	ready chan struct{}
	pub   *live.Publication
	// away: there is none, because the node that has it does not answer.
	away  bool
	token atomic.Int64
	// path are the nodes that it has passed, its home first.
	path atomic.Pointer[[]string]
	// flows: it comes from a node now.
	flows atomic.Bool
	// next is the node that is about to have the stream, empty if that is not known.
	next string
	// asked is when somebody wanted to watch it last; ends: it ends, as nobody does. Guarded by the
	// node's mu.
	asked time.Time
	ends  bool
	// stop ends it for a cause; over is closed when it has ended.
	stop context.CancelCauseFunc
	over chan struct{}
}

// find returns a stream that another node has. ErrNotFound: none has, or, with errAway, the one
// that has it does not answer.
func (n *node) find(ctx context.Context, name live.Name, via []string) (*live.Publication, error) {
	timer := time.NewTimer(copyWait)
	defer timer.Stop()
	for {
		c, began, err := n.want(ctx, name, via)
		if err != nil {
			return nil, err
		}
		select {
		case <-c.ready:
		case <-timer.C:
			return nil, errNotFoundAway
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
		switch {
		case c.pub != nil:
			return c.pub, nil
		case !began: // what others found before this one asked is no answer to it
			continue
		case c.away:
			return nil, errNotFoundAway
		}
		return nil, live.ErrNotFound
	}
}

// want returns the copy of a stream for somebody who wants to watch it, for whom it stays, and says
// whether it begins with that.
func (n *node) want(ctx context.Context, name live.Name, via []string) (c *copied, began bool, err error) {
	for {
		n.mu.Lock()
		c := n.copies[name]
		stays := c != nil && !c.ends
		if stays {
			c.asked = time.Now()
		}
		n.mu.Unlock()
		switch {
		case stays:
			return c, false, nil
		case c == nil:
			switch _, err := n.lookup(ctx, name.Key()); {
			case errors.Is(err, cluster.ErrDied):
				return nil, false, errNotFoundAway
			case err != nil:
				return nil, false, live.ErrNotFound
			}
			if c, began = n.start(name, via); c == nil {
				return nil, false, live.ErrNotFound
			}
			return c, began, nil
		}
		select {
		case <-c.over: // then it can begin anew
		case <-ctx.Done():
			return nil, false, context.Cause(ctx)
		}
	}
}

// errNotFoundAway: a stream is not to be had, for the node that has it does not answer.
var errNotFoundAway = fmt.Errorf("%w: %w", live.ErrNotFound, errAway)

func (n *node) copyOf(name live.Name) *copied {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.copies[name]
}

// start finds or begins the copy of a stream, nil if there are too many, the stream has its home
// here, or the server ends.
func (n *node) start(name live.Name, via []string) (c *copied, began bool) {
	return n.startCopy(name, via, nil, "")
}

// startCopy is start; pub, if not nil, is what it goes on with, because it was published here, and
// next the node that is about to have it.
func (n *node) startCopy(name live.Name, via []string, pub *live.Publication, next string) (c *copied, began bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if c := n.copies[name]; c != nil {
		return c, false
	}
	// A publisher that is about to begin here has waited for the end of all copies.
	if len(n.copies) >= maxCopies || n.member.Claims(name.Key()) {
		return nil, false
	}
	ctx, stop := context.WithCancelCause(n.outCtx)
	c = &copied{node: n, name: name, via: via, next: next, asked: time.Now(), ready: make(chan struct{}), stop: stop, over: make(chan struct{})}
	if pub != nil {
		c.pub = pub
		close(c.ready)
	}
	if !n.conns.Go(func() { c.run(ctx) }) {
		stop(nil)
		return nil, false
	}
	n.copies[name] = c
	return c, true
}

// run brings the stream until it is over, nobody watches, or it cannot be had any more.
func (c *copied) run(ctx context.Context) {
	defer c.stop(nil)
	defer close(c.over)
	defer func() {
		c.node.mu.Lock()
		delete(c.node.copies, c.name)
		c.node.mu.Unlock()
		if c.pub == nil {
			close(c.ready)
		}
	}()
	find, moves := c.node.lookup, 0
	for tries := 0; ctx.Err() == nil; tries++ {
		began, changed := time.Now(), c.node.member.Changed(c.name.Key())
		err := c.connect(ctx, find)
		switch {
		case errors.Is(err, cluster.ErrMoved) && moves < copyTries:
			find, moves = c.node.lookAgain, moves+1
			continue
		case ctx.Err() != nil, errors.Is(err, io.EOF), errors.Is(err, errIdle), errors.Is(err, live.ErrTakenOver):
			return
		case c.pub == nil && (tries >= copyTries || errors.Is(err, cluster.ErrNotFound) || errors.Is(err, cluster.ErrLoop) ||
			tries > 0 && errors.Is(err, cluster.ErrElsewhere)):
			c.away = errors.Is(err, cluster.ErrUnreachable) || errors.Is(err, cluster.ErrDied)
			c.node.log.Info("stream of another node cannot be had", "stream", c.name.String(), "reason", err.Error())
			return
		}
		if time.Since(began) > copyRetryMax {
			tries, moves = 0, 0
		}
		if tries == 0 {
			c.node.log.Warn("stream of another node interrupted", "stream", c.name.String(), "reason", err.Error())
		}
		hasChanged, goOn := c.pause(ctx, tries, changed)
		if !goOn {
			return
		}
		if hasChanged { // somebody may be about to have it
			tries = 0
		}
		find = c.node.lookAgain
	}
}

// pause waits until the next try, or until it is known that something has changed. goOn is false if
// the stream is over meanwhile.
func (c *copied) pause(ctx context.Context, tries int, changed <-chan struct{}) (hasChanged, goOn bool) {
	wait := min(copyRetryMin<<min(tries, 8), copyRetryMax)
	timer := time.NewTimer(wait/2 + rand.N(wait/2))
	defer timer.Stop()
	var done <-chan struct{}
	if c.pub != nil {
		done = c.pub.Done()
	}
	select {
	case <-changed:
		return true, true
	case <-timer.C:
		return false, true
	case <-done:
	case <-ctx.Done():
	}
	return false, false
}

// connect finds the home, and takes what comes from there. io.EOF: the stream is over.
func (c *copied) connect(ctx context.Context, find func(context.Context, string) (cluster.Entry, error)) error {
	feed, e, err := c.open(ctx, find)
	if err != nil {
		return err
	}
	defer feed.Close()
	if feed.Token < c.token.Load() && feed.Token != 0 {
		return fmt.Errorf("%w: its claim is older than another one", cluster.ErrElsewhere)
	}
	c.token.Store(max(feed.Token, c.token.Load()))
	if before := c.path.Swap(&feed.Path); before != nil && len(feed.Path) > 0 && len(*before) > 0 && (*before)[0] != feed.Path[0] {
		c.node.moves.Add(1)
	}
	watched, end := context.WithCancelCause(ctx)
	defer end(nil)
	p, err := c.node.copy(c.name, e.Node, end)
	if err != nil {
		return err
	}
	if c.pub == nil {
		c.pub = p.pub.Publication()
		close(c.ready)
	}
	defer context.AfterFunc(watched, func() { _ = feed.Close() })()
	go c.watch(watched)
	c.flows.Store(true)
	defer c.flows.Store(false)
	err = c.take(feed, p)
	c.next = feed.MovedTo
	if cause := context.Cause(watched); cause != nil {
		err = cause
	}
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, errIdle):
		p.End(live.ErrUnpublished)
	default:
		p.End(fmt.Errorf("%w: %w", live.ErrLost, err))
	}
	return err
}

// open asks for the stream where it is about to be, if that is known, or where it is.
func (c *copied) open(ctx context.Context, find func(context.Context, string) (cluster.Entry, error)) (*cluster.Feed, cluster.Entry, error) {
	if feed, e := c.openNext(ctx); feed != nil {
		return feed, e, nil
	}
	e, err := find(ctx, c.name.Key())
	if err != nil {
		return nil, e, err
	}
	when := cluster.Here
	if c.pub != nil { // who goes on with it may ask before the next home has it
		when = cluster.Soon
	}
	feed, err := c.ask(ctx, e, when)
	return feed, e, err
}

// openNext asks for the stream at the node that is about to have it, again while that may take its
// time and no other one has it: who is late misses pictures.
func (c *copied) openNext(ctx context.Context) (*cluster.Feed, cluster.Entry) {
	next, known := c.node.nodeNamed(ctx, c.next)
	c.next = ""
	if !known {
		return nil, cluster.Entry{}
	}
	e := cluster.Entry{Stream: c.name.Key(), Node: next}
	for range copyTries {
		feed, err := c.ask(ctx, e, cluster.Next)
		if err == nil {
			return feed, e
		}
		home, found := c.node.lookAgain(ctx, e.Stream)
		isElsewhere := found == nil && home.Node.ID != next.ID || found != nil && !errors.Is(found, cluster.ErrNotFound)
		if !errors.Is(err, cluster.ErrElsewhere) || isElsewhere || ctx.Err() != nil {
			break
		}
	}
	return nil, e
}

// nodeNamed returns another node, which may have come a moment ago.
func (n *node) nodeNamed(ctx context.Context, id string) (cluster.Node, bool) {
	if id == "" || id == n.opt.ID {
		return cluster.Node{}, false
	}
	is := func(o cluster.Node) bool { return o.ID == id }
	known := n.member.Known()
	if !slices.ContainsFunc(known, is) {
		known, _ = n.member.Nodes(ctx)
	}
	at := slices.IndexFunc(known, is)
	if at < 0 {
		return cluster.Node{}, false
	}
	return known[at], true
}

// ask asks for the stream on its way from its home, which may be about to become that.
func (c *copied) ask(ctx context.Context, e cluster.Entry, when cluster.When) (feed *cluster.Feed, err error) {
	for _, from := range c.node.wayTo(e, len(c.via) > 0) {
		of := cluster.Here
		if from.ID == e.Node.ID {
			of = when
		}
		feed, err = c.node.peers.Feed(ctx, from, e.Stream, c.name.Rendition, c.via, of)
		if err == nil || ctx.Err() != nil {
			break
		}
		if from.ID != e.Node.ID {
			c.node.log.Info("stream does not come by way of another node", "stream", c.name.String(), "node", from.ID, "reason", err.Error())
		}
	}
	return feed, err
}

// take hands on what comes.
func (c *copied) take(feed *cluster.Feed, p *publication) error {
	for {
		m, err := feed.Next()
		if err != nil {
			return err
		}
		if err := p.message(m.Type, m.TimeMS, m.Arrived, m.Body); err != nil {
			return err
		}
	}
}

// watch ends the copy when nobody has watched it for a while.
func (c *copied) watch(ctx context.Context) {
	tick := time.NewTicker(idleInterval)
	defer tick.Stop()
	for seen := time.Now(); ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if c.pub.Readers() > 0 {
			seen = time.Now()
		}
		if time.Since(seen) >= c.node.opt.Idle && c.letGo() {
			c.stop(errIdle)
			return
		}
	}
}

// letGo says that the copy ends, unless somebody wanted to watch it lately.
func (c *copied) letGo() bool {
	readers := c.pub.Readers()
	c.node.mu.Lock()
	defer c.node.mu.Unlock()
	c.ends = readers == 0 && time.Since(c.asked) >= c.node.opt.Idle
	return c.ends
}

// copy takes a stream on air here that comes from another node.
func (n *node) copy(name live.Name, from cluster.Node, end func(error)) (*publication, error) {
	p := &publication{
		server: n.Server, from: origin{protocol: protocolNode, remote: from.Addr, url: "cluster://" + from.ID + "/" + name.Key(), client: "node " + from.ID, close: end},
	}
	p.session = newSession(p.from.protocol, p.from.remote, name, p.from.url, true)
	var err error
	if p.pub, err = n.hub.Copy(name, end); err != nil {
		return nil, err
	}
	p.begin(PublishLimits{}, n.log.With("protocol", protocolNode, "node", from.ID))
	return p, nil
}
