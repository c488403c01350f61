package bench

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"livego/internal/flv"
	"livego/internal/pause"
	"livego/internal/rtmp"
)

// stream is one published stream.
type stream struct {
	index int // among the streams of the run
	name  string
	url   string // where it is published, with its key; empty if somebody else does it
	// delay shifts the stream, so that the key frames of many streams do not meet.
	delay time.Duration

	bytes      atomic.Uint64 // of message bodies sent
	onAir      chan struct{} // closed after the first random access point
	worst      atomic.Int64  // lateness, nanoseconds
	reconnects atomic.Uint64
	number     uint32 // of the next stamp
	scratch    []byte
}

// target takes the messages of a published stream.
type target interface {
	write(kind uint8, timestampMS uint32, body []byte) error
	flush() error
	// wait returns when the server ends the connection.
	wait() error
	close()
}

// publish sends the clip until ctx ends, connecting again when the connection is lost. A refusal at
// the first attempt is an error.
func (s *stream) publish(ctx context.Context, n *network, c *clip) error {
	if err := pause.For(ctx, s.delay); err != nil {
		return nil
	}
	for first := true; ; first = false {
		err := s.session(ctx, n, c)
		if ctx.Err() != nil {
			return nil
		}
		if first && !s.isOnAir() {
			return fmt.Errorf("publishing stream %s: %w", s.name, err)
		}
		s.reconnects.Add(1)
		if pause.For(ctx, retryDelay) != nil {
			return nil
		}
	}
}

func (s *stream) isOnAir() bool {
	select {
	case <-s.onAir:
		return true
	default:
		return false
	}
}

func (s *stream) session(ctx context.Context, n *network, c *clip) error {
	to, err := openTarget(ctx, n, s.url)
	if err != nil {
		return err
	}
	ctx, lost := context.WithCancelCause(ctx)
	waited := make(chan struct{})
	go func() {
		defer close(waited)
		lost(to.wait())
	}()
	err = s.send(ctx, to, c)
	to.close()
	<-waited
	return err
}

// send writes round after round, each message when it is due.
func (s *stream) send(ctx context.Context, to target, c *clip) error {
	for _, m := range c.headers {
		if err := to.write(m.kind, 0, m.body); err != nil {
			return err
		}
	}
	start := time.Now()
	for round := time.Duration(0); ; round++ {
		for i := range c.media {
			m := &c.media[i]
			at := round*c.length + m.at
			if err := pause.For(ctx, time.Until(start.Add(at))); err != nil {
				return err
			}
			now := time.Now()
			if late := int64(now.Sub(start.Add(at))); late > s.worst.Load() {
				s.worst.Store(late)
			}
			if err := s.sendOne(to, m, uint32(at.Milliseconds()), now); err != nil {
				return err
			}
		}
	}
}

// sendOne sends one message, stamped if it has room for that.
func (s *stream) sendOne(to target, m *message, timestampMS uint32, now time.Time) error {
	body := m.body
	if m.stamp > 0 {
		s.scratch = append(s.scratch[:0], body...)
		body = s.scratch
		writeStamp(body[m.stamp:], now, s.number)
		s.number++
	}
	if err := to.write(m.kind, timestampMS, body); err != nil {
		return err
	}
	if err := to.flush(); err != nil {
		return err
	}
	s.bytes.Add(uint64(len(body)))
	if !s.isOnAir() {
		close(s.onAir)
	}
	return nil
}

// openTarget connects to where a stream is published. Errors do not hold the URL, because that
// holds the key.
func openTarget(ctx context.Context, n *network, rawURL string) (target, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, fmt.Errorf("publish URL: %w", err.(*url.Error).Err)
	}
	if u.Scheme == "http" {
		return openUpload(ctx, n, u)
	}
	client, err := rtmp.Dial(ctx, rawURL, rtmp.ClientOptions{DialContext: n.dialer.DialContext, TLSConfig: n.client(u.Hostname())})
	if err != nil {
		return nil, err
	}
	if err := client.Publish(ctx, ""); err != nil {
		client.Close()
		return nil, err
	}
	return rtmpTarget{client}, nil
}

type rtmpTarget struct{ *rtmp.Client }

var _ target = rtmpTarget{}

func (t rtmpTarget) write(kind uint8, timestampMS uint32, body []byte) error {
	return t.Write(rtmp.Message{Type: kind, TimestampMS: timestampMS, Body: body})
}

func (t rtmpTarget) flush() error { return t.Flush() }

func (t rtmpTarget) wait() error {
	_, err := t.Read()
	return err
}

func (t rtmpTarget) close() {
	_ = t.Unpublish() // where the connection is lost, the server knows
	t.Close()
}

// upload is an FLV file without end in a POST request. HTTP/1.0 lets the body end with the
// connection.
type upload struct {
	conn net.Conn
	out  []byte
}

var _ target = (*upload)(nil)

func openUpload(ctx context.Context, n *network, u *url.URL) (*upload, error) {
	addr := u.Host
	if u.Port() == "" {
		addr = net.JoinHostPort(u.Hostname(), "80")
	}
	conn, err := n.dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	t := &upload{conn: conn}
	t.out = append(t.out, "POST "+u.RequestURI()+" HTTP/1.0\r\nHost: "+u.Host+"\r\nContent-Type: video/x-flv\r\n\r\n"...)
	t.out = flv.AppendFileHeader(t.out, true, true)
	return t, nil
}

func (t *upload) write(kind uint8, timestampMS uint32, body []byte) error {
	t.out = flv.AppendTag(t.out, kind, timestampMS, body)
	return nil
}

func (t *upload) flush() error {
	_ = t.conn.SetWriteDeadline(time.Now().Add(dialTimeout)) // shows at the write
	_, err := t.conn.Write(t.out)
	t.out = t.out[:0]
	return err
}

func (t *upload) wait() error {
	answer, err := io.ReadAll(io.LimitReader(t.conn, 1<<10))
	if line, _, ok := strings.Cut(string(answer), "\r\n"); ok {
		return fmt.Errorf("the server answered %q", line)
	}
	if err == nil {
		err = io.EOF
	}
	return err
}

func (t *upload) close() { t.conn.Close() }
