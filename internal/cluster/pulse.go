package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	// pulseInterval is for how long a node may leave a request without an answer, or in the middle
	// of one, before it is asked whether it is there at all, and how often after that.
	pulseInterval = time.Second
	// maxPulses bounds the nodes of which it is known.
	maxPulses = 1024
)

// errSilent: a node may take connections, and says nothing.
var errSilent = fmt.Errorf("%w: it says nothing", ErrUnreachable)

// pulses says which nodes still answer, once for all requests that wait for one. A home may hold a
// request for as long as its playlist needs, so that no time would be right for all answers; but a
// node that is there says so at once. Its methods may be called from any goroutine.
type pulses struct {
	// ask asks a node for nothing.
	ask  func(ctx context.Context, to Node) error
	ctx  context.Context // of all questions
	stop context.CancelFunc
	all  sync.WaitGroup

	mu     sync.Mutex
	nodes  map[string]*pulse // by address
	closed bool
}

func (p *pulses) open(ask func(ctx context.Context, to Node) error) {
	p.ask, p.nodes = ask, make(map[string]*pulse)
	p.ctx, p.stop = context.WithCancel(context.Background())
}

// close ends the questions under way, and waits for that.
func (p *pulses) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.stop()
	p.all.Wait()
}

// pulse is what is known of a node.
type pulse struct {
	asked chan struct{} // closed when the question under way is answered; nil if none is
	heard time.Time     // when it answered last
	err   error         // of the last question
}

// place finds or makes what is known of a node. The caller holds mu.
func (p *pulses) place(to Node) *pulse {
	n := p.nodes[to.Addr]
	if n == nil {
		if len(p.nodes) >= maxPulses {
			clear(p.nodes)
		}
		n = new(pulse)
		p.nodes[to.Addr] = n
	}
	return n
}

// hears notes that a node has answered.
func (p *pulses) hears(to Node) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.place(to)
	n.heard, n.err = time.Now(), nil
}

// isSilent says whether a node gave no answer when it was asked last.
func (p *pulses) isSilent(to Node) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.nodes[to.Addr]
	return n != nil && n.err != nil
}

// check asks a node whether it is there, unless it has just answered. It takes answerTimeout at
// most.
func (p *pulses) check(ctx context.Context, to Node) error {
	p.mu.Lock()
	n := p.place(to)
	if time.Since(n.heard) < pulseInterval/2 {
		p.mu.Unlock()
		return nil
	}
	asked := n.asked
	switch {
	case asked != nil:
	case p.closed:
		p.mu.Unlock()
		return net.ErrClosed
	default:
		asked = make(chan struct{})
		n.asked = asked
		p.all.Go(func() { p.feel(n, to) })
	}
	p.mu.Unlock()
	select {
	case <-asked:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return n.err
}

// feel asks a node, for all who want to know.
func (p *pulses) feel(n *pulse, to Node) {
	ctx, cancel := context.WithTimeout(p.ctx, answerTimeout)
	err := p.ask(ctx, to)
	if err != nil && ctx.Err() != nil {
		err = errSilent
	}
	cancel()
	p.mu.Lock()
	defer p.mu.Unlock()
	if n.err = err; err == nil {
		n.heard = time.Now()
	}
	close(n.asked)
	n.asked = nil
}

// watch gives a request up once its node says nothing any more, until ctx, that of the request,
// ends.
func (p *pulses) watch(ctx context.Context, to Node, giveUp context.CancelCauseFunc) {
	time.AfterFunc(pulseInterval, func() {
		if ctx.Err() != nil {
			return
		}
		if err := p.check(ctx, to); err != nil {
			giveUp(err)
			return
		}
		p.watch(ctx, to, giveUp)
	})
}

// ping asks a node for nothing: any answer will do.
func (p *Peers) ping(ctx context.Context, to Node) error {
	r, err := p.request(ctx, http.MethodGet, to, pingPath, "", nil)
	if err != nil {
		return err
	}
	answer, err := p.http.Do(r)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrUnreachable, to.ID, unwrapURL(err))
	}
	return answer.Body.Close()
}

// do sends a request, and gives it up when the node says nothing any more: it may have much to wait
// for, and so may its body.
func (p *Peers) do(r *http.Request, to Node) (*http.Response, error) {
	ctx, giveUp := context.WithCancelCause(r.Context())
	if p.pulses.isSilent(to) {
		if err := p.pulses.check(ctx, to); err != nil {
			giveUp(nil)
			return nil, err
		}
	}
	p.pulses.watch(ctx, to, giveUp)
	answer, err := p.http.Do(r.WithContext(ctx))
	if err != nil {
		giveUp(err)
		if cause := context.Cause(ctx); errors.Is(cause, ErrUnreachable) {
			err = cause
		}
		return nil, fmt.Errorf("%w: %s: %w", ErrUnreachable, to.ID, unwrapURL(err))
	}
	p.pulses.hears(to)
	answer.Body = watchedBody{answer.Body, ctx, giveUp}
	return answer, nil
}

// watchedBody ends the watch with what it is kept for.
type watchedBody struct {
	io.ReadCloser
	ctx context.Context // of the watch
	end context.CancelCauseFunc
}

func (b watchedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if cause := context.Cause(b.ctx); err != nil && errors.Is(cause, ErrUnreachable) {
		err = cause
	}
	return n, err
}

func (b watchedBody) Close() error {
	defer b.end(nil)
	return b.ReadCloser.Close()
}
