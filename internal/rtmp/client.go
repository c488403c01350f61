package rtmp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"livego/internal/amf"
)

const (
	defaultClientTimeout = 10 * time.Second
	// clientBufferMS is how much a player says it buffers (§7.1.7). Servers that pace by it deliver
	// live streams at once anyway.
	clientBufferMS = 3000
	// clientFlushSize is how much Write collects before it writes by itself.
	clientFlushSize = 64 << 10
	// maxPlayAhead bounds the messages that arrive before the server's answer to play.
	maxPlayAhead = 256

	// clientFlashVer is sent unless the options say otherwise. Some servers look for "FMLE" in a
	// publisher's.
	clientFlashVer = "FMLE/3.0 (compatible; livego)"
)

// ClientOptions configures Dial. Zero values are the defaults named.
type ClientOptions struct {
	// ReadTimeout (10 s) bounds each wait for an answer, and the silence of the server during a
	// playback.
	ReadTimeout time.Duration
	// WriteTimeout (10 s) bounds each write.
	WriteTimeout time.Duration
	// MaxMessageSize (8 MiB) bounds a received message, in bytes.
	MaxMessageSize int
	// FlashVer is what connect says the client is.
	FlashVer string
	// TLSConfig is used for rtmps. Its ServerName is the URL's host if empty.
	TLSConfig *tls.Config
	// Path is told to servers of this program: which servers the published stream has passed, or
	// the request to play one. The names may have no commas.
	Path []string
	// Legacy declares nothing of Enhanced RTMP, as players do that know nothing of it.
	Legacy bool
	// Digest uses the handshake with digests, which some servers insist on.
	Digest bool
	// DialContext, if not nil, makes connections in place of a net.Dialer.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
}

func (o ClientOptions) withDefaults() ClientOptions {
	if o.ReadTimeout <= 0 {
		o.ReadTimeout = defaultClientTimeout
	}
	if o.WriteTimeout <= 0 {
		o.WriteTimeout = defaultClientTimeout
	}
	if o.MaxMessageSize <= 0 {
		o.MaxMessageSize = defaultMaxMessageSize
	}
	if o.FlashVer == "" {
		o.FlashVer = clientFlashVer
	}
	if o.DialContext == nil {
		o.DialContext = (&net.Dialer{Timeout: o.ReadTimeout}).DialContext
	}
	return o
}

// Client is a connection to a server, for one publication or one playback. One goroutine may call
// Read while another calls Write and Flush; Close may be called from anywhere.
type Client struct {
	nc  net.Conn
	opt ClientOptions
	url URL
	in  *chunkReader

	transaction float64
	streamID    uint32
	name        string // under which the client publishes
	passed      []string
	playing     bool
	ahead       []Message // came before the answer to play
	started     bool      // play was answered

	// outMu keeps the writer and the reader's acknowledgements apart.
	outMu  sync.Mutex
	out    []byte
	format Format
	// written is when the write deadline was last moved.
	written time.Time
	// post, if set, sends in place of the client, which has handed its connection over.
	post func([]byte) error
}

// Dial connects to the server of an RTMP URL, up to the answer to connect. With user and password
// in the URL it authenticates if the server asks for that.
func Dial(ctx context.Context, rawURL string, opt ClientOptions) (*Client, error) {
	u, err := ParseURL(rawURL)
	if err != nil {
		return nil, err
	}
	return dialAuth(ctx, u, opt.withDefaults())
}

// dialOnce makes one connection.
func dialOnce(ctx context.Context, u URL, opt ClientOptions) (*Client, error) {
	nc, err := opt.DialContext(ctx, "tcp", u.Addr)
	if err != nil {
		return nil, err
	}
	if u.TLS {
		nc = tls.Client(nc, tlsConfig(opt.TLSConfig, u.Host))
	}
	c := &Client{nc: nc, opt: opt, url: u, format: Format{ChunkSize: defaultChunkSize}}
	if err := c.within(ctx, c.connect); err != nil {
		nc.Close()
		return nil, fmt.Errorf("rtmp connect to %s: %w", u.Addr, err)
	}
	return c, nil
}

func tlsConfig(config *tls.Config, host string) *tls.Config {
	if config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if config.ServerName == "" {
		config = config.Clone()
		config.ServerName = host
	}
	return config
}

// within runs f so that it fails with the cause of ctx when that ends.
func (c *Client) within(ctx context.Context, f func() error) error {
	stop := context.AfterFunc(ctx, func() { c.nc.Close() })
	err := f()
	if !stop() {
		return context.Cause(ctx)
	}
	return err
}

// connect performs handshake and connect.
func (c *Client) connect() error {
	if err := clientHandshake(deadlineWriter{c.nc, c.opt.WriteTimeout}, c.opt.Digest, c.extendRead); err != nil {
		return c.readError(err)
	}
	c.in = newChunkReader(clientReader{c}, func(sequence uint32) error { return c.send(appendAcknowledgement(nil, sequence)) })
	c.in.announced = peerWindow
	c.in.allowStreams()
	object := amf.Object{
		{Name: "app", Value: c.url.App},
		{Name: "type", Value: "nonprivate"},
		{Name: "flashVer", Value: c.opt.FlashVer},
		{Name: "tcUrl", Value: c.url.TCURL},
	}
	if !c.opt.Legacy {
		object = append(object, amf.Property{Name: "capsEx", Value: CapMultitrack | CapModEx},
			amf.Property{Name: "fourCcList", Value: amf.StrictArray{"*"}})
	}
	if len(c.opt.Path) > 0 {
		object = append(object, amf.Property{Name: pathProperty, Value: joinPath(c.opt.Path)})
	}
	if _, err := c.call("connect", object); err != nil {
		return err
	}
	c.outMu.Lock()
	c.out = appendWindowAckSize(c.out, peerWindow)
	c.out = appendSetChunkSize(c.out, ChunkSize)
	c.format.ChunkSize = ChunkSize
	c.outMu.Unlock()
	return nil
}

// Publish asks to publish under this name, or under that of the URL if it is empty, and waits for
// the answer: a *StatusError if the server refuses. Then Write. Read should run too, so that pings
// are answered and a refusal is seen.
func (c *Client) Publish(ctx context.Context, name string) error {
	if name == "" {
		name = c.url.Name
	}
	c.name = name
	return c.within(ctx, func() error {
		if err := c.command(c.nextTransaction(), "releaseStream", nil, name); err != nil {
			return err
		}
		if err := c.command(c.nextTransaction(), "FCPublish", nil, name); err != nil {
			return err
		}
		if err := c.createStream(); err != nil {
			return err
		}
		if err := c.command(c.nextTransaction(), "publish", nil, name, "live"); err != nil {
			return err
		}
		if _, err := c.awaitStatus("NetStream.Publish.Start"); err != nil {
			return err
		}
		return c.nc.SetReadDeadline(time.Time{})
	})
}

// Play asks to play the stream of this name, or that of the URL if it is empty, and waits for the
// answer: a *StatusError if the server refuses. Then Read.
func (c *Client) Play(ctx context.Context, name string) error {
	if name == "" {
		name = c.url.Name
	}
	return c.within(ctx, func() error {
		if err := c.createStream(); err != nil {
			return err
		}
		if err := c.command(0, "play", nil, name, -2.0); err != nil {
			return err
		}
		if err := c.send(appendUserControl(nil, eventSetBufferLength, c.streamID, clientBufferMS)); err != nil {
			return err
		}
		c.playing = true
		c.in.allowMedia(c.opt.MaxMessageSize)
		info, err := c.awaitStatus("NetStream.Play.Start")
		if err != nil {
			return err
		}
		c.started, c.passed = true, pathIn(info)
		return nil
	})
}

// Passed returns which servers the stream has passed that is played, as far as the server says so.
func (c *Client) Passed() []string { return c.passed }

// Read returns the next audio, video or data message. io.EOF means that the stream or the
// connection is over, a *StatusError what the server complained of. After Publish it returns only
// when the connection ends.
func (c *Client) Read() (Message, error) {
	if len(c.ahead) > 0 {
		m := c.ahead[0]
		c.ahead = c.ahead[1:]
		return m, nil
	}
	if c.started {
		c.extendRead()
	}
	for {
		m, err := c.next()
		if err != nil {
			return Message{}, err
		}
		if m.isMedia() {
			return m, nil
		}
		cmd, err := parseCommand(m)
		if err != nil {
			return Message{}, err
		}
		if err := c.statusEnd(cmd); err != nil {
			return Message{}, err
		}
	}
}

// Write queues an audio, video or data message for the published stream, whatever its StreamID. It
// is sent with the next Flush, or when enough has gathered. It does not keep m.Body.
func (c *Client) Write(m Message) error {
	c.outMu.Lock()
	defer c.outMu.Unlock()
	c.out = c.format.AppendMessage(c.out, m.Type, m.TimestampMS, m.Body)
	if len(c.out) < clientFlushSize {
		return nil
	}
	return c.flush()
}

// Flush sends what Write has queued.
func (c *Client) Flush() error {
	c.outMu.Lock()
	defer c.outMu.Unlock()
	return c.flush()
}

// HandOver gives the output to somebody who sends the published stream from now on, as a Format
// with StreamID 1 and the default ChunkSize frames it, through the connection that is returned.
// bye tells the server that the stream is over. Call it between Publish and Read; Write, Flush and
// Unpublish must not be called any more. What the client has to say itself, while Read runs, such
// as the answers to pings, goes to post as whole messages.
func (c *Client) HandOver(post func([]byte) error) (conn net.Conn, bye []byte) {
	c.post = post
	conn = c.nc
	if c.streamID != 1 {
		conn = Restream(conn, c.streamID)
	}
	return conn, c.appendUnpublish(nil)
}

// Unpublish tells the server that the published stream is over.
func (c *Client) Unpublish() error { return c.send(c.appendUnpublish(nil)) }

func (c *Client) appendUnpublish(dst []byte) []byte {
	f := Format{ChunkSize: c.format.ChunkSize}
	dst = appendCommand(dst, f, "FCUnpublish", c.nextTransaction(), nil, c.name)
	return appendCommand(dst, f, "deleteStream", c.nextTransaction(), nil, c.streamID)
}

// Close closes the connection. Call Flush before it to keep what was written.
func (c *Client) Close() error { return c.nc.Close() }

// Detach returns the connection and the bytes that were received and not read yet, for callers that
// only count bytes. Do not use the Client afterwards. Nobody acknowledges what is read from the
// connection then.
func (c *Client) Detach() (nc net.Conn, buffered []byte) { return c.nc, c.in.buffered() }

// flush needs outMu.
func (c *Client) flush() error {
	if len(c.out) == 0 {
		return nil
	}
	if err := c.extendWrite(); err != nil {
		return err
	}
	_, err := c.nc.Write(c.out)
	c.out = c.out[:0]
	return err
}

// send sends whole messages behind what is queued.
func (c *Client) send(b []byte) error {
	if c.post != nil {
		return c.post(b)
	}
	c.outMu.Lock()
	defer c.outMu.Unlock()
	c.out = append(c.out, b...)
	return c.flush()
}

// extendWrite moves the write deadline, in steps, and by a step more: each time costs as much as
// framing a message.
func (c *Client) extendWrite() error {
	now, step := time.Now(), c.opt.WriteTimeout/deadlineSteps
	if now.Sub(c.written) < step {
		return nil
	}
	c.written = now
	return c.nc.SetWriteDeadline(now.Add(c.opt.WriteTimeout + step))
}

func (c *Client) extendRead() {
	// An error shows at the next read.
	_ = c.nc.SetReadDeadline(time.Now().Add(c.opt.ReadTimeout))
}

// clientReader reads from the server. A playback goes on as long as anything arrives.
type clientReader struct{ *Client }

func (r clientReader) Read(p []byte) (int, error) {
	n, err := r.nc.Read(p)
	if n > 0 && r.started {
		r.extendRead()
	}
	return n, err
}

func (c *Client) readError(err error) error {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("server sent nothing for %v: %w", c.opt.ReadTimeout, ErrTimeout)
	}
	return err
}
