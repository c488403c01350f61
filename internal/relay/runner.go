package relay

import (
	"context"
	"crypto/rand"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"livego/internal/event"
	"livego/internal/fanout"
	"livego/internal/pause"
)

// runner is one relay.
type runner struct {
	relays *Relays
	relay  Relay
	static bool
	log    *slog.Logger
	stop   context.CancelCauseFunc
	done   chan struct{}
	// idle ends with finish: no connection is begun any more, and nothing is waited for.
	idle   context.Context
	finish context.CancelCauseFunc
	// former are relays in whose place this one comes: it waits for their end.
	former []*runner
	// lives counts the lives of its stream that share it, 0 if it is not shared; guarded by the mu
	// of relays.
	lives int
	// settled is closed when its first connection runs or failed, or its stream is waited for.
	settled chan struct{}
	once    sync.Once

	mu     sync.Mutex
	status Status
	logged string // the last error that was logged
	// player is what a push is at the fan-out while it runs, sent and skipped what is counted of
	// it.
	player        *fanout.Player
	sent, skipped uint64
	// peer is where a push goes while it runs.
	peer netip.Addr
}

func (r *runner) now() Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tally()
	return r.status
}

// plays notes that a push is a player, or that it is none any more.
func (r *runner) plays(p *fanout.Player) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.tally()
	r.player, r.sent, r.skipped = p, 0, 0
}

// reaches notes where a push goes, nil: nowhere any more.
func (r *runner) reaches(at net.Addr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.peer = netip.Addr{}
	if at != nil {
		to, _ := netip.ParseAddrPort(at.String())
		r.peer = to.Addr().Unmap()
	}
}

func (r *runner) isAt(at netip.Addr) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.peer == at
}

// tally counts what the player got since the last time. The caller holds mu.
func (r *runner) tally() {
	if r.player == nil {
		return
	}
	st := r.player.Stats()
	sent := max(st.Video+st.Audio, r.sent) // which may be some messages old, one time more than another
	r.count(sent-r.sent, st.Skipped-r.skipped)
	r.sent, r.skipped = sent, st.Skipped
}

// is notes a state.
func (r *runner) is(s State) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.status.State != s {
		r.status.State, r.status.Since = s, time.Now()
	}
	if s == Connecting {
		r.status.Tries++
		r.relays.counts(r.relay.Direction).tries.Add(1)
	}
	if s == Running {
		r.logged = ""
		r.settle()
	}
}

func (r *runner) settle() { r.once.Do(func() { close(r.settled) }) }

// count counts media. The caller holds mu.
func (r *runner) count(bytes, skipped uint64) {
	r.status.Bytes += bytes
	r.status.Skipped += skipped
	c := r.relays.counts(r.relay.Direction)
	c.bytes.Add(bytes)
	c.skipped.Add(skipped)
}

// run goes on until ctx ends.
func (r *runner) run(ctx context.Context) {
	defer close(r.done)
	defer r.stop(ErrStopped)
	for _, former := range r.former {
		select {
		case <-former.done:
		case <-r.idle.Done():
		}
	}
	r.former = nil
	var again backoff
	for r.idle.Err() == nil {
		began := time.Now()
		var err error
		if r.relay.Direction == Push {
			err = r.push(ctx)
		} else {
			err = r.pull(ctx)
		}
		if r.idle.Err() != nil {
			return
		}
		if err == nil { // the stream is over: wait for the next one
			again = 0
			continue
		}
		r.failed(err)
		_ = pause.For(r.idle, jittered(again.after(time.Since(began)))) // the loop sees its end
	}
}

// sayEnd lets the relay end by itself, for a while: its stream is over, and the other server is
// told.
func (r *runner) sayEnd() {
	r.finish(ErrStopped)
	timer := time.NewTimer(ioTimeout)
	defer timer.Stop()
	select {
	case <-r.done:
	case <-timer.C:
	}
}

// end ends the relay, and waits for that.
func (r *runner) end() {
	r.stop(ErrStopped)
	<-r.done
}

// backoff is the wait before the last try, 0 before the first one.
type backoff time.Duration

// after returns the wait before the next try: twice the last one, unless the connection held for
// good.
func (b *backoff) after(held time.Duration) time.Duration {
	next := min(2*time.Duration(*b), maxBackoff)
	if *b == 0 || held > goodTime {
		next = minBackoff
	}
	*b = backoff(next)
	return next
}

// failed notes why a connection ended. The same reason is logged once until it works again.
func (r *runner) failed(err error) {
	text := cut(err.Error())
	r.relays.counts(r.relay.Direction).failures.Add(1)
	r.mu.Lock()
	r.status.State, r.status.Since, r.status.Error = Failed, time.Now(), text
	fresh := r.logged != text
	r.logged = text
	r.mu.Unlock()
	r.settle()
	if !fresh {
		return
	}
	r.log.Warn("relay interrupted, it is tried again", "reason", text)
	r.tell(event.RelayFailed, text)
}

// connected notes that media flow.
func (r *runner) connected() {
	r.is(Running)
	r.log.Info("relay runs")
	r.tell(event.RelayConnected, "")
}

// told is the data of events about relays.
type told struct {
	Direction Direction `json:"direction"`
	Host      string    `json:"host"`
	Reason    string    `json:"reason,omitempty"`
}

func (r *runner) tell(t event.Type, reason string) {
	if r.relays.opt.Events != nil {
		r.relays.opt.Events.Emit(event.Event{
			Type: t, Stream: r.relay.name().Key(), Data: told{r.relay.Direction, hostOf(r.relay.URL), reason},
		})
	}
}

// maxError is how much of what another server says is kept.
const maxError = 200

func cut(text string) string {
	if len(text) > maxError {
		text = strings.ToValidUTF8(text[:maxError], "") + "…"
	}
	return text
}

// jittered is a time between half and all of d, so that relays that broke together do not come back
// together.
func jittered(d time.Duration) time.Duration {
	n, err := rand.Int(rand.Reader, big.NewInt(int64(d/2)+1))
	if err != nil {
		return d
	}
	return d/2 + time.Duration(n.Int64())
}
