package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"livego/internal/auth"
	"livego/internal/keys"
	"livego/internal/live"
	"livego/internal/ticket"
)

// access decides who may publish and who may watch. All protocols ask it, and say its answer in
// their own words. Its methods may be called from any goroutine.
type access struct {
	log      *slog.Logger
	apps     map[string]App
	keys     keys.Store
	noAuth   bool // whoever has no key publishes under the name that it gives
	failures *auth.FailureLimiter
	// guarded says that some app does not let everybody watch.
	guarded bool
	tickets *ticket.Checker
	// ask asks somebody else about a viewer, with ViewersByHook.
	ask func(ctx context.Context, from caller, name live.Name, token string) (pass, error)
	// roomFor says whether a stream may begin, viewerFits whether an app may have one more viewer;
	// nil: without bound.
	roomFor    func(app App, name live.Name) bool
	viewerFits func(app string) bool
	// badTickets are those who show tokens that open nothing.
	badTickets *auth.FailureLimiter
	// lent are keys for commands beside streams.
	lent *lent
	// shown counts tokens by what became of them.
	shown *tokenCounts
}

func newAccess(opt *Options) (*access, error) {
	a := &access{
		log: opt.Log, apps: make(map[string]App), keys: opt.Keys, noAuth: opt.NoAuth,
		failures: auth.NewFailureLimiter(), badTickets: auth.NewFailureLimiter(), shown: new(tokenCounts), lent: &lent{lives: make(map[string]*commanded)},
	}
	for _, app := range opt.Apps {
		app.Name = keys.Normal(app.Name)
		a.apps[app.Name] = app
		a.guarded = a.guarded || app.guarded()
	}
	var err error
	if a.tickets, err = ticket.New(opt.Tickets); err != nil {
		return nil, fmt.Errorf("viewer_keys: %w", err)
	}
	return a, nil
}

// goOn takes over what the one before it knows of clients: who guesses is slowed down as before,
// what was revoked stays so, and who began to watch may go on.
func (a *access) goOn(before *access) {
	a.failures, a.badTickets, a.shown, a.lent = before.failures, before.badTickets, before.shown, before.lent
	a.tickets.GoOn(before.tickets)
}

// caller is who asks.
type caller struct {
	// protocol is rtmp, rtmps, http-flv, ws-flv, hls or page.
	protocol string
	addr     netip.Addr
	query    string // of its URL
}

// denied is why a client may not do what it wants, as it may be told.
type denied struct {
	reason string
	err    error // nil: there is no more to say
}

func (d *denied) Error() string { return d.reason }

func (d *denied) Unwrap() error { return d.err }

// errNoKey: a publisher named no channel key.
var errNoKey = errors.New("no channel key")

// errNotServed: there is no such app, or it is off for the client's protocol.
var errNotServed = errors.New("the app is not served here")

// permit allows to publish.
type permit struct {
	name  live.Name
	lease *keys.Lease // of the channel key; nil: none was asked for
	// own is set for a command of the server's own.
	own bool
}

// publish decides about a publisher, who gives a channel key for a name. Its error is of the type
// denied. The lease in the permit is to be released.
func (a *access) publish(ctx context.Context, from caller, at address, rendition string) (permit, error) {
	if name, ok := a.lent.of(at.name()); ok && name.App == at.app {
		if rendition == "" {
			return permit{}, &denied{reason: "a command may publish renditions only: add ?rendition=NAME"}
		}
		name.Rendition = rendition
		return permit{name: name, own: true}, nil
	}
	app := a.apps[at.app]
	if !app.Publishers.admit(from.addr) {
		return permit{}, &denied{"this address may not publish here", errNetwork}
	}
	room, lease, err := a.room(ctx, from, at)
	if err != nil {
		return permit{}, err
	}
	name := live.Name{App: at.app, Stream: room, Rendition: rendition}
	if a.roomFor != nil && !a.roomFor(app, name) {
		if lease != nil {
			lease.Release()
		}
		return permit{}, &denied{"there is no room for more streams", errFull}
	}
	return permit{name: name, lease: lease}, nil
}

// errNetwork: the address is not in the networks that may.
var errNetwork = errors.New("network not allowed")

// pass allows to watch. The zero value is that of streams that everybody may watch.
type pass struct {
	// id is what logs and lists call the viewer's token.
	id string
	// until is when watching must be over; zero: never.
	until time.Time
	// own is set for a command of the server's own, which is no viewer.
	own bool
}

// play decides about a viewer, who may have shown a token. Its error is errNotServed, or of the
// type denied.
func (a *access) play(ctx context.Context, from caller, name live.Name, token string) (pass, error) {
	app, ok := a.apps[name.App]
	of, isLent := a.lent.of(token)
	switch {
	case !ok || !app.serves(from.protocol):
		return pass{}, errNotServed
	case isLent && of.Key() == name.Key():
		return pass{own: true}, nil
	case !app.Viewers.admit(from.addr):
		return pass{}, &denied{"this address may not watch here", errNetwork}
	case a.viewerFits != nil && from.connected() && !a.viewerFits(name.App):
		return pass{}, &denied{"there is no room for more viewers", errFull}
	case app.ViewerAuth == AllViewers:
		return pass{}, nil
	case app.ViewerAuth == ViewersByHook:
		return a.ask(ctx, from, name, token)
	}
	return a.checkToken(ctx, from, name, token)
}

// connected says whether a viewer has a connection of its own. Those of HLS are counted where they
// are estimated.
func (c caller) connected() bool { return c.protocol != protocolHLS && c.protocol != protocolPage }

// guarded says whether not everybody may watch.
func (a App) guarded() bool { return a.ViewerAuth != AllViewers || !a.Viewers.all() }

// checkToken decides by a token. Who shows many that open nothing waits until the ones before are
// checked.
func (a *access) checkToken(ctx context.Context, from caller, name live.Name, token string) (pass, error) {
	leave, err := a.badTickets.Enter(ctx, from.addr)
	if err != nil {
		return pass{}, &denied{"the request has ended", err}
	}
	defer leave()
	grant, err := a.tickets.Check(token, name.Key(), from.addr)
	a.shown.add(err)
	if err != nil {
		if !errors.Is(err, ticket.ErrMissing) {
			a.badTickets.Fail(from.addr)
		}
		return pass{}, &denied{err.Error(), err}
	}
	return pass{id: grant.ID, until: grant.Until}, nil
}

// serves says whether streams of the app are played over a protocol.
func (a App) serves(protocol string) bool {
	switch protocol {
	case protocolHLS:
		return a.HLS
	case protocolFLV, protocolWebSocket:
		return a.FLV
	case protocolPage:
		return a.HLS || a.FLV
	}
	return a.Live
}

// The names of protocols, as lists of sessions have them.
const (
	protocolRTMP      = "rtmp"
	protocolRTMPS     = "rtmps"
	protocolFLV       = "http-flv"
	protocolWebSocket = "ws-flv"
	protocolHLS       = "hls"
	protocolPage      = "page"
)

// room finds the stream's name that a publisher's address stands for.
func (a *access) room(ctx context.Context, from caller, at address) (string, *keys.Lease, error) {
	if len(at.path) == 0 {
		return "", nil, &denied{"there is no channel key: it is the stream's key or name", errNoKey}
	}
	ctx, cancel := context.WithTimeout(ctx, keyTimeout)
	defer cancel()
	lease, err := a.lease(ctx, from, at)
	switch {
	case err == nil:
		return lease.Room, lease, nil
	case !errors.Is(err, keys.ErrUnknownKey):
		// Without authentication too: the name may be a key, which must not become the public name
		// of a stream.
		a.log.Error("channel keys are not available", "err", err)
		return "", nil, &denied{"channel keys cannot be checked now, try again", err}
	case a.noAuth:
		name, err := keys.CanonicalName(at.name())
		if err != nil {
			return "", nil, &denied{err.Error(), err}
		}
		return name, nil, nil
	}
	return "", nil, &denied{a.whyUnknown(ctx, from, at), err}
}

// lease looks the channel key up: the last element of the path, for some people put the room before
// it. Where no key is needed, none of the others may be one either, as they would all be public,
// unless they make no name anyway.
func (a *access) lease(ctx context.Context, from caller, at address) (lease *keys.Lease, err error) {
	leave, err := a.failures.Enter(ctx, from.addr)
	if err != nil {
		return nil, err
	}
	defer leave()
	public := a.noAuth && len(at.name()) <= keys.MaxNameLength
	for _, key := range slices.Backward(at.path) {
		lease, err = a.keys.Lease(ctx, key)
		if !errors.Is(err, keys.ErrUnknownKey) || !public {
			break
		}
	}
	return lease, err
}

// whyUnknown says what is wrong with a key that nobody has. Who guesses is not told more than that.
func (a *access) whyUnknown(ctx context.Context, from caller, at address) string {
	const advice = "; get the key of a room with livego key get ROOM, or with /control/get?room=ROOM"
	if a.failures.Fail(from.addr) {
		return "unknown channel key, as many before from this address" + advice
	}
	before := at.path[:len(at.path)-1]
	if slices.ContainsFunc(before, keys.WellFormed) {
		return "the channel key stands in the server field: the server is rtmp://HOST/APP, the key is the stream's key or name"
	}
	for _, name := range []string{at.name(), at.path[len(before)]} {
		if is, err := a.keys.Has(ctx, name); err == nil && is {
			return "this is the name of a room, by which it is watched, and not its channel key" + advice
		}
	}
	return "unknown channel key" + advice
}
