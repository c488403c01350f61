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

	"livego/internal/fanout"
	"livego/internal/flv"
	"livego/internal/hls"
	"livego/internal/keys"
	"livego/internal/live"
	"livego/internal/media"
	"livego/internal/rtmp"
)

// keyTimeout bounds how long a publisher waits for the key storage.
const keyTimeout = 5 * time.Second

// serveRTMP accepts RTMP connections.
func (s *Server) serveRTMP(l *listener) error {
	opt := rtmp.ServerOptions{
		ReadTimeout: s.opt.ReadTimeout, WriteTimeout: s.opt.WriteTimeout, MaxMessageSize: s.opt.MaxMessageSize,
		Version: s.opt.Version, HTTPHint: s.httpHint(), Reconnect: true,
	}
	protocol := "rtmp"
	if l.secure {
		protocol = "rtmps"
	}
	for {
		nc, err := l.Accept()
		if err != nil {
			return err
		}
		started := s.conns.Go(func() {
			c := s.newRTMPConn(nc, protocol)
			c.logEnd(rtmp.Serve(s.ctx, nc, opt, c))
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
	log      *slog.Logger
	active   atomic.Bool // published or played: its session has logged the end
}

var _ rtmp.Handler = (*rtmpConn)(nil)

// newRTMPConn is not for the inliner: its variables would stay on the stack of a connection for good.
//
//go:noinline
func (s *Server) newRTMPConn(nc net.Conn, protocol string) *rtmpConn {
	return &rtmpConn{
		server: s, nc: nc, protocol: protocol,
		log: s.log.With("protocol", protocol, "remote", nc.RemoteAddr().String()),
	}
}

// logEnd logs connections that ended without a session of their own.
func (c *rtmpConn) logEnd(err error) {
	switch {
	case c.active.Load() || err == nil:
	case errors.Is(err, rtmp.ErrHTTPRequest), errors.Is(err, rtmp.ErrTLS), errors.Is(err, rtmp.ErrProtocol), errors.Is(err, rtmp.ErrLimit):
		c.log.Warn("connection refused", "reason", err.Error())
	default:
		c.log.Debug("connection ended", "reason", err.Error())
	}
}

// Connect checks the app.
func (c *rtmpConn) Connect(_ context.Context, r *rtmp.ConnectRequest) error {
	app, ok := c.server.app(r.App)
	switch {
	case !ok:
		c.log.Warn("app refused", "app", r.App, "reason", "not configured", "configured", c.server.appNames())
		return &rtmp.StatusError{Code: rtmp.CodeConnectRejected, Description: fmt.Sprintf("Application %q is not configured here.", r.App)}
	case !app.Live:
		c.log.Warn("app refused", "app", r.App, "reason", "live is off")
		return &rtmp.StatusError{Code: rtmp.CodeConnectRejected, Description: fmt.Sprintf("Application %q is switched off.", r.App)}
	}
	return nil
}

// Publish turns a channel key into a stream and takes the publisher on air.
func (c *rtmpConn) Publish(ctx context.Context, r *rtmp.PublishRequest) (rtmp.Publication, error) {
	query, _ := url.ParseQuery(r.Query) // what does not parse says nothing
	rendition, err := rendition(query)
	if err != nil {
		c.log.Warn("publisher refused", "reason", err.Error())
		return nil, &rtmp.StatusError{Code: rtmp.CodePublishBadName, Description: "Publishing is refused: " + err.Error() + ".", Err: err}
	}
	room, lease, err := c.room(ctx, r.Name)
	if err != nil {
		return nil, err
	}
	name := live.Name{App: r.App, Stream: room, Rendition: rendition}
	p := &publication{conn: c, request: r, name: name, lease: lease}
	p.pub, err = c.server.hub.Publish(name, p.closeWith)
	if err != nil {
		p.release()
		c.log.Warn("publisher refused", "stream", name.String(), "reason", err.Error())
		return nil, &rtmp.StatusError{Code: rtmp.CodePublishBadName, Description: "Publishing is refused: " + err.Error() + ".", Err: err}
	}
	c.active.Store(true)
	p.begin()
	return p, nil
}

// room finds the stream name that a publishing name stands for. Names are secrets here: they are not logged.
func (c *rtmpConn) room(ctx context.Context, name string) (string, *keys.Lease, error) {
	s := c.server
	addr := remoteAddr(c.nc)
	if !s.failures.Allow(addr) {
		return "", nil, c.deny("too many failed attempts, wait a minute", nil)
	}
	ctx, cancel := context.WithTimeout(ctx, keyTimeout)
	defer cancel()
	lease, err := s.opt.Keys.Lease(ctx, name)
	switch {
	case err == nil:
		return lease.Room, lease, nil
	case !errors.Is(err, keys.ErrUnknownKey):
		// Without authentication too: the name may be a key, which must not become the public name of a stream.
		s.log.Error("channel keys are not available", "err", err)
		return "", nil, c.deny("channel keys cannot be checked now, try again", err)
	case s.opt.NoAuth:
		if err := keys.ValidateName(name); err != nil {
			return "", nil, c.deny(err.Error(), err)
		}
		return name, nil, nil
	}
	s.failures.Fail(addr)
	return "", nil, c.deny("unknown channel key; get the key of a room with /control/get?room=ROOM", err)
}

func (c *rtmpConn) deny(reason string, err error) error {
	c.log.Warn("publisher refused", "reason", reason)
	return &rtmp.StatusError{Code: rtmp.CodePublishDenied, Description: "Publishing is refused: " + reason + ".", Err: err}
}

// publication is a publisher on air. Its methods but closeWith are called by the connection's goroutine.
type publication struct {
	conn    *rtmpConn
	request *rtmp.PublishRequest
	name    live.Name
	lease   *keys.Lease // nil without authentication
	pub     *live.Publisher
	session *session
	log     *slog.Logger
	stop    chan struct{} // ends the watch over the lease

	demuxer flv.Demuxer
	units   []media.AccessUnit
	ingest  *ingest
	bad     uint64

	video, audio atomic.Uint64
}

func (p *publication) begin() {
	c := p.conn
	p.session = newSession(c.protocol, c.nc.RemoteAddr().String(), p.name, displayURL(p.request.ConnectRequest, p.name.Stream, p.request.Query), true)
	p.session.StreamID = p.request.StreamID
	p.session.figures = func() figures { return figures{video: p.video.Load(), audio: p.audio.Load()} }
	p.session.stream = p.pub.Stream()
	p.session.close = p.closeWith
	p.session.reconnect = reconnect(p.request.ConnectRequest)
	p.log = c.log.With("stream", p.name.String(), "id", p.session.ID)
	p.ingest = newIngest(p.pub, p.log)
	p.log.Info("publisher on air", "client", p.request.FlashVer)
	c.server.sessions.add(p.session)
	if p.lease == nil {
		return
	}
	p.stop = make(chan struct{})
	c.server.conns.Go(func() {
		select {
		case <-p.lease.Revoked():
			p.closeWith(errRevoked)
		case <-p.stop:
		}
	})
}

// misaligned says that a publisher cannot be a rendition of its stream because of its key frames.
func misaligned(err error) bool {
	return errors.Is(err, live.ErrMisaligned) || errors.Is(err, hls.ErrMisaligned)
}

// reconnect asks a client that can do so to connect again.
func reconnect(r *rtmp.ConnectRequest) func() {
	return func() { _, _ = r.RequestReconnect("", "The server restarts.") }
}

// displayURL is the client's URL with the stream's name.
func displayURL(r *rtmp.ConnectRequest, name, query string) string {
	base, _, _ := strings.Cut(r.TCURL, "?")
	if query != "" {
		query = "?" + query
	}
	return strings.TrimRight(base, "/") + "/" + name + query
}

// closeWith ends the publisher from outside: taken over, key revoked, shutdown.
func (p *publication) closeWith(cause error) {
	code := rtmp.CodePublishDenied
	if errors.Is(cause, live.ErrTakenOver) || misaligned(cause) {
		code = rtmp.CodePublishBadName
	}
	if errors.Is(cause, errShutdown) {
		code = rtmp.CodeConnectAppShutdown // not a word about the key: the encoder should try again
	}
	p.request.Close(&rtmp.StatusError{Code: code, Description: "The publisher is closed: " + cause.Error() + ".", Err: cause})
}

// Message takes one message into the stream.
func (p *publication) Message(m rtmp.Message) error {
	now := time.Now()
	if m.Type == rtmp.TypeVideo {
		p.video.Add(uint64(len(m.Body)))
	} else {
		p.audio.Add(uint64(len(m.Body)))
	}
	units, err := p.demuxer.Append(p.units[:0], m.Type, m.TimestampMS, m.Body)
	if err != nil {
		if p.bad++; p.bad == 1 {
			p.log.Warn("bad message left out; further ones are only counted", "type", m.Type, "err", err)
		}
	}
	if len(units) == 0 {
		return nil
	}
	if units[0].Header == media.Metadata {
		if video, audio, known := p.demuxer.Expected(); known {
			p.pub.Expect(video, audio)
		}
	}
	err = p.ingest.write(units, now)
	clear(units)
	p.units = units
	if misaligned(err) {
		p.closeWith(err)
	}
	return err
}

// Close takes the publisher off the air.
func (p *publication) Close(cause error) {
	ended := "connection lost"
	var status *rtmp.StatusError
	errors.As(cause, &status)
	switch {
	case errors.Is(cause, rtmp.ErrUnpublished):
		ended = "unpublished"
		p.pub.Unpublish()
	case status != nil && (errors.Is(status.Err, errRevoked) || misaligned(status.Err)): // it would come back no better
		ended = cause.Error()
		p.pub.Unpublish()
	default:
		if cause != nil {
			ended = cause.Error()
		}
		p.pub.Lose(cause)
	}
	p.conn.server.sessions.remove(p.session)
	p.release()
	p.log.Info("publisher ended", "reason", ended, "duration", time.Since(p.session.Start).Round(time.Millisecond),
		"video_bytes", p.video.Load(), "audio_bytes", p.audio.Load(), "bad_messages", p.bad, "left_out", p.pub.Dropped(), "time_jumps", p.pub.Jumps())
}

func (p *publication) release() {
	if p.stop != nil {
		close(p.stop)
	}
	if p.lease != nil {
		p.lease.Release()
	}
}

// Play serves an RTMP player.
func (c *rtmpConn) Play(ctx context.Context, r *rtmp.PlayRequest, ps *rtmp.PlayStream) error {
	s := c.server
	if err := keys.ValidateName(r.Name); err != nil {
		return &rtmp.StatusError{Code: rtmp.CodePlayNotFound, Description: "Bad stream name: " + err.Error() + ".", Err: err}
	}
	pick, err := readChoice(r.Query)
	if err != nil {
		return cannotPlay(err)
	}
	name := live.Name{App: r.App, Stream: r.Name, Rendition: pick.rendition}
	stream, err := s.hub.Subscribe(ctx, name, s.opt.PlayWait)
	if errors.Is(err, live.ErrNotFound) {
		c.log.Info("player refused", "stream", name.String(), "reason", err.Error())
		return &rtmp.StatusError{Code: rtmp.CodePlayNotFound, Description: "Stream " + name.String() + " is not on air.", Err: err}
	}
	if err != nil {
		return err
	}
	if err := s.awaitChoice(ctx, stream, pick); errors.Is(err, errNoTrack) {
		c.log.Info("player refused", "stream", name.String(), "reason", err.Error())
		return cannotPlay(err)
	} else if err != nil {
		return err
	}
	// Who knows messages of several tracks gets them, unless it asks for one.
	pick.view.Whole = !pick.asksTracks() && r.Caps.Ex&rtmp.CapMultitrack != 0
	c.active.Store(true)
	c.play(stream, pick.view, r, ps)
	return nil
}

func cannotPlay(err error) error {
	return &rtmp.StatusError{Code: rtmp.CodePlayNotFound, Description: "The stream cannot be played: " + err.Error() + ".", Err: err}
}

// play starts a player that goes on without a goroutine of its own.
func (c *rtmpConn) play(stream *live.Stream, view fanout.View, r *rtmp.PlayRequest, ps *rtmp.PlayStream) {
	player := c.server.fanout.Play(stream, fanout.PlayerOptions{
		Conn: c.nc, Format: rtmp.Format{StreamID: r.StreamID, ChunkSize: rtmp.ChunkSize}, View: view, Trailer: rtmp.EndOfStream(r.StreamID),
		OnEnd: ps.Over,
	})
	ss := newSession(c.protocol, c.nc.RemoteAddr().String(), stream.Name(), displayURL(r.ConnectRequest, r.Name, r.Query), false)
	ss.StreamID = r.StreamID
	ss.reconnect = reconnect(r.ConnectRequest)
	end := c.server.beginPlayer(ss, stream, player, c.log)
	replies, _ := ps.Start(player)
	ps.Detach(func(cause error) error {
		if errors.Is(cause, rtmp.ErrStopped) || errors.Is(cause, rtmp.ErrReplaced) {
			player.Stop(cause)
		} else {
			player.Close(cause)
		}
		<-player.Done()
		end(player.Err())
		if err := player.Err(); !errors.Is(err, fanout.ErrStreamEnded) {
			return err
		}
		return nil
	})
	player.Start(replies)
}

// beginPlayer lists a player and returns what to call at its end.
func (s *Server) beginPlayer(ss *session, stream *live.Stream, p *fanout.Player, log *slog.Logger) (end func(error)) {
	log = log.With("stream", stream.Name().String(), "id", ss.ID)
	ss.stream = stream
	ss.figures = func() figures {
		st := p.Stats()
		return figures{video: st.Video, audio: st.Audio, jumps: st.Jumps}
	}
	ss.close = p.Close
	log.Debug("player joined")
	s.sessions.add(ss)
	return func(err error) {
		s.sessions.remove(ss)
		st := p.Stats()
		log.Info("player left", "reason", err.Error(), "duration", time.Since(ss.Start).Round(time.Millisecond), "bytes", st.Sent, "jumps", st.Jumps)
	}
}
