package rtmp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"time"
)

const (
	defaultReadTimeout    = 10 * time.Second
	defaultWriteTimeout   = 10 * time.Second
	defaultMaxMessageSize = 8 << 20

	// lingerTimeout and lingerBytes bound how long a refused client is read from: closing a socket
	// with unread bytes resets it, and the client would never see why.
	lingerTimeout = time.Second
	lingerBytes   = 4 << 20

	// deadlineSteps is in how many steps the read deadline moves with a publisher's messages.
	deadlineSteps = 20

	// maxPublications bounds the publications of one connection. Several are used for the
	// renditions of a ladder.
	maxPublications = 16
	// maxMessageStreams is the highest number of a message stream that createStream returns, and to
	// play on.
	maxMessageStreams = 2 * maxPublications
)

// ServerOptions configures Serve. Zero values are the defaults named.
type ServerOptions struct {
	// ReadTimeout (10 s) bounds each step of the handshake, the time from there to publish or play,
	// and the silence of a publisher, up to a twentieth more. A player may be silent for ever.
	ReadTimeout time.Duration
	// WriteTimeout (10 s) bounds each write of the connection. Writes after PlayStream.Start are
	// the taker's.
	WriteTimeout time.Duration
	// MaxMessageSize (8 MiB) bounds a message of a publisher, in bytes.
	MaxMessageSize int
	// Version is told to clients as part of fmsVer.
	Version string
	// HTTPHint is the text that answers an HTTP request: it should say which ports are for HTTP.
	HTTPHint string
	// Reconnect declares that this server uses ConnectRequest.RequestReconnect before it goes away.
	Reconnect bool
}

func (o ServerOptions) withDefaults() ServerOptions {
	if o.ReadTimeout <= 0 {
		o.ReadTimeout = defaultReadTimeout
	}
	if o.WriteTimeout <= 0 {
		o.WriteTimeout = defaultWriteTimeout
	}
	if o.MaxMessageSize <= 0 {
		o.MaxMessageSize = defaultMaxMessageSize
	}
	return o
}

// Serve runs one connection until it ends, waits for its playback, closes nc, and returns why it
// ended: io.EOF if the client left between two messages, nil if a playback ended by itself, the
// cause of ctx, a *StatusError that the client was told, or what went wrong. If the cause of ctx is
// a *StatusError, the client is told that too.
func Serve(ctx context.Context, nc net.Conn, opt ServerOptions, h Handler) error {
	return newServerConn(nc, &opt, h).run(ctx)
}

// newServerConn is not for the inliner: its variables would stay on the stack of a connection for
// good.
//
//go:noinline
func newServerConn(nc net.Conn, opt *ServerOptions, h Handler) *serverConn {
	return &serverConn{nc: nc, opt: opt.withDefaults(), handler: h, publications: make(map[uint32]*publication)}
}

func (c *serverConn) run(ctx context.Context) error {
	defer c.nc.Close()
	stop := context.AfterFunc(ctx, func() { c.interrupt(context.Cause(ctx)) })
	defer stop()
	err := c.serve(ctx)
	cause := c.endCause()
	if cause != nil {
		err = cause
	}
	return c.close(err, cause == nil)
}

// serverConn is one connection of a client. Its fields belong to the goroutine that reads, except
// for the locked ones.
type serverConn struct {
	nc      net.Conn
	opt     ServerOptions
	handler Handler
	in      *chunkReader

	connect      *ConnectRequest // nil until it was accepted
	lastStream   uint32
	fcPublish    bool // the client sent FCPublish and may wait for onFCPublish
	publications map[uint32]*publication
	playback     *playback
	stray        bool      // the handler heard of media that nobody publishes
	progress     int       // bytes received since the read deadline was moved
	heard        time.Time // when a message moved the read deadline; zero if something else has done so since

	// writeMu keeps writes apart until control takes them over.
	writeMu sync.Mutex
	control Control
	paused  bool
	gone    bool // the client is: writes are to fail at once

	deadline time.Time // of reads
	looked   bool      // once more after it

	rest *rest // nil: the connection cannot

	// endMu keeps the read deadline, once it interrupts the reader, from being moved again.
	endMu sync.Mutex
	cause error
}

// errPlaybackOver is the cause with which a finished playback ends its connection.
var errPlaybackOver = errors.New("playback over")

// serve reads until the connection ends. It waits in await, with little on the stack: thousands of
// players do nothing else.
func (c *serverConn) serve(ctx context.Context) error {
	err := c.begin()
	for err == nil {
		if err = c.in.await(); err != nil {
			return c.readError(err, c.phase())
		}
		err = c.next(ctx)
	}
	return err
}

// begin performs the handshake.
func (c *serverConn) begin() error {
	rw := struct {
		io.Reader
		io.Writer
	}{progressReader{c}, c.deadlineWriter()}
	if err := serverHandshake(rw, c.opt.HTTPHint, c.extendRead); err != nil {
		return c.readError(err, "handshake")
	}
	c.in = newChunkReader(progressReader{c}, func(sequence uint32) error { return c.send(appendAcknowledgement(nil, sequence)) })
	c.in.announced = peerWindow
	c.extendRead()
	return nil
}

// next handles the next message.
func (c *serverConn) next(ctx context.Context) error {
	m, err := c.in.read()
	if err != nil {
		return c.readError(err, c.phase())
	}
	return c.message(ctx, m)
}

// message handles one message of the client.
func (c *serverConn) message(ctx context.Context, m Message) error {
	switch m.Type {
	case TypeAudio, TypeVideo, TypeDataAMF0, TypeDataAMF3:
		return c.media(m)
	case typeCommandAMF0, typeCommandAMF3:
		return c.command(ctx, m)
	}
	reply, err := c.in.controlReply(m)
	if err != nil || reply == nil {
		return err
	}
	return c.send(reply)
}

// phase says what a client that is too slow was to do.
func (c *serverConn) phase() string {
	switch {
	case c.playback != nil:
		return "playing"
	case len(c.publications) > 0:
		return "publishing"
	case c.connect != nil:
		return "waiting for publish or play"
	}
	return "waiting for connect"
}

// readError says in which phase reading failed.
func (c *serverConn) readError(err error, phase string) error {
	if err == io.EOF {
		return err
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("%s: nothing for %v: %w", phase, c.opt.ReadTimeout, ErrTimeout)
	}
	return fmt.Errorf("%s: %w", phase, err)
}

// extendRead gives the client another ReadTimeout.
func (c *serverConn) extendRead() {
	c.progress, c.heard = 0, time.Time{}
	c.setReadDeadline(time.Now().Add(c.opt.ReadTimeout))
}

// extendByMessage gives a publisher another ReadTimeout for a message. It moves the deadline in
// steps, and by a step more: moving it costs as much as taking the message apart.
func (c *serverConn) extendByMessage() {
	c.progress = 0
	now, step := time.Now(), c.opt.ReadTimeout/deadlineSteps
	if now.Sub(c.heard) < step {
		return
	}
	c.heard = now
	c.setReadDeadline(now.Add(c.opt.ReadTimeout + step))
}

// setReadDeadline sets the read deadline unless the connection is to end. Errors show at the next
// read.
func (c *serverConn) setReadDeadline(t time.Time) {
	c.endMu.Lock()
	defer c.endMu.Unlock()
	if c.cause == nil {
		_ = c.nc.SetReadDeadline(t)
		c.deadline, c.looked = t, false
	}
}

const (
	// standstill is how much later than due a deadline passes only if this process did not run: it
	// was stopped, or its machine moved or slept.
	standstill = time.Second
	// lastLook is for how long it is looked whether something waits in the socket after all.
	lastLook = 5 * time.Millisecond
)

// readLate reads once more after the deadline has passed. If this process stood still, what the
// client sent meanwhile waits in the socket, or could not be sent, and the client gets its time
// again.
func (c *serverConn) readLate(p []byte) (int, error) {
	late := time.Since(c.deadline) > standstill
	if c.looked && !late {
		return 0, os.ErrDeadlineExceeded
	}
	if late {
		c.setReadDeadline(time.Now().Add(c.opt.ReadTimeout))
		return c.nc.Read(p)
	}
	c.setReadDeadline(time.Now().Add(lastLook))
	n, err := c.nc.Read(p)
	if n > 0 {
		c.setReadDeadline(time.Now().Add(c.opt.ReadTimeout / deadlineSteps))
	}
	c.looked = true
	return n, err
}

// interrupt ends the connection from any goroutine: it wakes the reader, which does the rest. The
// first cause counts.
func (c *serverConn) interrupt(cause error) {
	c.endMu.Lock()
	defer c.endMu.Unlock()
	if c.cause == nil {
		c.cause = cause
	}
	_ = c.nc.SetReadDeadline(time.Unix(1, 0))
}

func (c *serverConn) endCause() error {
	c.endMu.Lock()
	defer c.endMu.Unlock()
	return c.cause
}

// send writes whole messages, itself or through the playback that has taken over.
func (c *serverConn) send(b []byte) error {
	c.writeMu.Lock()
	ctl := c.control
	if ctl == nil {
		defer c.writeMu.Unlock()
		return c.write(b)
	}
	c.writeMu.Unlock()
	return ctl.Post(b)
}

// write needs writeMu.
func (c *serverConn) write(b []byte) error {
	_, err := c.deadlineWriter().Write(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("client took nothing for %v: %w", c.opt.WriteTimeout, ErrTimeout)
	}
	return err
}

// deadlineWriter is the connection with the write timeout on each write.
func (c *serverConn) deadlineWriter() deadlineWriter { return deadlineWriter{c.nc, c.opt.WriteTimeout} }

type deadlineWriter struct {
	net.Conn
	timeout time.Duration
}

func (w deadlineWriter) Write(b []byte) (int, error) {
	if err := w.SetWriteDeadline(time.Now().Add(w.timeout)); err != nil {
		return 0, err
	}
	return w.Conn.Write(b)
}

// close ends what is still going on, tells the client why if it can be told, and returns the error
// for Serve. gone says that the end came from the client's side.
func (c *serverConn) close(err error, gone bool) error {
	var refused *refusal
	reason := err
	if errors.As(err, &refused) {
		reason = refused.err
	}
	for id := range c.publications {
		c.unpublish(id, reason)
	}
	taken := c.endPlayback(reason, gone)
	if p := c.playback; p != nil && reason == errPlaybackOver && errors.As(p.outcome, &refused) {
		reason = refused.err
	}
	var status *StatusError
	if !taken && errors.As(reason, &status) {
		// Whether it arrives or not, this is the reason.
		_ = c.send(c.appendRefusal(nil, refused, status))
		gone = false
	}
	if !gone || errors.Is(reason, ErrHTTPRequest) || errors.Is(reason, ErrTLS) {
		c.linger()
	}
	if errors.Is(reason, errPlaybackOver) {
		return nil
	}
	return reason
}

// linger ends the output and waits a moment for the client to end its own.
func (c *serverConn) linger() {
	if c.rest != nil {
		c.rest.wake()
	}
	if half, ok := c.nc.(interface{ CloseWrite() error }); !ok || half.CloseWrite() != nil {
		return
	}
	if c.nc.SetReadDeadline(time.Now().Add(lingerTimeout)) != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, c.nc, lingerBytes)
}

// progressBytes is how much of a long message counts as not being silent.
const progressBytes = 64 << 10

// progressReader reads from the client, looks once more when its time is over, and gives a
// publisher on a slow line more time while it sends a long message. Trickling single bytes is not
// enough.
type progressReader struct{ *serverConn }

func (r progressReader) Read(p []byte) (int, error) {
	n, err := r.rested(p), error(nil)
	if n == 0 {
		n, err = r.nc.Read(p)
	}
	if n == 0 && errors.Is(err, os.ErrDeadlineExceeded) {
		n, err = r.readLate(p)
	}
	if len(r.publications) > 0 {
		if r.progress += n; r.progress >= progressBytes {
			r.extendRead()
		}
	}
	return n, err
}
