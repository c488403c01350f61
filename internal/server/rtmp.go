package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"livego/internal/event"
	"livego/internal/fanout"
	"livego/internal/keys"
	"livego/internal/listen"
	"livego/internal/live"
	"livego/internal/media"
	"livego/internal/rtmp"
)

// keyTimeout bounds how long a publisher waits for the key storage.
const keyTimeout = 5 * time.Second

// serveRTMP accepts RTMP connections.
func (s *Server) serveRTMP(l *listener) error {
	hint := s.httpHint()
	protocol := protocolRTMP
	if l.Secure {
		protocol = protocolRTMPS
	}
	for {
		nc, err := l.Accept()
		if err != nil {
			return err
		}
		started := s.conns.Go(func() {
			c := s.newRTMPConn(nc, protocol)
			c.logEnd(rtmp.Serve(s.ctx, nc, s.now().opt.rtmp(hint), c))
		})
		if !started {
			_ = nc.Close()
		}
	}
}

// httpHint tells who sends HTTP to the RTMP port where to go.
func (s *Server) httpHint() string {
	var ports []string
	for _, p := range []struct{ what, addr string }{
		{"HTTP-FLV", s.opt.FLVAddr}, {"HLS", s.opt.HLSAddr}, {"the control API", s.opt.APIAddr},
	} {
		if p.addr != "" {
			ports = append(ports, p.what+" is on "+p.addr)
		}
	}
	hint := "This is livego's RTMP port."
	if len(ports) > 0 {
		hint += " " + strings.Join(ports, ", ") + "."
	}
	return hint + "\n"
}

// rtmpConn decides what one RTMP client may do.
type rtmpConn struct {
	server   *Server
	nc       net.Conn
	protocol string
	active   atomic.Bool // published or played: its session has logged the end
}

var _ rtmp.Handler = (*rtmpConn)(nil)
var _ rtmp.Unhurried = (*rtmpPublication)(nil)

// newRTMPConn is not for the inliner: its variables would stay on the stack of a connection for
// good.
//
//go:noinline
func (s *Server) newRTMPConn(nc net.Conn, protocol string) *rtmpConn {
	return &rtmpConn{
		server: s, nc: nc, protocol: protocol,
	}
}

// log is made anew for each line, of which there are few: to keep one for each player costs half a
// kilobyte and nine objects, which the collector has to look at.
func (c *rtmpConn) log() *slog.Logger {
	return c.server.log.With("protocol", c.protocol, "remote", c.nc.RemoteAddr().String())
}

// logEnd logs connections that ended without a session of their own.
func (c *rtmpConn) logEnd(err error) {
	if !c.active.Load() && err != nil {
		c.noteFailure(err)
	}
	switch {
	case c.active.Load() || err == nil:
	case errors.Is(err, rtmp.ErrHTTPRequest), errors.Is(err, rtmp.ErrTLS), errors.Is(err, rtmp.ErrProtocol), errors.Is(err, rtmp.ErrLimit):
		c.log().Warn("connection refused", "reason", err.Error())
	default:
		c.log().Debug("connection ended", "reason", err.Error())
	}
}

// noteFailure counts a connection that ended without a session.
func (c *rtmpConn) noteFailure(err error) {
	reason := handshakeReason(err)
	if withoutHandshake(c.nc) {
		reason = failedTLS
	}
	c.server.handshakes.add(handshake{c.protocol, reason})
}

// Connect checks the app.
func (c *rtmpConn) Connect(_ context.Context, r *rtmp.ConnectRequest) error {
	name := c.server.addressOf(r).app
	app, ok := c.server.app(name)
	switch {
	case !ok:
		c.log().Warn("app refused", "app", said(name), "reason", "not configured", "configured", c.server.appNames())
		what := fmt.Sprintf("Application %q is not configured here.", said(name))
		if keys.WellFormed(name) {
			what = "The channel key stands in the server field in place of the app: the server is rtmp://HOST/APP, the key is the stream's key or name."
		}
		return &rtmp.StatusError{Code: rtmp.CodeConnectRejected, Description: what}
	case !app.Live:
		c.log().Warn("app refused", "app", name, "reason", "live is off")
		return &rtmp.StatusError{Code: rtmp.CodeConnectRejected, Description: fmt.Sprintf("Application %q is switched off.", name)}
	}
	return nil
}

// Publish turns a channel key into a stream and takes the publisher on air.
func (c *rtmpConn) Publish(ctx context.Context, r *rtmp.PublishRequest) (rtmp.Publication, error) {
	at := c.server.addressOf(r.ConnectRequest).join(r.Name, r.Query)
	query, _ := url.ParseQuery(at.query) // what does not parse says nothing
	rendition, err := rendition(query)
	if err != nil {
		c.log().Warn("publisher refused", "reason", err.Error())
		c.server.refused.add("bad_rendition")
		return nil, refusal(rtmp.CodePublishBadName, err.Error(), err)
	}
	permit, err := c.server.now().access.publish(ctx, c.caller(at.query), at, rendition)
	if err != nil {
		return nil, c.deny(err)
	}
	p := &rtmpPublication{request: r, place: listen.ConnOf(c.nc)}
	p.sink, err = c.server.publish(ctx, permit, origin{
		protocol: c.protocol, remote: c.nc.RemoteAddr().String(), client: r.FlashVer, query: at.query, path: r.Path, streamID: r.StreamID,
		url: shownURL(r.TCURL, at, permit.name.Stream), close: p.closeWith, reconnect: reconnect(r.ConnectRequest),
	}, c.log())
	switch {
	case errors.Is(err, errRefused):
		return nil, refusal(rtmp.CodePublishDenied, err.Error(), err)
	case err != nil:
		return nil, refusal(rtmp.CodePublishBadName, err.Error(), err)
	}
	c.active.Store(true)
	p.place.Use(listen.Working)
	return p, nil
}

// caller is who the client is.
func (c *rtmpConn) caller(query string) caller {
	return caller{c.protocol, listen.RemoteAddr(c.nc), query}
}

// deny tells log, hooks and encoder why it may not publish.
func (c *rtmpConn) deny(why error) error {
	c.log().Warn("publisher refused", "reason", why.Error())
	c.server.refused.add(refusalReason(why))
	c.server.events.Emit(event.Event{
		Type: event.PublishRefused, Session: &event.Session{Protocol: c.protocol, Remote: c.nc.RemoteAddr().String()}, Data: event.Reason{Reason: why.Error()},
	})
	return refusal(rtmp.CodePublishDenied, why.Error(), why)
}

// refusal is what a publisher is told.
func refusal(code, reason string, err error) error {
	return &rtmp.StatusError{Code: code, Description: "Publishing is refused: " + reason + ".", Err: err}
}

// Stray logs that an encoder sends media to where it does not publish.
func (c *rtmpConn) Stray(streamID uint32, messageType uint8) {
	c.log().Warn("media left out: the encoder sends it to a message stream on which it does not publish", "kind", kindOf(messageType), "message_stream", streamID)
}

// kindOf names what messages of a type hold.
func kindOf(messageType uint8) string {
	switch messageType {
	case rtmp.TypeAudio:
		return media.Audio.String()
	case rtmp.TypeVideo:
		return media.Video.String()
	}
	return media.Data.String()
}

// rtmpPublication is a publisher on air over RTMP. Its methods but closeWith are called by the
// connection's goroutine.
type rtmpPublication struct {
	sink
	request *rtmp.PublishRequest
	place   *listen.Conn
}

// Message takes one message into the stream.
func (p *rtmpPublication) Message(m rtmp.Message) error {
	return p.sink.Message(m.Type, m.TimestampMS, m.Body)
}

// Unhurried implements rtmp.Unhurried.
func (p *rtmpPublication) Unhurried() bool {
	to, ok := p.sink.(rtmp.Unhurried)
	return ok && to.Unhurried()
}

// Close takes the publisher off the air.
func (p *rtmpPublication) Close(cause error) {
	var status *rtmp.StatusError
	switch {
	case errors.Is(cause, rtmp.ErrUnpublished):
		cause = live.ErrUnpublished
	case errors.As(cause, &status) && final(status.Err):
		cause = status.Err
	}
	p.End(cause)
	p.place.Done(listen.Working)
}

// closeWith ends the publisher from outside: taken over, key revoked, shutdown.
func (p *rtmpPublication) closeWith(cause error) {
	code := rtmp.CodePublishDenied
	if errors.Is(cause, live.ErrTakenOver) || misaligned(cause) {
		code = rtmp.CodePublishBadName
	}
	if errors.Is(cause, errShutdown) {
		code = rtmp.CodeConnectAppShutdown // not a word about the key: the encoder should try again
	}
	p.request.Close(&rtmp.StatusError{Code: code, Description: "The publisher is closed: " + cause.Error() + ".", Err: cause})
}

// reconnect asks a client that can do so to connect again, to another server if one is named.
func reconnect(r *rtmp.ConnectRequest) func(to string) {
	return func(to string) {
		if to != "" {
			to += "/" + r.App
		}
		_, _ = r.RequestReconnect(to, "The server restarts.")
	}
}

// errBusy: this node has so much to do that others are to take new viewers.
var errBusy = errors.New("too much to do")

// errFull: viewers have all connections that they may have.
var errFull = errors.New("no room for more viewers")

// Play serves an RTMP player.
func (c *rtmpConn) Play(ctx context.Context, r *rtmp.PlayRequest, ps *rtmp.PlayStream) error {
	place := listen.ConnOf(c.nc)
	if !place.Use(listen.Watching) {
		return &rtmp.StatusError{Code: rtmp.CodePlayFailed, Description: "There is no room for more viewers.", Err: errFull}
	}
	err := c.findAndPlay(ctx, r, ps)
	if err != nil {
		place.Done(listen.Watching)
	}
	return err
}

// findAndPlay waits for what a player asks for, and starts to play it.
func (c *rtmpConn) findAndPlay(ctx context.Context, r *rtmp.PlayRequest, ps *rtmp.PlayStream) error {
	s := c.server
	at := s.addressOf(r.ConnectRequest).join(r.Name, r.Query)
	room, err := keys.CanonicalName(at.name())
	if err != nil {
		return &rtmp.StatusError{Code: rtmp.CodePlayNotFound, Description: "Bad stream name: " + err.Error() + ".", Err: err}
	}
	pick, err := readChoice(at.query)
	if err != nil {
		return cannotPlay(err)
	}
	name := live.Name{App: at.app, Stream: room, Rendition: pick.rendition}
	to := s.redirectRTMP(at.query)
	if to != "" && !r.CanReconnect() {
		c.log().Info("player refused", "stream", said(name.String()), "reason", "too much to do")
		return &rtmp.StatusError{Code: rtmp.CodePlayFailed, Description: "This server has too much to do: play from " + to + ".", Err: errBusy}
	}
	may, err := s.now().access.play(ctx, c.caller(at.query), name, queryToken(at.query))
	if err != nil {
		c.log().Info("player refused", "stream", said(name.String()), "reason", err.Error())
		return &rtmp.StatusError{Code: rtmp.CodePlayFailed, Description: "Watching is refused: " + err.Error() + ".", Err: err}
	}
	if err := s.checkPath(name, r.Path); err != nil {
		c.log().Info("player refused", "stream", said(name.String()), "reason", err.Error())
		return &rtmp.StatusError{Code: rtmp.CodePlayFailed, Description: "Relaying is refused: " + err.Error() + ".", Err: err}
	}
	pub, err := s.find(ctx, name, r.Path, s.now().opt.PlayWait)
	if errors.Is(err, errAway) {
		c.log().Info("player refused", "stream", said(name.String()), "reason", err.Error())
		return &rtmp.StatusError{Code: rtmp.CodePlayFailed, Description: "Stream " + said(name.String()) + " is not to be had now: " + errAway.Error() + ".", Err: err}
	}
	if errors.Is(err, live.ErrNotFound) {
		c.log().Info("player refused", "stream", said(name.String()), "reason", err.Error())
		return &rtmp.StatusError{Code: rtmp.CodePlayNotFound, Description: "Stream " + said(name.String()) + " is not on air.", Err: err}
	}
	if err != nil {
		return err
	}
	if err := s.awaitChoice(ctx, pub, pick); errors.Is(err, errNoTrack) {
		c.log().Info("player refused", "stream", name.String(), "reason", err.Error())
		return cannotPlay(err)
	} else if err != nil {
		return err
	}
	// Who knows messages of several tracks gets them, unless it asks for one.
	pick.view.Whole = !pick.asksTracks() && r.CapsEx&rtmp.CapMultitrack != 0
	err = c.play(playable{pub: pub, view: pick.view, may: may}, r, ps, shownURL(r.TCURL, at, room))
	if err == nil && to != "" {
		_, _ = r.RequestReconnect(to+"/"+r.App+"?"+redirected+"=1", "This server has too much to do.")
	}
	if errors.Is(err, fanout.ErrTooManyViews) {
		c.log().Info("player refused", "stream", name.String(), "reason", err.Error())
		return cannotPlay(err)
	}
	return err
}

func cannotPlay(err error) error {
	return &rtmp.StatusError{Code: rtmp.CodePlayNotFound, Description: "The stream cannot be played: " + err.Error() + ".", Err: err}
}

// sharedStream is the message stream that players' messages are encoded for. It is what the first
// createStream of a connection returns.
const sharedStream = 1

// play starts a player that goes on without a goroutine of its own.
func (c *rtmpConn) play(p playable, r *rtmp.PlayRequest, ps *rtmp.PlayStream, url string) error {
	conn := c.nc
	if r.StreamID != sharedStream {
		conn = rtmp.Restream(conn, r.StreamID)
	}
	player, err := c.server.fanout.Play(p.pub, fanout.PlayerOptions{
		Conn: conn, Format: rtmp.Format{StreamID: sharedStream, ChunkSize: rtmp.ChunkSize}, View: p.view, Trailer: rtmp.EndOfStream(r.StreamID),
		OnEnd: ps.Over,
	})
	if err != nil {
		return err
	}
	c.active.Store(true)
	ss := newSession(c.protocol, c.nc.RemoteAddr().String(), p.pub.Name(), url, false)
	ss.StreamID, ss.agent = r.StreamID, said(r.FlashVer)
	ss.reconnect = reconnect(r.ConnectRequest)
	end := c.server.beginPlayer(ss, p.may, p.pub, player, c.log)
	if len(r.Path) > 0 {
		r.Passed = c.server.pathOf(p.pub)
	}
	replies, _ := ps.Start(player)
	ps.Detach(func(cause error) error {
		if errors.Is(cause, rtmp.ErrStopped) || errors.Is(cause, rtmp.ErrReplaced) {
			player.Stop(cause)
		} else {
			player.Close(cause)
		}
		<-player.Done()
		end(player.Err())
		listen.ConnOf(c.nc).Done(listen.Watching)
		if err := player.Err(); !errors.Is(err, fanout.ErrStreamEnded) {
			return err
		}
		return nil
	})
	player.Start(replies)
	return nil
}

// errWatched: the time is over for which a token lets watch.
var errWatched = errors.New("the token's time is over")

// beginPlayer lists a player and returns what to call at its end.
func (s *Server) beginPlayer(ss *session, may pass, pub *live.Publication, p *fanout.Player, to func() *slog.Logger) (end func(error)) {
	log := func() *slog.Logger {
		log := to().With("stream", pub.Name().String(), "id", ss.ID)
		if may.id != "" {
			log = log.With("token", said(may.id))
		}
		return log
	}
	over := func() bool { return true }
	if !may.until.IsZero() {
		over = time.AfterFunc(time.Until(may.until), func() { p.Close(errWatched) }).Stop
	}
	ss.pub, ss.token, ss.own = pub, may.id, may.own
	ss.figures = func() figures {
		st := p.Stats()
		return figures{video: st.Video, audio: st.Audio, jumps: st.Jumps, behind: st.Behind}
	}
	ss.close = p.Close
	log().Debug("player joined")
	s.sessions.add(ss)
	if s.now().access.tickets.IsRevoked(may.id) { // while this player began
		p.Close(errTokenRevoked)
	}
	return func(err error) {
		over()
		s.sessions.remove(ss, err)
		st := p.Stats()
		log().Info("player left", "reason", err.Error(), "duration", time.Since(ss.Start).Round(time.Millisecond), "bytes", st.Sent, "jumps", st.Jumps)
	}
}
