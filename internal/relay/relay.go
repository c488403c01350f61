// Package relay moves streams between this server and others: pushes take a stream from here to
// another server, pulls bring one from there. Each goes on until it is stopped: it waits for its
// source, and connects again when a connection breaks. Nothing here ever waits for a relay.
package relay

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"livego/internal/event"
	"livego/internal/live"
	"livego/internal/media"
	"livego/internal/rtmp"
)

const (
	// minBackoff and maxBackoff bound the time between two tries; goodTime is how long a connection
	// holds that worked, after which the next try is early again.
	minBackoff = time.Second
	maxBackoff = 30 * time.Second
	goodTime   = 30 * time.Second
	// connectTimeout bounds dialling, handshake and the answers to commands, ioTimeout each write,
	// and the silence of a server that plays.
	connectTimeout = 10 * time.Second
	ioTimeout      = 10 * time.Second
	// maxRelays bounds the relays of a server, maxPerStream the pushes of one stream.
	maxRelays    = 4096
	maxPerStream = 128
	// maxURL bounds a URL in bytes.
	maxURL = 2048
)

// Errors of Start and Stop.
var (
	ErrBadURL  = errors.New("bad relay URL")
	ErrRunning = errors.New("the relay runs already")
	ErrUnknown = errors.New("no such relay")
	ErrTooMany = fmt.Errorf("there are %d relays, or %d of the stream, more are not possible", maxRelays, maxPerStream)
	ErrStopped = errors.New("relay was stopped")
)

// Direction says which way a relay goes.
type Direction string

// The directions of a relay.
const (
	Push Direction = "push"
	Pull Direction = "pull"
)

// Relay names a relay. Two are the same if all of it is.
type Relay struct {
	Direction Direction `json:"direction"`
	// App and Stream are the stream here, as everybody knows it.
	App    string `json:"app"`
	Stream string `json:"stream"`
	// URL is where it goes or comes from: rtmp, rtmps, and http or https (FLV) for pulls. It may
	// hold a password or a key.
	URL string `json:"url"`
}

// name is that of the stream here.
func (r Relay) name() live.Name { return live.Name{App: r.App, Stream: r.Stream} }

// String is for logs: without what is secret in the URL.
func (r Relay) String() string {
	return string(r.Direction) + ":" + r.App + "/" + r.Stream
}

// State says what a relay does.
type State string

// The states of a relay.
const (
	// Waiting: the stream is not on air. Connecting: to the other server. Running: media flow.
	// Failed: it waits for the next try.
	Waiting    State = "waiting"
	Connecting State = "connecting"
	Running    State = "running"
	Failed     State = "failed"
)

// Status is how a relay is.
type Status struct {
	Relay
	State State `json:"state"`
	// Since is the time of the last change of State.
	Since time.Time `json:"since"`
	// Error is why the last connection ended, empty if none did.
	Error string `json:"error,omitempty"`
	// Tries is how often it connected or tried to. Bytes are of media, in all connections.
	Tries uint64 `json:"tries"`
	Bytes uint64 `json:"bytes"`
	// Skipped counts access units that a slow server did not take.
	Skipped uint64 `json:"skipped,omitempty"`
	// Static: it stands in the configuration.
	Static bool `json:"static,omitempty"`
}

// Sink takes the messages of a publisher.
type Sink interface {
	// Message takes a message with its RTMP type and absolute time in milliseconds. Its body must
	// not change any more. An error says that the publisher must end.
	Message(messageType uint8, ms uint32, body []byte) error
	// End takes the publisher off the air.
	End(cause error)
}

// Options configures Relays.
type Options struct {
	Log    *slog.Logger
	Events *event.Bus
	// Hub has the streams that are pushed.
	Hub *live.Hub
	// Publish begins the publication of a stream that is pulled. end is called to end it from here,
	// from any goroutine, and does not wait.
	Publish func(ctx context.Context, r Relay, remote string, end func(cause error)) (Sink, error)
	// Body makes the message of a unit that has none.
	Body func(dst []byte, u *media.AccessUnit) ([]byte, error)
	// Dial, if set, makes connections in place of the network (tests).
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// InsecureTLS does not check the certificates of servers.
	InsecureTLS bool
	// Save, if set, is told the relays that do not stand in the configuration, whenever they
	// change.
	Save func([]Relay)
}

// Relays are the relays of a server. Its methods may be called from any goroutine.
type Relays struct {
	opt Options
	ctx context.Context
	end context.CancelCauseFunc
	all sync.WaitGroup

	pushes, pulls counters

	mu     sync.Mutex
	relays map[Relay]*runner
	closed bool
}

// New returns no relays yet.
func New(opt Options) *Relays {
	r := &Relays{opt: opt, relays: make(map[Relay]*runner)}
	r.ctx, r.end = context.WithCancelCause(context.Background())
	return r
}

// Check says whether a relay can be.
func Check(r Relay) error {
	if len(r.URL) > maxURL {
		return fmt.Errorf("%w: more than %d bytes", ErrBadURL, maxURL)
	}
	scheme, _, _ := strings.Cut(r.URL, "://")
	switch {
	case scheme == "rtmp" || scheme == "rtmps":
		u, err := rtmp.ParseURL(r.URL)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrBadURL, err)
		}
		if u.Name == "" {
			return fmt.Errorf("%w: it names an app and no stream: %.64s", ErrBadURL, u.App)
		}
		return nil
	case r.Direction == Pull && (scheme == "http" || scheme == "https"):
		if hostOf(r.URL) == "" {
			return fmt.Errorf("%w: no host", ErrBadURL)
		}
		return nil
	}
	return fmt.Errorf("%w: the scheme %.16q cannot be relayed", ErrBadURL, scheme)
}

// Start begins a relay. static says that it stands in the configuration.
func (r *Relays) Start(relay Relay, static bool) error {
	if err := Check(relay); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return ErrStopped
	}
	if r.relays[relay] != nil {
		return ErrRunning
	}
	same := 0
	for other := range r.relays {
		if other.Direction == relay.Direction && other.name() == relay.name() {
			same++
		}
	}
	if len(r.relays) >= maxRelays || same >= maxPerStream || relay.Direction == Pull && same > 0 {
		if relay.Direction == Pull && same > 0 {
			return ErrRunning // a stream comes from one place
		}
		return ErrTooMany
	}
	ctx, cancel := context.WithCancelCause(r.ctx)
	idle, finish := context.WithCancelCause(ctx)
	run := &runner{
		idle: idle, finish: finish,
		relays: r, relay: relay, static: static, stop: cancel, done: make(chan struct{}), settled: make(chan struct{}),
		status: Status{Relay: relay, State: Waiting, Since: time.Now(), Static: static},
		log:    r.opt.Log.With("relay", relay.String(), "host", hostOf(relay.URL)),
	}
	r.relays[relay] = run
	r.all.Go(func() { run.run(ctx) })
	r.save()
	return nil
}

// hostOf is the host of a URL, for logs: the rest may be a key or a password.
func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Host
}

// Try begins a relay as Start does, and waits until it runs, or waits for its stream. If its first
// connection fails, it is not begun, and Try returns why.
func (r *Relays) Try(ctx context.Context, relay Relay) error {
	if err := r.Start(relay, false); err != nil {
		return err
	}
	r.mu.Lock()
	run := r.relays[relay]
	r.mu.Unlock()
	if run == nil {
		return nil // it was stopped meanwhile
	}
	select {
	case <-run.settled:
	case <-run.done:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if s := run.now(); s.State == Failed {
		_, _ = r.Stop(relay)
		return errors.New(s.Error)
	}
	return nil
}

// Finish lets a relay end by itself: its stream is over.
func (r *Relays) Finish(relay Relay) {
	r.mu.Lock()
	run := r.relays[relay]
	delete(r.relays, relay)
	r.mu.Unlock()
	if run == nil {
		return
	}
	run.finish(ErrStopped)
	timer := time.NewTimer(ioTimeout)
	defer timer.Stop()
	select {
	case <-run.done: // it has told the other server
	case <-timer.C:
	}
	run.stop(ErrStopped)
	<-run.done
}

// Shown is a URL as lists show it: with what may be a key or a password left out.
func Shown(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	path := strings.Split(strings.Trim(u.Path, "/"), "/")
	if len(path) > 1 && strings.HasPrefix(u.Scheme, "rtmp") {
		path = append(path[:1], "…")
	}
	return u.Scheme + "://" + u.Host + "/" + strings.Join(path, "/")
}

// Stop ends a relay and waits for that. Without URL it ends all of the direction and stream. It
// returns what was ended, and ErrUnknown if that is none.
func (r *Relays) Stop(relay Relay) ([]Relay, error) {
	r.mu.Lock()
	var ended []*runner
	for other, run := range r.relays {
		if other == relay || relay.URL == "" && other.Direction == relay.Direction && other.name() == relay.name() {
			delete(r.relays, other)
			ended = append(ended, run)
		}
	}
	r.save()
	r.mu.Unlock()
	if len(ended) == 0 {
		return nil, ErrUnknown
	}
	var names []Relay
	for _, run := range ended {
		run.stop(ErrStopped)
		<-run.done
		names = append(names, run.relay)
	}
	return names, nil
}

// Status returns how a relay is, false if there is none.
func (r *Relays) Status(relay Relay) (Status, bool) {
	r.mu.Lock()
	run := r.relays[relay]
	r.mu.Unlock()
	if run == nil {
		return Status{}, false
	}
	return run.now(), true
}

// List returns all relays, by direction, stream and URL.
func (r *Relays) List() []Status {
	r.mu.Lock()
	runners := make([]*runner, 0, len(r.relays))
	for _, run := range r.relays {
		runners = append(runners, run)
	}
	r.mu.Unlock()
	all := make([]Status, 0, len(runners))
	for _, run := range runners {
		all = append(all, run.now())
	}
	slices.SortFunc(all, func(a, b Status) int {
		return strings.Compare(a.String()+" "+a.URL, b.String()+" "+b.URL)
	})
	return all
}

// save tells which relays there are that do not stand in the configuration. The caller holds mu.
func (r *Relays) save() {
	if r.opt.Save == nil {
		return
	}
	var kept []Relay
	for relay, run := range r.relays {
		if !run.static {
			kept = append(kept, relay)
		}
	}
	slices.SortFunc(kept, func(a, b Relay) int { return strings.Compare(a.String()+a.URL, b.String()+b.URL) })
	r.opt.Save(kept)
}

// Close lets pushes of streams that are over tell the other servers, for a moment, ends all relays,
// without telling Save, and waits for that.
func (r *Relays) Close() {
	r.mu.Lock()
	for _, run := range r.relays {
		run.finish(ErrStopped)
	}
	r.closed = true
	r.mu.Unlock()
	late := time.AfterFunc(closeTime, func() { r.end(ErrStopped) })
	r.all.Wait()
	late.Stop()
	r.end(ErrStopped)
}

// closeTime is how long pushes have to tell the other servers at the end.
const closeTime = time.Second

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
	// settled is closed when its first connection runs or failed, or its stream is waited for.
	settled chan struct{}
	once    sync.Once

	mu     sync.Mutex
	status Status
	logged string // the last error that was logged
}

func (r *runner) now() Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.status
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
	}
	if s == Running {
		r.settle()
	}
}

func (r *runner) settle() { r.once.Do(func() { close(r.settled) }) }

func (r *runner) count(bytes int, skipped uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.status.Bytes += uint64(bytes)
	r.status.Skipped += skipped
	c := r.relays.counts(r.relay.Direction)
	c.bytes.Add(uint64(bytes))
	c.skipped.Add(skipped)
}

// run goes on until ctx ends.
func (r *runner) run(ctx context.Context) {
	defer close(r.done)
	defer r.stop(ErrStopped)
	backoff := minBackoff
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
			backoff = minBackoff
			continue
		}
		r.failed(err)
		if time.Since(began) > goodTime {
			backoff = minBackoff
		}
		wait(r.idle, jittered(backoff))
		backoff = min(2*backoff, maxBackoff)
	}
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

// wait waits, or until ctx ends.
func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// clientOptions are those of all connections.
func (r *runner) clientOptions() rtmp.ClientOptions {
	return rtmp.ClientOptions{ReadTimeout: connectTimeout, WriteTimeout: ioTimeout, TLSConfig: r.tlsConfig(), DialContext: r.relays.opt.Dial}
}
