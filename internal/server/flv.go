package server

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gobwas/ws"
	"golang.org/x/time/rate"

	"livego/internal/fanout"
	"livego/internal/flv"
	"livego/internal/keys"
	"livego/internal/listen"
	"livego/internal/live"
	"livego/internal/media"
	"livego/internal/relay"
	"livego/internal/rtmp"
)

// maxFLVTime is the first time that FLV cannot express: its timestamps are signed (FLV 10.1,
// E.4.1).
const maxFLVTime = (1 << 31) * time.Millisecond

// flvFormat is a wire format with its file header.
type flvFormat interface {
	fanout.Format
	AppendFileHeader(dst []byte, video, audio bool) []byte
}

// serveFLV serves the HTTP-FLV port.
func (s *Server) serveFLV(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/streams" && s.now().opt.StreamList {
		s.streams.ServeHTTP(w, r)
		return
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("X-Content-Type-Options", "nosniff")
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodOptions:
		h.Set("Allow", flvMethods)
		h.Set("Access-Control-Allow-Methods", flvMethods)
		h.Set("Access-Control-Allow-Headers", "*, Authorization")
		h.Set("Access-Control-Max-Age", "86400")
		w.WriteHeader(http.StatusNoContent)
		return
	default:
		h.Set("Allow", flvMethods)
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	r, token := withoutPrefix(r)
	if token == "" {
		token, _ = tokenIn(r)
	}
	found, ok := s.findFLV(w, r, token)
	switch {
	case !ok:
	case isWebSocket(r):
		s.playWebSocket(w, r, found)
	case r.Method == http.MethodHead:
		h.Set("Content-Type", "video/x-flv")
		h.Set("Cache-Control", "no-cache, no-store")
		w.WriteHeader(http.StatusOK)
	default:
		s.playFLV(w, r, found)
	}
}

// playable is what a viewer may watch, and how.
type playable struct {
	pub  *live.Publication
	view fanout.View
	may  pass
	// path are the servers that ask for it by way of each other.
	path []string
}

// findFLV finds what a request asks for, or answers that it is not there, or not for this viewer.
func (s *Server) findFLV(w http.ResponseWriter, r *http.Request, token string) (p playable, found bool) {
	name, ok := flvName(r.URL.Path)
	if !ok {
		http.Error(w, "invalid path\n"+s.flvHint(), http.StatusBadRequest)
		return p, false
	}
	pick, err := readChoice(r.URL.RawQuery)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return p, false
	}
	name.Rendition, p.view, p.path = pick.rendition, pick.view, rtmp.SplitPath(r.Header.Get(relay.HeaderPath))
	if s.redirectFLV(w, r) {
		return p, false
	}
	if p.may, err = s.mayWatch(r, flvProtocol(r), name, token); err != nil && !errors.Is(err, errNotServed) {
		refuseViewer(w, err)
		return p, false
	}
	if err == nil {
		if err = s.checkPath(name, p.path); err != nil {
			http.Error(w, err.Error(), http.StatusLoopDetected)
			return p, false
		}
		p.pub, err = s.find(r.Context(), name, p.path, 0)
	}
	if errors.Is(err, errAway) {
		refuseFile(w, errAway, time.Second)
		return p, false
	}
	if err != nil {
		w.Header().Set("Cache-Control", "no-store")
		http.Error(w, "no publisher", http.StatusNotFound)
		return p, false
	}
	if err := s.awaitChoice(r.Context(), p.pub, pick); err != nil {
		w.Header().Set("Cache-Control", "no-store")
		http.Error(w, err.Error(), http.StatusNotFound)
		return p, false
	}
	return p, true
}

// flvHint says what there is on the HTTP-FLV port.
func (s *Server) flvHint() string {
	hint := "This is the HTTP-FLV port of livego: ask for /APP/STREAM.flv, over HTTP or WebSocket"
	if s.now().opt.StreamList {
		hint += ", or for /streams, the list of them"
	}
	if s.opt.HLSAddr != "" {
		hint += ". A page to watch is at /APP/STREAM/ of the HLS port, " + s.opt.HLSAddr
	}
	return hint + "."
}

// flvProtocol is how a request asks for FLV.
func flvProtocol(r *http.Request) string {
	if isWebSocket(r) {
		return protocolWebSocket
	}
	return protocolFLV
}

const flvMethods = "GET, HEAD, OPTIONS"

// flvName reads /{app}/{stream}.flv; the stream may contain slashes.
func flvName(path string) (live.Name, bool) {
	path, ok := strings.CutSuffix(strings.TrimPrefix(keys.Normal(path), "/"), ".flv")
	app, stream, two := strings.Cut(path, "/")
	return live.Name{App: app, Stream: stream}, ok && two && app != "" && stream != ""
}

func isWebSocket(r *http.Request) bool {
	return r.Method == http.MethodGet && strings.EqualFold(r.Header.Get("Upgrade"), "websocket")
}

// flvHead is the answer to a viewer. The body is not chunked and ends with the connection, so that
// all viewers get the same bytes.
const flvHead = "HTTP/1.1 200 OK\r\n" +
	"Content-Type: video/x-flv\r\n" +
	"Cache-Control: no-cache, no-store\r\n" +
	"Access-Control-Allow-Origin: *\r\n" +
	"X-Content-Type-Options: nosniff\r\n" +
	"X-Accel-Buffering: no\r\n" +
	"Connection: close\r\n\r\n"

// playFLV takes the connection over from HTTP and plays.
func (s *Server) playFLV(w http.ResponseWriter, r *http.Request, p playable) {
	if r.ProtoMajor > 1 {
		s.playFLVOverStream(w, r, p)
		return
	}
	nc, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, "cannot stream over this connection", http.StatusInternalServerError)
		return
	}
	v := s.newViewer(nc, r, p, protocolFLV, flv.TagFormat{})
	v.head = s.flvHeadFor(r)
	if len(p.path) > 0 {
		v.head = strings.TrimSuffix(v.head, "\r\n") + relay.HeaderPath + ": " + strings.Join(s.pathOf(p.pub), ",") + "\r\n\r\n"
	}
	v.start(v.readNothing)
}

// playWebSocket upgrades the connection and plays.
func (s *Server) playWebSocket(w http.ResponseWriter, r *http.Request, p playable) {
	w.Header().Del("Access-Control-Allow-Origin")
	nc, _, _, err := ws.HTTPUpgrader{Timeout: s.now().opt.Fanout.WriteTimeout}.Upgrade(r, w)
	if err != nil {
		s.handshakes.add(handshake{"ws-flv", "protocol"})
		s.log.Debug("websocket upgrade refused", "remote", r.RemoteAddr, "err", said(err.Error()))
		return
	}
	v := s.newViewer(nc, r, p, protocolWebSocket, flv.WebSocketFormat{})
	v.trailer = closeFrame(ws.StatusNormalClosure, "stream ended")
	v.start(v.readWebSocket)
}

// viewer is a player over HTTP whose connection was taken over.
type viewer struct {
	server *Server
	playable
	nc      net.Conn
	session *session
	format  flvFormat
	head    string // goes out first, and at once
	trailer []byte
	player  *fanout.Player
}

func (s *Server) newViewer(nc net.Conn, r *http.Request, p playable, protocol string, format flvFormat) *viewer {
	session := newSession(protocol, r.RemoteAddr, p.pub.Name(), withQuery(r.URL.EscapedPath(), r.URL.RawQuery), false)
	session.agent = said(r.UserAgent())
	return &viewer{
		server: s, playable: p, nc: nc, format: format,
		session: session,
	}
}

// log is made anew for each line, of which there are few.
func (v *viewer) log() *slog.Logger {
	return v.server.log.With("protocol", v.session.Protocol, "remote", v.session.RemoteAddr)
}

// start runs the viewer in a goroutine.
func (v *viewer) start(read func() error) {
	place := listen.ConnOf(v.nc)
	place.Use(listen.Watching) // as the request does already
	started := v.server.conns.Go(func() {
		defer v.nc.Close()
		defer place.Done(listen.Watching)
		v.run(read)
	})
	if !started {
		_ = v.nc.Close()
	}
}

// run plays until the stream or the connection ends. read consumes what the peer sends, and returns
// when it is gone.
func (v *viewer) run(read func() error) {
	_ = v.nc.SetWriteDeadline(time.Now().Add(v.server.now().opt.Fanout.WriteTimeout))
	if _, err := io.WriteString(v.nc, v.head); err != nil {
		return
	}
	if !v.awaitTracks() {
		_, _ = v.nc.Write(v.trailer)
		v.linger()
		return
	}
	kinds, header := v.header()
	var err error
	v.player, err = v.server.fanout.Play(v.pub, fanout.PlayerOptions{
		Conn: v.nc, Format: v.format, View: v.view, TimeLimit: maxFLVTime, FixedCodecs: true, Trailer: v.trailer, Kinds: kinds,
		OnEnd: func(error) { _ = v.nc.SetReadDeadline(time.Unix(1, 0)) },
	})
	if err != nil {
		v.log().Info("player refused", "stream", v.pub.Name().String(), "reason", err.Error())
		return
	}
	end := v.server.beginPlayer(v.session, v.may, v.pub, v.player, v.log)
	stop := context.AfterFunc(v.server.ctx, func() { v.player.Close(errShutdown) })
	defer stop()
	v.player.Start(header)
	v.awaitKinds(kinds)
	err = read()
	v.player.Close(fmt.Errorf("%w: %w", fanout.ErrGone, orEOF(err)))
	<-v.player.Done()
	end(v.player.Err())
	if !errors.Is(v.player.Err(), fanout.ErrGone) {
		v.linger()
	}
}

const (
	// lingerTimeout and lingerBytes bound what is read from a viewer after the end.
	lingerTimeout = time.Second
	lingerBytes   = 64 << 10
)

// linger ends the output and waits a moment for the viewer to end its own: closing a connection
// with unread bytes, such as the answer to a close frame, resets it, and the viewer may lose what
// it has not read yet.
func (v *viewer) linger() {
	half, ok := v.nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil || v.nc.SetReadDeadline(time.Now().Add(lingerTimeout)) != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, v.nc, lingerBytes)
}

func orEOF(err error) error {
	if err == nil {
		return io.EOF
	}
	return err
}

// awaitTracks waits until it is known which tracks the file header has to announce.
func (v *viewer) awaitTracks() bool {
	select {
	case <-v.pub.Named():
		return true
	default:
	}
	timer := time.NewTimer(v.server.now().opt.RTMP.ReadTimeout)
	defer timer.Stop()
	select {
	case <-v.pub.Named():
		return true
	case <-v.pub.Done():
	case <-v.server.ctx.Done():
	case <-timer.C:
	}
	return false
}

// header returns the file header and the kinds of media that it announces.
func (v *viewer) header() (kinds []media.Kind, header []byte) {
	video, audio := v.pub.Kinds()
	video, audio = video && v.view.Video != fanout.None, audio && v.view.Audio != fanout.None
	if video {
		kinds = append(kinds, media.Video)
	}
	if audio {
		kinds = append(kinds, media.Audio)
	}
	return kinds, v.format.AppendFileHeader(nil, video, audio)
}

var errNeverCame = errors.New("metadata names media that do not come")

// awaitKinds ends the player if it was told of media that do not come in time: mpegts.js shows
// nothing until it has all that it was told of. When it comes back, the header is right. A player
// that ended meanwhile stays as it is.
func (v *viewer) awaitKinds(kinds []media.Kind) {
	if wait := v.pub.Awaits(); wait > 0 {
		time.AfterFunc(wait, func() { v.awaitKinds(kinds) })
		return
	}
	video, audio := v.pub.Kinds()
	if !video && slices.Contains(kinds, media.Video) || !audio && slices.Contains(kinds, media.Audio) {
		v.player.End(errNeverCame)
	}
}

// maxViewerBytes bounds what an HTTP-FLV viewer may send after its request, in bytes. There is
// nothing that it could want to say.
const maxViewerBytes = 64 << 10

var errChatter = errors.New("viewer sends data")

// readNothing waits until the peer is gone.
func (v *viewer) readNothing() error {
	var buf [256]byte
	for total := 0; total < maxViewerBytes; {
		n, err := v.nc.Read(buf[:])
		if err != nil {
			return err
		}
		total += n
	}
	return errChatter
}

const (
	// maxWebSocketBytes bounds what a viewer may send at once, in bytes: there is nothing that it
	// has to say. Pings come on top, for hours.
	maxWebSocketBytes = 64 << 10
	// webSocketRate is how many of these bytes a second gives back.
	webSocketRate = 256
	// webSocketHeader is about what a frame costs without its payload.
	webSocketHeader = 14
)

// errWebSocket: the viewer breaks RFC 6455. errWebSocketFlood: it sends too much.
var (
	errWebSocket      = errors.New("bad websocket frame")
	errWebSocketFlood = errors.New("viewer sends too much over its websocket")
)

// readWebSocket answers pings and the closing handshake (RFC 6455 §5.5), and ignores data. Who
// breaks the rules is told so.
func (v *viewer) readWebSocket() error {
	budget := rate.NewLimiter(webSocketRate, maxWebSocketBytes)
	state := ws.StateServerSide
	for {
		h, err := ws.ReadHeader(v.nc)
		if err != nil {
			return err
		}
		if ws.CheckHeader(h, state) != nil {
			return v.closeWebSocket(ws.StatusProtocolError, errWebSocket)
		}
		if h.Length > maxWebSocketBytes || !budget.AllowN(time.Now(), webSocketHeader+int(h.Length)) {
			return v.closeWebSocket(ws.StatusPolicyViolation, errWebSocketFlood)
		}
		if !h.OpCode.IsControl() {
			if state = ws.StateServerSide; !h.Fin {
				state = state.Set(ws.StateFragmented)
			}
			if _, err := io.CopyN(io.Discard, v.nc, h.Length); err != nil {
				return err
			}
			continue
		}
		payload := make([]byte, h.Length)
		if _, err := io.ReadFull(v.nc, payload); err != nil {
			return err
		}
		ws.Cipher(payload, h.Mask, 0)
		switch h.OpCode {
		case ws.OpPing:
			if err := v.player.Post(ws.MustCompileFrame(ws.NewPongFrame(payload))); err != nil {
				return err
			}
		case ws.OpClose:
			return v.closeWebSocket(ws.StatusNormalClosure, errClosedByViewer)
		}
	}
}

var errClosedByViewer = errors.New("closed by the viewer")

// closeWebSocket sends a close frame behind what is on its way, and ends the viewer.
func (v *viewer) closeWebSocket(code ws.StatusCode, reason error) error {
	_ = v.player.Post(closeFrame(code, ""))
	v.player.Stop(fmt.Errorf("%w: %w", fanout.ErrGone, reason))
	<-v.player.Done()
	return nil
}

// closeFrame returns a close frame (RFC 6455 §5.5.1).
func closeFrame(code ws.StatusCode, reason string) []byte {
	body := binary.BigEndian.AppendUint16(nil, uint16(code))
	return ws.MustCompileFrame(ws.NewCloseFrame(append(body, reason...)))
}
