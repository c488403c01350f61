package bench

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"

	"livego/internal/flv"
	"livego/internal/rtmp"
)

// playback is a connection on which a stream arrives.
type playback struct {
	// raw is the TCP connection under everything.
	raw *net.TCPConn
	// next returns the next message of the stream. Nil for HLS.
	next func() (flv.Tag, error)
	// alive is what to send from time to time so that the server does not think the player dead,
	// where that is possible without reading what it says. received is the number of bytes so far.
	alive func(received uint64) []byte
}

func (p *playback) close() { p.raw.Close() }

// counted is a connection that counts what is read from it.
type counted struct {
	*net.TCPConn
	bytes *atomic.Uint64
}

func (c counted) Read(b []byte) (int, error) {
	n, err := c.TCPConn.Read(b)
	c.bytes.Add(uint64(n))
	return n, err
}

// arrival is a connection that knows when the last of what was read from it reached this machine,
// the zero time where that is not known.
type arrival interface{ arrived() time.Time }

// opener connects one player.
type opener struct {
	*network
	url   *url.URL
	bytes *atomic.Uint64
	raw   *net.TCPConn
	// timed: when bytes arrive is wanted; arrival tells, nil where nobody does.
	timed   bool
	arrival arrival
}

// arrived is when the last bytes that were read came: as the system says, or now.
func (o *opener) arrived() time.Time {
	if o.arrival != nil {
		if at := o.arrival.arrived(); !at.IsZero() {
			return at
		}
	}
	return time.Now()
}

// open connects a player to a stream, up to the server's agreement. The bytes received are added to
// bytes.
func (n *network) open(ctx context.Context, u *url.URL, bytes *atomic.Uint64) (*playback, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	o := &opener{network: n, url: u, bytes: bytes}
	var p *playback
	var err error
	switch u.Scheme {
	case "rtmp", "rtmps":
		p, err = o.rtmp(ctx)
	case "http", "https":
		p, err = o.flv(ctx)
	case "ws", "wss":
		p, err = o.webSocket(ctx)
	default:
		err = fmt.Errorf("scheme %q is none of rtmp, rtmps, http, https, ws and wss", u.Scheme)
	}
	if err != nil && o.raw != nil {
		o.raw.Close()
	}
	return p, err
}

func (o *opener) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := o.dialer.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	o.raw, o.arrival = conn.(*net.TCPConn), nil
	if o.timed {
		if s, err := newStamped(o.raw, o.bytes); err == nil {
			o.arrival = s
			return s, nil
		}
	}
	return counted{o.raw, o.bytes}, nil
}

func (o *opener) rtmp(ctx context.Context) (*playback, error) {
	client, err := rtmp.Dial(ctx, o.url.String(), rtmp.ClientOptions{
		ReadTimeout: maxAge, DialContext: o.dial, TLSConfig: o.client(o.url.Hostname()),
	})
	if err != nil {
		return nil, err
	}
	if err := client.Play(ctx, ""); err != nil {
		return nil, err
	}
	p := &playback{raw: o.raw, next: func() (flv.Tag, error) {
		m, err := client.Read()
		return flv.Tag{Type: m.Type, TimestampMS: m.TimestampMS, Body: m.Body}, err
	}}
	if o.url.Scheme == "rtmp" {
		p.alive = rtmpAlive
	}
	return p, nil
}

// rtmpAlive returns an acknowledgement (RTMP 1.0 §5.4.3) and a ping response (§7.1.7). Nobody asked
// for them, but they are what a server may miss in a player that does not read.
func rtmpAlive(received uint64) []byte {
	b := []byte{2, 0, 0, 0, 0, 0, 4, 3, 0, 0, 0, 0}
	b = binary.BigEndian.AppendUint32(b, uint32(received))
	return append(b, 2, 0, 0, 0, 0, 0, 6, 4, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0)
}

func (o *opener) flv(ctx context.Context) (*playback, error) {
	conn, err := o.httpConn(ctx)
	if err != nil {
		return nil, err
	}
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline) // shows at the read
	request, err := http.NewRequest(http.MethodGet, o.url.String(), nil)
	if err == nil {
		err = request.Write(conn)
	}
	if err != nil {
		return nil, err
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server answered %s", response.Status)
	}
	_ = conn.SetDeadline(time.Time{})
	return &playback{raw: o.raw, next: o.patient(flv.NewReader(response.Body))}, nil
}

// httpConn connects, with TLS if the URL says so.
func (o *opener) httpConn(ctx context.Context) (net.Conn, error) {
	port := o.url.Port()
	if port == "" {
		port = o.url.Scheme // net knows both as services
	}
	conn, err := o.dial(ctx, "tcp", net.JoinHostPort(o.url.Hostname(), port))
	if err != nil || o.url.Scheme != "https" {
		return conn, err
	}
	secure := tls.Client(conn, o.client(o.url.Hostname()))
	return secure, secure.HandshakeContext(ctx)
}

// patient reads tags and gives up on a connection that is silent for long.
func (o *opener) patient(r *flv.Reader) func() (flv.Tag, error) {
	return func() (flv.Tag, error) {
		_ = o.raw.SetReadDeadline(time.Now().Add(maxAge)) // shows at the read
		return r.ReadTag()
	}
}

func (o *opener) webSocket(ctx context.Context) (*playback, error) {
	dialer := ws.Dialer{NetDial: o.dial, TLSConfig: o.client(o.url.Hostname())}
	conn, buffered, _, err := dialer.Dial(ctx, o.url.String())
	if err != nil {
		return nil, err
	}
	if buffered == nil { // nothing came behind the answer
		buffered = bufio.NewReader(conn)
	}
	p := &playback{raw: o.raw, next: o.patient(flv.NewReader(newFrames(buffered, conn)))}
	if o.url.Scheme == "ws" {
		// A pong that nobody asked for is allowed (RFC 6455 §5.5.3). A client masks, if only with
		// zeros.
		p.alive = func(uint64) []byte { return []byte{0x8A, 0x80, 0, 0, 0, 0} }
	}
	return p, nil
}

// frames reads the content of binary WebSocket messages as one stream, and answers pings.
type frames struct{ reader wsutil.Reader }

func newFrames(source io.Reader, w io.Writer) *frames {
	return &frames{wsutil.Reader{
		Source: source, State: ws.StateClientSide, OnIntermediate: wsutil.ControlFrameHandler(w, ws.StateClientSide),
	}}
}

func (f *frames) Read(p []byte) (int, error) {
	for {
		n, err := f.reader.Read(p)
		if err == nil || n > 0 {
			return n, nil
		}
		if !errors.Is(err, io.EOF) && !errors.Is(err, wsutil.ErrNoFrameAdvance) {
			return 0, err
		}
		header, err := f.reader.NextFrame()
		if err == nil && header.OpCode.IsControl() {
			err = f.reader.OnIntermediate(header, &f.reader)
		}
		if err != nil {
			return 0, err
		}
	}
}

// expand fills in a URL template.
func expand(template, name, key string) string {
	return strings.NewReplacer("{stream}", name, "{key}", key).Replace(template)
}
